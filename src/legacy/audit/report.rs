//! What an audit found.

use serde::Serialize;

use crate::kernel::clock::Millis;
use crate::kernel::error::Error;

/// The report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `OK`, `DRIFT`, or `INCOMPLETE`: what is there was found, and there may be more.
    pub state: &'static str,
    /// Why it is incomplete.
    pub failure: Option<String>,
    /// What was audited, without user and password.
    pub source: String,
    /// When, RFC 3339.
    pub audited_at: String,
    /// Which part of all that was looked at holds: 1 when everything tallies.
    pub consistency_rate: f64,
    /// The tables that are there.
    pub tables: Vec<TableReport>,
    /// Tables and columns that are not there, and were left out.
    pub absent: Vec<String>,
    /// Each thing that was looked at, with what is wrong.
    pub findings: Vec<Finding>,
    /// How far balances of points are from what changed them, where there are both.
    pub points: Option<Points>,
}

/// Balances of points against what changed them. Sizes are texts: a JSON number is not exact for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Points {
    /// Students with an account whose balance is a number.
    pub students: u64,
    /// How many of them have another balance than their transactions add up to.
    pub drifting: u64,
    /// By how much the balances that are too high are, together.
    #[serde(serialize_with = "as_text")]
    pub too_many: u128,
    /// By how much the others are too low, together.
    #[serde(serialize_with = "as_text")]
    pub too_few: u128,
    /// The largest of these differences.
    #[serde(serialize_with = "as_text")]
    pub most: u128,
    /// Whose that is.
    pub most_of: Option<String>,
}

fn as_text<S: serde::Serializer>(size: &u128, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(size)
}

impl Points {
    /// Adds a student whose balance is not what it should be; above 0 where it is too high.
    pub(super) fn add(&mut self, id: &str, difference: i128) {
        let size = difference.unsigned_abs();
        self.drifting += 1;
        if difference > 0 {
            self.too_many += size;
        } else {
            self.too_few += size;
        }
        if size > self.most {
            (self.most, self.most_of) = (size, Some(id.to_owned()));
        }
    }
}

/// A table that is there.
#[derive(Clone, Debug, Serialize)]
pub struct TableReport {
    /// How tally calls it.
    pub table: &'static str,
    /// How its database calls it.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
}

/// Something that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What: `like-count`, `duplicate`.
    pub name: &'static str,
    /// In which table.
    pub table: &'static str,
    /// How many rows or values were looked at.
    pub checked: u64,
    /// How many are wrong.
    pub found: u64,
    /// The first of them.
    pub examples: Vec<Example>,
}

/// One that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Which row: `artwork_id 7, user_id u1`.
    pub id: String,
    /// What is stored.
    pub stored: String,
    /// What it would have to be.
    pub actual: String,
}

impl Report {
    pub(super) fn new(source: String, now: Millis, absent: Vec<String>) -> Self {
        let (tables, findings) = (Vec::new(), Vec::new());
        let (state, failure, audited_at) = ("OK", None, now.to_text());
        Self { state, failure, source, audited_at, consistency_rate: 1.0, tables, absent, findings, points: None }
    }

    /// Takes a finding out again, to add to it.
    pub(super) fn take(&mut self, name: &str, table: &str) -> Option<Finding> {
        let at = self.findings.iter().position(|held| (held.name, held.table) == (name, table))?;
        Some(self.findings.remove(at))
    }

    /// Adds up.
    pub(super) fn close(&mut self) {
        let checked: u64 = self.findings.iter().map(|finding| finding.checked).sum();
        let found: u64 = self.findings.iter().map(|finding| finding.found).sum();
        if found > 0 {
            self.state = "DRIFT";
            self.consistency_rate = 1.0 - found as f64 / checked.max(found) as f64;
        }
    }

    /// Says that the reading ended before its end.
    pub fn cut_off(&mut self, error: &Error) {
        self.state = "INCOMPLETE";
        self.failure = Some(error.client().to_owned());
    }

    /// Whether everything tallies that was looked at.
    #[must_use]
    pub fn tallies(&self) -> bool {
        self.findings.iter().all(|finding| finding.found == 0)
    }
}

impl Finding {
    pub(super) fn new(name: &'static str, table: &'static str, checked: u64) -> Self {
        Self { name, table, checked, found: 0, examples: Vec::new() }
    }

    /// Notes `count` that are wrong, with an example if there is room.
    pub(super) fn note(&mut self, count: u64, most: usize, example: impl FnOnce() -> Example) {
        self.found += count;
        if self.examples.len() < most {
            self.examples.push(example());
        }
    }
}

impl Example {
    pub(super) fn new(id: impl Into<String>, stored: impl Into<String>, actual: impl Into<String>) -> Self {
        Self { id: id.into(), stored: stored.into(), actual: actual.into() }
    }
}
