//! The jobs that this process can run, and the loop that runs them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

use super::runner::{Registered, claim_due};
use super::{Job, Schedule, store};
use crate::kernel::config::Settings;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};

/// The jobs. Cheap to clone.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    node: Arc<str>,
    poll: Duration,
    lease_millis: i64,
    retry_millis: i64,
    started: RwLock<Started>,
    wake: Notify,
    /// Held while jobs are claimed, so that a run is claimed once even by one process.
    claiming: Mutex<()>,
}

#[derive(Default)]
struct Started {
    /// What runs are handed; gone when the server stops, because jobs hold facades, which hold this.
    kernel: Option<Kernel>,
    jobs: BTreeMap<&'static str, Arc<Registered>>,
}

impl Jobs {
    pub(crate) fn new(node: &Arc<str>, settings: &Settings) -> Self {
        Self(Arc::new(Inner {
            node: Arc::clone(node),
            poll: Duration::from_millis(settings.count("worker.poll_ms").into()),
            lease_millis: i64::from(settings.count("worker.lease_secs")) * 1000,
            retry_millis: i64::from(settings.count("jobs.retry_secs")) * 1000,
            started: RwLock::default(),
            wake: Notify::new(),
            claiming: Mutex::new(()),
        }))
    }

    /// Makes a job due now; whichever node is there first runs it. One that is running runs once more afterwards.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::NOT_FOUND`] for a name that no server ever registered; the database's own.
    pub async fn wake(&self, name: &str) -> Result<()> {
        let Some(kernel) = self.kernel() else {
            return Err(Error::internal("a job is woken before the modules' start, or after their end"));
        };
        let (owned, now) = (name.to_owned(), kernel.clock.now());
        let woken = kernel.db.write(move |tx| {
            let name = owned.clone();
            Box::pin(async move { store::wake(tx, &name, now).await })
        });
        if !woken.await? {
            return Err(Error::not_found(format!("there is no job {name}")));
        }
        self.0.wake.notify_one();
        Ok(())
    }

    /// Runs, now and here, what is due by the clock, one job after the other, until nothing is; for tests with a manual
    /// clock. How many runs that were, failed ones too.
    ///
    /// # Errors
    /// The database's own. A job's errors are recorded with its run.
    pub async fn run_due(&self) -> Result<u64> {
        let Some(kernel) = self.kernel() else {
            return Ok(0);
        };
        let mut runs = 0;
        loop {
            let claimed = self.claim(&kernel).await?;
            if claimed.is_empty() {
                return Ok(runs);
            }
            for run in claimed {
                run.execute().await;
                runs += 1;
            }
        }
    }

    /// Says what runs will be handed, before any module starts. False when it was said before.
    pub(crate) fn open(&self, kernel: &Kernel) -> bool {
        let mut started = self.0.started.write().unwrap_or_else(PoisonError::into_inner);
        started.kernel.replace(kernel.clone()).is_none()
    }

    /// Adds a job and its row.
    pub(crate) async fn add(&self, kernel: &Kernel, job: Job) -> Result<()> {
        let (name, key) = (job.name, job.schedule);
        let text = kernel.settings.text(key).to_owned();
        let schedule = Schedule::parse(&text).map_err(|why| Error::invalid(format!("{key}: {why}")))?;
        let now = kernel.clock.now();
        let next = schedule.after(now);
        if next.is_none() && !schedule.is_off() {
            return Err(Error::invalid(format!("{key}: «{text}» never comes again; `off` turns the job off")));
        }
        kernel.metrics.work().begin_job(name);
        let registered = Registered {
            job,
            schedule,
            owner: self.0.node.to_string(),
            lease_millis: self.0.lease_millis,
            retry_millis: self.0.retry_millis,
        };
        {
            let mut started = self.0.started.write().unwrap_or_else(PoisonError::into_inner);
            if started.jobs.insert(name, Arc::new(registered)).is_some() {
                return Err(Error::internal(format!("job {name} is started twice")));
            }
        }
        let at = store::Moment::new(now, self.0.lease_millis);
        let ensured = kernel.db.write(move |tx| {
            let text = text.clone();
            Box::pin(async move { store::ensure(tx, name, &text, at, next).await })
        });
        ensured.await
    }

    /// The jobs that this process can run.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.started.read().unwrap_or_else(PoisonError::into_inner).jobs.keys().copied().collect()
    }

    /// Runs what is due until the server stops. Each run is a task of its own: a long one holds nobody up.
    pub(crate) fn start(&self, kernel: &Kernel) {
        let (jobs, kernel) = (self.clone(), kernel.clone());
        kernel.tasks.clone().spawn(async move {
            let mut wait = false;
            while !kernel.shutdown.is_cancelled() {
                match jobs.claim(&kernel).await {
                    Ok(claimed) => {
                        wait = false;
                        for run in claimed {
                            kernel.tasks.spawn(run.execute());
                        }
                    }
                    // Once, not once a look: the database may be away for hours.
                    Err(error) if !std::mem::replace(&mut wait, true) => {
                        tracing::warn!(error = error.for_operator(), "jobs wait");
                    }
                    Err(_) => {}
                }
                tokio::select! {
                    () = kernel.shutdown.cancelled() => {}
                    () = jobs.0.wake.notified() => {}
                    () = tokio::time::sleep(jobs.0.poll) => {}
                }
            }
        });
    }

    /// Lets the jobs go: they hold facades, which hold this.
    pub(crate) fn close(&self) {
        *self.0.started.write().unwrap_or_else(PoisonError::into_inner) = Started::default();
    }

    async fn claim(&self, kernel: &Kernel) -> Result<Vec<super::runner::Claimed>> {
        let _one_at_a_time = self.0.claiming.lock().await;
        let jobs = self.0.started.read().unwrap_or_else(PoisonError::into_inner).jobs.clone();
        claim_due(kernel, &jobs, &self.0.node, self.0.lease_millis).await
    }

    fn kernel(&self) -> Option<Kernel> {
        self.0.started.read().unwrap_or_else(PoisonError::into_inner).kernel.clone()
    }
}
