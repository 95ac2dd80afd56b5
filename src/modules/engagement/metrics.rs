//! What only this module can count.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::content::Kind;
use super::limits::Action;
use super::ranks::Ranks;
use crate::kernel::clock::Millis;
use crate::kernel::ranking::View;

/// Contents in the rank index, counted when metrics are read.
pub(super) struct RankSizes(pub(super) Arc<Ranks>);

impl std::fmt::Debug for RankSizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RankSizes")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

impl Collector for RankSizes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Published contents in the rank index";
        let mut metric = encoder.encode_descriptor("rank_index_entries", help, None, MetricType::Gauge)?;
        for (board, kind) in [(Kind::Artwork, "artwork"), (Kind::Video, "video")] {
            // Of all ages: the moment does not matter.
            let view = View { board: Some(board.number()), window: None, now: Millis(0) };
            let size = self.0.now().index.size(view) as u64;
            ConstGauge::new(size).encode(metric.encode_family(&KindLabel { kind })?)?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabel {
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActorLabel {
    actor: &'static str,
    recorded: bool,
}

/// What the limits of users' acts count.
#[derive(Clone, Default)]
pub(super) struct LimitMetrics {
    refused: Family<ActionLabel, Counter>,
    suspicious: Family<ActorLabel, Counter>,
    forgotten: Counter,
}

impl LimitMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        // At zero from the start: a rate needs something to rise from.
        for action in Action::ALL {
            let _ = self.refused.get_or_create(&ActionLabel { action: action.word() });
        }
        for actor in ["user", "address"] {
            let _ = self.suspicious.get_or_create(&ActorLabel { actor, recorded: true });
        }
        let help = "Acts refused because the user had as many on the content within the hour";
        registry.register("acts_refused", help, self.refused.clone());
        let help = "Hours in which a user or an address did more than people do; not recorded where there was no room";
        registry.register("suspicious_activity", help, self.suspicious.clone());
        let help = "Acts forgotten before their hour was over, above engagement.acts_remembered";
        registry.register("acts_forgotten", help, self.forgotten.clone());
    }

    pub(super) fn refused(&self, action: Action) {
        self.refused.get_or_create(&ActionLabel { action: action.word() }).inc();
    }

    pub(super) fn suspected(&self, actor: &'static str, recorded: bool) {
        self.suspicious.get_or_create(&ActorLabel { actor, recorded }).inc();
    }

    pub(super) fn forgot(&self, acts: u64) {
        self.forgotten.inc_by(acts);
    }
}
