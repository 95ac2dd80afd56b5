//! The module's jobs.

use super::facade::EngagementFacade;
use super::{cooling, deleting, limits, retention, rollup};
use crate::kernel::jobs::{Job, JobRun};
use crate::modules::users::UsersFacade;

/// All of them.
pub(super) fn all(engagement: &EngagementFacade, users: &UsersFacade) -> Vec<Job> {
    let (cooled, deleted, pruned) = (engagement.clone(), engagement.clone(), engagement.clone());
    let users = users.clone();
    vec![
        Job::new("engagement.cooling", "engagement.cooling", move |run: JobRun| {
            let engagement = cooled.clone();
            async move { cooling::run(&engagement, &run).await }
        })
        .when(|kernel| async move { cooling::is_due(&kernel).await }),
        Job::new(deleting::JOB, "engagement.deletions", move |run: JobRun| {
            let (engagement, users) = (deleted.clone(), users.clone());
            async move { deleting::run(&engagement, &users, &run).await }
        }),
        Job::new("engagement.retention", "engagement.retention", move |run: JobRun| {
            let engagement = pruned.clone();
            async move { retention::run(&engagement, &run).await }
        }),
        rollup::job(),
        limits::retention(),
    ]
}
