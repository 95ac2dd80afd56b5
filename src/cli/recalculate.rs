//! `tally recalculate`

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{FOUND, OK, open_existing, say};
use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::modules::engagement::content::Kind;
use crate::modules::engagement::graphql::ContentId;
use crate::modules::engagement::recalculation::{self, Report, Scope};

#[derive(clap::Args)]
#[group(id = "which", multiple = false)]
pub(super) struct Which {
    /// Every content; the default where changed settings make a recalculation due.
    #[arg(long, group = "which")]
    all: bool,
    /// Those of a kind.
    #[arg(long, value_enum, ignore_case = true, group = "which")]
    kind: Option<KindArgument>,
    /// These artworks and videos.
    #[arg(long, value_name = "ID", value_delimiter = ',', num_args = 1.., group = "which")]
    ids: Vec<ContentId>,
    /// Those that nobody touched for `engagement.stale_hours`.
    #[arg(long, group = "which")]
    stale: bool,
}

#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    which: Which,
    /// Contents in one transaction.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    chunk: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A kind of contents, as the API writes it.
#[derive(Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
enum KindArgument {
    Artwork,
    Video,
}

impl Which {
    fn scope(self) -> Scope {
        match self {
            Self { all: true, .. } => Scope::All,
            Self { kind: Some(KindArgument::Artwork), .. } => Scope::Kind(Kind::Artwork),
            Self { kind: Some(KindArgument::Video), .. } => Scope::Kind(Kind::Video),
            Self { stale: true, .. } => Scope::Stale,
            Self { ids, .. } if !ids.is_empty() => Scope::Ids(ids),
            _ => Scope::Due,
        }
    }
}

pub(super) async fn run<A: App>(options: Options) -> Result<u8> {
    let (kernel, modules) = open_existing::<A>().await?;
    if !modules.list.iter().any(|module| module.name == "engagement") {
        return Err(Error::invalid("this program has no module engagement: there is nothing to recalculate"));
    }
    if kernel.db.migration_states(&modules.migrations()).await?.iter().any(|state| !state.applied) {
        return Err(Error::invalid("the database's schema is not up to date: run `tally migrate` first"));
    }
    let scope = options.which.scope();
    let due = scope == Scope::Due;
    let bar = progress();
    let heard = |done: i64, total: i64| {
        bar.set_length(total.unsigned_abs());
        bar.set_position(done.unsigned_abs());
    };
    let report = recalculation::run(&kernel, scope, options.chunk as usize, &heard).await?;
    bar.finish_and_clear();
    kernel.shutdown.cancel();
    kernel.db.close().await?;
    if options.json {
        say(serde_json::to_string_pretty(&report).map_err(Error::internal)?);
    } else {
        print(&report, due);
    }
    Ok(if report.failed > 0 { FOUND } else { OK })
}

fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{spinner} {human_pos} of {human_len} contents [{bar:30}] {per_sec}, {eta} left";
    let bar = ProgressBar::new(0);
    bar.enable_steady_tick(Duration::from_millis(100));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

fn print(report: &Report, due: bool) {
    if due && report.total == 0 {
        return say("no recalculation is due");
    }
    say(format_args!("{:>10} {:>10} {:>10}", "total", "succeeded", "failed"));
    say(format_args!("{:>10} {:>10} {:>10}", report.total, report.succeeded, report.failed));
    for failure in &report.errors {
        say(format_args!("  {}: {}", failure.id, failure.message));
    }
}
