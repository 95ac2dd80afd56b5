//! The kernel's own job: what nobody looks for any more is removed.

use super::{Job, JobRun, store};
use crate::kernel::batch::markers_prune;
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::kernel::events;

/// Rows that go in one transaction.
const CHUNK: i64 = 1000;

/// `kernel.retention`
pub(crate) fn retention() -> Job {
    Job::new("kernel.retention", "jobs.retention", run)
}

async fn run(run: JobRun) -> Result<String> {
    let kernel = &run.kernel;
    let now = kernel.clock.now();
    let before = |days: &str| now.plus(-i64::from(kernel.settings.count(days)) * Millis::DAY);
    let (old_runs, old_events) = (before("jobs.keep_days"), before("events.set_aside_days"));
    let mut runs = 0;
    loop {
        let gone = run.write(move |tx| Box::pin(store::runs_prune(tx, old_runs, CHUNK))).await?;
        runs += gone;
        if gone == 0 {
            break;
        }
        run.go_on().await?;
    }
    let mut markers = 0;
    loop {
        let gone = run.write(move |tx| Box::pin(markers_prune(tx, now))).await?;
        markers += gone;
        if gone == 0 {
            break;
        }
        run.go_on().await?;
    }
    let mut given_up = 0;
    for consumer in events::consumers_with_set_aside(&kernel.db).await? {
        loop {
            let consumer = consumer.clone();
            let prune = run.write(move |tx| {
                let consumer = consumer.clone();
                Box::pin(async move { events::set_aside_prune(tx, &consumer, old_events, CHUNK).await })
            });
            let gone = prune.await?;
            given_up += gone;
            if gone == 0 {
                break;
            }
            run.go_on().await?;
        }
    }
    if given_up > 0 {
        tracing::warn!(events = given_up, "events that were set aside are removed for good");
    }
    Ok(format!("{runs} records of runs, {markers} batch markers and {given_up} events set aside removed"))
}
