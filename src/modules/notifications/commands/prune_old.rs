//! Removes old notifications: those that were read, those that nobody is left of, and much later those that nobody
//! read.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::jobs::JobRun;
use crate::modules::notifications::consumer;
use crate::modules::notifications::store::{batch, clean};
use crate::modules::notifications::work::{self, Totals};

/// Notifications of one transaction.
const CHUNK: i64 = 200;
/// Remembered deletions of one transaction.
const GONE: i64 = 2_000;

/// Removes what is older than the settings, unless events are set aside; says how much it was. The acts are left to the
/// clean-up.
///
/// # Errors
/// The database's own, or that another server does it now.
pub(in super::super) async fn run(run: &JobRun) -> Result<String> {
    let settings = &run.kernel.settings;
    let days = settings.count("notifications.retention_days");
    let unread_days = settings.count("notifications.unread_retention_days").max(days);
    let before = |days: u32| run.tick.plus(-i64::from(days) * Millis::DAY);
    // With a notification goes what is remembered of acts that were taken back: replayed after that, they would come back.
    if run.kernel.outbox.has_set_aside(consumer::NAME).await? {
        return Ok("0 notifications: events are set aside, and may be replayed".to_owned());
    }
    let mut removed = 0;
    for (unread, before) in [(false, before(days)), (true, before(unread_days))] {
        loop {
            let found = clean::notification_older(&run.kernel.db, unread, before, CHUNK).await?;
            if found.is_empty() {
                break;
            }
            removed += run.write(move |tx| Box::pin(prune(tx, found.clone(), unread, before))).await?;
            run.go_on().await?;
        }
    }
    let forgettable = forgettable(run, before(days)).await?;
    loop {
        let forgotten = run.write(move |tx| Box::pin(clean::gone_prune(tx, forgettable, GONE))).await?;
        if forgotten == 0 {
            break;
        }
        run.go_on().await?;
    }
    Ok(format!("{removed} notifications"))
}

/// Until when deletions may be forgotten: what is deleted stays deleted for events that are still to come, those that
/// are set aside and may be replayed too. A day less, for clocks that differ.
async fn forgettable(run: &JobRun, before: Millis) -> Result<Millis> {
    let oldest = run.kernel.outbox.oldest(consumer::NAME).await?;
    Ok(oldest.map_or(before, |oldest| before.min(oldest.plus(-Millis::DAY))))
}

async fn prune(tx: &Tx, found: Vec<(Uuid, (i16, Uuid))>, unread: bool, before: Millis) -> Result<usize> {
    let mut totals = Totals::lock(tx, found.iter().map(|(user, _)| *user), &BTreeSet::new()).await?;
    // Under the lock: an act may have come in between, or its user.
    let mut old = batch::notification_by_ids(tx, found.iter().map(|(_, key)| *key)).await?;
    old.retain(|notification| notification.unread == unread && notification.updated_at < before);
    let removed = old.len();
    // Nobody hears of it: there is nothing new in what goes.
    work::bury(tx, &mut totals, old).await?;
    totals.write(tx).await?;
    Ok(removed)
}
