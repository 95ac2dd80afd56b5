//! The module's settings.

use super::rules::{RULE_CONTENTS, RULES, contents_form, rules_form};
use crate::kernel::config::{Form, Setting};

/// The module's settings.
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "points.live_interval_ms",
        Some("100"),
        Form::Count(10, 60_000),
        "listeners hear of an account at most this often",
    ),
    Setting::new(
        "points.ranking_reread_secs",
        Some("300"),
        Form::Count(1, 86_400),
        "how often each server reads the leaderboard anew, for what other processes wrote and could not tell",
    ),
    Setting::new(
        RULES,
        Some(""),
        Form::Checked(rules_form),
        "what an author gets for what others do, with commas between: `like:1:50` gives 1 point a like, at most 50 a day \
         of `days.time_zone`; so `favorite`, `comment`, `share`. What a rule gave is taken back with its act, also when \
         there is no such rule any more",
    ),
    Setting::new(
        RULE_CONTENTS,
        Some("ARTWORK,VIDEO"),
        Form::List(contents_form),
        "the kinds of content whose authors get points by rules",
    ),
];
