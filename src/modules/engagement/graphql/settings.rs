//! `hotnessSettings`: what is in force, and what is wanted instead.

use async_graphql::SimpleObject;

use crate::kernel::clock::Millis;
use crate::kernel::graphql::Count;
use crate::modules::engagement::hotness::Hotness;
use crate::modules::engagement::settings::Standing;
use crate::modules::engagement::store::in_force::{InForce, Progress};

/// What makes contents hot: every score, level and rank is made with these.
#[derive(SimpleObject)]
pub struct HotnessSettings {
    #[graphql(flatten)]
    in_force: HotnessSettingsVersion,
    /// What this server is configured with, where that is something else; null when it is the same. What is in force stays
    /// until `tally recalculate` has made every figure anew.
    pending: Option<HotnessSettingsVersion>,
    /// Whether `tally recalculate` is to be run: the server is configured with other settings than those in force.
    recalculation_due: bool,
    /// The recalculation that is under way; null when there is none.
    recalculation: Option<HotnessRecalculation>,
}

/// A version of what makes contents hot.
#[derive(SimpleObject)]
pub struct HotnessSettingsVersion {
    /// Raised by each change of weights, half-life or thresholds.
    version: i64,
    /// Hours in which a score halves.
    half_life_hours: f64,
    /// Points of a like.
    like_weight: f64,
    /// Points of a favorite.
    favorite_weight: f64,
    /// Points of a comment.
    comment_weight: f64,
    /// Points of a share.
    share_weight: f64,
    /// Points of a view.
    view_weight: f64,
    /// Points of being published.
    publish_weight: f64,
    /// Score from which a content is `WARM`.
    warm_from: f64,
    /// Score from which a content is `HOT`.
    hot_from: f64,
    /// Score from which a content is `BLAZING`.
    blazing_from: f64,
}

/// How far a recalculation is.
#[derive(SimpleObject)]
pub struct HotnessRecalculation {
    /// Which version it makes.
    version: i64,
    /// Contents that are done.
    succeeded: Count,
    /// Contents that could not be done; the version does not come into force while there are any.
    failed: Count,
    /// When it began.
    started_at: Millis,
}

impl HotnessSettings {
    pub(super) fn new(standing: &Standing, under_way: Option<(InForce, Progress)>) -> Self {
        let of = |progress: Progress| HotnessRecalculation {
            version: progress.version,
            succeeded: Count(progress.succeeded),
            failed: Count(progress.failed),
            started_at: progress.started_at,
        };
        let own = |(state, progress): &(InForce, Progress)| state.next_version == Some(progress.version);
        Self {
            in_force: HotnessSettingsVersion::from(&standing.in_force),
            pending: standing.pending.as_ref().map(HotnessSettingsVersion::from),
            recalculation_due: standing.pending.is_some(),
            recalculation: under_way.filter(own).map(|(_, progress)| of(progress)),
        }
    }
}

impl From<&Hotness> for HotnessSettingsVersion {
    fn from(hotness: &Hotness) -> Self {
        let points = |thousandths: i64| thousandths as f64 / 1000.0;
        let (heat, thresholds) = (&hotness.heat, &hotness.thresholds);
        Self {
            version: heat.version,
            half_life_hours: heat.half_life_ms as f64 / Millis::HOUR as f64,
            like_weight: points(heat.like_weight),
            favorite_weight: points(heat.favorite_weight),
            comment_weight: points(heat.comment_weight),
            share_weight: points(heat.share_weight),
            view_weight: points(heat.view_weight),
            publish_weight: points(heat.publish_weight),
            warm_from: thresholds.warm,
            hot_from: thresholds.hot,
            blazing_from: thresholds.blazing,
        }
    }
}
