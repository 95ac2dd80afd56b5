//! `tally explain`

use async_graphql::connection::CursorType as _;
use serde::Serialize;

use super::{FOUND, OK, open_migrated, say};
use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::{Explained, Fact};
use crate::kernel::page::Page;

#[derive(clap::Args)]
pub(super) struct Options {
    /// Which figure: `like-count`; a wrong one is answered with all names.
    figure: String,
    /// Whose: a TypeID.
    id: String,
    /// How many facts, 100 at most.
    #[arg(long, value_name = "N", default_value_t = 20)]
    first: i32,
    /// Only the facts after this cursor: the last line of the page before names it.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A figure and a page of its facts, as JSON has them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    id: &'a str,
    figure: &'a str,
    stored: &'a str,
    actual: &'a str,
    unit: &'a str,
    total_count: u64,
    facts: Vec<Line<'a>>,
    end_cursor: Option<String>,
    has_next_page: bool,
    remedy: Option<&'a str>,
}

#[derive(Serialize)]
struct Line<'a> {
    kind: &'a str,
    source: Option<&'a str>,
    at: String,
    contribution: &'a str,
}

pub(super) async fn run<A: App>(options: &Options) -> Result<u8> {
    let (kernel, modules) = open_migrated::<A>().await?;
    let page = Page::forward(Some(options.first), options.after.as_deref())?;
    let explained = modules.integrity().explain(&kernel, &options.figure, &options.id, page).await?;
    kernel.db.close().await?;
    let end = explained.facts.last().map(|fact| fact.cursor.encode_cursor());
    if options.json {
        say(serde_json::to_string_pretty(&shown(&explained, end)).map_err(Error::internal)?);
    } else {
        print(&explained, end.as_deref());
    }
    Ok(if explained.stored == explained.actual { OK } else { FOUND })
}

fn shown(explained: &Explained, end_cursor: Option<String>) -> Shown<'_> {
    let facts = explained.facts.iter().map(|fact| {
        let Fact { kind, source, at, contribution, .. } = fact;
        Line { kind, source: source.as_deref(), at: at.to_text(), contribution }
    });
    Shown {
        id: &explained.id,
        figure: &explained.figure,
        stored: &explained.stored,
        actual: &explained.actual,
        unit: explained.unit,
        total_count: explained.total,
        facts: facts.collect(),
        end_cursor,
        has_next_page: explained.more,
        remedy: explained.remedy.as_deref(),
    }
}

fn print(explained: &Explained, end: Option<&str>) {
    let Explained { id, figure, stored, actual, unit, total, facts, more, remedy } = explained;
    let width = facts.iter().map(|fact| fact.contribution.chars().count()).max().unwrap_or(0).max(12);
    let kinds = facts.iter().map(|fact| fact.kind.len()).max().unwrap_or(0).max(4);
    say(format_args!("{:<20}  {:<kinds$}  {:>width$}  source", "at", "kind", "contribution"));
    for Fact { kind, source, at, contribution, .. } in facts {
        let source = source.as_deref().unwrap_or("-");
        say(format_args!("{:<20}  {kind:<kinds$}  {contribution:>width$}  {source}", at.to_text()));
    }
    if let Some(end) = end.filter(|_| *more) {
        say(format_args!("more: tally explain {figure} {id} --after {end}"));
    }
    say(format_args!("{figure} of {id}: {total} facts add up to {actual} {unit}; stored is {stored}"));
    match remedy {
        _ if stored == actual => say("it tallies"),
        Some(remedy) => say(format_args!("it does not tally: {remedy}")),
        None => say(format_args!("it does not tally: `tally repair --id {id}` puts it right")),
    }
}
