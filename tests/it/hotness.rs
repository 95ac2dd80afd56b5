//! The mathematics: order, undo and levels, for any numbers.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tally::kernel::clock::Millis;
use tally::modules::engagement::hotness::{HeatSettings, Hotness, Level, NEW_FOR, Thresholds};

const SETTINGS: HeatSettings = HeatSettings {
    version: 1,
    half_life_ms: 72 * Millis::HOUR,
    like_weight: 2_000,
    favorite_weight: 5_000,
    comment_weight: 3_000,
    share_weight: 8_000,
    view_weight: 100,
    publish_weight: 10_000,
};
const HOTNESS: Hotness = Hotness { heat: SETTINGS, thresholds: Thresholds { warm: 20.0, hot: 50.0, blazing: 100.0 } };

type Facts = Vec<(i64, i64)>;

/// Weights in thousandths and moments, over about a year, before 1970 too.
fn facts() -> impl Strategy<Value = Facts> {
    let year = 365 * Millis::DAY;
    prop_oneof![
        prop::collection::vec((1_i64..10_000, -year..year), 1..60),
        prop::collection::vec((1_i64..10_000, 1_700_000_000_000..1_700_000_000_000 + year), 1..60),
    ]
}

fn masses(facts: &[(i64, i64)]) -> BTreeMap<i64, i64> {
    let mut masses = BTreeMap::new();
    for (weight, at) in facts {
        *masses.entry(SETTINGS.epoch(Millis(*at))).or_insert(0) += SETTINGS.contribution(*weight, Millis(*at)).unwrap();
    }
    masses
}

/// The definition: each fact halves once a half-life, from its own moment.
fn ideal(facts: &[(i64, i64)], at: i64) -> f64 {
    let half_life = SETTINGS.half_life_ms as f64;
    facts.iter().map(|(weight, since)| *weight as f64 / 1000.0 * ((since - at) as f64 / half_life).exp2()).sum()
}

/// How far from the definition integers may lead, in points: half of 2^-24 points for each fact, which fades since its
/// epoch began, and half of 2^-32 half-lives for their sum, with room for the rounding of the sums themselves.
fn error(facts: &[(i64, i64)], at: i64) -> f64 {
    let half_life = SETTINGS.half_life_ms as f64;
    let begins = |since: &i64| SETTINGS.epoch_start(SETTINGS.epoch(Millis(*since))).0;
    let masses: f64 = facts.iter().map(|(_, since)| ((begins(since) - at) as f64 / half_life - 25.0).exp2()).sum();
    masses + 1e-10 * ideal(facts, at)
}

