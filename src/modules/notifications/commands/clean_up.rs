//! Removes what deleted contents and users left: a user's own notifications, a user's acts in those of others, and the
//! acts of removed notifications. In chunks, each a transaction of its own; what is left is in the database, so that
//! a restart goes on with it.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::jobs::JobRun;
use crate::kernel::live::Live;
use crate::modules::notifications::events::NotificationEvent;
use crate::modules::notifications::store::{batch, clean};
use crate::modules::notifications::work::{self, Moved, Totals};

/// The job that does it.
pub(in super::super) const JOB: &str = "notifications.cleanup";
/// Notifications of one transaction.
const NOTIFICATIONS: i64 = 200;
/// Acts of one transaction.
const ACTS: i64 = 2_000;

/// Removes all that is left; says how much it was.
///
/// # Errors
/// The database's own, or that another server does it now.
pub(in super::super) async fn run(run: &JobRun, live: &Live<NotificationEvent>) -> Result<String> {
    let (mut notifications, mut acts) = (0, 0);
    let mut users = 0;
    while let Some(user) = clean::gone_pending(&run.kernel.db).await? {
        if !run.write(move |tx| Box::pin(clean::gone_begin(tx, user))).await? {
            continue;
        }
        notifications += own(run, live, user).await?;
        acts += of_others(run, live, user).await?;
        run.write(move |tx| Box::pin(clean::gone_settled(tx, user))).await?;
        users += 1;
    }
    loop {
        let cleared = run.write(|tx| Box::pin(clean::grave_clear(tx, ACTS))).await?;
        if cleared == 0 {
            break;
        }
        run.go_on().await?;
    }
    Ok(format!("{users} users, {notifications} notifications, acts in {acts} notifications of others"))
}

/// The notifications of a deleted user.
async fn own(run: &JobRun, live: &Live<NotificationEvent>, user: Uuid) -> Result<u64> {
    let mut removed = 0;
    loop {
        let events = run.write(move |tx| Box::pin(bury_own(tx, user))).await?;
        if events.is_empty() {
            return Ok(removed);
        }
        removed += events.len() as u64;
        live.publish(events);
        run.go_on().await?;
    }
}

async fn bury_own(tx: &Tx, user: Uuid) -> Result<Vec<NotificationEvent>> {
    // Also without totals, which go at the end: else what is there would stay for ever.
    let mut totals = Totals::lock(tx, [user], &BTreeSet::from([user])).await?;
    let buried = clean::notification_of_user(tx, user, NOTIFICATIONS).await?;
    if buried.is_empty() {
        return Ok(Vec::new());
    }
    let events = work::bury(tx, &mut totals, buried).await?;
    totals.write(tx).await?;
    Ok(events)
}

/// What a deleted user did, in the notifications of others.
async fn of_others(run: &JobRun, live: &Live<NotificationEvent>, actor: Uuid) -> Result<u64> {
    let mut removed = 0;
    loop {
        let found = clean::notification_by_actor(&run.kernel.db, actor, NOTIFICATIONS).await?;
        if found.is_empty() {
            return Ok(removed);
        }
        removed += found.len() as u64;
        let events = run.write(move |tx| Box::pin(take_out(tx, actor, found.clone()))).await?;
        live.publish(events);
        run.go_on().await?;
    }
}

async fn take_out(tx: &Tx, actor: Uuid, found: Vec<(Uuid, (i16, Uuid))>) -> Result<Vec<NotificationEvent>> {
    let mut totals = Totals::lock(tx, found.iter().map(|(user, _)| *user), &BTreeSet::new()).await?;
    let keys = || found.iter().map(|(_, key)| *key);
    let acts = batch::act_by_actors(tx, keys().map(|(lane, id)| (lane, id, actor))).await?;
    let held: BTreeSet<Uuid> = acts.iter().filter(|act| act.present).map(|act| act.notification_id).collect();
    let notifications = batch::notification_by_ids(tx, keys()).await?;
    clean::act_delete(tx, actor, keys()).await?;
    let moved = notifications
        .into_iter()
        .map(|notification| Moved { actors: -i64::from(held.contains(&notification.id)), notification });
    let events = work::settle(tx, &mut totals, moved.collect()).await?;
    totals.write(tx).await?;
    Ok(events)
}
