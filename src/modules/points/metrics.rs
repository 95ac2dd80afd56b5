//! What only this module can count.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::board::Board;
use super::commands::post::Posted;
use super::ledger::Kind;
use super::store::batch::IncidentRow;
use crate::kernel::error::{Error, Result};

/// The fields of an account that a write compares.
const FIELDS: [&str; 5] = ["balance", "sequence", "lastHash", "overdraftLimit", "account"];
/// What may come of an entry that is asked for.
const OUTCOMES: [&str; 4] = ["written", "replayed", "refused", "failed"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FieldLabel {
    field: &'static str,
}

/// What the module counts. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct PointsMetrics {
    transactions: Family<KindLabels, Counter>,
    incidents: Family<FieldLabel, Counter>,
}

impl PointsMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        // At zero from the start: a rate needs something to rise from.
        for (kind, outcome) in Kind::ALL.iter().flat_map(|kind| OUTCOMES.map(|outcome| (kind.word(), outcome))) {
            let _ = self.transactions.get_or_create(&KindLabels { kind, outcome });
        }
        for field in FIELDS {
            let _ = self.incidents.get_or_create(&FieldLabel { field });
        }
        let help = "Transactions that were asked for, by what came of them; dry runs left out";
        registry.register("transactions", help, self.transactions.clone());
        let help = "Fields of accounts that a write found to differ from their ledger, and put right";
        registry.register("incidents", help, self.incidents.clone());
    }

    /// Counts what came of an entry.
    pub(super) fn ended(&self, kind: Kind, outcome: &Result<Posted>) {
        match outcome {
            Ok(posted) => self.done(kind, posted.replayed),
            Err(error) => self.not_done([kind], error),
        }
    }

    /// Counts an entry that is in its ledger.
    pub(super) fn done(&self, kind: Kind, replayed: bool) {
        let outcome = if replayed { "replayed" } else { "written" };
        self.transactions.get_or_create(&KindLabels { kind: kind.word(), outcome }).inc();
    }

    /// Counts entries that were refused together.
    pub(super) fn not_done(&self, kinds: impl IntoIterator<Item = Kind>, error: &Error) {
        for kind in kinds {
            self.transactions.get_or_create(&KindLabels { kind: kind.word(), outcome: refused(error) }).inc();
        }
    }

    /// Counts what a committed batch found.
    pub(super) fn found(&self, incidents: &[IncidentRow]) {
        for incident in incidents {
            let field = FIELDS.iter().find(|field| **field == incident.field).copied().unwrap_or("other");
            self.incidents.get_or_create(&FieldLabel { field }).inc();
        }
    }
}

fn refused(error: &Error) -> &'static str {
    if error.is_ours() { "failed" } else { "refused" }
}

/// Accounts on the leaderboard, counted when metrics are read.
pub(super) struct BoardSize(pub(super) Arc<Board>);

impl std::fmt::Debug for BoardSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BoardSize")
    }
}

impl Collector for BoardSize {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Accounts on the leaderboard";
        let metric = encoder.encode_descriptor("rank_index_entries", help, None, MetricType::Gauge)?;
        ConstGauge::new(self.0.size() as u64).encode(metric)
    }
}
