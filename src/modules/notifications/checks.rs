//! Every figure of the module, recomputed from its facts.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::graphql::notification_id_text;
use super::notification::{NONE, NotificationRecord, lane};
use super::remains;
use super::store::batch::{self, TotalsRow};
use super::store::recount::{self, Recounted};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Id;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use crate::modules::users::{UserKind, UsersFacade};

/// All of them, what is counted before its count: a notification that was put right may be unread again.
pub(super) fn all() -> Vec<Arc<dyn Check>> {
    vec![
        Arc::new(super::types::TYPES),
        Arc::new(Actors),
        Arc::new(UnreadCount),
        Arc::new(super::orphans::Orphans),
        Arc::new(remains::DELETED),
        Arc::new(remains::UNKNOWN),
    ]
}

pub(super) const START: Key = (i16::MIN, Uuid::nil());

/// A user's unread count against the user's unread notifications.
struct UnreadCount;

impl UnreadCount {
    async fn drifts(connection: &impl ConnectionTrait, backend: DbBackend, users: &[Key]) -> Result<Vec<(Key, Drift)>> {
        let found = recount::unread_recount(connection, backend, users).await?;
        let drifted = found.into_iter().filter(|row| row.stored.unwrap_or(0) != row.actual).map(|row| {
            let drift = Drift {
                id: Id::<UserKind>::new(row.user_id).to_string(),
                field: "unreadNotifications".into(),
                stored: row.stored.map_or("none".into(), |stored| stored.to_string()),
                actual: row.actual.to_string(),
            };
            ((lane(row.user_id), row.user_id), drift)
        });
        Ok(drifted.collect())
    }
}

#[async_trait]
impl Check for UnreadCount {
    fn module(&self) -> &'static str {
        "notifications"
    }

    fn name(&self) -> &'static str {
        "unread-count"
    }

    fn key(&self, id: &str) -> Option<Key> {
        user_key(id).ok()
    }

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        let user = user_key(id)?;
        if !UsersFacade::among(&kernel.db, &[user.1]).await?.is_empty() {
            return Ok(true);
        }
        // Of a user who is gone something may be left, and is to be found.
        let (reads, backend) = (kernel.db.snapshot().await?, kernel.backend());
        let found = recount::unread_recount(&reads, backend, &[user]).await?;
        reads.commit().await?;
        Ok(found.iter().any(|row| row.stored.is_some() || row.actual > 0))
    }

    fn remedy(&self) -> Remedy {
        Remedy::Repair
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let (reads, backend) = (kernel.db.snapshot().await?, kernel.backend());
        let keys = recount::user_keys(&reads, backend, after.unwrap_or(START), size).await?;
        let drifts = Self::drifts(&reads, backend, &keys).await?;
        reads.commit().await?;
        Ok(chunk(&keys, size, drifts.into_iter().map(|(key, _)| key).collect()))
    }

    async fn confirm(&self, kernel: &Kernel, user: Key) -> Result<Vec<Drift>> {
        let write = kernel.db.write(move |tx| {
            Box::pin(async move {
                batch::totals_lock(tx, [user]).await?;
                Self::drifts(tx.connection(), tx.backend(), &[user]).await
            })
        });
        Ok(write.await?.into_iter().map(|(_, drift)| drift).collect())
    }

    async fn repair(&self, _: &Kernel, tx: &Tx, user: Key) -> Result<Vec<Drift>> {
        let held = batch::totals_lock(tx, [user]).await?.pop();
        let drifts = Self::drifts(tx.connection(), tx.backend(), &[user]).await?;
        for (_, drift) in &drifts {
            let actual = number(&drift.actual)?;
            let unread_count = match (held, drift.stored.parse::<i64>()) {
                (Some(row), Ok(stored)) => row.unread_count + actual - stored,
                _ => actual,
            };
            totals_put(tx, user, held, unread_count).await?;
        }
        Ok(drifts.into_iter().map(|(_, drift)| drift).collect())
    }

    /// The difference comes back, so that what was told and read since stays counted; a row that was missing goes again,
    /// if nothing was counted since.
    async fn restore(&self, _: &Kernel, tx: &Tx, user: Key, drifts: &[Drift]) -> Result<Vec<bool>> {
        let mut restored = Vec::with_capacity(drifts.len());
        for drift in drifts {
            let (held, actual) = (batch::totals_lock(tx, [user]).await?.pop(), number(&drift.actual)?);
            restored.push(match (held, drift.stored.parse::<i64>()) {
                (Some(row), Ok(stored)) => {
                    totals_put(tx, user, held, row.unread_count + stored - actual).await?;
                    true
                }
                (Some(row), Err(_)) if row.unread_count == actual => {
                    recount::totals_delete(tx, user).await?;
                    true
                }
                _ => false,
            });
        }
        Ok(restored)
    }
}

