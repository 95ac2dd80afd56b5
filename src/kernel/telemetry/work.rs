//! Metrics of what is done later: events by consumer, and jobs.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds of a run: from a look that finds nothing to a recalculation of everything.
const RUN_SECONDS: [f64; 10] = [0.005, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];

/// How runs end: shown as 0 before it happens, so that `rate()` sees the first one.
const OUTCOMES: [&str; 4] = ["ok", "failed", "stopped", "lost"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConsumerLabel {
    consumer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BacklogLabels {
    consumer: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabel {
    job: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    job: &'static str,
    outcome: &'static str,
}

/// What waits for a consumer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) due: i64,
    pub(crate) parked: i64,
    pub(crate) set_aside: i64,
    /// Age of the oldest event that is not set aside; 0 when there is none.
    pub(crate) oldest_secs: i64,
}

/// What relays and jobs count. Cheap to clone. Names of consumers and jobs are words of the source, or of a table that
/// only the source writes.
#[derive(Clone, Debug)]
pub struct WorkMetrics {
    backlog: Family<BacklogLabels, Gauge>,
    oldest: Family<ConsumerLabel, Gauge>,
    delivered: Family<ConsumerLabel, Counter>,
    failures: Family<ConsumerLabel, Counter>,
    set_aside: Family<ConsumerLabel, Counter>,
    runs: Family<RunLabels, Counter>,
    durations: Family<JobLabel, Histogram, fn() -> Histogram>,
    last_success: Family<JobLabel, Gauge>,
    overdue: Family<JobLabel, Gauge>,
}

impl WorkMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let work = Self {
            backlog: Family::default(),
            oldest: Family::default(),
            delivered: Family::default(),
            failures: Family::default(),
            set_aside: Family::default(),
            runs: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(RUN_SECONDS)),
            last_success: Family::default(),
            overdue: Family::default(),
        };
        let backlog = "Events in the outbox: due, parked behind a failed one, set aside; of the whole cluster";
        registry.register("outbox_events", backlog, work.backlog.clone());
        let oldest = "Age of the oldest event that is not set aside, in seconds; of the whole cluster";
        registry.register("outbox_oldest_seconds", oldest, work.oldest.clone());
        registry.register("outbox_delivered", "Events whose effect was committed", work.delivered.clone());
        registry.register("outbox_failures", "Tries of an event that failed", work.failures.clone());
        registry.register("outbox_set_aside", "Events set aside after their last try", work.set_aside.clone());
        registry.register("job_runs", "Runs of jobs that ended", work.runs.clone());
        registry.register("job_duration_seconds", "Time that runs took, in seconds", work.durations.clone());
        let last = "When the job last succeeded, in seconds since 1970, 0 for never; of the whole cluster";
        registry.register("job_last_success_seconds", last, work.last_success.clone());
        let overdue = "How long the job has been due and nobody ran it, in seconds; of the whole cluster";
        registry.register("job_overdue_seconds", overdue, work.overdue.clone());
        work
    }

    /// A consumer is there.
    pub(crate) fn begin_consumer(&self, consumer: &'static str) {
        let label = ConsumerLabel { consumer: consumer.to_owned() };
        drop(self.delivered.get_or_create(&label));
        drop(self.failures.get_or_create(&label));
        drop(self.set_aside.get_or_create(&label));
        self.waiting(consumer, Waiting::default());
    }

    /// A job is there.
    pub(crate) fn begin_job(&self, job: &'static str) {
        for outcome in OUTCOMES {
            drop(self.runs.get_or_create(&RunLabels { job, outcome }));
        }
        drop(self.durations.get_or_create(&JobLabel { job: job.to_owned() }));
        self.job_state(job, Some(0), 0);
    }

    pub(crate) fn delivered(&self, consumer: &'static str, events: u64) {
        self.delivered.get_or_create(&ConsumerLabel { consumer: consumer.to_owned() }).inc_by(events);
    }

    pub(crate) fn failed(&self, consumer: &'static str, set_aside: bool) {
        let label = ConsumerLabel { consumer: consumer.to_owned() };
        self.failures.get_or_create(&label).inc();
        if set_aside {
            self.set_aside.get_or_create(&label).inc();
        }
    }

    pub(crate) fn waiting(&self, consumer: &str, waiting: Waiting) {
        let Waiting { due, parked, set_aside, oldest_secs } = waiting;
        for (state, count) in [("due", due), ("parked", parked), ("set_aside", set_aside)] {
            self.backlog.get_or_create(&BacklogLabels { consumer: consumer.to_owned(), state }).set(count);
        }
        self.oldest.get_or_create(&ConsumerLabel { consumer: consumer.to_owned() }).set(oldest_secs);
    }

    /// `outcome` is one of `ok`, `failed`, `stopped`, `lost`.
    pub(crate) fn job_ended(&self, job: &'static str, outcome: &'static str, took: Duration) {
        self.runs.get_or_create(&RunLabels { job, outcome }).inc();
        self.durations.get_or_create(&JobLabel { job: job.to_owned() }).observe(took.as_secs_f64());
    }

    pub(crate) fn job_state(&self, job: &str, last_success_secs: Option<i64>, overdue_secs: i64) {
        let label = JobLabel { job: job.to_owned() };
        if let Some(secs) = last_success_secs {
            self.last_success.get_or_create(&label).set(secs);
        }
        self.overdue.get_or_create(&label).set(overdue_secs);
    }
}
