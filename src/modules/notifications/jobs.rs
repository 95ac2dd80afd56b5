//! What runs by itself.

use std::sync::Arc;

use super::commands::{clean_up, prune_old};
use super::events::NotificationEvent;
use super::settings::{CLEANUP_SCHEDULE, RETENTION_SCHEDULE};
use crate::kernel::jobs::Job;
use crate::kernel::live::Live;

/// Removes old notifications.
const RETENTION: &str = "notifications.retention";

/// The module's jobs.
pub(super) fn all(live: &Arc<Live<NotificationEvent>>) -> [Job; 2] {
    let live = Arc::clone(live);
    let clean_up = Job::new(clean_up::JOB, CLEANUP_SCHEDULE, move |run| {
        let live = Arc::clone(&live);
        async move { clean_up::run(&run, &live).await }
    });
    let prune_old = Job::new(RETENTION, RETENTION_SCHEDULE, |run| async move {
        let done = prune_old::run(&run).await?;
        // The acts that were theirs.
        run.kernel.jobs.wake(clean_up::JOB).await?;
        Ok(done)
    });
    [clean_up, prune_old]
}
