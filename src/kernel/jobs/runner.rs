//! Claims jobs that are due and runs them.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::store::{self, Claim, Claimable, End, Moment};
use super::{Job, JobRun, Schedule};
use crate::kernel::context::Kernel;
use crate::kernel::db::Fence;
use crate::kernel::error::{Code, Error, Result};

/// A tick whose runs ended so often without a word is given up: it may be what ends them.
const ATTEMPTS_MOST: i64 = 5;
/// For how long a job whose probe finds nothing stays due without a run.
const REST_MOST: i64 = 60_000;
/// The longest line on a run that is kept, in characters.
const DETAIL_MOST: usize = 1000;

/// A job of this process.
pub(super) struct Registered {
    pub(super) job: Job,
    pub(super) schedule: Schedule,
    pub(super) owner: String,
    pub(super) lease_millis: i64,
    pub(super) retry_millis: i64,
}

/// A run that this process owns.
pub(super) struct Claimed {
    registered: Arc<Registered>,
    run: JobRun,
}

/// Claims all that is due and known here.
pub(super) async fn claim_due(
    kernel: &Kernel,
    jobs: &BTreeMap<&'static str, Arc<Registered>>,
    owner: &str,
    lease_millis: i64,
) -> Result<Vec<Claimed>> {
    let now = kernel.clock.now();
    let at = Moment::new(now, lease_millis);
    let mut claimed = Vec::new();
    for due in store::due(&kernel.db, owner, at).await? {
        // Another version's, or of a module that is switched off here.
        let Some(registered) = jobs.get(&*due.name) else {
            continue;
        };
        if !due.is_due(now) {
            // Run at once it would meet a node whose clock is ahead, which runs it in turn: back to back.
            let next = registered.schedule.after(now);
            if let Some(next) = next.filter(|next| due.next_run_at.is_none_or(|held| held > *next)) {
                let (name, fence) = (registered.job.name, due.fence);
                kernel.db.write(move |tx| Box::pin(store::set_right(tx, name, fence, next))).await?;
            }
            continue;
        }
        if registered.ran(&due, at) || registered.rests(kernel, &due, at).await {
            continue;
        }
        let claim = registered.claim(&due, at);
        let (tick, fence) = (claim.tick, claim.fence + 1);
        let attempts = kernel.db.write(move |tx| {
            let claim = claim.clone();
            Box::pin(async move { store::claim(tx, &claim, at).await })
        });
        let Some(attempt) = attempts.await? else {
            continue;
        };
        let run = JobRun {
            kernel: kernel.clone(),
            tick,
            attempt,
            job: registered.job.name,
            fence,
            lease_millis: registered.lease_millis,
        };
        claimed.push(Claimed { registered: Arc::clone(registered), run });
    }
    Ok(claimed)
}

impl Registered {
    /// Whether the last tick up to now has run: another node, by whose clock it has yet to come, says that it is due.
    fn ran(&self, due: &Claimable, at: Moment) -> bool {
        let last = self.schedule.up_to(at.now).zip(due.last_tick(at));
        due.tick.is_none() && due.woken == 0 && last.is_some_and(|(tick, last)| tick <= last)
    }

    /// Whether it is due and has nothing to do.
    async fn rests(&self, kernel: &Kernel, due: &Claimable, at: Moment) -> bool {
        let Some(probe) = &self.job.probe else {
            return false;
        };
        // A run that was begun is ended, what somebody asked for is done, and now and then one tells that the job is
        // alive.
        let lately = due.next_run_at.is_some_and(|next| at.now.0 - next.0 < REST_MOST);
        if due.tick.is_some() || due.woken != 0 || due.is_astray(at) || !lately {
            return false;
        }
        match probe(kernel.clone()).await {
            Ok(anything) => !anything,
            // Its run will say so, too.
            Err(error) => {
                tracing::debug!(job = self.job.name, error = error.for_operator(), "a probe failed");
                false
            }
        }
    }

