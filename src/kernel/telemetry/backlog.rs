//! What waits in the whole cluster, looked up when metrics are read: any node shows it, also one that delivers nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Waiting;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::integrity::{CheckLine, Kind, consistency, store};
use crate::kernel::{events, jobs};

/// The shortest time between two looks, and how many times as long as a look takes: with millions of events it takes a
/// while, and must not become the load.
const PAUSE: Duration = Duration::from_secs(5);
const SHARE: u32 = 20;

/// When the next look may be.
#[derive(Clone, Default)]
pub struct BacklogWatch(Arc<tokio::sync::Mutex<Option<Instant>>>);

impl BacklogWatch {
    /// Looks, unless somebody does or did so a moment ago.
    pub(crate) async fn look(&self, kernel: &Kernel) {
        let Ok(mut next) = Arc::clone(&self.0).try_lock_owned() else {
            return;
        };
        let began = Instant::now();
        if next.is_some_and(|next| began < next) {
            return;
        }
        if let Err(error) = measure(kernel).await {
            tracing::debug!(error = error.for_operator(), "backlogs are not known");
        }
        *next = Some(Instant::now() + PAUSE.max(began.elapsed() * SHARE));
    }
}

/// Of what this binary declares: rows of modules that are switched off, or gone, stay, and nobody here could end an
/// alert about them. `tally events` and `tally jobs` show them all.
async fn measure(kernel: &Kernel) -> Result<()> {
    let (now, work) = (kernel.clock.now(), kernel.metrics.work());
    let backlogs = events::backlogs(&kernel.db, now).await?;
    for consumer in kernel.outbox.consumers() {
        // What went to nothing has no rows to say so.
        let Some(backlog) = backlogs.iter().find(|backlog| backlog.consumer == consumer) else {
            work.waiting(consumer, Waiting::default());
            continue;
        };
        let oldest_secs = backlog.oldest_at.map_or(0, |at| (now.0 - at.0).max(0) / 1000);
        let (due, parked) = (backlog.waiting - backlog.parked, backlog.parked);
        work.waiting(consumer, Waiting { due, parked, set_aside: backlog.set_aside, oldest_secs });
    }
    let declared = kernel.jobs.names();
    for job in jobs::states(&kernel.db).await?.iter().filter(|job| declared.contains(&job.name.as_str())) {
        let due = job.next_run_at.filter(|_| job.owner.is_empty() || job.lease_until <= now);
        let overdue_secs = due.map_or(0, |at| (now.0 - at.0).max(0) / 1000);
        work.job_state(&job.name, job.last_success_at.map(|at| at.0 / 1000), overdue_secs);
    }
    let found = kernel.metrics.integrity();
    let lines: Vec<CheckLine> = store::results(&kernel.db).await?.into_iter().map(|(_, line)| line).collect();
    for line in &lines {
        let drifted = i64::try_from(line.drifted).unwrap_or(i64::MAX);
        found.found(&line.module, &line.name, drifted, line.failure.is_some());
    }
    // They come by module.
    for of_module in lines.chunk_by(|one, next| one.module == next.module) {
        let named = of_module.first().map(|line| &line.module);
        named.inspect(|module| found.consistent(module, consistency(of_module)));
    }
    for (kind, ended, took_millis) in store::last_runs(&kernel.db).await? {
        found.ran(if kind == Kind::Repair { "repair" } else { "check" }, ended.0 / 1000, took_millis / 1000);
    }
    Ok(())
}
