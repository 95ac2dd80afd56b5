//! `tally audit`

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;

use super::whose::Whose;
use super::{FOUND, OK, fail, say};
use crate::kernel::clock::{Clock as _, SystemClock};
use crate::kernel::error::{Error, Result};
use crate::legacy::audit::{self, Report};
use crate::legacy::map::Mapping;

#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    whose: Whose,
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
    // Before hours of reading, not after them.
    let page = options.html.as_ref().map(Page::open).transpose()?;
    let mut source = options.whose.open(&super::stopping()).await?;
    let bar = progress();
    let heard = |table: &str| bar.set_message(format!("reading {table}"));
    let how = audit::Options {
        mapping: &mapping,
        examples: options.examples as usize,
        now: SystemClock.now(),
        heard: &heard,
    };
    let (mut report, failed) = audit::run(&mut source, &how).await?;
    let failed = failed.or(source.close().await.err());
    bar.finish_and_clear();
    if let Some(error) = &failed {
        report.cut_off(error);
    }
    if options.json {
        say(serde_json::to_string_pretty(&report).map_err(Error::internal)?);
    } else {
        print(&report);
    }
    let status = match &failed {
        Some(error) => fail(error),
        None if report.tallies() => OK,
        None => FOUND,
    };
    // Last: a full disk takes nothing away but the page.
    if let Some(page) = page {
        page.write(&audit::page(&report))?;
    }
    Ok(status)
}

/// The file of the HTML page.
struct Page {
    path: PathBuf,
    file: Option<File>,
    /// Whether it was made for this.
    new: bool,
}

impl Page {
    fn open(path: &PathBuf) -> Result<Self> {
        let new = !path.exists();
        // What an earlier audit wrote stays until there is something else.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        Ok(Self { path: path.clone(), file: Some(file.map_err(|error| unwritten(path, error))?), new })
    }

    fn write(mut self, text: &str) -> Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let emptied = file.metadata().and_then(|held| {
            // A pipe or a terminal has no length.
            if held.is_file() { file.set_len(0) } else { Ok(()) }
        });
        let written = emptied.and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|error| unwritten(&self.path, error))
    }
}

impl Drop for Page {
    /// An empty page of an audit that could not begin says nothing.
    fn drop(&mut self) {
        if self.file.is_some() && self.new {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    Error::invalid(format!("{} cannot be written", path.display())).caused_by(error)
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
    if let Some(points) = &report.points {
        say(format_args!("\n{}", audit::points_words(points).0));
    }
    say(format_args!("\nconsistency {}", audit::percent(report.consistency_rate)));
    say(match (&report.failure, report.tallies()) {
        (Some(failure), _) => format!("incomplete: {failure}; what was not looked at is not listed"),
        (None, true) => "every number tallies".to_owned(),
        (None, false) => "drift found".to_owned(),
    });
}
