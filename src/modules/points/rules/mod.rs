//! Rules: what people do to somebody's contents gives that somebody points, and takes them away when it is taken back.
//! Off unless `points.rules` names some.
//!
//! The consumer `point-rules` hears of it from engagement, in the transaction in which its event goes. What it knows of
//! an act is a register: up to which event, and which award stands for it. The newest event decides, in whichever order
//! they come (`docs/points-ledger.md`, `docs/adr/0017-rules-of-points.md`).

mod check;
mod consumer;
mod heard;
mod register;
mod seal;
mod versions;

use std::collections::BTreeMap;

use async_graphql::Enum;
use uuid::Uuid;

pub(super) use check::PointRules;
pub(super) use consumer::{CONSUMES, NAME, RulesConsumer, takes};
pub(super) use heard::Subject;
pub(super) use register::{Award, Day, Known};
pub(super) use seal::seal;
pub(super) use versions::{Wording, begin};

use super::ledger::TransactionRecord;
use crate::kernel::clock::Millis;
use crate::kernel::config::Settings;
use crate::kernel::days::Days;
use crate::kernel::error::{Error, Result};

/// The key of the rules.
pub(super) const RULES: &str = "points.rules";
/// The key of the kinds of content that they are about.
pub(super) const RULE_CONTENTS: &str = "points.rule_contents";
/// Points of one award at most.
const POINTS_MOST: i64 = 1_000_000;
/// Awards of one rule, account and day at most: so many rows are added up before the next one.
const AWARDS_MOST: i64 = 10_000;
/// Begins the key of what takes an award back.
const BACK: &str = "back:";

/// Who made what no person made: the id of nobody.
pub(super) const SYSTEM: Uuid = Uuid::nil();

/// What somebody else does to a content, for which its author gets points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enum)]
#[graphql(name = "PointRule")]
pub enum Act {
    /// Somebody likes it: the points go when the like is taken back.
    Like,
    /// Somebody has it as a favorite, for as long as that is so.
    Favorite,
    /// Somebody commented on it, for as long as the comment is there.
    Comment,
    /// Somebody shared it: once a content and user.
    Share,
}

impl Act {
    pub(super) const ALL: [Self; 4] = [Self::Like, Self::Favorite, Self::Comment, Self::Share];

    /// As the database has it; never changes.
    pub(super) fn number(self) -> i16 {
        match self {
            Self::Like => 0,
            Self::Favorite => 1,
            Self::Comment => 2,
            Self::Share => 3,
        }
    }

    pub(super) fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.number() == number)
    }

    /// As settings and idempotency keys have it; never changes.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Like => "like",
            Self::Favorite => "favorite",
            Self::Comment => "comment",
            Self::Share => "share",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.word() == word)
    }

    /// Why an award was given.
    fn reason(self) -> &'static str {
        match self {
            Self::Like => "a like",
            Self::Favorite => "a favorite",
            Self::Comment => "a comment",
            Self::Share => "a share",
        }
    }

    /// Why it was taken back.
    fn reason_back(self) -> &'static str {
        match self {
            Self::Like => "a like was taken back",
            Self::Favorite => "a favorite was taken back",
            Self::Comment => "a comment was deleted",
            Self::Share => "a share was taken back",
        }
    }
}

/// What an act gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    /// Points of one award.
    points: i64,
    /// Points of a day at most.
    day_most: i64,
}

/// The rules of a time.
#[derive(Clone)]
pub(super) struct Rules {
    by_act: BTreeMap<Act, Rule>,
    /// The numbers of the kinds of content.
    contents: Vec<u8>,
    days: Days,
}

impl Rules {
    /// Those of the settings.
    ///
    /// # Errors
    /// For settings that are not of their forms.
    pub(super) fn of(settings: &Settings) -> Result<Self> {
        let by_act = parse(settings.text(RULES)).map_err(|wrong| Error::invalid(format!("{RULES}: {wrong}")))?;
        let contents = settings.list(RULE_CONTENTS).filter_map(content_number).collect();
        Ok(Self { by_act, contents, days: Days::of(settings)? })
    }

    /// Those that a server wrote down.
    ///
    /// # Errors
    /// For texts that are not of their forms.
    fn worded(wording: &Wording) -> Result<Self> {
        let by_act = parse(&wording.rules).map_err(|wrong| Error::internal(format!("{RULES}, as kept: {wrong}")))?;
        let contents = wording.contents.split(',').filter_map(content_number).collect();
        Ok(Self { by_act, contents, days: Days::of_zone(&wording.time_zone)? })
    }

    /// The rule for an act on a kind of content.
    fn of_act(&self, act: Act, content: u8) -> Option<Rule> {
        self.by_act.get(&act).copied().filter(|_| self.contents.contains(&content))
    }
}

/// Whether there is a rule for an act.
fn has_rule(settings: &Settings, act: Act) -> bool {
    parse(settings.text(RULES)).is_ok_and(|rules| rules.contains_key(&act))
}

/// Takes what `points.rules` may be.
///
/// # Errors
/// What is wrong with it.
pub(super) fn rules_form(text: &str) -> std::result::Result<(), String> {
    parse(text).map(drop)
}