/// A number of a report, as it was written there.
fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| Error::internal(format!("{text} is no number of a drift")))
}

/// Writes the totals of a user, with a new version. A row that was missing gets one after all that the user's
/// notifications know.
async fn totals_put(tx: &Tx, (lane, user_id): Key, held: Option<TotalsRow>, unread_count: i64) -> Result<()> {
    let version = match held {
        Some(row) => row.version,
        None => {
            batch::totals_ensure(tx, [(lane, user_id)]).await?;
            recount::newest_version(tx, (lane, user_id)).await?
        }
    };
    batch::totals_update(tx, [TotalsRow { user_id, version: version + 1, unread_count }]).await
}

/// What a notification says against the acts that hold in it.
struct Actors;

impl Actors {
    fn compare(id: Uuid, recounted: &Recounted) -> Vec<Drift> {
        let Recounted { stored, unread: held, actors, ends } = recounted;
        let mut drifts = Vec::new();
        let mut compare = |field: &str, held: &dyn Display, actual: &dyn Display| {
            let (held, actual) = (held.to_string(), actual.to_string());
            if held != actual {
                drifts.push(Drift { id: notification_id_text(id), field: field.into(), stored: held, actual });
            }
        };
        compare(ACTORS, &stored.actor_count, actors);
        compare("newest sequence", &stored.newest_sequence, &ends.map_or(NONE, |ends| ends.sequence));
        compare("lastActor", &stored.last_actor_id, &ends.map_or(Uuid::nil(), |ends| ends.actor_id));
        compare("level", &stored.level, &ends.map_or(0, |ends| ends.level));
        let unread = ends.is_some_and(|ends| ends.sequence > stored.read_sequence);
        compare(UNREAD, &unread_text(*held), &unread);
        if let Some(ends) = ends {
            compare("updatedAt", &stored.updated_at.0, &ends.newest_at.0);
            compare("createdAt", &stored.created_at.0, &ends.first_at.0);
        }
        drifts
    }
}

#[async_trait]
impl Check for Actors {
    fn module(&self) -> &'static str {
        "notifications"
    }

    fn name(&self) -> &'static str {
        "notification-actors"
    }

    fn remedy(&self) -> Remedy {
        Remedy::Repair
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let (reads, backend) = (kernel.db.snapshot().await?, kernel.backend());
        let keys = recount::notification_keys(&reads, backend, after.unwrap_or(START), size).await?;
        let found = recount::notification_recount(&reads, backend, &keys).await?;
        reads.commit().await?;
        let drifted = found.iter().filter(|(id, recounted)| !Self::compare(**id, recounted).is_empty());
        Ok(chunk(&keys, size, drifted.map(|(_, recounted)| recounted.stored.key()).collect()))
    }

    async fn confirm(&self, kernel: &Kernel, notification: Key) -> Result<Vec<Drift>> {
        let write = kernel.db.write(move |tx| {
            Box::pin(async move {
                // Whose it is never changes: the lock of the user's totals is the one that every writer of it takes.
                let found = batch::notification_by_ids(tx, [notification]).await?;
                batch::totals_lock(tx, found.iter().map(|found| (lane(found.user_id), found.user_id))).await?;
                recount::notification_recount(tx.connection(), tx.backend(), &[notification]).await
            })
        });
        Ok(write.await?.iter().flat_map(|(id, recounted)| Self::compare(*id, recounted)).collect())
    }

    /// The users whose notifications these are, together and in their order: that of notifications is another one.
    async fn lock(&self, _: &Kernel, tx: &Tx, notifications: &[Key]) -> Result<()> {
        let found = batch::notification_by_ids(tx, notifications.iter().copied()).await?;
        let users: BTreeSet<Key> = found.iter().map(|found| (lane(found.user_id), found.user_id)).collect();
        batch::totals_lock(tx, users).await.map(|_| ())
    }

    /// The notification alone: the user's count of unread ones is the other check's.
    async fn repair(&self, _: &Kernel, tx: &Tx, notification: Key) -> Result<Vec<Drift>> {
        let Some(mut record) = locked(tx, notification).await? else { return Ok(Vec::new()) };
        let recounted = recount::notification_recount(tx.connection(), tx.backend(), &[notification]).await?;
        let drifts: Vec<Drift> = recounted.iter().flat_map(|(id, recounted)| Self::compare(*id, recounted)).collect();
        for drift in &drifts {
            set(&mut record, &drift.field, &drift.actual)?;
        }
        if !drifts.is_empty() {
            put(tx, record).await?;
        }
        Ok(drifts)
    }

    async fn restore(&self, _: &Kernel, tx: &Tx, notification: Key, drifts: &[Drift]) -> Result<Vec<bool>> {
        let Some(mut record) = locked(tx, notification).await? else { return Ok(vec![false; drifts.len()]) };
        let mut restored = Vec::with_capacity(drifts.len());
        let mut neither = None;
        for drift in drifts {
            let held = get(&record, &drift.field);
            // Actors who came since stay counted; anything else is put back while it is what the repair made of it.
            let value = match drift.field.as_str() {
                ACTORS => Some((record.actor_count + number(&drift.stored)? - number(&drift.actual)?).to_string()),
                _ => Some(drift.stored.clone()).filter(|_| held == drift.actual),
            };
            match &value {
                Some(value) if drift.field == UNREAD && value.parse::<i16>().is_ok() => neither = value.parse().ok(),
                Some(value) => set(&mut record, &drift.field, value)?,
                None => {}
            }
            restored.push(value.is_some());
        }
        if restored.contains(&true) {
            put(tx, record).await?;
        }
        if let Some(neither) = neither {
            recount::unread_write(tx, notification, neither).await?;
        }
        Ok(restored)
    }
}

