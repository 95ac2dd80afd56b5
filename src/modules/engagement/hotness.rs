//! The mathematics of hotness: exponential decay that never needs a sweep, kept in integers so that it is exact.
//!
//! Each interaction i of weight w at moment t_i counts `w * 2^(-(t - t_i)/H)` at moment t. All items fade by the same
//! factor, so that their order changes only when somebody interacts, and `heat = log2(score) + t/H` is constant in
//! between. Source: forward decay, Cormode, Shkapenyuk, Srivastava, Xu, ICDE 2009; here in log space.
//!
//! Weights and quality are thousandths, times milliseconds, heat is in units of 2^-32 half-lives: an integer that any
//! SQL, JSON and a Redis score (a double) hold without loss. See `docs/adr/0003-heat-is-an-integer.md`.

use std::collections::BTreeMap;

use crate::kernel::clock::Millis;

/// Half-lives in an epoch: masses of an older epoch count 1/256 of a newer one's.
const EPOCH_HALF_LIVES: i64 = 8;
/// A mass of 1 is 2^-24 of a point.
const MASS_BITS: f64 = 24.0;
/// A heat of 1 is 2^-32 half-lives.
const HEAT_ONE: f64 = 4_294_967_296.0;
/// How long a content is new.
pub const NEW_FOR: i64 = Millis::DAY;

/// What the stored masses were made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeatSettings {
    /// Raised by each change.
    pub version: i64,
    /// In milliseconds.
    pub half_life_ms: i64,
    /// Thousandths of a point.
    pub like_weight: i64,
    /// Thousandths of a point.
    pub favorite_weight: i64,
    /// Thousandths of a point.
    pub comment_weight: i64,
    /// Thousandths of a point.
    pub share_weight: i64,
    /// Thousandths of a point.
    pub view_weight: i64,
    /// Thousandths of a point.
    pub publish_weight: i64,
}

/// What a fact weighs by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Of a like.
    Like,
    /// Of a favorite.
    Favorite,
    /// Of a comment.
    Comment,
    /// Of a share.
    Share,
    /// Of a view.
    View,
    /// Of being published, and what was given by hand, in thousandths.
    Publish {
        /// In thousandths.
        by_hand: i64,
    },
}

/// Facts of one kind and one moment, as heat sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What each weighs by.
    pub weight: Weight,
    /// When they happened.
    pub at: Millis,
    /// How many; negative: so many are taken back.
    pub count: i64,
}

/// Views that were summed up by the epoch, as one version of the settings counts epochs and masses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolledUp {
    /// Of that version.
    pub epoch: i64,
    /// How many.
    pub count: i64,
    /// What they added to the mass of that epoch, as that version weighs them.
    pub mass: i64,
}

/// Whatever adds to masses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Facts of a known moment.
    Fact(Fact),
    /// Views of which only the epoch's sum is left, and the settings that it was made with.
    RolledUp(HeatSettings, RolledUp),
}

/// From which scores the levels begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// From here `WARM`.
    pub warm: f64,
    /// From here `HOT`.
    pub hot: f64,
    /// From here `BLAZING`.
    pub blazing: f64,
}

/// How hot a content is. As a threshold, `NEW` counts as `COLD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, async_graphql::Enum)]
#[graphql(name = "HotLevel")]
pub enum Level {
    /// Published less than 24 hours ago, and not yet warm.
    New,
    /// Below every threshold.
    Cold,
    /// From a score of 20, unless set otherwise.
    Warm,
    /// From a score of 50, unless set otherwise.
    Hot,
    /// From a score of 100, unless set otherwise.
    Blazing,
}

impl Level {
    /// All, in the order of their stored numbers.
    pub const ALL: [Self; 5] = [Self::New, Self::Cold, Self::Warm, Self::Hot, Self::Blazing];

    /// The stored number.
    #[must_use]
    pub fn number(self) -> i16 {
        self as i16
    }

    /// The level of a stored number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at)).copied()
    }
}

/// Settings and thresholds: all that turns facts into hotness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hotness {
    /// What masses are made with.
    pub heat: HeatSettings,
    /// What levels are made with.
    pub thresholds: Thresholds,
}

impl HeatSettings {
    /// The epoch of a moment.
    #[must_use]
    pub fn epoch(&self, at: Millis) -> i64 {
        at.0.div_euclid(EPOCH_HALF_LIVES * self.half_life_ms)
    }

    /// The first millisecond of an epoch.
    #[must_use]
    pub fn epoch_start(&self, epoch: i64) -> Millis {
        Millis(epoch.saturating_mul(EPOCH_HALF_LIVES * self.half_life_ms))
    }

