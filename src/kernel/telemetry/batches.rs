//! Metrics of write batchers, by module.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::families::SECONDS;
use super::labels::WriterLabel;

/// Commands in one batch; 512 is the usual limit.
const COMMANDS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

type Counters = Family<WriterLabel, Counter>;
type Histograms = Family<WriterLabel, Histogram, fn() -> Histogram>;

/// The families that all batchers share.
#[derive(Debug)]
pub(super) struct Batches {
    commands: Histograms,
    durations: Histograms,
    halvings: Counters,
    retries: Counters,
    refused: Counters,
    failed: Counters,
    queues: Queues,
}

impl Batches {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let batches = Self {
            commands: Family::new_with_constructor(|| Histogram::new(COMMANDS)),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            halvings: Family::default(),
            retries: Family::default(),
            refused: Family::default(),
            failed: Family::default(),
            queues: Queues::default(),
        };
        let Self { commands, durations, halvings, retries, refused, failed, queues } = &batches;
        registry.register("batch_commands", "Commands in one committed batch", commands.clone());
        let help = "Time from a batch's first try to its commit, in seconds";
        registry.register("batch_duration_seconds", help, durations.clone());
        registry.register("batch_halvings", "Batches cut in two because they failed", halvings.clone());
        registry.register("batch_retries", "Tries of a batch after a passing failure", retries.clone());
        registry.register("batch_refused", "Commands refused because the queue was full", refused.clone());
        registry.register("batch_failed", "Commands in batches that failed for good", failed.clone());
        registry.register_collector(Box::new(queues.clone()));
        batches
    }

    /// The handles of one module's batcher.
    pub(super) fn of(&self, writer: &'static str) -> BatchMetrics {
        let label = WriterLabel { writer };
        BatchMetrics {
            writer,
            commands: self.commands.get_or_create_owned(&label),
            durations: self.durations.get_or_create_owned(&label),
            halvings: self.halvings.get_or_create_owned(&label),
            retries: self.retries.get_or_create_owned(&label),
            refused: self.refused.get_or_create_owned(&label),
            failed: self.failed.get_or_create_owned(&label),
            queues: self.queues.clone(),
        }
    }
}

/// What the batcher of one module counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BatchMetrics {
    writer: &'static str,
    commands: Histogram,
    durations: Histogram,
    halvings: Counter,
    retries: Counter,
    refused: Counter,
    failed: Counter,
    queues: Queues,
}

impl BatchMetrics {
    /// A batch of so many commands was committed.
    pub(crate) fn committed(&self, commands: usize, took: Duration) {
        self.commands.observe(u32::try_from(commands).unwrap_or(u32::MAX).into());
        self.durations.observe(took.as_secs_f64());
    }

    /// A batch is cut in two.
    pub(crate) fn halved(&self) {
        self.halvings.inc();
    }

    /// A batch is tried again.
    pub(crate) fn tried_again(&self) {
        self.retries.inc();
    }

    /// A command found the queue full.
    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    /// A batch of so many commands failed for good.
    pub(crate) fn failed(&self, commands: usize) {
        self.failed.inc_by(commands as u64);
    }

    /// Adds a queue: `length` is asked when metrics are read, and must not keep the queue alive.
    pub(crate) fn queue(&self, group: usize, most: usize, length: impl Fn() -> usize + Send + Sync + 'static) {
        let labels = QueueLabels { writer: self.writer, group: u32::try_from(group).unwrap_or(u32::MAX) };
        let mut queues = self.queues.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.push(Queue { labels, most: most as u64, length: Box::new(length) });
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    writer: &'static str,
    group: u32,
}

struct Queue {
    labels: QueueLabels,
    most: u64,
    length: Box<dyn Fn() -> usize + Send + Sync>,
}

/// All queues of the server, measured when metrics are read.
#[derive(Clone, Default)]
struct Queues(Arc<Mutex<Vec<Queue>>>);

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queues")
    }
}

impl Collector for Queues {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let help = "Commands that wait for a writer";
        let mut metric = encoder.encode_descriptor("batch_queue_length", help, None, MetricType::Gauge)?;
        for Queue { labels, length, .. } in queues.iter() {
            ConstGauge::new(length() as u64).encode(metric.encode_family(labels)?)?;
        }
        let help = "Commands that may wait for a writer";
        let mut metric = encoder.encode_descriptor("batch_queue_limit", help, None, MetricType::Gauge)?;
        for Queue { labels, most, .. } in queues.iter() {
            ConstGauge::new(*most).encode(metric.encode_family(labels)?)?;
        }
        Ok(())
    }
}
