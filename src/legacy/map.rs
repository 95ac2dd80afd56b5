//! The mapping file: other names for tables and columns, and what the values mean. See `docs/import.md`.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::FixedOffset;
use serde::Deserialize;

use super::spec::{TABLES, Table};
use crate::kernel::error::{Error, Result};
use crate::modules::points::ledger::Kind;

/// A mapping. Everything may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Mapping {
    utc_offset: Option<String>,
    artwork_prefix: Option<String>,
    video_prefix: Option<String>,
    student_prefix: Option<String>,
    teacher_prefix: Option<String>,
    unsigned_points: bool,
    behavior_types: BTreeMap<String, Vec<toml::Value>>,
    transaction_types: BTreeMap<String, Vec<toml::Value>>,
    leave_out: Vec<String>,
    #[serde(flatten)]
    tables: BTreeMap<String, BTreeMap<String, String>>,
}

/// What a behavior is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BehaviorType {
    /// A like.
    Like,
    /// A favorite.
    Favorite,
    /// A view.
    View,
    /// A comment.
    Comment,
    /// A share.
    Share,
}

const TYPES: [(&str, BehaviorType, &[&str]); 5] = [
    ("like", BehaviorType::Like, &["like", "liked", "digg", "thumbs_up"]),
    ("favorite", BehaviorType::Favorite, &["favorite", "favourite", "favorited", "collect", "collection"]),
    ("view", BehaviorType::View, &["view", "viewed", "play", "watch", "click"]),
    ("comment", BehaviorType::Comment, &["comment", "commented"]),
    ("share", BehaviorType::Share, &["share", "shared", "forward"]),
];

/// What a transaction of points does, and its words: the names are tally's own kinds, whatever their case.
const TRANSACTIONS: [(&str, Kind, &[&str]); 4] = [
    ("add_points", Kind::AddPoints, &["add_points", "add", "award", "earn", "reward", "bonus", "grant", "increase"]),
    ("deduct_points", Kind::DeductPoints, &["deduct_points", "deduct", "penalty", "subtract", "decrease"]),
    ("redeem", Kind::Redeem, &["redeem", "redemption", "redeemed", "spend", "exchange", "purchase"]),
    ("adjustment", Kind::Adjustment, &["adjustment", "adjust", "correction", "refund", "reversal", "revert"]),
];

