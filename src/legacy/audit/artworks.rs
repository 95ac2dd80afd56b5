//! Each artwork against its likes and favorites.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;

use super::{Audit, Example, Finding};
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::legacy::moment;
use crate::legacy::spec::{ARTWORKS, FAVORITES, HOT, LIKES, Table};
use crate::legacy::store::{Found, Source};

/// A whole number, however it is written: `3`, `3.0`.
pub(in crate::legacy) fn whole(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let (whole, fraction) = text.split_once('.')?;
        fraction.bytes().all(|digit| digit == b'0').then(|| whole.parse().ok())?
    })
}

/// The columns of the query after the id: two counters, three hot columns, then what the relations say.
const COUNTERS: [(&str, &str, Table, usize, usize); 2] =
    [("like-count", "like_count", LIKES, 1, 6), ("favorite-count", "favorite_count", FAVORITES, 2, 9)];
const SCORE: usize = 3;
const UPDATED: usize = 5;

fn stale(id: &str, updated: Millis, newest: Millis) -> Example {
    Example::new(id, format!("last_hot_update {}", updated.to_text()), newest.to_text())
}

/// What is looked at, artwork by artwork.
struct Findings {
    counters: [Option<Finding>; 2],
    wrong_type: Finding,
    missing: Option<Finding>,
    stale: Option<Finding>,
    future: Option<Finding>,
    /// Of artworks whose newest like or favorite is yet to come: when the score was made. Which of the others is the newest
    /// has to be looked up.
    hidden: BTreeMap<String, Millis>,
}

/// So many of these are looked up at most, which bounds the memory.
const HIDDEN_MOST: usize = 100_000;

