//! `tally check`

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::serve::stop_on_signal;
use super::{FAILED, FOUND, OK, open_migrated, say};
use crate::app::App;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::integrity::{Change, CheckLine, Hear, Integrity, Overview, Report, Scope, State, percent};
use crate::kernel::module::Modules;

/// What a check or a repair is limited to.
#[derive(clap::Args)]
pub(super) struct Which {
    /// Only this module's.
    #[arg(long, value_name = "NAME")]
    module: Option<String>,
    /// Only this one.
    #[arg(long, value_name = "NAME")]
    check: Option<String>,
    /// Only this item: its TypeID.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

impl Which {
    pub(super) fn scope(&self) -> Scope {
        Scope { module: self.module.clone(), check: self.check.clone(), id: self.id.clone() }
    }
}

#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    which: Which,
    /// Print JSON; with --watch one line a round.
    #[arg(long)]
    json: bool,
    /// Check again after so long, until Ctrl-C: `60s`, `5m`, `1h`.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    watch: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let secs = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => 0,
    };
    let number: u64 = number.parse().unwrap_or(0);
    match number.checked_mul(secs) {
        Some(secs @ 1..=604_800) => Ok(Duration::from_secs(secs)),
        _ => Err("a time such as 60s, 5m or 1h, a week at most".to_owned()),
    }
}

/// A report and what the modules show beside it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overview: Vec<Table<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    ran_at: &'a str,
    state: State,
    error: &'a str,
}

#[derive(Serialize)]
struct Table<'a> {
    title: &'a str,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    value: &'a str,
}

pub(super) async fn run<A: App>(options: &Options) -> Result<u8> {
    let (kernel, modules) = open_migrated::<A>().await?;
    let integrity = modules.integrity();
    stop_on_signal(&kernel);
    let mut last = None;
    let status = loop {
        let status = match round(options, &kernel, &modules, &integrity).await {
            Ok(status) => status,
            Err(error) => match last {
                Some(last) if kernel.shutdown.is_cancelled() => break last,
                // A database that does not answer now may do so at the next round; a wrong argument stays wrong.
                _ if options.watch.is_some() && !kernel.shutdown.is_cancelled() && !is_argument(&error) => {
                    failed(options, &kernel, &error)?
                }
                _ => return Err(error),
            },
        };
        let Some(pause) = options.watch else { break status };
        last = Some(status);
        tokio::select! {
            () = kernel.shutdown.cancelled() => break status,
            () = tokio::time::sleep(pause) => {}
        }
    };
    kernel.db.close().await?;
    Ok(status)
}

fn is_argument(error: &Error) -> bool {
    [Code::INVALID_INPUT, Code::NOT_FOUND].contains(&error.code())
}

/// A round that could not be run, in the place of its report.
fn failed(options: &Options, kernel: &Kernel, error: &Error) -> Result<u8> {
    let at = kernel.clock.now().to_text();
    if options.json {
        let failed = Failed { ran_at: &at, state: State::Failed, error: error.client() };
        say(serde_json::to_string(&failed).map_err(Error::internal)?);
    } else {
        say(format_args!("{at}\ncould not be checked"));
    }
    Ok(super::fail(error))
}

async fn round(options: &Options, kernel: &Kernel, modules: &Modules, integrity: &Integrity) -> Result<u8> {
    let report = integrity.check(kernel, &options.which.scope(), "cli", &Progress::begin(false)).await?;
    // Beside a part of the checks it would only be in the way.
    let looked = if report.scope.is_empty() { modules.overview(kernel).await } else { Ok(Overview::new()) };
    // What the checks found is shown all the same.
    let (overview, failed) = match looked {
        Ok(overview) => (overview, None),
        Err(error) => (Overview::new(), Some(error)),
    };
    if options.json {
        let tables = overview
            .iter()
            .map(|(title, rows)| Table { title, rows: rows.iter().map(|(name, value)| Row { name, value }).collect() });
        let shown = Shown { report: &report, overview: tables.collect() };
        let text = match options.watch {
            Some(_) => serde_json::to_string(&shown),
            None => serde_json::to_string_pretty(&shown),
        };
        say(text.map_err(Error::internal)?);
    } else {
        if options.watch.is_some() {
            say(report.began_at.to_text());
        }
        print(&report);
        print_overview(&overview);
        say(verdict(&report));
    }
    Ok(failed.map_or_else(|| status(&report), |error| super::fail(&error)))
}

