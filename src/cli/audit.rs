//! `tally audit`

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;

use super::{FOUND, OK, say};
use crate::kernel::clock::{Clock as _, SystemClock};
use crate::kernel::error::{Error, Result};
use crate::legacy::Source;
use crate::legacy::audit::{self, Report};
use crate::legacy::map::Mapping;

#[derive(clap::Args)]
pub(super) struct Options {
    /// Whose tables: `sqlite:PATH`, `postgres://…`, `mysql://…` or `mariadb://…`. They are read, and never written to.
    #[arg(long, value_name = "URL")]
    from: String,
    /// Other names of tables and columns, in TOML: see `docs/import.md`.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Examples of each finding.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    examples: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write the report as one self-contained page, in English and Chinese.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(super) async fn run(options: &Options) -> Result<u8> {
    let mapping = options.map.as_deref().map_or_else(|| Ok(Mapping::default()), Mapping::read)?;
    let mut source = Source::open(&options.from).await?;
    let bar = progress();
    let heard = |table: &str| bar.set_message(format!("reading {table}"));
    let how = audit::Options {
        mapping: &mapping,
        examples: options.examples as usize,
        now: SystemClock.now(),
        heard: &heard,
    };
    let report = audit::run(&mut source, &how).await?;
    source.close().await?;
    bar.finish_and_clear();
    if let Some(file) = &options.html {
        let unwritten = |error| Error::invalid(format!("{} cannot be written", file.display())).caused_by(error);
        std::fs::write(file, audit::page(&report)).map_err(unwritten)?;
    }
    if options.json {
        say(serde_json::to_string_pretty(&report).map_err(Error::internal)?);
    } else {
        print(&report);
    }
    Ok(if report.tallies() { OK } else { FOUND })
}

/// Says which table is being read, where somebody looks.
pub(super) fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn print(report: &Report) {
    say(format_args!("{}", report.source));
    say(format_args!("{:<18} {:<24} {:>12}", "table", "name", "rows"));
    for table in &report.tables {
        say(format_args!("{:<18} {:<24} {:>12}", table.table, table.name, table.rows));
    }
    say(format_args!("\n{:<18} {:<18} {:>12} {:>8}", "table", "finding", "looked at", "wrong"));
    for finding in &report.findings {
        let (table, name) = (finding.table, finding.name);
        say(format_args!("{table:<18} {name:<18} {:>12} {:>8}", finding.checked, finding.found));
    }
    for finding in report.findings.iter().filter(|finding| finding.found > 0) {
        let shown = finding.examples.len() as u64;
        let more = if finding.found > shown { format!(", the first {shown}") } else { String::new() };
        say(format_args!("\n{}: {} ({}{more})", audit::title(finding.name).0, finding.found, finding.table));
        for example in &finding.examples {
            say(format_args!("  {}: stored {}, should be {}", example.id, example.stored, example.actual));
        }
    }
    if !report.absent.is_empty() {
        say(format_args!("\nnot there, and left out: {}", report.absent.join(", ")));
    }
    say(format_args!("\nconsistency {}", audit::percent(report.consistency_rate)));
    say(if report.tallies() { "every number tallies" } else { "drift found" });
}