    fn claim(&self, due: &Claimable, at: Moment) -> Claim {
        let now = at.now;
        // A tick that was begun is ended before the next; of several that were missed, the last one runs.
        let tick = due.tick.unwrap_or_else(|| {
            let scheduled = self.schedule.up_to(now).filter(|last| due.next_run_at.is_some_and(|next| *last >= next));
            let tick = scheduled.or(due.next_run_at.filter(|next| *next <= now)).unwrap_or(now);
            due.last_tick(at).map_or(tick, |last| tick.max(last.plus(1)))
        });
        Claim {
            job: self.job.name,
            owner: self.owner.clone(),
            tick,
            begun: due.tick.is_some(),
            next: self.schedule.after(now.max(tick)),
            fence: due.fence,
            until: now.plus(self.lease_millis),
        }
    }
}

impl Claimed {
    /// Runs it to its end, its lease's end or the server's.
    pub(super) async fn execute(self) {
        let Self { registered, run } = self;
        let (job, began) = (run.job, Instant::now());
        if run.attempt > ATTEMPTS_MOST {
            let gone = Error::internal(format!("its owners ended without a word {ATTEMPTS_MOST} times"));
            return end(&registered, &run, Err(gone), began).await;
        }
        let work = AssertUnwindSafe(async { (registered.job.run)(run.clone()).await }).catch_unwind();
        // Polled together: a renewal waits for the job's own transactions, and must not keep them from ending.
        let outcome = tokio::select! {
            outcome = work => outcome.unwrap_or_else(|_| Err(Error::internal("the job panicked"))),
            () = renew_until_lost(&run) => Err(Fence::lost(job)),
        };
        end(&registered, &run, outcome, began).await;
    }
}

/// Renews the lease each third of its time; ends when another node has it.
async fn renew_until_lost(run: &JobRun) {
    let third = Duration::from_millis(u64::try_from(run.lease_millis / 3).unwrap_or(1).max(1));
    loop {
        tokio::time::sleep(third).await;
        match run.renew().await {
            Ok(true) => {}
            Ok(false) => return,
            // Its writes look for themselves whether the lease holds.
            Err(error) => tracing::warn!(job = run.job, error = error.for_operator(), "a lease was not renewed"),
        }
    }
}

async fn end(registered: &Registered, run: &JobRun, outcome: Result<String>, began: Instant) {
    let (kernel, job, tick, fence) = (&run.kernel, run.job, run.tick, run.fence);
    let now = kernel.clock.now();
    let ended = match &outcome {
        Err(error) if error.code() == Code::LEASE_LOST => {
            tracing::warn!(job, "another node has taken over");
            kernel.metrics.work().job_ended(job, "lost", began.elapsed());
            return;
        }
        Err(_) if kernel.shutdown.is_cancelled() => {
            tracing::info!(job, "stops in the middle; its tick goes on elsewhere or later");
            kernel.metrics.work().job_ended(job, "stopped", began.elapsed());
            kernel.db.write(move |tx| Box::pin(store::release(tx, job, fence))).await
        }
        outcome => {
            let (outcome, detail, again) = match outcome {
                Ok(detail) => (store::OK, detail.clone(), None),
                Err(error) => {
                    let error = error.for_operator();
                    tracing::error!(job, error, "job failed");
                    ("FAILED", error, (registered.retry_millis > 0).then(|| now.plus(registered.retry_millis)))
                }
            };
            kernel.metrics.work().job_ended(job, if outcome == store::OK { "ok" } else { "failed" }, began.elapsed());
            let detail = detail.replace('\0', "\u{fffd}").chars().take(DETAIL_MOST).collect();
            let end = End { job, tick, fence, outcome, detail, again };
            let ended = kernel.db.write(move |tx| {
                let end = end.clone();
                Box::pin(async move { store::end(tx, &end, now).await })
            });
            ended.await.map(drop)
        }
    };
    if let Err(error) = ended {
        tracing::error!(job, error = error.for_operator(), "the end of a run is not recorded; its tick will run again");
    }
}
