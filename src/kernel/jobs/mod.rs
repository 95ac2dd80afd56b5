//! Jobs: work that is due by a schedule, each tick once in the whole cluster, with a lease that fences off whoever lost it.

mod registry;
mod retention;
mod run;
mod runner;
mod schedule;
mod store;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use registry::Jobs;
pub(crate) use retention::retention;
pub use run::JobRun;
pub use schedule::Schedule;
pub(crate) use store::{JobState, states, wake};

use super::context::Kernel;
use super::error::Result;

/// What a job does: a line on what was done, for operators.
pub type JobFn = Arc<dyn Fn(JobRun) -> BoxFuture<'static, Result<String>> + Send + Sync>;

/// Whether there is anything to do: a read, cheap enough for each tick.
pub type ProbeFn = Arc<dyn Fn(Kernel) -> BoxFuture<'static, Result<bool>> + Send + Sync>;

/// A job. It may be stopped between any two of its transactions, and its tick then runs again, on whichever node.
#[derive(Clone)]
pub struct Job {
    /// `module.what_it_does`: `engagement.cooling`. Never changes.
    pub name: &'static str,
    /// Key of a setting of [`super::config::Form::Schedule`].
    pub schedule: &'static str,
    /// Does the work. All that it writes goes through [`JobRun::write`]; between chunks it calls [`JobRun::go_on`].
    pub run: JobFn,
    /// Looks before each run; see [`Job::when`].
    pub probe: Option<ProbeFn>,
}

impl Job {
    /// A job of an async function.
    pub fn new<F>(name: &'static str, schedule: &'static str, run: impl Fn(JobRun) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String>> + Send + 'static,
    {
        Self { name, schedule, run: Arc::new(move |job| Box::pin(run(job))), probe: None }
    }

    /// For a job of each second: a tick on which the probe finds nothing writes nothing, neither a claim nor a run. The
    /// job still runs once a minute, so that its last success tells that it is alive; a probe that fails counts as true.
    #[must_use]
    pub fn when<F>(self, probe: impl Fn(Kernel) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<bool>> + Send + 'static,
    {
        Self { probe: Some(Arc::new(move |kernel| Box::pin(probe(kernel)))), ..self }
    }
}
