//! What only this module can count.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::content::Kind;
use super::ranks::Ranks;

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
            let size = self.0.now().index.size(Some(board.number())) as u64;
            ConstGauge::new(size).encode(metric.encode_family(&KindLabel { kind })?)?;
        }
        Ok(())
    }
}
