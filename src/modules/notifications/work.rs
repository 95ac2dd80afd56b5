//! The working set of one transaction: the totals of the users it locked, and what becomes of their notifications.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::events::NotificationEvent;
use super::notification::{NONE, NotificationRecord, lane};
use super::store::batch::{self, TotalsRow};
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};

/// The totals of locked users.
pub(super) struct Totals {
    rows: BTreeMap<Uuid, TotalsRow>,
    /// Those that change, each with its new version already.
    changed: BTreeSet<Uuid>,
}

impl Totals {
    /// Locks `users` in key order, those who `must_be` with totals even if they had none. Whatever else is read of
    /// these users is read in later statements.
    pub(super) async fn lock(tx: &Tx, users: impl IntoIterator<Item = Uuid>, must_be: &BTreeSet<Uuid>) -> Result<Self> {
        let in_order =
            |users: BTreeSet<Uuid>| users.into_iter().map(|user| (lane(user), user)).collect::<BTreeSet<_>>();
        if !must_be.is_empty() {
            batch::totals_ensure(tx, in_order(must_be.clone())).await?;
        }
        let all = in_order(users.into_iter().chain(must_be.iter().copied()).collect());
        let rows = if all.is_empty() { Vec::new() } else { batch::totals_lock(tx, all).await? };
        Ok(Self { rows: rows.into_iter().map(|row| (row.user_id, row)).collect(), changed: BTreeSet::new() })
    }

    /// A locked user's totals; none for a user who was never told anything.
    pub(super) fn get(&self, user: Uuid) -> Option<TotalsRow> {
        self.rows.get(&user).copied()
    }

    /// Takes over that a notification is now as it is: counts it, and gives it the version of this transaction.
    fn moved(&mut self, was_unread: bool, now: &mut NotificationRecord) -> Result<()> {
        let Some(row) = self.rows.get_mut(&now.user_id) else {
            return Err(Error::internal(format!("the totals of {} are not locked", now.user_id)));
        };
        if self.changed.insert(now.user_id) {
            row.version += 1;
        }
        row.unread_count += i64::from(now.unread) - i64::from(was_unread);
        now.version = row.version;
        Ok(())
    }

    /// Writes what changed.
    pub(super) async fn write(self, tx: &Tx) -> Result<()> {
        let changed = self.changed.iter().filter_map(|user| self.rows.get(user)).copied();
        batch::totals_update(tx, changed).await
    }
}

/// A notification whose acts have changed, and by how many actors more.
pub(super) struct Moved {
    pub(super) notification: NotificationRecord,
    pub(super) actors: i64,
}

/// Writes what follows from changed acts, which are written already. Returns what listeners hear.
pub(super) async fn settle(tx: &Tx, totals: &mut Totals, moved: Vec<Moved>) -> Result<Vec<NotificationEvent>> {
    if moved.is_empty() {
        return Ok(Vec::new());
    }
    let ends = batch::ends_by_ids(tx, moved.iter().map(|moved| moved.notification.key())).await?;
    let ends: HashMap<_, _> = ends.into_iter().map(|row| (row.notification_id, row)).collect();
    let mut events = Vec::with_capacity(moved.len());
    for Moved { mut notification, actors } in moved {
        let (before, was_unread) = (notification.newest_sequence, notification.unread);
        notification.actor_count += actors;
        match ends.get(&notification.id) {
            Some(ends) => {
                notification.last_actor_id = ends.actor_id;
                notification.level = ends.level;
                notification.newest_sequence = ends.sequence;
                notification.updated_at = ends.newest_at;
                notification.created_at = ends.first_at;
            }
            None => {
                notification.last_actor_id = Uuid::nil();
                notification.level = 0;
                notification.newest_sequence = NONE;
            }
        }
        notification.unread = notification.newest_sequence > notification.read_sequence;
        totals.moved(was_unread, &mut notification)?;
        events.push(NotificationEvent { notification, before });
    }
    batch::notification_put(tx, events.iter().map(|event| &event.notification)).await?;
    Ok(events)
}

/// Marks notifications as read: all acts that hold in them now. Returns what listeners hear.
pub(super) async fn read(
    tx: &Tx,
    totals: &mut Totals,
    unread: Vec<NotificationRecord>,
    now: crate::kernel::clock::Millis,
) -> Result<Vec<NotificationEvent>> {
    let mut events = Vec::with_capacity(unread.len());
    for mut notification in unread {
        let was_unread = notification.unread;
        notification.read_sequence = notification.newest_sequence;
        notification.read_at = Some(now);
        notification.unread = false;
        totals.moved(was_unread, &mut notification)?;
        events.push(NotificationEvent { before: notification.newest_sequence, notification });
    }
    batch::notification_put(tx, events.iter().map(|event| &event.notification)).await?;
    Ok(events)
}

/// Removes notifications; their acts are left to be removed. Returns what listeners hear.
pub(super) async fn bury(
    tx: &Tx,
    totals: &mut Totals,
    mut buried: Vec<NotificationRecord>,
) -> Result<Vec<NotificationEvent>> {
    for notification in &mut buried {
        let was_unread = std::mem::take(&mut notification.unread);
        notification.actor_count = 0;
        totals.moved(was_unread, notification)?;
    }
    super::store::clean::notification_bury(tx, &buried).await?;
    let event =
        |notification: NotificationRecord| NotificationEvent { before: notification.newest_sequence, notification };
    Ok(buried.into_iter().map(event).collect())
}
