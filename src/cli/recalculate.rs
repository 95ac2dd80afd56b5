//! `tally recalculate`

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{FOUND, OK, open_existing, say};
use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::modules::engagement::content::Kind;
use crate::modules::engagement::graphql::ContentId;
use crate::modules::engagement::recalculation::{self, Heard, Report, Scope, Wish};

/// How often a run that does not remember how far it is says so.
const SAID_EVERY: Duration = Duration::from_secs(10);

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
    /// Go on after this content: where a run of --all, --kind or --stale was cut off, which says it as it goes.
    #[arg(long, value_name = "ID", conflicts_with = "ids")]
    after: Option<ContentId>,
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
    let said = Mutex::new(Instant::now());
    let heard = |heard: Heard| {
        bar.set_length(heard.total.unsigned_abs());
        bar.set_position(heard.done.unsigned_abs());
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = heard.last.filter(|_| said.elapsed() >= SAID_EVERY) {
            *said = Instant::now();
            bar.suspend(|| whereabouts(&heard, last));
        }
    };
    let wish = Wish { scope, after: options.after, chunk: options.chunk as usize, heard: &heard };
    let report = recalculation::run(&kernel, wish).await?;
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

/// To stderr, also where nobody watches: whoever was cut off finds it in the log of the night.
fn whereabouts(heard: &Heard, last: ContentId) {
    let line = format!("{} of {} are done; to go on if it is cut off: --after {last}", heard.done, heard.total);
    let _ = writeln!(std::io::stderr(), "{line}");
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
