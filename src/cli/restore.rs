//! `tally restore`

use std::path::PathBuf;
use std::sync::Arc;

use super::backup::note;
use super::{FAILED, FOUND, OK, open, say, settings};
use crate::app::App;
use crate::kernel::clock::{Clock, SystemClock};
use crate::kernel::error::Result;
use crate::kernel::module::Modules;
use crate::kernel::{backup, integrity, nodes};

#[derive(clap::Args)]
pub(super) struct Options {
    /// What `tally backup` made; its manifest is to be beside it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take the place of a database that is not empty. What is there now is kept under another name.
    #[arg(long)]
    replace: bool,
}

pub(super) async fn run<A: App>(options: &Options) -> Result<u8> {
    let migrations = Modules::new(A::modules())?.migrations();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (settings, now) = (settings::<A>(&[])?, clock.now());
    let restored = backup::restore(&settings, &migrations, &options.file, options.replace, now).await?;
    let manifest = &restored.manifest;
    say(format_args!("restored the state of {}, as tally {} kept it", manifest.taken_at, manifest.tally));
    if let Some(kept) = &restored.kept {
        say(kept);
    }
    if let Some(warning) = &restored.warning {
        note(warning);
    }
    let (kernel, modules) = open::<A>().await?;
    let applied = kernel.db.migrate(&migrations).await?;
    say(format_args!("{applied} migration(s) applied"));
    // Those that ran when the backup was made.
    kernel.db.write(|tx| Box::pin(nodes::clear(tx))).await?;
    let (mut drifted, mut failed) = (0, 0);
    for check in modules.checks() {
        let report = match integrity::run(&*check, &kernel, &|_| ()).await {
            Ok(report) => report,
            // What was restored is there; the other checks say what they find in it.
            Err(error) => {
                failed += 1;
                note(&format!("{}/{} could not be made: {}", check.module(), check.name(), error.for_operator()));
                continue;
            }
        };
        drifted += report.drifted;
        if report.drifted > 0 {
            note(&format!("{}/{}: {} of {} drifted", report.module, report.name, report.drifted, report.checked));
        }
    }
    kernel.db.close().await?;
    say(match (drifted, failed) {
        (0, 0) => "every number tallies",
        (_, 0) => "drift found: `tally check` shows all of it",
        _ => "not everything could be checked: `tally check` says why",
    });
    Ok(match (drifted, failed) {
        (0, 0) => OK,
        (_, 0) => FOUND,
        _ => FAILED,
    })
}
