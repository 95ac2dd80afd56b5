//! `tally import`

use std::path::PathBuf;

use super::backup::{BackupChoice, offer};
use super::whose::Whose;
use super::{OK, fail, say};
use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::legacy::Source;
use crate::legacy::import::{self, Differences, Dropped, Report};
use crate::legacy::map::Mapping;
use crate::legacy::spec::{ACCOUNTS, TRANSACTIONS};
use crate::legacy::throwaway::Throwaway;

#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    whose: Whose,
    /// Other names of tables and columns, in TOML: see `docs/import.md`.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// What to do where a student's balance is not what the transactions add up to: say so, or make up for it by a visible
    /// `ADJUSTMENT`.
    #[arg(long, value_name = "WHAT", default_value = "report")]
    point_differences: Differences,
    /// Import into a throwaway database and say what came of it: nothing is written to tally's own.
    #[arg(long)]
    dry_run: bool,
    /// Examples of each reason to leave rows behind.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    examples: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backup: BackupChoice,
}

pub(super) async fn run<A: App>(options: &Options) -> Result<u8> {
    let mut mapping = options.map.as_deref().map_or_else(|| Ok(Mapping::default()), Mapping::read)?;
    let stop = super::stopping();
    let mut source = options.whose.open(&stop).await?;
    let throwaway = options.dry_run.then(Throwaway::make).transpose()?;
    let (kernel, modules) = match &throwaway {
        Some(folder) => super::open_at::<A>(&format!("sqlite:{}/tally.db", folder.path().display())).await?,
        None => super::open_migrated::<A>().await?,
    };
    if !modules.list.iter().any(|module| module.name == "engagement") {
        return Err(Error::invalid("this program has no module engagement: there is nothing to import into"));
    }
    if !modules.list.iter().any(|module| module.name == "points") {
        mapping = mapping.without(&[ACCOUNTS, TRANSACTIONS]);
    }
    if throwaway.is_some() {
        kernel.db.migrate(&modules.migrations()).await?;
    }
    if throwaway.is_none() {
        let known = modules.migrations();
        let offered = stop.run_until_cancelled(offer(&kernel, &known, &options.backup)).await;
        offered.unwrap_or_else(|| Err(Source::stopped()))?;
    }
    let bar = super::audit::progress();
    let heard = |table: &str, rows: u64| {
        if rows.is_multiple_of(1_000) {
            bar.set_message(format!("{table}: {rows} rows"));
        }
    };
    let how = import::Options {
        mapping: &mapping,
        examples: options.examples as usize,
        differences: options.point_differences,
        heard: &heard,
    };
    let ran = import::run(&kernel, &mut source, &how).await;
    bar.finish_and_clear();
    kernel.shutdown.cancel();
    kernel.db.close().await?;
    let (report, failed) = ran?;
    let mut report = Report { dry_run: options.dry_run, ..report };
    let failed = failed.or(source.close().await.err());
    if let Some(error) = &failed {
        report.cut_off(error);
    }
    if options.json {
        say(serde_json::to_string_pretty(&report).map_err(Error::internal)?);
    } else {
        print(&report);
    }
    Ok(failed.as_ref().map_or(OK, fail))
}

fn print(report: &Report) {
    say(format_args!("{}", report.source));
    say(format_args!(
        "{:<18} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "table", "rows", "new", "there", "duplicates", "dropped", "openings", "opened"
    ));
    for table in &report.tables {
        say(format_args!(
            "{:<18} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
            table.table,
            table.rows,
            table.new,
            table.there,
            table.duplicates,
            table.dropped,
            table.openings,
            table.opened
        ));
    }
    for Dropped { table, reason, rows, examples } in report.dropped.iter().chain(&report.altered) {
        let word = if *rows == 1 { "row" } else { "rows" };
        say(format_args!("\n{table}: {reason} ({rows} {word})"));
        for example in examples {
            say(format_args!("  {example}"));
        }
    }
    for note in &report.notes {
        say(format_args!("\n{note}"));
    }
    if !report.absent.is_empty() {
        say(format_args!("\nnot there, and left out: {}", report.absent.join(", ")));
    }
    if let Some(failure) = &report.failure {
        say(format_args!("\nincomplete: {failure}; what is listed came over, and another run goes on"));
        return;
    }
    say(match report.dry_run {
        true => "\na dry run: nothing was written; this is what an import into an empty database does",
        false => "\nimported; `tally check` says whether every number tallies",
    });
}
