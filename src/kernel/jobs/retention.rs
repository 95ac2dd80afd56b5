//! The kernel's own job: what nobody looks for any more is removed.

use futures_util::future::BoxFuture;

use super::{Job, JobRun, store};
use crate::kernel::batch::markers_prune;
use crate::kernel::clock::Millis;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::integrity::store::runs_prune;
use crate::kernel::{events, nodes};

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
    let old_records = before("integrity.keep_days");
    let runs = in_chunks(&run, move |tx| Box::pin(store::runs_prune(tx, old_runs, CHUNK))).await?;
    let markers = in_chunks(&run, move |tx| Box::pin(markers_prune(tx, now))).await?;
    let records = in_chunks(&run, move |tx| Box::pin(runs_prune(tx, old_records, CHUNK))).await?;
    let mut given_up = 0;
    for consumer in events::consumers_with_set_aside(&kernel.db).await? {
        given_up += in_chunks(&run, move |tx| {
            let consumer = consumer.clone();
            Box::pin(async move { events::set_aside_prune(tx, &consumer, old_events, CHUNK).await })
        })
        .await?;
    }
    if given_up > 0 {
        tracing::warn!(events = given_up, "events that were set aside are removed for good");
    }
    let silent = run.write(move |tx| Box::pin(nodes::prune(tx, now))).await?;
    Ok(format!(
        "removed: {runs} records of runs, {markers} batch markers, {records} records of checks and repairs, {given_up} \
         events set aside, {silent} silent nodes"
    ))
}

/// Removes until nothing is left that may go; how many rows that were.
async fn in_chunks(
    run: &JobRun,
    prune: impl for<'a> Fn(&'a Tx) -> BoxFuture<'a, Result<u64>> + Send + Sync,
) -> Result<u64> {
    let mut gone = 0;
    loop {
        let chunk = run.write(&prune).await?;
        if chunk == 0 {
            return Ok(gone);
        }
        gone += chunk;
        run.go_on().await?;
    }
}