/// A notification, under the lock that every writer of it takes: that of the user's totals. Whose it is never changes.
async fn locked(tx: &Tx, notification: Key) -> Result<Option<NotificationRecord>> {
    let Some(found) = batch::notification_by_ids(tx, [notification]).await?.pop() else { return Ok(None) };
    batch::totals_lock(tx, [(lane(found.user_id), found.user_id)]).await?;
    Ok(batch::notification_by_ids(tx, [notification]).await?.pop())
}

/// Writes a notification with a new version of the user's totals. Without a row of totals it keeps the one that it has:
/// that row is the other check's to make.
async fn put(tx: &Tx, mut record: NotificationRecord) -> Result<()> {
    if let Some(row) = batch::totals_lock(tx, [(lane(record.user_id), record.user_id)]).await?.pop() {
        let row = TotalsRow { version: row.version + 1, ..row };
        record.version = row.version;
        batch::totals_update(tx, [row]).await?;
    }
    batch::notification_put(tx, [&record]).await
}

const ACTORS: &str = "actorCount";
const UNREAD: &str = "unread";

/// Whether it is unread, or the number that says neither.
fn unread_text(held: i16) -> String {
    match held {
        0 | 1 => (held == 1).to_string(),
        neither => neither.to_string(),
    }
}

fn get(record: &NotificationRecord, field: &str) -> String {
    match field {
        ACTORS => record.actor_count.to_string(),
        "newest sequence" => record.newest_sequence.to_string(),
        "lastActor" => record.last_actor_id.to_string(),
        "level" => record.level.to_string(),
        UNREAD => record.unread.to_string(),
        "updatedAt" => record.updated_at.0.to_string(),
        _ => record.created_at.0.to_string(),
    }
}

fn set(record: &mut NotificationRecord, field: &str, value: &str) -> Result<()> {
    match field {
        ACTORS => record.actor_count = number(value)?,
        "newest sequence" => record.newest_sequence = number(value)?,
        "lastActor" => record.last_actor_id = value.parse().map_err(Error::internal)?,
        "level" => record.level = i16::try_from(number(value)?).map_err(Error::internal)?,
        UNREAD => record.unread = value == "true",
        "updatedAt" => record.updated_at = Millis(number(value)?),
        "createdAt" => record.created_at = Millis(number(value)?),
        other => return Err(Error::internal(format!("{other} is no field of a notification"))),
    }
    Ok(())
}

/// The key of a user's totals by the user's TypeID.
///
/// # Errors
/// [`crate::kernel::error::Code::INVALID_INPUT`] for an id of another kind.
pub(super) fn user_key(id: &str) -> Result<Key> {
    let id: Id<UserKind> = id.parse()?;
    Ok((lane(id.uuid()), id.uuid()))
}

fn chunk(keys: &[Key], size: usize, suspects: Vec<Key>) -> Chunk {
    Chunk { checked: keys.len() as u64, suspects, next: keys.last().copied().filter(|_| keys.len() == size) }
}
