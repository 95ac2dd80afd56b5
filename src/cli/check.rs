//! `tally check`

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{FOUND, OK, open_migrated, say};
use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::{self, CheckReport};

#[derive(clap::Args)]
pub(super) struct Options {
    /// Only this module's.
    #[arg(long)]
    module: Option<String>,
    /// Only this one.
    #[arg(long)]
    check: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    state: &'static str,
    checks: Vec<CheckReport>,
}

pub(super) async fn run<A: App>(options: &Options) -> Result<u8> {
    let (kernel, modules) = open_migrated::<A>().await?;
    let checks: Vec<_> = modules
        .checks()
        .into_iter()
        .filter(|check| options.module.as_ref().is_none_or(|module| module == check.module()))
        .filter(|check| options.check.as_ref().is_none_or(|name| name == check.name()))
        .collect();
    if checks.is_empty() {
        let all: Vec<_> = modules.checks().iter().map(|check| format!("{}/{}", check.module(), check.name())).collect();
        return Err(Error::invalid(format!("no such check; there are {}", all.join(", "))));
    }
    let mut reports = Vec::new();
    for check in checks {
        let bar = progress(check.name());
        reports.push(integrity::run(&*check, &kernel, &|checked| bar.set_position(checked)).await?);
        bar.finish_and_clear();
    }
    kernel.db.close().await?;
    let drifted = reports.iter().any(|report| report.drifted > 0);
    let report = Report { state: if drifted { "DRIFT" } else { "OK" }, checks: reports };
    if options.json {
        say(serde_json::to_string_pretty(&report).map_err(Error::internal)?);
    } else {
        print(&report);
    }
    Ok(if drifted { FOUND } else { OK })
}

fn progress(name: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg}: {human_pos} checked, {per_sec}");
    let bar = ProgressBar::new_spinner().with_message(name);
    bar.enable_steady_tick(Duration::from_millis(100));
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn print(report: &Report) {
    say(format_args!("{:<12} {:<16} {:>10} {:>8}", "module", "check", "checked", "drifted"));
    for check in &report.checks {
        say(format_args!("{:<12} {:<16} {:>10} {:>8}", check.module, check.name, check.checked, check.drifted));
    }
    for drift in report.checks.iter().flat_map(|check| &check.examples) {
        say(format_args!("  {} {}: stored {}, the facts say {}", drift.id, drift.field, drift.stored, drift.actual));
    }
    say(if report.state == "OK" { "every number tallies" } else { "drift found" });
}
