//! `tally backup`, and the offer of one by commands that change much.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use super::{OK, StopSignal, open_existing, say};
use crate::app::App;
use crate::kernel::backup::{self, Backup};
use crate::kernel::context::Kernel;
use crate::kernel::db::Migrations;
use crate::kernel::error::{Code, Error, Result};

#[derive(clap::Args)]
pub(super) struct Options {
    /// A file that is not there yet, or a folder; without it, the setting `backup.folder`.
    #[arg(long, value_name = "FILE|FOLDER")]
    to: Option<PathBuf>,
}

/// Whether a command begins with a backup. To be flattened into its options.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct BackupChoice {
    /// Make a backup first, without asking.
    #[arg(long)]
    backup: bool,
    /// Make no backup, without asking.
    #[arg(long, conflicts_with = "backup")]
    no_backup: bool,
}

impl BackupChoice {
    /// Whether one is to be made without asking.
    pub(super) fn is_wanted(self) -> bool {
        self.backup
    }
}

/// The path alone goes to the output, so that `file=$(tally backup)` works.
pub(super) async fn run<A: App>(options: &Options) -> Result<u8> {
    let (kernel, modules) = open_existing::<A>().await?;
    let known = modules.migrations();
    let mut stop = StopSignal::new();
    let made = tokio::select! {
        made = backup::create(&kernel, &known, options.to.as_deref()) => made?,
        // What is under way is removed.
        () = stop.heard() => return Err(Error::new(Code::UNAVAILABLE, "stopped: no backup was made")),
    };
    note(&described(&made));
    say(made.file.display());
    kernel.db.close().await?;
    Ok(OK)
}

/// Offers a backup before something that changes much: makes one when the choice says so or, on a terminal, the operator
/// does. Without a terminal nobody is asked, and a hint says how to have one.
///
/// # Errors
/// A backup that was wanted and could not be made: the command should not go on.
pub(crate) async fn offer(kernel: &Kernel, known: &[Migrations], choice: &BackupChoice) -> Result<()> {
    if choice.no_backup {
        return Ok(());
    }
    if choice.backup || asked("Make a backup first?").await? {
        let made = backup::create(kernel, known, None).await?;
        note(&format!("backup: {}, {}", made.file.display(), described(&made)));
    } else if !on_terminal() {
        note("no backup was made: `--backup` makes one first, `--no-backup` keeps this hint away");
    }
    Ok(())
}

fn described(made: &Backup) -> String {
    let manifest = &made.manifest;
    format!("{} bytes by {}, read again and found whole", manifest.bytes, manifest.tool)
}

fn on_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// What the operator answers on a terminal; elsewhere no.
async fn asked(question: &str) -> Result<bool> {
    if !on_terminal() {
        return Ok(false);
    }
    let mut errors = std::io::stderr();
    let _ = write!(errors, "{question} [y/N] ").and_then(|()| errors.flush());
    // A thread that nobody waits for: who is told to stop meanwhile does not wait for an answer.
    let (told, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = told.send(std::io::stdin().read_line(&mut line).map(|_| line));
    });
    let line = answer.await.map_err(Error::internal)?.map_err(Error::internal)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// A line for whoever watches, beside the output.
pub(super) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