/// The status to end with.
pub(super) fn status(report: &Report) -> u8 {
    match report.state {
        State::Ok => OK,
        State::Failed => FAILED,
        _ => FOUND,
    }
}

/// What the checks found, but for the last word.
pub(super) fn print(report: &Report) {
    let lines = &report.checks;
    let repairs = lines.iter().any(|line| line.changed + line.left > 0);
    let modules = lines.iter().map(|line| line.module.len()).max().unwrap_or(0).max(12);
    let names = lines.iter().map(|line| line.name.len()).max().unwrap_or(0).max(16);
    let heading = if repairs { "  changed" } else { "" };
    let (module, name) = ("module", "check");
    say(format_args!("{module:<modules$} {name:<names$} {:>10} {:>8}{heading}", "checked", "drifted"));
    for CheckLine { module, name, checked, drifted, changed, failure, .. } in lines {
        let changed = if repairs { format!(" {changed:>8}") } else { String::new() };
        let failed = if failure.is_some() { "  failed" } else { "" };
        say(format_args!("{module:<modules$} {name:<names$} {checked:>10} {drifted:>8}{changed}{failed}"));
    }
    for drift in lines.iter().flat_map(|line| &line.examples) {
        say(format_args!("  {} {}: stored {}, the facts say {}", drift.id, drift.field, drift.stored, drift.actual));
    }
    for (line, failure) in lines.iter().filter_map(|line| Some((line, line.failure.as_ref()?))) {
        say(format_args!("  {}: {}", line.name, failure.error));
    }
    for what in &report.recommendations {
        say(format_args!("- {what}"));
    }
}

fn print_overview(overview: &Overview) {
    for (title, rows) in overview.iter().filter(|(_, rows)| !rows.is_empty()) {
        say(format_args!("\n{title}"));
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in rows {
            say(format_args!("  {name:<width$}  {value:>12}"));
        }
    }
    if overview.iter().any(|(_, rows)| !rows.is_empty()) {
        say("");
    }
}

/// The last word.
pub(super) fn verdict(report: &Report) -> String {
    let rate = percent(report.consistency_rate);
    if report.state == State::Ok {
        return "every number tallies".to_owned();
    }
    if report.state == State::Failed {
        say(format_args!("{} figures do not tally, of what could be looked at", report.drifted()));
        return report.error.clone().unwrap_or_else(|| "not everything could be checked".to_owned());
    }
    say(format_args!("{rate} of the compared items tally; {} figures do not", report.drifted()));
    "drift found".to_owned()
}

/// A line on a terminal while it goes on; and every change, where it is to be said.
pub(super) struct Progress {
    bar: ProgressBar,
    said: Option<Mutex<()>>,
}

impl Progress {
    pub(super) fn begin(changes: bool) -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let said = changes.then(|| Mutex::new(()));
        match ProgressStyle::with_template("{spinner} {msg}: {human_pos} checked, {per_sec}") {
            Ok(style) => Self { bar: bar.with_style(style), said },
            Err(_) => Self { bar, said },
        }
    }
}

impl Hear for Progress {
    fn begins(&self, check: &'static str) {
        self.bar.reset();
        self.bar.set_message(check);
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    fn checked(&self, items: u64) {
        self.bar.set_position(items);
    }

    fn ends(&self, _: &CheckLine) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }

    fn change(&self, change: &Change) {
        if self.said.is_some() {
            self.bar.suspend(|| say(super::repair::line(change)));
        }
    }
}
