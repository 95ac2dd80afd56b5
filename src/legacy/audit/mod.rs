//! `tally audit`: what does not tally in another system's tables. Reads in one snapshot, and row by row: its memory does
//! not grow with the tables.

mod artworks;
mod html;
mod points;
mod report;

use chrono::FixedOffset;
use futures_util::TryStreamExt as _;

pub(in crate::legacy) use artworks::whole;
pub use html::{page, percent, points_words, title};
pub use report::{Example, Finding, Points, Report, TableReport};

use super::map::Mapping;
use super::moment;
use super::spec::{ACCOUNTS, ARTWORKS, BEHAVIORS, FAVORITES, LIKES, TRANSACTIONS, Table, USERS, VIDEOS};
use super::store::{Found, Queries, Schema, Source};
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};

/// Hears which table is being read.
pub type Heard<'a> = &'a (dyn Fn(&str) + Sync);

/// How to audit.
pub struct Options<'a> {
    /// Other names, and what values mean.
    pub mapping: &'a Mapping,
    /// Examples of each finding.
    pub examples: usize,
    /// The present moment: what is later has not happened.
    pub now: Millis,
    /// Hears how it goes.
    pub heard: Heard<'a>,
}

/// Audits what is there of the tables. Returns what was found, and what ended the reading before its end, if anything did.
///
/// # Errors
/// None of the tables is there, no permission, the database's own, before anything was read.
pub async fn run(source: &mut Source, options: &Options<'_>) -> Result<(Report, Option<Error>)> {
    let schema = Schema::read(source, options.mapping).await?;
    let mut audit = Audit {
        report: Report::new(source.name().to_owned(), options.now, schema.absent.clone()),
        queries: Queries::new(source.dialect(), &schema),
        schema: &schema,
        offset: options.mapping.offset()?,
        options,
    };
    let mut failed = None;
    for found in &schema.tables {
        (options.heard)(&found.theirs);
        if let Err(error) = audit.table(source, found).await {
            failed = Some(error);
            break;
        }
    }
    audit.report.close();
    match failed {
        Some(error) if audit.report.tables.is_empty() => Err(error),
        failed => Ok((audit.report, failed)),
    }
}

struct Audit<'a> {
    report: Report,
    queries: Queries<'a>,
    schema: &'a Schema,
    offset: FixedOffset,
    options: &'a Options<'a>,
}

/// The columns that say which row it is; no two rows have the same, but of transactions.
fn keys(table: Table) -> &'static [&'static str] {
    match table.name {
        name if name == LIKES.name || name == FAVORITES.name => &["artwork_id", "user_id"],
        name if name == BEHAVIORS.name => &["user_id", "video_id", "behavior_type"],
        name if name == ACCOUNTS.name || name == TRANSACTIONS.name => &["student_id"],
        _ => &["id"],
    }
}

/// The columns that name a row of another table.
fn references(table: Table) -> &'static [(&'static str, Table)] {
    match table.name {
        name if name == LIKES.name || name == FAVORITES.name => &[("artwork_id", ARTWORKS), ("user_id", USERS)],
        name if name == BEHAVIORS.name => &[("video_id", VIDEOS), ("user_id", USERS)],
        name if name == ARTWORKS.name || name == VIDEOS.name => &[("author_id", USERS)],
        name if name == ACCOUNTS.name => &[("student_id", USERS)],
        name if name == TRANSACTIONS.name => &[("student_id", USERS), ("teacher_id", USERS)],
        _ => &[],
    }
}

/// The column that says when it happened.
fn moment_of(table: Table) -> Option<&'static str> {
    match table.name {
        name if name == LIKES.name || name == FAVORITES.name => Some("created_at"),
        name if name == BEHAVIORS.name => Some("behavior_time"),
        name if [ARTWORKS.name, VIDEOS.name, USERS.name].contains(&name) => Some("created_at"),
        _ => None,
    }
}

/// «artwork_id 7, user_id u1».
fn named(keys: &[&str], values: &[Option<String>]) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
    let named = keys.iter().zip(values).map(|(key, value)| format!("{key} {}", text(value)));
    named.collect::<Vec<_>>().join(", ")
}

fn count(value: Option<&Option<String>>) -> Result<u64> {
    let text = value.and_then(Option::as_deref).unwrap_or("0");
    text.parse().map_err(|_| Error::internal(format!("a count of --from came back as {text:?}")))
}