/// Takes the kinds of content, as engagement's events number them.
///
/// # Errors
/// What an entry must be.
pub(super) fn contents_form(word: &str) -> std::result::Result<(), &'static str> {
    content_number(word).map(drop).ok_or("ARTWORK or VIDEO")
}

fn content_number(word: &str) -> Option<u8> {
    match word {
        "ARTWORK" => Some(0),
        "VIDEO" => Some(1),
        _ => None,
    }
}

/// `like:1:50,comment:2:20`: 1 point a like, at most 50 a day.
fn parse(text: &str) -> std::result::Result<BTreeMap<Act, Rule>, String> {
    let mut rules = BTreeMap::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let [act, points, day_most] = entry.split(':').collect::<Vec<_>>()[..] else {
            return Err(format!("«{entry}» must be an act, its points and the points of a day at most: like:1:50"));
        };
        let act =
            Act::from_word(act).ok_or_else(|| format!("«{entry}» must begin with like, favorite, comment or share"))?;
        let points = number(points).filter(|points| (1..=POINTS_MOST).contains(points));
        let points = points.ok_or_else(|| format!("«{entry}» must give 1 to {POINTS_MOST} points"))?;
        let most = points * AWARDS_MOST;
        let day_most = number(day_most).filter(|day_most| (points..=most).contains(day_most));
        let day_most =
            day_most.ok_or_else(|| format!("«{entry}» must give {points} to {most} points a day at most"))?;
        if rules.insert(act, Rule { points, day_most }).is_some() {
            return Err(format!("there are two rules for {}", act.word()));
        }
    }
    Ok(rules)
}

/// A number in digits alone.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The idempotency key of an award: `like:{content}:{user}:{acted_at}`, of a comment its id in the user's place.
fn award_key(act: Act, content: Uuid, subject: Uuid, at: Millis) -> String {
    format!("{}:{content}:{subject}:{}", act.word(), at.0)
}

/// That of what takes it back.
fn back_key(award: &str) -> String {
    format!("{BACK}{award}")
}

/// Which act a key of the two forms is of.
fn act_of_key(key: &str) -> Option<Act> {
    let mut parts = key.strip_prefix(BACK).unwrap_or(key).split(':');
    let act = Act::from_word(parts.next()?)?;
    let ids = [parts.next()?, parts.next()?];
    let at = parts.next()?;
    let whole = parts.next().is_none() && ids.iter().all(|id| Uuid::parse_str(id).is_ok()) && at.parse::<i64>().is_ok();
    whole.then_some(act)
}

/// Whether nobody but the rules may use a key: whoever did could keep an award from being given.
pub(super) fn is_reserved(key: &str) -> bool {
    act_of_key(key).is_some()
}

/// The rule that made a transaction.
pub(super) fn rule_of(made: &TransactionRecord) -> Option<Act> {
    act_of_key(&made.idempotency_key).filter(|_| made.actor_id == SYSTEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_or_refused_with_what_is_wrong() {
        let rules = parse(" like:1:50, comment:2:20,").unwrap();
        assert_eq!(rules.get(&Act::Like), Some(&Rule { points: 1, day_most: 50 }));
        assert_eq!(rules.get(&Act::Comment), Some(&Rule { points: 2, day_most: 20 }));
        assert_eq!(rules.len(), 2);
        assert!(parse("").unwrap().is_empty());
        assert!(parse("like:1000000:10000000000,share:1:10000").is_ok());
        for (wrong, word) in [
            ("like", "like:1:50"),
            ("like:1", "like:1:50"),
            ("like:1:50:1", "like:1:50"),
            ("liked:1:50", "must begin with"),
            ("Like:1:50", "must begin with"),
            ("like:0:50", "1 to 1000000 points"),
            ("like:-1:50", "1 to 1000000 points"),
            ("like:+1:50", "1 to 1000000 points"),
            ("like:1000001:2000000", "1 to 1000000 points"),
            ("like:99999999999999999999:1", "1 to 1000000 points"),
            ("like:1:0", "1 to 10000 points a day"),
            ("like:5:4", "5 to 50000 points a day"),
            ("like:1:10001", "1 to 10000 points a day"),
            ("like:1:x", "1 to 10000 points a day"),
            ("like::", "1 to 1000000 points"),
            ("like:1:50,like:2:50", "two rules for like"),
        ] {
            let said = parse(wrong).unwrap_err();
            assert!(said.contains(word), "{wrong}: {said}");
        }
    }

    #[test]
    fn keys_of_rules_are_told_from_others() {
        let (content, user) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for act in Act::ALL {
            let key = award_key(act, content, user, Millis(1_767_225_600_000));
            assert_eq!(act_of_key(&key), Some(act));
            assert_eq!(act_of_key(&back_key(&key)), Some(act));
            assert_eq!(Act::from_number(act.number()), Some(act));
        }
        for other in ["like", "like:1:2:3", "homework", "", "back:", "likes:a:b:1", "like:x:y:1"] {
            assert!(!is_reserved(other), "{other}");
        }
        assert!(!is_reserved(&format!("like:{content}:{user}")));
        assert!(!is_reserved(&format!("like:{content}:{user}:1:2")));
    }
}
