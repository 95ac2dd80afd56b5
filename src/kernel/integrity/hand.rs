//! Who works on a run: a job with its lease, or a process that was asked; and the record that it keeps.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::report::{Change, CheckLine, Report, RunKind, State};
use super::store;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::id::Id;
use crate::kernel::jobs::JobRun;

/// How often a job's run asks for its lease.
const ASK: Duration = Duration::from_secs(5);
/// How often a run says that it is alive, and for how long it is believed: a beat may wait long for SQLite's writer.
const BEAT: Duration = Duration::from_secs(5);
const BELIEVED_MILLIS: i64 = 60_000;

/// Hears how a run goes on.
pub trait Hear: Send + Sync {
    /// A check begins.
    fn begins(&self, _check: &'static str) {}
    /// It has compared so many items.
    fn checked(&self, _items: u64) {}
    /// It has ended.
    fn ends(&self, _line: &CheckLine) {}
    /// A figure was put right, would be, or was put back; see [`Change::put_back`].
    fn change(&self, _change: &Change) {}
}

/// Hears nothing.
pub struct Silent;

impl Hear for Silent {}

pub(super) struct Hand<'a> {
    pub(super) kernel: &'a Kernel,
    job: Option<&'a JobRun>,
    run: Option<uuid::Uuid>,
    asked: Mutex<Instant>,
}

impl<'a> Hand<'a> {
    /// A process that was asked.
    pub(super) fn of(kernel: &'a Kernel) -> Self {
        Self { kernel, job: None, run: None, asked: Mutex::new(Instant::now()) }
    }

    /// A job: all that is written is written under its lease.
    pub(super) fn of_job(run: &'a JobRun) -> Self {
        Self { job: Some(run), ..Self::of(&run.kernel) }
    }

    /// Whether somebody waits for it, so that it may take what the machine has.
    pub(super) fn is_asked(&self) -> bool {
        self.job.is_none()
    }

    /// The tick of a job that was begun before.
    pub(super) fn tick(&self) -> Option<Millis> {
        self.job.filter(|run| run.attempt > 1).map(|run| run.tick)
    }

    pub(super) async fn write<T: Send>(
        &self,
        work: impl for<'t> Fn(&'t Tx) -> BoxFuture<'t, Result<T>> + Send + Sync,
    ) -> Result<T> {
        match self.job {
            Some(run) => run.write(work).await,
            None => self.kernel.db.write(work).await,
        }
    }

    /// To be called between chunks.
    ///
    /// # Errors
    /// [`Code::UNAVAILABLE`] when the process is told to end, [`Code::LEASE_LOST`] when another has taken over.
    pub(super) async fn go_on(&self) -> Result<()> {
        if self.kernel.shutdown.is_cancelled() {
            return Err(Error::new(Code::UNAVAILABLE, "stopped in the middle: what was done stays done, and recorded"));
        }
        let Some(job) = self.job else { return Ok(()) };
        {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.elapsed() < ASK {
                return Ok(());
            }
            *asked = Instant::now();
        }
        job.go_on().await
    }

    /// Does some work, and meanwhile says that the run goes on: also within a chunk that takes long, in which others
    /// would take its process for dead.
    pub(super) async fn alive_while<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(run) = self.run else { return work.await };
        let beats = async {
            loop {
                tokio::time::sleep(BEAT).await;
                let until = self.until();
                // Without a job's lease: who loses that learns of it between two chunks.
                let beat = self.kernel.db.write(move |tx| Box::pin(store::run_alive(tx, run, until))).await;
                if let Err(error) = beat {
                    tracing::warn!(error = error.for_operator(), "a run of checks cannot say that it goes on");
                }
            }
        };
        tokio::select! {
            done = work => done,
            never = beats => never,
        }
    }

    fn until(&self) -> Millis {
        self.kernel.clock.now().plus(BELIEVED_MILLIS)
    }

    /// Writes down that a run begins.
    pub(super) async fn begin(&mut self, report: &Report) -> Result<()> {
        let until = self.until();
        let begun = self.write(|tx| {
            let report = report.clone();
            Box::pin(async move { store::run_begin(tx, &report, until).await })
        });
        begun.await?;
        self.run = Some(report.id.uuid());
        Ok(())
    }

    /// Writes down that an undo begins, unless another has the repair.
    pub(super) async fn begin_undo(&mut self, report: &Report, of: Id<RunKind>) -> Result<()> {
        let (until, now) = (self.until(), report.began_at);
        let begun = self.write(|tx| {
            let report = report.clone();
            Box::pin(async move {
                store::run_begin(tx, &report, until).await?;
                match store::run_claim_undo(tx, of.uuid(), report.id.uuid(), now).await? {
                    None => Ok(()),
                    Some(other) => {
                        let other = Id::<RunKind>::new(other);
                        Err(Error::conflict(format!("{of} is undone already: {other} did, or does so now")))
                    }
                }
            })
        });
        begun.await?;
        self.run = Some(report.id.uuid());
        Ok(())
    }

    /// Writes down what a check of everything found.
    pub(super) async fn result(&self, report: &Report, line: &CheckLine) {
        if self.run.is_none() {
            return;
        }
        let written = self.write(|tx| {
            let (line, run, began) = (line.clone(), report.id.uuid(), report.began_at);
            Box::pin(async move { store::result_put(tx, &line, run, began).await })
        });
        if let Err(error) = written.await {
            tracing::warn!(error = error.for_operator(), check = line.name, "the result of a check is not recorded");
        }
    }

    /// Writes down how a run ended; the report, or why there is none.
    pub(super) async fn end(self, report: &mut Report, outcome: Result<()>) -> Result<Report> {
        report.ended_at = Some(self.kernel.clock.now());
        report.conclude();
        if let Err(error) = &outcome {
            let stopped = self.kernel.shutdown.is_cancelled();
            report.state = if stopped { State::Interrupted } else { State::Failed };
            report.error = Some(error.client().to_owned());
        }
        if self.run.is_some() {
            // Without the lease: whoever has taken over has a run of its own.
            // A job has operators to tell yet.
            let told = outcome.is_ok() && self.job.is_none();
            let ended = self.kernel.db.write(|tx| {
                let report = report.clone();
                Box::pin(async move {
                    store::run_end(tx, &report).await?;
                    if told { store::run_told(tx, report.id.uuid()).await } else { Ok(()) }
                })
            });
            if let Err(error) = ended.await {
                tracing::warn!(error = error.for_operator(), "the end of a run of checks is not recorded");
            }
        }
        outcome.map(|()| report.clone())
    }
}