impl Audit<'_> {
    async fn table(&mut self, source: &mut Source, found: &Found) -> Result<()> {
        let (name, keys, most) = (found.spec.name, keys(found.spec), self.options.examples);
        let size: Vec<_> = source.rows(self.queries.size(found, keys)).try_collect().await?;
        let size = size.first().map_or(&[][..], |row| &row[..]);
        let (rows, nulls) = (count(size.first())?, count(size.get(1))?);
        self.report.tables.push(TableReport { table: name, name: found.theirs.clone(), rows });
        let mut null_key = Finding::new("null-key", name, rows);
        if nulls > 0 {
            null_key.found = nulls;
            let mut found = source.rows(self.queries.nulls(found, keys, most));
            while let Some(row) = found.try_next().await? {
                let stored = if row.iter().any(Option::is_none) { "NULL" } else { "blank" };
                null_key.examples.push(Example::new(named(keys, &row), stored, "a key"));
            }
        }
        self.report.findings.push(null_key);
        match found.spec == TRANSACTIONS {
            true => self.repeats(source, found, rows - nulls).await?,
            false => self.duplicates(source, found, ("duplicate", keys, keys), rows - nulls).await?,
        }
        for (column, of) in references(found.spec) {
            let is_looked_at = found.has(column) && !self.is_apart(column);
            if let (true, Some(of)) = (is_looked_at, self.schema.table(*of)) {
                self.orphans(source, found, (column, of), rows).await?;
            }
        }
        if let Some(column) = moment_of(found.spec).filter(|column| found.has(column)) {
            self.moments(source, found, column, rows).await?;
        }
        match found.spec {
            spec if spec == ARTWORKS => self.artworks(source, found, rows).await,
            // Both tables at once, when the second one's rows are counted.
            spec if spec == TRANSACTIONS || spec == ACCOUNTS && self.schema.table(TRANSACTIONS).is_none() => {
                self.points(source).await
            }
            _ => Ok(()),
        }
    }

    /// Whether the mapping says that whoever a column names is not among the users.
    fn is_apart(&self, column: &str) -> bool {
        let mapping = self.options.mapping;
        column == "student_id" && !mapping.student_prefix().is_empty()
            || column == "teacher_id" && !mapping.teacher_prefix().is_empty()
    }

    /// Transactions of points that say the same, and ids that more than one has.
    async fn repeats(&mut self, source: &mut Source, table: &Found, rows: u64) -> Result<()> {
        if table.has("created_at") {
            let told = ["student_id", "teacher_id", "points_change", "reason", "created_at"];
            let told: Vec<_> = told.into_iter().filter(|column| table.has(column)).collect();
            self.duplicates(source, table, ("duplicate", &told, &["student_id"]), rows).await?;
        }
        match table.has("id") {
            true => self.duplicates(source, table, ("repeated-id", &["id"], &["id"]), rows).await,
            false => Ok(()),
        }
    }

    /// Rows beyond the first of those that have the same `keys`, none of `held` being NULL.
    async fn duplicates(
        &mut self,
        source: &mut Source,
        table: &Found,
        (name, keys, held): (&'static str, &[&str], &[&str]),
        rows: u64,
    ) -> Result<()> {
        let mut finding = Finding::new(name, table.spec.name, rows);
        let mut found = source.rows(self.queries.duplicates(table, keys, held));
        let read = async {
            while let Some(row) = found.try_next().await? {
                let same = count(row.get(keys.len()))?;
                let example = || Example::new(named(keys, &row), format!("{same} rows"), "1 row");
                finding.note(same.saturating_sub(1), self.options.examples, example);
            }
            Ok(())
        };
        let read = read.await;
        self.report.findings.push(finding);
        read
    }

    async fn orphans(&mut self, source: &mut Source, table: &Found, to: (&str, &Found), rows: u64) -> Result<()> {
        let (column, of) = to;
        let name = match of.spec.name {
            name if name == USERS.name => "no-such-user",
            name if name == VIDEOS.name => "no-such-video",
            _ => "no-such-artwork",
        };
        let mut finding = Finding::new(name, table.spec.name, rows);
        let mut found = source.rows(self.queries.orphans(table, column, of));
        let read = async {
            while let Some(row) = found.try_next().await? {
                let rows = count(row.get(1))?;
                let words = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
                let example = || Example::new(named(&[column], &row), words, "0 rows");
                finding.note(rows, self.options.examples, example);
            }
            Ok(())
        };
        let read = read.await;
        self.report.findings.push(finding);
        read
    }

    /// Moments that are none, and those that have not come yet.
    async fn moments(&mut self, source: &mut Source, table: &Found, column: &str, rows: u64) -> Result<()> {
        let keys = keys(table.spec);
        let [mut bad, mut future] = ["bad-time", "future-time"].map(|name| Finding::new(name, table.spec.name, rows));
        let mut found = source.rows(self.queries.values(table, keys, column));
        let read = async {
            while let Some(row) = found.try_next().await? {
                let text = row.get(keys.len()).and_then(Option::as_deref);
                let (finding, actual) = match text.and_then(|text| moment::parse(text, self.offset)) {
                    Some(at) if at <= self.options.now => continue,
                    // Nothing follows from it.
                    None if text.is_none() && table.spec == USERS => continue,
                    Some(_) => (&mut future, "a moment that has passed"),
                    None => (&mut bad, "a moment"),
                };
                let stored = format!("{column} {}", text.unwrap_or("NULL"));
                finding.note(1, self.options.examples, || Example::new(named(keys, &row), stored, actual));
            }
            Ok(())
        };
        let read = read.await;
        self.report.findings.extend([bad, future]);
        read
    }
}