impl Audit<'_> {
    pub(super) async fn artworks(&mut self, source: &mut Source, table: &Found, rows: u64) -> Result<()> {
        let finding = |name| Finding::new(name, ARTWORKS.name, rows);
        let hot: Vec<(usize, &str)> = HOT
            .iter()
            .enumerate()
            .filter(|(_, column)| table.has(column))
            .map(|(n, column)| (SCORE + n, *column))
            .collect();
        let told = [LIKES, FAVORITES].iter().any(|spec| self.schema.table(*spec).is_some_and(|t| t.has("created_at")));
        let counter = |n: usize| {
            let (name, column, relation, ..) = COUNTERS[n];
            (table.has(column) && self.schema.table(relation).is_some()).then(|| finding(name))
        };
        let mut findings = Findings {
            counters: [counter(0), counter(1)],
            wrong_type: finding("wrong-type"),
            missing: (!hot.is_empty()).then(|| finding("hot-missing")),
            stale: (told && table.has("last_hot_update")).then(|| finding("hot-stale")),
            // With those of when they were created.
            future: table.has("last_hot_update").then(|| self.report.take("future-time", ARTWORKS.name)).map(|found| {
                let mut found = found.unwrap_or_else(|| finding("future-time"));
                found.checked = rows;
                found
            }),
            hidden: BTreeMap::new(),
        };
        // Some of the three are there: where the others would stand there is nothing, for every artwork.
        let lacking: Vec<_> = HOT.iter().filter(|column| !hot.is_empty() && !table.has(column)).collect();
        let read = async {
            let mut found = source.rows(self.queries.artworks(table));
            while let Some(row) = found.try_next().await? {
                let text = |n: usize| row.get(n).and_then(Option::as_deref);
                let id = format!("id {}", text(0).unwrap_or("NULL"));
                self.counters(&mut findings, &id, &text);
                let mut missing: Vec<_> = lacking.iter().map(|column| format!("no {column}")).collect();
                missing.extend(hot.iter().filter(|(n, _)| text(*n).is_none()).map(|(_, name)| format!("{name} NULL")));
                if let (false, Some(finding)) = (missing.is_empty(), &mut findings.missing) {
                    finding.note(1, self.options.examples, || Example::new(&*id, missing.join(", "), "a value"));
                }
                self.hotness(&mut findings, &id, &text);
            }
            drop(found);
            if findings.stale.is_some() && self.queries.streams_moments() {
                return self.stale(source, table, &mut findings).await;
            }
            self.hidden(source, &mut findings).await
        };
        let read = read.await;
        let Findings { counters, wrong_type, missing, stale, future, .. } = findings;
        let all = counters.into_iter().flatten().chain(missing).chain(stale).chain(future).chain([wrong_type]);
        self.report.findings.extend(all);
        read
    }

    /// Artworks whose score is older than a like or favorite, where the database cannot tell which of these is the newest.
    async fn stale(&self, source: &mut Source, table: &Found, findings: &mut Findings) -> Result<()> {
        let Some(finding) = &mut findings.stale else { return Ok(()) };
        let (mut artwork, mut newest) = (None, None);
        let mut found = source.rows(self.queries.moments(table));
        while let Some(row) = found.try_next().await? {
            let [key, which, at, id] = &row[..] else { continue };
            if artwork != *key {
                (artwork, newest) = (key.clone(), None);
            }
            let at = at.as_deref().and_then(|at| moment::parse(at, self.offset));
            match (which.as_deref(), at) {
                (Some("0"), at) => newest = newest.max(at.filter(|at| *at <= self.options.now)),
                (_, Some(updated)) => {
                    if let (Some(newest), Some(id)) = (newest.filter(|newest| *newest > updated), id) {
                        finding.note(1, self.options.examples, || stale(&format!("id {id}"), updated, newest));
                    }
                }
                // Of no score nothing can be said, and of what is no moment it was said.
                (_, None) => {}
            }
        }
        Ok(())
    }

    /// Artworks whose score is older than a like or favorite that has happened, behind one that has not.
    async fn hidden(&self, source: &mut Source, findings: &mut Findings) -> Result<()> {
        let hidden = std::mem::take(&mut findings.hidden);
        let mut newest: BTreeMap<String, Millis> = BTreeMap::new();
        for table in [LIKES, FAVORITES].iter().filter_map(|spec| self.schema.table(*spec)) {
            if hidden.is_empty() || !table.has("created_at") {
                continue;
            }
            let mut found = source.rows(self.queries.values(table, &["artwork_id", "user_id"], "created_at"));
            while let Some(row) = found.try_next().await? {
                let [Some(id), Some(_), Some(at)] = &row[..] else { continue };
                let Some(updated) = hidden.get(id) else { continue };
                let at = moment::parse(at, self.offset).filter(|at| *at <= self.options.now && at > updated);
                if let Some(at) = at.filter(|at| newest.get(id).is_none_or(|held| at > held)) {
                    newest.insert(id.clone(), at);
                }
            }
        }
        if let Some(finding) = &mut findings.stale {
            for (id, at) in newest {
                let updated = hidden.get(&id).copied().unwrap_or(at);
                finding.note(1, self.options.examples, || stale(&format!("id {id}"), updated, at));
            }
        }
        Ok(())
    }

    fn counters<'r>(&self, findings: &mut Findings, id: &str, text: &impl Fn(usize) -> Option<&'r str>) {
        for (finding, (_, column, _, at, actual)) in findings.counters.iter_mut().zip(COUNTERS) {
            let Some(finding) = finding else { continue };
            let (users, rows) = (text(actual).unwrap_or("0"), text(actual + 1).unwrap_or("0"));
            let stored = text(at);
            if let Some(wrong) = stored.filter(|stored| whole(stored).is_none()) {
                let example = || Example::new(id, format!("{column} {wrong}"), "a whole number");
                findings.wrong_type.note(1, self.options.examples, example);
            } else if stored.and_then(whole) != whole(users) {
                let actual = match users == rows {
                    true => users.to_owned(),
                    false => format!("{users}, in {rows} rows"),
                };
                let example = || Example::new(id, stored.unwrap_or("NULL"), actual);
                finding.note(1, self.options.examples, example);
            }
        }
    }

    /// A score that is no number; one that is older than the newest like or favorite.
    fn hotness<'r>(&self, findings: &mut Findings, id: &str, text: &impl Fn(usize) -> Option<&'r str>) {
        let most = self.options.examples;
        let number = |text: &str| text.trim().parse().is_ok_and(|number: f64| number.is_finite());
        if let Some(wrong) = text(SCORE).filter(|score| !number(score)) {
            findings.wrong_type.note(1, most, || Example::new(id, format!("hot_score {wrong}"), "a number"));
        }
        let moment = |at: usize| text(at).and_then(|text| moment::parse(text, self.offset));
        let Some(updated) = text(UPDATED) else { return };
        let Some(at) = moment(UPDATED) else {
            findings.wrong_type.note(1, most, || Example::new(id, format!("last_hot_update {updated}"), "a moment"));
            return;
        };
        if let (true, Some(finding)) = (at > self.options.now, &mut findings.future) {
            let example = || Example::new(id, format!("last_hot_update {updated}"), "a moment that has passed");
            finding.note(1, most, example);
        }
        let (past, future): (Vec<_>, Vec<_>) =
            COUNTERS.iter().filter_map(|(.., actual)| moment(actual + 2)).partition(|at| *at <= self.options.now);
        if let (false, true, Some(id)) = (future.is_empty(), findings.hidden.len() < HIDDEN_MOST, text(0)) {
            findings.hidden.insert(id.to_owned(), at);
            return;
        }
        let newest = past.into_iter().max().filter(|newest| *newest > at);
        if let (Some(newest), Some(finding)) = (newest, &mut findings.stale) {
            finding.note(1, most, || stale(id, at, newest));
        }
    }
}
