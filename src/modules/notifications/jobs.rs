//! What runs by itself.

use std::sync::Arc;

use super::commands::{clean_up, prune_old};
use super::events::NotificationEvent;
use super::settings::{CLEANUP_SCHEDULE, RETENTION_SCHEDULE};
use crate::kernel::jobs::Job;
use crate::kernel::live::Live;

/// Removes what deleted contents and users left.
pub(super) const CLEANUP: &str = "notifications.cleanup";
/// Removes old notifications.
const RETENTION: &str = "notifications.retention";

/// The module's jobs.
pub(super) fn all(live: &Arc<Live<NotificationEvent>>) -> [Job; 2] {
    let live = Arc::clone(live);
    let clean_up = move |run| {
        let live = Arc::clone(&live);
        Box::pin(async move { clean_up::run(&run, &live).await }) as _
    };
    let prune_old = |run: crate::kernel::jobs::JobRun| {
        Box::pin(async move {
            let done = prune_old::run(&run).await?;
            run.kernel.jobs.wake(CLEANUP);
            Ok(done)
        }) as _
    };
    [
        Job { name: CLEANUP, schedule: CLEANUP_SCHEDULE, run: Arc::new(clean_up) },
        Job { name: RETENTION, schedule: RETENTION_SCHEDULE, run: Arc::new(prune_old) },
    ]
}
