//! `systemHealth`: what an operator looks at first.

use async_graphql::{Enum, SimpleObject};

use super::Count;
use super::integrity::IntegrityDesk;
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::kernel::integrity::State;
use crate::kernel::{events, jobs};

/// A job that is due for longer than this has nobody to run it.
const OVERDUE_SECS: i64 = 300;

/// Whether all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "HealthState")]
enum Health {
    /// Nothing needs attention.
    Ok,
    /// Something does; the fields say what.
    Attention,
}

/// The events of one consumer that wait.
#[derive(SimpleObject)]
struct EventQueue {
    /// Who takes them.
    consumer: String,
    /// How many wait.
    waiting: Count,
    /// How many were set aside after their last try.
    set_aside: Count,
    /// For how many seconds the oldest that is not set aside has waited; 0 when there is none.
    oldest_secs: i64,
}

/// A job.
#[derive(SimpleObject)]
struct JobHealth {
    /// Its name.
    name: String,
    /// For how many seconds it has been due while nobody ran it.
    overdue_secs: i64,
    /// Whether its last run failed.
    failed: bool,
    /// When it last succeeded.
    last_success_at: Option<Millis>,
}

/// Whether everything runs.
#[derive(SimpleObject)]
pub(super) struct SystemHealth {
    /// All of it in one word.
    state: Health,
    /// The version of the server that answers.
    version: &'static str,
    /// Which database it is on: `sqlite`, `postgres`. It answers, or this field would be an error.
    database: &'static str,
    /// The queues of events in which something waits or is set aside.
    queues: Vec<EventQueue>,
    /// The jobs that are overdue or whose last run failed.
    jobs: Vec<JobHealth>,
    /// What the checks found when they ran last.
    integrity: State,
    /// When they did: the oldest of them.
    last_check_at: Option<Millis>,
}

impl SystemHealth {
    pub(super) async fn look(desk: &IntegrityDesk) -> Result<Self> {
        let IntegrityDesk { kernel, integrity, .. } = desk;
        let now = kernel.clock.now();
        let age = |at: Option<Millis>| at.map_or(0, |at| (now.0 - at.0).max(0) / 1000);
        let waiting = events::backlogs(&kernel.db, now).await?.into_iter().map(|backlog| EventQueue {
            consumer: backlog.consumer,
            waiting: Count(backlog.waiting),
            set_aside: Count(backlog.set_aside),
            oldest_secs: age(backlog.oldest_at),
        });
        let queues: Vec<_> = waiting.filter(|queue| queue.waiting.0 + queue.set_aside.0 > 0).collect();
        let states = jobs::states(&kernel.db).await?.into_iter().map(|job| JobHealth {
            overdue_secs: age(job.next_run_at.filter(|_| job.owner.is_empty() || job.lease_until <= now)),
            failed: job.outcome.as_deref() == Some("FAILED"),
            name: job.name,
            last_success_at: job.last_success_at,
        });
        let jobs: Vec<_> = states.filter(|job| job.failed || job.overdue_secs > OVERDUE_SECS).collect();
        let latest = integrity.latest(kernel, None, None).await?;
        let found = matches!(latest.report.state, State::Drift | State::Failed);
        let well = queues.iter().all(|queue| queue.set_aside.0 == 0) && jobs.is_empty() && !found;
        Ok(Self {
            state: if well { Health::Ok } else { Health::Attention },
            version: env!("CARGO_PKG_VERSION"),
            database: if kernel.backend() == sea_orm::DbBackend::Postgres { "postgres" } else { "sqlite" },
            queues,
            jobs,
            integrity: latest.report.state,
            last_check_at: latest.ran_at,
        })
    }
}
