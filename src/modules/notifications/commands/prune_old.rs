//! Removes old notifications: those that were read, and those that nobody is left of.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::jobs::JobRun;
use crate::modules::notifications::store::{batch, clean};
use crate::modules::notifications::work::{self, Totals};

/// Notifications of one transaction.
const CHUNK: i64 = 200;
/// Remembered deletions of one transaction.
const GONE: i64 = 2_000;

/// Removes what is older than the setting; says how much it was. The acts are left to the clean-up.
///
/// # Errors
/// The database's own, or that another server does it now.
pub(in super::super) async fn run(run: &JobRun) -> Result<String> {
    let days = i64::from(run.kernel.settings.count("notifications.retention_days"));
    let before = run.tick.plus(-days * Millis::DAY);
    let mut removed = 0;
    loop {
        let found = clean::notification_older(&run.kernel.db, before, CHUNK).await?;
        if found.is_empty() {
            break;
        }
        removed += run.write(move |tx| Box::pin(prune(tx, found.clone(), before))).await?;
        run.go_on().await?;
    }
    loop {
        let forgotten = run.write(move |tx| Box::pin(clean::gone_prune(tx, before, GONE))).await?;
        if forgotten == 0 {
            break;
        }
        run.go_on().await?;
    }
    Ok(format!("{removed} notifications"))
}

async fn prune(tx: &Tx, found: Vec<(Uuid, (i16, Uuid))>, before: Millis) -> Result<usize> {
    let mut totals = Totals::lock(tx, found.iter().map(|(user, _)| *user), &BTreeSet::new()).await?;
    // Under the lock: an act may have come in between.
    let mut old = batch::notification_by_ids(tx, found.iter().map(|(_, key)| *key)).await?;
    old.retain(|notification| !notification.unread && notification.updated_at < before);
    let removed = old.len();
    work::bury(tx, &mut totals, old).await?;
    totals.write(tx).await?;
    Ok(removed)
}