/// The name whose values in the file hold `value`; of names that the file does not have, by their usual words.
fn meaning<T: Copy>(
    value: &str,
    named: &BTreeMap<String, Vec<toml::Value>>,
    all: &[(&'static str, T, &'static [&'static str])],
) -> Option<T> {
    let value = value.trim();
    let text = |held: &toml::Value| match held {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let says = |name: &str| named.get(name).is_some_and(|values| values.iter().any(|held| text(held) == value));
    let word = value.to_lowercase();
    let usual = || all.iter().find(|(name, _, words)| !named.contains_key(*name) && words.contains(&&*word));
    all.iter().find(|(name, ..)| says(name)).or_else(usual).map(|(_, meant, _)| *meant)
}

/// Refuses names that mean nothing.
fn known<T>(
    field: &str,
    named: &BTreeMap<String, Vec<toml::Value>>,
    all: &[(&'static str, T, &'static [&'static str])],
) -> Result<()> {
    match named.keys().find(|kind| !all.iter().any(|(name, ..)| name == kind)) {
        Some(kind) => {
            let all: Vec<_> = all.iter().map(|(name, ..)| *name).collect();
            Err(Error::invalid(format!("{field}.{kind} is no type; there are {}", all.join(", "))))
        }
        None => Ok(()),
    }
}

impl Mapping {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// A file that cannot be read, or says something that means nothing: it names what.
    pub fn read(path: &Path) -> Result<Self> {
        let refuse = |cause: String| Error::invalid(format!("the mapping {}: {cause}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        Self::parse(&text).map_err(|error| refuse(error.client().to_owned()))
    }

    /// The same, of a text.
    ///
    /// # Errors
    /// As [`Mapping::read`].
    pub fn parse(text: &str) -> Result<Self> {
        let mapping: Self =
            toml::from_str(text).map_err(|error| Error::invalid(error.to_string().trim().to_owned()))?;
        for (table, names) in &mapping.tables {
            let Some(spec) = TABLES.iter().find(|spec| spec.name == table) else {
                let all: Vec<_> = TABLES.iter().map(|spec| spec.name).collect();
                return Err(Error::invalid(format!(
                    "[{table}] is no table of the mapping; there are {}",
                    all.join(", ")
                )));
            };
            for (column, name) in names {
                if column != "table" && !spec.columns.iter().any(|spec| spec.name == column) {
                    let all: Vec<_> = spec.columns.iter().map(|spec| spec.name).collect();
                    let all = all.join(", ");
                    return Err(Error::invalid(format!("{table}.{column} is no column; there are table, {all}")));
                }
                if name.is_empty() || name.contains('\0') {
                    return Err(Error::invalid(format!("{table}.{column} is not a name")));
                }
            }
        }
        known("behavior_types", &mapping.behavior_types, &TYPES)?;
        known("transaction_types", &mapping.transaction_types, &TRANSACTIONS)?;
        if let Some(table) = mapping.leave_out.iter().find(|table| !TABLES.iter().any(|spec| spec.name == **table)) {
            return Err(Error::invalid(format!("leave_out names {table}, which is no table of the mapping")));
        }
        mapping.offset()?;
        Ok(mapping)
    }

    /// The name of a table.
    #[must_use]
    pub fn table(&self, table: &'static str) -> String {
        self.tables.get(table).and_then(|names| names.get("table")).cloned().unwrap_or_else(|| table.to_owned())
    }

    /// Whether a table is to be taken for one that is not there.
    #[must_use]
    pub fn leaves_out(&self, table: &str) -> bool {
        self.leave_out.iter().any(|held| held == table)
    }

    /// The name that is given for a column.
    #[must_use]
    pub fn column(&self, table: &str, column: &str) -> Option<&str> {
        self.tables.get(table)?.get(column).map(String::as_str)
    }

    /// The offset of times that name none. UTC unless said otherwise.
    ///
    /// # Errors
    /// A text that is no offset.
    pub fn offset(&self) -> Result<FixedOffset> {
        let text = self.utc_offset.as_deref().unwrap_or("+00:00");
        text.parse().map_err(|_| Error::invalid(format!("utc_offset = \"{text}\" is not of the form +08:00")))
    }

    /// What stands before an artwork's id in its `externalId`.
    #[must_use]
    pub fn artwork_prefix(&self) -> &str {
        self.artwork_prefix.as_deref().unwrap_or_default()
    }

    /// What stands before a video's id. Where there are artworks as well, both count from 1 as a rule.
    #[must_use]
    pub fn video_prefix(&self, beside_artworks: bool) -> &str {
        self.video_prefix.as_deref().unwrap_or(if beside_artworks { "video:" } else { "" })
    }

    /// What stands before a student's id, where students are not among the users.
    #[must_use]
    pub fn student_prefix(&self) -> &str {
        self.student_prefix.as_deref().unwrap_or_default()
    }

    /// What stands before a teacher's id, where teachers are not among the users.
    #[must_use]
    pub fn teacher_prefix(&self) -> &str {
        self.teacher_prefix.as_deref().unwrap_or_default()
    }

    /// Whether the sign of `points_change` is that of its type.
    #[must_use]
    pub fn has_unsigned_points(&self) -> bool {
        self.unsigned_points
    }

    /// Takes these tables for absent, too.
    #[must_use]
    pub fn without(mut self, tables: &[Table]) -> Self {
        self.leave_out.extend(tables.iter().map(|table| table.name.to_owned()));
        self
    }

    /// What a value of `behavior_type` means. What the file names is what counts; of the others, English words.
    #[must_use]
    pub fn behavior(&self, value: &str) -> Option<BehaviorType> {
        meaning(value, &self.behavior_types, &TYPES)
    }

    /// What a value of `transaction_type` means, likewise.
    #[must_use]
    pub fn transaction(&self, value: &str) -> Option<Kind> {
        meaning(value, &self.transaction_types, &TRANSACTIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_and_nonsense_refused() {
        let text = "utc_offset = \"+08:00\"\nvideo_prefix = \"v\"\n[artworks]\ntable = \"t_art\"\nlike_count = \"n\"\n\
                    [behavior_types]\nlike = [1, \"zan\"]\n";
        let mapping = Mapping::parse(text).unwrap();
        assert_eq!((&*mapping.table("artworks"), mapping.column("artworks", "like_count")), ("t_art", Some("n")));
        assert_eq!(mapping.offset().unwrap().local_minus_utc(), 8 * 3600);
        assert_eq!(mapping.behavior("1"), Some(BehaviorType::Like));
        assert_eq!(mapping.behavior("zan"), Some(BehaviorType::Like));
        assert_eq!(mapping.behavior("like"), None, "the file says which are likes");
        assert_eq!(mapping.behavior("VIEW"), Some(BehaviorType::View));
        assert_eq!(mapping.transaction(" Award "), Some(Kind::AddPoints));
        let own = Mapping::parse("[transaction_types]\nredeem = [3]\n").unwrap();
        assert_eq!((own.transaction("3"), own.transaction("redeem")), (Some(Kind::Redeem), None));
        for wrong in [
            "[transaction_types]\nx = []",
            "[nothing]\nid = \"x\"",
            "[artworks]\nlikes = \"x\"",
            "utc_offset = \"noon\"",
            "[behavior_types]\nx = []",
            "leave_out = [\"x\"]",
        ] {
            assert!(Mapping::parse(wrong).is_err(), "{wrong}");
        }
    }
}
