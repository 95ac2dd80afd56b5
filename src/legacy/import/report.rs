//! What an import did.

use serde::Serialize;

use crate::kernel::error::Error;

/// The report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was read, without user and password.
    pub source: String,
    /// Why it ended before its end, if it did: what is listed came over, and there is more.
    pub failure: Option<String>,
    /// Whether it only went as far as a throwaway database.
    pub dry_run: bool,
    /// Tables and columns that are not there, and were left out.
    pub absent: Vec<String>,
    /// What became of each table.
    pub tables: Vec<Table>,
    /// Rows that were left behind, by reason.
    pub dropped: Vec<Dropped>,
    /// Rows that came over otherwise than they were, by what became of them.
    pub altered: Vec<Dropped>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// What became of a table's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// How tally calls it.
    pub table: &'static str,
    /// Rows that were read.
    pub rows: u64,
    /// Users, contents, likes and favorites that are new; of views, comments and shares, how many more. Rows are `new`,
    /// `there`, `duplicates` or `dropped`: together as many as were read.
    pub new: u64,
    /// Those that were there.
    pub there: u64,
    /// Rows beyond the first of the same fact: of those the last time counts.
    pub duplicates: u64,
    /// Counts that opened, or say something else now.
    pub openings: u64,
    /// By how much they change what was there before: of a first import, what they add up to.
    pub opened: i64,
    /// Rows that were left behind.
    pub dropped: u64,
}

/// Rows that were left behind, or altered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Of which table.
    pub table: &'static str,
    /// Why.
    pub reason: String,
    /// How many.
    pub rows: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

impl Report {
    /// Says that the import ended before its end.
    pub fn cut_off(&mut self, error: &Error) {
        self.failure = Some(error.client().to_owned());
    }

    pub(super) fn table(&mut self, name: &'static str) -> &mut Table {
        let at = match self.tables.iter().position(|table| table.table == name) {
            Some(at) => at,
            None => {
                self.tables.push(Table { table: name, ..Table::default() });
                self.tables.len() - 1
            }
        };
        &mut self.tables[at]
    }

    /// Notes rows that stay behind; `most` examples of each reason.
    pub(super) fn drop(&mut self, table: &'static str, reason: &str, rows: u64, most: usize, example: String) {
        self.table(table).dropped += rows;
        note(&mut self.dropped, (table, reason), rows, most, example);
    }

    /// Notes a value of a row that comes along without it.
    pub(super) fn note_value(&mut self, table: &'static str, most: usize, example: String) {
        let reason = "the counter is not a count: the row came over without it";
        note(&mut self.dropped, (table, reason), 1, most, example);
    }

    /// Notes a row that comes over otherwise than it was.
    pub(super) fn alter(&mut self, table: &'static str, reason: &str, most: usize, example: String) {
        note(&mut self.altered, (table, reason), 1, most, example);
    }
}

fn note(list: &mut Vec<Dropped>, (table, reason): (&'static str, &str), rows: u64, most: usize, example: String) {
    let at = match list.iter().position(|held| held.table == table && held.reason == reason) {
        Some(at) => at,
        None => {
            let reason = reason.to_owned();
            list.push(Dropped { table, reason, rows: 0, examples: Vec::new() });
            list.len() - 1
        }
    };
    let held = &mut list[at];
    held.rows += rows;
    if held.examples.len() < most {
        held.examples.push(example);
    }
}
