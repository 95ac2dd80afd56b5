//! `tally repair`

use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::backup::{BackupChoice, offer};
use super::check::{Progress, Which, print, status, verdict};
use super::serve::stop_on_signal;
use super::{FOUND, OK, open_migrated, say};
use crate::app::App;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Id;
use crate::kernel::integrity::store::RunRow;
use crate::kernel::integrity::{Change, CheckLine, Hear, Integrity, Report, RunKind, State};

/// Changes in one JSON document; the rest is in `--show`.
const JSON_CHANGES: usize = 1000;
/// Runs that a list shows, and changes of one look.
const RUNS: i64 = 50;
const PAGE: i64 = 500;

#[derive(clap::Args)]
#[group(id = "otherwise", multiple = false)]
pub(super) struct Otherwise {
    /// Put back what this repair replaced; each change is put back or left as it is, and said so.
    #[arg(long, value_name = "RUN", group = "otherwise")]
    undo: Option<String>,
    /// List the last checks and repairs.
    #[arg(long, group = "otherwise")]
    list: bool,
    /// Print everything that a repair replaced.
    #[arg(long, value_name = "RUN", group = "otherwise")]
    show: Option<String>,
    /// Only say what would be done.
    #[arg(long, group = "otherwise")]
    dry_run: bool,
}

#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    otherwise: Otherwise,
    #[command(flatten)]
    backup: BackupChoice,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A report with what was changed.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a Report,
    changes: &'a [Change],
    /// Whether there are more than these.
    more: bool,
}

/// A run as JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    run: String,
    kind: &'static str,
    state: &'static str,
    dry_run: bool,
    scope: String,
    started_by: String,
    began_at: String,
    ended_at: Option<String>,
    changes: i64,
    undoes: Option<String>,
    undone_by: Option<String>,
}

pub(super) async fn run<A: App>(options: &Options) -> Result<u8> {
    let (kernel, modules) = open_migrated::<A>().await?;
    let integrity = modules.integrity();
    stop_on_signal(&kernel);
    // What an undo changes is kept by the run that it undoes: nobody is asked.
    let is_repair = matches!(options.otherwise, Otherwise { list: false, show: None, undo: None, dry_run: false });
    if is_repair || options.otherwise.undo.is_some() && options.backup.is_wanted() {
        offer(&kernel, &modules.migrations(), &options.backup).await?;
    }
    let status = match &options.otherwise {
        Otherwise { list: true, .. } => list(&kernel, &integrity, options.json).await?,
        Otherwise { show: Some(run), .. } => show(&kernel, &integrity, run, options.json).await?,
        Otherwise { undo: Some(run), .. } => undo(&kernel, &integrity, run, options.json).await?,
        Otherwise { dry_run, .. } => repair(&kernel, &integrity, options, *dry_run).await?,
    };
    kernel.db.close().await?;
    Ok(status)
}

async fn repair(kernel: &Kernel, integrity: &Integrity, options: &Options, dry_run: bool) -> Result<u8> {
    let told = Told::begin(options.json);
    let report = integrity.repair(kernel, &options.which.scope(), dry_run, "cli", &told).await?;
    if options.json {
        told.print(&report)?;
    } else {
        print(&report);
        match (report.changed(), dry_run) {
            (0, _) => {}
            (count, true) => say(format_args!("{count} figures would be put right; nothing was changed")),
            (count, false) => {
                let run = report.id;
                say(format_args!("{count} figures put right; `tally repair --undo {run}` puts back what was there"));
            }
        }
        say(verdict(&report));
    }
    Ok(status(&report))
}

async fn undo(kernel: &Kernel, integrity: &Integrity, run: &str, json: bool) -> Result<u8> {
    let told = Told::begin(json);
    let report = integrity.undo(kernel, Id::<RunKind>::from_str(run)?, "cli", &told).await?;
    if json {
        told.print(&report)?;
    } else {
        print(&report);
        say(format_args!("{} figures put back, {} left as they are", report.changed(), report.left()));
    }
    Ok(match report.state {
        State::Failed => status(&report),
        _ if report.left() == 0 => OK,
        _ => FOUND,
    })
}

