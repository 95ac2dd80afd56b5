//! Metrics of the database: statements, retries, connections.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::labels::{Pool, PoolLabel};
use crate::kernel::db::{Connections, Db};

/// What happened in the two pools. Cheap to clone; holds no connection.
#[derive(Clone, Debug)]
pub struct DbMetrics {
    statements: Family<PoolLabel, Counter>,
    errors: Family<PoolLabel, Counter>,
    retries: Family<PoolLabel, Counter>,
    reader: PoolMetrics,
    writer: PoolMetrics,
}

/// The counters of one pool, looked up once: a statement costs an addition.
#[derive(Clone, Debug)]
pub(crate) struct PoolMetrics {
    statements: Counter,
    errors: Counter,
    retries: Counter,
}

impl PoolMetrics {
    /// Counts a statement that ran.
    pub(crate) fn ran(&self, failed: bool) {
        self.statements.inc();
        if failed {
            self.errors.inc();
        }
        super::count_statement();
    }

    /// Counts another try after a passing failure.
    pub(crate) fn tried_again(&self) {
        self.retries.inc();
    }
}

impl Default for DbMetrics {
    fn default() -> Self {
        let (statements, errors, retries) = (Family::default(), Family::default(), Family::default());
        let of = |pool| PoolMetrics {
            statements: Family::<_, Counter>::get_or_create_owned(&statements, &PoolLabel { pool }),
            errors: Family::<_, Counter>::get_or_create_owned(&errors, &PoolLabel { pool }),
            retries: Family::<_, Counter>::get_or_create_owned(&retries, &PoolLabel { pool }),
        };
        let (reader, writer) = (of(Pool::Reader), of(Pool::Writer));
        Self { statements, errors, retries, reader, writer }
    }
}

impl DbMetrics {
    /// Those of the pool that reads.
    pub(crate) fn reader(&self) -> &PoolMetrics {
        &self.reader
    }

    /// Those of the pool that writes.
    pub(crate) fn writer(&self) -> &PoolMetrics {
        &self.writer
    }

    /// How many statements ran, in both pools.
    #[must_use]
    pub fn statement_count(&self) -> u64 {
        self.reader.statements.get() + self.writer.statements.get()
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let statements = "SQL statements that ran, transaction control left out";
        registry.register("database_statements", statements, self.statements.clone());
        registry.register("database_statement_errors", "SQL statements that failed", self.errors.clone());
        let retries = "Reads and transactions that were tried again after a passing failure";
        registry.register("database_retries", retries, self.retries.clone());
    }
}

/// Connections of the pools, counted when metrics are read.
pub(super) struct Pools(Db);

impl Pools {
    pub(super) fn of(db: &Db) -> Self {
        Self(db.clone())
    }
}

impl std::fmt::Debug for Pools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pools")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    pool: Pool,
    state: &'static str,
}

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (reader, writer) = self.0.connections();
        let pools = Pool::ALL.iter().copied().zip([reader, writer]);
        let help = "Connections to the database";
        let mut metric = encoder.encode_descriptor("database_connections", help, None, MetricType::Gauge)?;
        for (pool, Connections { open, idle, .. }) in pools.clone() {
            for (state, count) in [("in_use", open.saturating_sub(idle)), ("idle", idle)] {
                ConstGauge::new(count).encode(metric.encode_family(&StateLabels { pool, state })?)?;
            }
        }
        let help = "Connections that the pool may open";
        let mut metric = encoder.encode_descriptor("database_connections_limit", help, None, MetricType::Gauge)?;
        for (pool, Connections { most, .. }) in pools {
            ConstGauge::new(most).encode(metric.encode_family(&PoolLabel { pool })?)?;
        }
        Ok(())
    }
}