    /// What a fact of `weight` thousandths at a moment adds to the mass of its epoch; the same integer on every
    /// machine, because `libm` is. `None` when it does not fit.
    #[must_use]
    pub fn contribution(&self, weight: i64, at: Millis) -> Option<i64> {
        let into_epoch = at.0.rem_euclid(EPOCH_HALF_LIVES * self.half_life_ms);
        let half_lives = into_epoch as f64 / self.half_life_ms as f64;
        let mass = libm::round(weight as f64 / 1000.0 * libm::exp2(half_lives + MASS_BITS));
        // 2^62: far from where a double stops being a whole number of i64's.
        #[expect(clippy::cast_possible_truncation, reason = "bounded on the line itself")]
        (mass.abs() < 4.6e18).then_some(mass as i64)
    }

    /// A weight, in thousandths.
    #[must_use]
    pub fn weight(&self, weight: Weight) -> i64 {
        match weight {
            Weight::Like => self.like_weight,
            Weight::Favorite => self.favorite_weight,
            Weight::Comment => self.comment_weight,
            Weight::Share => self.share_weight,
            Weight::View => self.view_weight,
            Weight::Publish { by_hand } => self.publish_weight + by_hand,
        }
    }

    /// What facts add to the mass of the epoch of their moment; what is taken back is the same integer. `None` when it
    /// does not fit.
    #[must_use]
    pub fn mass(&self, fact: &Fact) -> Option<i64> {
        self.contribution(self.weight(fact.weight), fact.at)?.checked_mul(fact.count)
    }

    /// The epoch that a source belongs to, and what it adds to the mass of that. `None` when it does not fit.
    #[must_use]
    pub fn adds(&self, source: &Source) -> Option<(i64, i64)> {
        match source {
            Source::Fact(fact) => Some((self.epoch(fact.at), self.mass(fact)?)),
            Source::RolledUp(made_with, views) if made_with.version == self.version => Some((views.epoch, views.mass)),
            Source::RolledUp(made_with, views) => {
                let at = made_with.mean_moment(views);
                Some((self.epoch(at), self.mass(&Fact { weight: Weight::View, at, count: views.count })?))
            }
        }
    }

    /// The moment at which as many views, all at once, would have added the same mass: that is when they count for other
    /// settings, which need the moments that the sum does not have. The middle of the epoch where views weighed nothing.
    fn mean_moment(&self, views: &RolledUp) -> Millis {
        let one = self.view_weight as f64 / 1000.0 * libm::exp2(MASS_BITS) * views.count as f64;
        let span = EPOCH_HALF_LIVES as f64;
        let share = views.mass as f64 / one;
        let half_lives = if share >= 1.0 { libm::log2(share).min(span) } else { span / 2.0 };
        #[expect(clippy::cast_possible_truncation, reason = "within an epoch")]
        let into_epoch = libm::floor(half_lives * self.half_life_ms as f64) as i64;
        self.epoch_start(views.epoch).plus(into_epoch.min(EPOCH_HALF_LIVES * self.half_life_ms - 1))
    }

    /// The heat of masses by epoch, with a quality in thousandths; `None` when there is no mass.
    #[must_use]
    pub fn heat(&self, quality: i64, masses: &BTreeMap<i64, i64>) -> Option<i64> {
        let newest = masses.iter().rev().find(|(_, mass)| **mass != 0).map(|(epoch, _)| *epoch)?;
        // Newest first, always: the order of a sum of doubles is part of its result.
        let sum: f64 = masses
            .range(..=newest)
            .rev()
            .map(|(epoch, mass)| *mass as f64 * libm::exp2((EPOCH_HALF_LIVES * (epoch - newest)) as f64))
            .sum();
        if sum <= 0.0 || quality <= 0 {
            return None;
        }
        let offset = (EPOCH_HALF_LIVES * newest) as f64 - MASS_BITS;
        let half_lives = libm::log2(quality as f64 / 1000.0) + libm::log2(sum) + offset;
        #[expect(clippy::cast_possible_truncation, reason = "at most log2(f64::MAX) + t/H half-lives: 45 bits")]
        Some(libm::round(half_lives * HEAT_ONE) as i64)
    }

    /// The score at a moment: `2^(heat - t/H)`.
    #[must_use]
    pub fn score(&self, heat: Option<i64>, at: Millis) -> f64 {
        heat.map_or(0.0, |heat| libm::exp2(heat as f64 / HEAT_ONE - at.0 as f64 / self.half_life_ms as f64))
    }

