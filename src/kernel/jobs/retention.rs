//! The kernel's own job: what nobody looks for any more is removed.

use super::{Job, JobRun, store};
use crate::kernel::batch::markers_prune;
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::kernel::integrity::store::runs_prune;
use crate::kernel::nodes;

/// Rows that go in one transaction.
const CHUNK: i64 = 1000;

/// `kernel.retention`
pub(crate) fn retention() -> Job {
    Job::new("kernel.retention", "jobs.retention", run)
}

async fn run(run: JobRun) -> Result<String> {
    let kernel = &run.kernel;
    let now = kernel.clock.now();
    let before = now.plus(-i64::from(kernel.settings.count("jobs.keep_days")) * Millis::DAY);
    let mut runs = 0;
    loop {
        let gone = run.write(move |tx| Box::pin(store::runs_prune(tx, before, CHUNK))).await?;
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
    let before = now.plus(-i64::from(kernel.settings.count("integrity.keep_days")) * Millis::DAY);
    let mut records = 0;
    loop {
        let gone = run.write(move |tx| Box::pin(runs_prune(tx, before, CHUNK))).await?;
        records += gone;
        if gone == 0 {
            break;
        }
        run.go_on().await?;
    }
    let silent = run.write(move |tx| Box::pin(nodes::prune(tx, now))).await?;
    Ok(format!(
        "{runs} records of runs, {markers} batch markers, {records} records of checks and repairs and {silent} silent \
         nodes removed"
    ))
}