#[test]
fn a_fact_of_next_to_nothing_counts_as_much_as_integers_hold() {
    let epoch = SETTINGS.epoch_start(700).0;
    for weight in 1..100 {
        for into in (0..24).map(|day| day * Millis::DAY) {
            let (facts, at) = ([(weight, epoch + into)], epoch + into);
            let score = SETTINGS.score(SETTINGS.heat(1000, &masses(&facts)), Millis(at));
            let ideal = ideal(&facts, at);
            assert!((score - ideal).abs() <= error(&facts, at), "{score} instead of {ideal}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_score_is_the_sum_of_what_has_faded(facts in facts(), later in 0..20 * Millis::DAY) {
        let newest = facts.iter().map(|(_, at)| *at).max().unwrap();
        let heat = SETTINGS.heat(1000, &masses(&facts));
        let at = newest + later;
        let (score, ideal) = (SETTINGS.score(heat, Millis(at)), ideal(&facts, at));
        prop_assert!((score - ideal).abs() <= error(&facts, at), "{score} instead of {ideal}");
    }

    #[test]
    fn undoing_leaves_nothing_behind_in_any_order(kept in facts(), undone in facts(), seed: usize) {
        let mut all: Vec<(i64, i64, i64)> = kept.iter().map(|(weight, at)| (*weight, *at, 1)).collect();
        all.extend(undone.iter().flat_map(|(weight, at)| [(*weight, *at, 1), (*weight, *at, -1)]));
        let len = all.len();
        for at in 0..len {
            all.swap(at, seed.wrapping_mul(at + 1) % len);
        }
        let mut sums = BTreeMap::new();
        for (weight, at, sign) in all {
            *sums.entry(SETTINGS.epoch(Millis(at))).or_insert(0) += sign * SETTINGS.contribution(weight, Millis(at)).unwrap();
        }
        prop_assert_eq!(SETTINGS.heat(1000, &sums), SETTINGS.heat(1000, &masses(&kept)));
        let none: BTreeMap<i64, i64> = sums.keys().map(|epoch| (*epoch, 0)).collect();
        prop_assert_eq!(SETTINGS.heat(1000, &none), None);
    }

    #[test]
    fn order_by_heat_is_order_by_score_at_any_later_time(a in facts(), b in facts(), later in 0..60 * Millis::DAY) {
        let (heat_a, heat_b) = (SETTINGS.heat(1000, &masses(&a)).unwrap(), SETTINGS.heat(1000, &masses(&b)).unwrap());
        let newest = a.iter().chain(&b).map(|(_, at)| *at).max().unwrap();
        let at = newest + later;
        let (score_a, score_b) = (ideal(&a, at), ideal(&b, at));
        // Scores that differ by less than the integers can hold may go either way.
        if (score_a - score_b).abs() > error(&a, at) + error(&b, at) {
            prop_assert_eq!(heat_a > heat_b, score_a > score_b);
        }
        let (shown_a, shown_b) = (SETTINGS.score(Some(heat_a), Millis(at)), SETTINGS.score(Some(heat_b), Millis(at)));
        let agrees = if heat_a >= heat_b { shown_a >= shown_b } else { shown_a <= shown_b };
        prop_assert!(agrees, "{} and {}", shown_a, shown_b);
    }

    #[test]
    fn lists_by_level_hold_exactly_what_has_that_level(facts in facts(), after in 0..30 * Millis::DAY) {
        let newest = facts.iter().map(|(_, at)| *at).max().unwrap();
        let at = Millis(newest + after);
        let heat = SETTINGS.heat(1000, &masses(&facts)).unwrap();
        // Around each boundary too, to the last unit.
        let mut heats = vec![heat];
        for level in [Level::Warm, Level::Hot, Level::Blazing] {
            let boundary = HOTNESS.heat_range(level, at).0.unwrap();
            heats.extend([boundary - 1, boundary, boundary + 1]);
        }
        for heat in heats {
            let level = HOTNESS.level(Some(heat), Millis(newest - 2 * NEW_FOR), at);
            let holds = |level| {
                let (from, below) = HOTNESS.heat_range(level, at);
                from.is_none_or(|from| heat >= from) && below.is_none_or(|below| heat < below)
            };
            for other in [Level::Cold, Level::Warm, Level::Hot, Level::Blazing] {
                prop_assert_eq!(holds(other), other == level, "heat {} at {:?} is {:?}", heat, at, level);
            }
        }
    }

    #[test]
    fn a_level_lasts_until_its_next_change_and_not_longer(facts in facts(), after in 0..30 * Millis::DAY) {
        let newest = facts.iter().map(|(_, at)| *at).max().unwrap();
        let (published_at, at) = (Millis(newest), Millis(newest + after));
        let heat = SETTINGS.heat(1000, &masses(&facts));
        let level = HOTNESS.level(heat, published_at, at);
        match HOTNESS.next_change(heat, published_at, at) {
            Some(next) => {
                prop_assert!(next > at);
                prop_assert_eq!(HOTNESS.level(heat, published_at, next.plus(-1)), level);
                prop_assert_ne!(HOTNESS.level(heat, published_at, next), level);
            }
            None => prop_assert_eq!(level, Level::Cold),
        }
    }
}

#[test]
fn a_mass_that_does_not_fit_is_none() {
    let end_of_epoch = Millis(8 * SETTINGS.half_life_ms - 1);
    assert_eq!(SETTINGS.contribution(i64::MAX / 2, end_of_epoch), None);
    assert_eq!(SETTINGS.contribution(1000, Millis(0)), Some(1 << 24));
    assert_eq!(SETTINGS.contribution(1000, Millis(-1)), SETTINGS.contribution(1000, end_of_epoch));
    assert_eq!(SETTINGS.epoch(Millis(-1)), -1);
}
