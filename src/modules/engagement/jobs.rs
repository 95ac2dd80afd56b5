//! The module's jobs.

use super::cooling;
use super::facade::EngagementFacade;
use crate::kernel::jobs::{Job, JobRun};

/// All of them.
pub(super) fn all(engagement: &EngagementFacade) -> Vec<Job> {
    let cooling = engagement.clone();
    vec![Job::new("engagement.cooling", "engagement.cooling", move |run: JobRun| {
        let engagement = cooling.clone();
        async move { cooling::run(&engagement, &run).await }
    })]
}