    /// What a mass of an epoch counts in points at a moment, before quality.
    #[must_use]
    pub fn points(&self, epoch: i64, mass: i64, at: Millis) -> f64 {
        let half_lives = (EPOCH_HALF_LIVES * epoch) as f64 - at.0 as f64 / self.half_life_ms as f64;
        mass as f64 * libm::exp2(half_lives - MASS_BITS)
    }

    /// The first millisecond at which a heat is below a score.
    ///
    /// Moments are compared, never scores: within 1.6e-4 of a crossing the score can still be above it, and a timer
    /// that compares scores would set itself for now, for ever.
    #[must_use]
    pub fn crossing(&self, heat: i64, threshold: f64) -> Millis {
        let at = self.half_life_ms as f64 * (heat as f64 / HEAT_ONE - libm::log2(threshold));
        #[expect(clippy::cast_possible_truncation, reason = "a moment within some hundred years")]
        Millis(libm::floor(at) as i64 + 1)
    }
}

impl Hotness {
    /// The level at a moment.
    #[must_use]
    pub fn level(&self, heat: Option<i64>, published_at: Millis, at: Millis) -> Level {
        let steps = [
            (self.thresholds.blazing, Level::Blazing),
            (self.thresholds.hot, Level::Hot),
            (self.thresholds.warm, Level::Warm),
        ];
        let reached = |heat| steps.iter().find(|(threshold, _)| at < self.heat.crossing(heat, *threshold));
        match heat.and_then(reached) {
            Some((_, level)) => *level,
            None if at < published_at.plus(NEW_FOR) => Level::New,
            None => Level::Cold,
        }
    }

    /// When the level changes next, if nobody interacts.
    #[must_use]
    pub fn next_change(&self, heat: Option<i64>, published_at: Millis, at: Millis) -> Option<Millis> {
        let threshold = match self.level(heat, published_at, at) {
            Level::Cold => return None,
            Level::New => return Some(published_at.plus(NEW_FOR)),
            Level::Warm => self.thresholds.warm,
            Level::Hot => self.thresholds.hot,
            Level::Blazing => self.thresholds.blazing,
        };
        heat.map(|heat| self.heat.crossing(heat, threshold))
    }

    /// The heats of a level at a moment, for SQL: from the first, below the second. Exactly those for which
    /// [`Hotness::level`] says the same, `NEW` and `COLD` taken together.
    #[must_use]
    pub fn heat_range(&self, level: Level, at: Millis) -> (Option<i64>, Option<i64>) {
        let least = |threshold| Some(self.least_heat(threshold, at));
        let Thresholds { warm, hot, blazing } = self.thresholds;
        match level {
            Level::New | Level::Cold => (None, least(warm)),
            Level::Warm => (least(warm), least(hot)),
            Level::Hot => (least(hot), least(blazing)),
            Level::Blazing => (least(blazing), None),
        }
    }

    /// The least heat that is still at a threshold at a moment: near the inverse of `crossing`, then exactly.
    fn least_heat(&self, threshold: f64, at: Millis) -> i64 {
        let half_lives = at.0 as f64 / self.heat.half_life_ms as f64 + libm::log2(threshold);
        #[expect(clippy::cast_possible_truncation, reason = "45 bits, as in `heat`")]
        let near = libm::round(half_lives * HEAT_ONE) as i64;
        let reaches = |heat: &i64| at < self.heat.crossing(*heat, threshold);
        // `crossing` works in whole milliseconds: some thousand heats share one.
        let (mut below, mut above) = (near - (1 << 24), near + (1 << 24));
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            if reaches(&middle) {
                above = middle;
            } else {
                below = middle;
            }
        }
        above
    }
}

/// The quality of an artwork in thousandths: `min(megapixels, 2)` when the size is known, times 1.2 with a prompt,
/// times 1.1 with a model, never below 0.5. A video's is 1.
#[must_use]
pub fn artwork_quality(size: Option<(i64, i64)>, has_prompt: bool, has_model: bool) -> i64 {
    let megapixels = size.map_or(1.0, |(width, height)| (width as f64 * height as f64 / 1e6).min(2.0));
    let quality = megapixels * if has_prompt { 1.2 } else { 1.0 } * if has_model { 1.1 } else { 1.0 };
    #[expect(clippy::cast_possible_truncation, reason = "between 500 and 2640")]
    let thousandths = libm::round(quality.max(0.5) * 1000.0) as i64;
    thousandths
}