async fn list(kernel: &Kernel, integrity: &Integrity, json: bool) -> Result<u8> {
    let now = kernel.clock.now();
    let runs = integrity.runs(kernel, RUNS).await?;
    let lines: Vec<_> = runs.iter().map(|row| shown(row, now)).collect();
    if json {
        say(serde_json::to_string_pretty(&lines).map_err(Error::internal)?);
        return Ok(OK);
    }
    if lines.is_empty() {
        say("no check or repair has run yet");
        return Ok(OK);
    }
    say(format_args!("{:<36}  {:<8}  {:<11}  {:<20}  {:>8}  by", "run", "kind", "state", "began", "changes"));
    for line in &lines {
        let Line { run, kind, state, began_at, changes, started_by, .. } = line;
        let mut notes = Vec::new();
        notes.extend(line.dry_run.then(|| "dry run".to_owned()));
        notes.extend(Some(line.scope.clone()).filter(|scope| !scope.is_empty()));
        notes.extend(line.undoes.iter().map(|other| format!("undoes {other}")));
        notes.extend(line.undone_by.iter().map(|other| format!("undone by {other}")));
        let notes = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join("; ")) };
        say(format_args!("{run:<36}  {kind:<8}  {state:<11}  {began_at:<20}  {changes:>8}  {started_by}{notes}"));
    }
    Ok(OK)
}

fn shown(row: &RunRow, now: Millis) -> Line {
    let text = |run: uuid::Uuid| Id::<RunKind>::new(run).to_string();
    Line {
        run: text(row.id),
        kind: row.kind().word(),
        state: row.state(now).word(),
        dry_run: row.is_dry(),
        scope: row.scope.clone(),
        started_by: row.started_by.clone(),
        began_at: row.began_at.to_text(),
        ended_at: row.ended_at.map(Millis::to_text),
        changes: row.changes,
        undoes: row.undoes.map(text),
        undone_by: row.undone_by.map(text),
    }
}

/// A line a change, as text or as JSON: a repair may have replaced millions.
async fn show(kernel: &Kernel, integrity: &Integrity, run: &str, json: bool) -> Result<u8> {
    let run = Id::<RunKind>::from_str(run)?;
    let mut after = 0;
    loop {
        let page = integrity.changes(kernel, run, after, PAGE).await?;
        for change in &page {
            say(if json { serde_json::to_string(change).map_err(Error::internal)? } else { line(change) });
        }
        match page.last() {
            Some(last) => after = last.number,
            None if after == 0 => return Err(Error::not_found(format!("nothing is recorded of {run}"))),
            None => return Ok(OK),
        }
    }
}

/// A change in words.
pub(super) fn line(change: &Change) -> String {
    let Change { name, drift, put_back, .. } = change;
    let (id, field, stored, actual) = (&drift.id, &drift.field, &drift.stored, &drift.actual);
    match put_back {
        None => format!("{name}: {id} {field}: {stored} → {actual}"),
        Some(true) => format!("{name}: {id} {field}: put back {stored}"),
        Some(false) => format!("{name}: {id} {field}: left as it is, {stored} is not put back"),
    }
}

/// Progress, and the changes: said at once, or kept for JSON.
struct Told {
    progress: Progress,
    kept: Option<Mutex<(Vec<Change>, bool)>>,
}

impl Told {
    fn begin(json: bool) -> Self {
        Self { progress: Progress::begin(!json), kept: json.then(Mutex::default) }
    }

    fn print(&self, report: &Report) -> Result<()> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = Shown { report, changes: &kept.0, more: kept.1 };
        say(serde_json::to_string_pretty(&shown).map_err(Error::internal)?);
        Ok(())
    }
}

impl Hear for Told {
    fn begins(&self, check: &'static str) {
        self.progress.begins(check);
    }

    fn checked(&self, items: u64) {
        self.progress.checked(items);
    }

    fn ends(&self, line: &CheckLine) {
        self.progress.ends(line);
    }

    fn change(&self, change: &Change) {
        self.progress.change(change);
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.0.len() < JSON_CHANGES {
                kept.0.push(change.clone());
            } else {
                kept.1 = true;
            }
        }
    }
}
