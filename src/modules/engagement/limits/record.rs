//! Writes findings to the database, for operators, and removes the old ones.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::suspicion::Suspicion;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::jobs::{Job, JobRun};
use crate::modules::engagement::store::suspicion as store;

/// A new finding is written at once; what is added to it, this often.
const EVERY: Duration = Duration::from_secs(10);
/// Rows of one transaction.
const CHUNK: usize = 500;

/// Writes findings.
pub(super) struct Recorder {
    kernel: Kernel,
    suspicion: Arc<Suspicion>,
    /// One writer at a time: an older state must not come after a newer one.
    writing: Mutex<()>,
}

impl Recorder {
    pub(super) fn new(kernel: &Kernel, suspicion: &Arc<Suspicion>) -> Arc<Self> {
        Arc::new(Self { kernel: kernel.clone(), suspicion: Arc::clone(suspicion), writing: Mutex::new(()) })
    }

    /// Writes until the server stops, and then once more.
    pub(super) async fn run(self: Arc<Self>) {
        let mut stopping = false;
        while !stopping {
            tokio::select! {
                () = self.suspicion.opened.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
                () = self.kernel.shutdown.cancelled() => stopping = true,
            }
            if let Err(error) = self.flush().await {
                tracing::warn!(error = error.for_operator(), "suspicious activity could not be recorded yet");
            }
        }
    }

    /// Writes what is not written yet.
    ///
    /// # Errors
    /// The database's own; what could not be written stays to be written.
    pub(super) async fn flush(&self) -> Result<()> {
        let _one = self.writing.lock().await;
        let findings: Arc<[_]> = self.suspicion.unwritten().into();
        for begin in (0..findings.len()).step_by(CHUNK) {
            let end = findings.len().min(begin + CHUNK);
            let all = Arc::clone(&findings);
            let written = self.kernel.db.write(move |tx| {
                let all = Arc::clone(&all);
                Box::pin(async move { store::finding_put(tx, &all[begin..end]).await })
            });
            if let Err(error) = written.await {
                self.suspicion.put_back(&findings[begin..]);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The job `engagement.suspicious_retention`: removes findings older than `engagement.suspicious_days`.
pub(in crate::modules::engagement) fn retention() -> Job {
    let name = "engagement.suspicious_retention";
    Job::new(name, name, async |run: JobRun| prune(run).await)
}

async fn prune(run: JobRun) -> Result<String> {
    let days = run.kernel.settings.count("engagement.suspicious_days");
    if days == 0 {
        return Ok("findings are kept for ever".to_owned());
    }
    let before = run.kernel.clock.now().plus(-i64::from(days) * Millis::DAY);
    let mut removed = 0;
    loop {
        let gone = run.write(move |tx| Box::pin(store::finding_prune(tx, before, CHUNK))).await?;
        removed += gone;
        if gone == 0 {
            return Ok(format!("{removed} findings of suspicious activity removed"));
        }
        run.go_on().await?;
    }
}
