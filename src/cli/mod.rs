//! The command line. A crate with its own list of modules hands it to [`main`] and has every command.

mod audit;
pub(crate) mod backup;
mod check;
mod demo;
mod doctor;
mod events;
mod explain;
mod import;
mod jobs;
mod recalculate;
mod repair;
mod restore;
mod serve;
mod status;
mod whose;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::kernel::auth::{AuthConfig, Role, Tokens};
use crate::kernel::clock::{Clock, SystemClock};
use crate::kernel::config::Settings;
use crate::kernel::context::Kernel;
use crate::kernel::db::Db;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Ids;
use crate::kernel::module::Modules;

/// All is well.
const OK: u8 = 0;
/// The command ran and found something wrong.
const FOUND: u8 = 1;
/// The command could not be run.
const FAILED: u8 = 2;

/// An engagement backend whose every number tallies with the facts behind it.
#[derive(Parser)]
#[command(name = "tally", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve GraphQL and the pages.
    Serve {
        /// Address and port; port 0 takes a free one.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
    },
    /// Deliver events and run jobs, without serving: beside servers with `worker.enabled = false`, or for more hands.
    Worker,
    /// The jobs: when each runs next, and what came of its last run.
    Jobs(jobs::Options),
    /// The events that wait for their consumers, and those that failed.
    Events(events::Options),
    /// Look around: a server with demo content and simulated visitors, on SQLite.
    Demo(demo::Options),
    /// Bring the database's schema up.
    Migrate {
        /// Only show what is applied and what is pending.
        #[arg(long)]
        status: bool,
        #[command(flatten)]
        backup: backup::BackupChoice,
    },
    /// Make a backup of the whole database while servers run, read it again, and print where it is, alone.
    Backup(backup::Options),
    /// Put a backup in the place of the database, bring its schema up and run all checks. Nobody may use the database
    /// meanwhile. Status 0: all tallies, 1: drift found, 2: could not be done.
    Restore(restore::Options),
    /// How all is: nodes, versions, modules, jobs, queues, schema. Status 0: healthy, 1: something needs attention, 2: could
    /// not be run.
    Status(status::Options),
    /// Recompute every figure from its facts. Status 0: all tallies, 1: drift found, 2: a check, or all, could not be made.
    Check(check::Options),
    /// Put right what the checks find: figures get what their facts say, and what was there before is kept. Then check
    /// again. Safe while servers run. Status 0: all tallies, 1: drift is left (of a dry run: found), 2: could not be run.
    Repair(repair::Options),
    /// The facts that add up to a figure, with what each adds. Status 0: it tallies, 1: it does not, 2: could not be run.
    Explain(explain::Options),
    /// Make heat and levels anew from their facts, while servers run. After a change of weights, half-life or thresholds:
    /// for every content, and only then the new settings come into force. Status 0: all done, 1: some failed, 2: could not
    /// be run. Killed, it goes on where it stopped when it is run again.
    Recalculate(recalculate::Options),
    /// Say what does not tally in the tables of a system that tally is to replace. Reads only. Status 0: all tallies, 1: drift
    /// found, 2: could not be run.
    Audit(audit::Options),
    /// Take the tables of another system over, while servers run. Run again, it goes on and nothing doubles. Status 0: done,
    /// 2: could not be run.
    Import(import::Options),
    /// Print a token for development, alone: signed with `auth.secret`.
    Token {
        /// The token's subject: the user's external id.
        #[arg(long, value_name = "SUBJECT")]
        user: String,
        /// A role; may be given several times.
        #[arg(long, value_enum, ignore_case = true, default_value = "USER")]
        role: Vec<Role>,
        /// How long it holds.
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(i64).range(1..=8760))]
        hours: i64,
    },
    /// Print the GraphQL schema.
    Schema,
    /// Look for what would keep a server from running well.
    Doctor,
}

/// Runs the command line of an app.
#[must_use]
pub fn main<A: App>() -> ExitCode {
    ExitCode::from(run::<A>(std::env::args_os()))
}

/// The same with arguments from elsewhere, the program's name first. The status to end with.
#[must_use]
pub fn run<A: App>(arguments: impl Iterator<Item = OsString>) -> u8 {
    let cli = match Cli::command().try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { FAILED } else { OK };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Error::internal(error)),
    };
    let status = match runtime.block_on(dispatch::<A>(cli.command)) {
        Ok(status) => status,
        Err(error) => fail(&error),
    };
    crate::kernel::telemetry::stop();
    status
}

async fn dispatch<A: App>(command: Command) -> Result<u8> {
    match command {
        Command::Serve { listen } => serve::run::<A>(listen).await,
        Command::Worker => serve::work::<A>().await,
        Command::Jobs(options) => jobs::run::<A>(&options).await,
        Command::Events(options) => events::run::<A>(&options).await,
        Command::Demo(options) => demo::run::<A>(options).await,
        Command::Migrate { status, backup } => migrate::<A>(status, &backup).await,
        Command::Backup(options) => backup::run::<A>(&options).await,
        Command::Restore(options) => restore::run::<A>(&options).await,
        Command::Status(options) => status::run::<A>(&options).await,
        Command::Check(options) => check::run::<A>(&options).await,
        Command::Repair(options) => repair::run::<A>(&options).await,
        Command::Explain(options) => explain::run::<A>(&options).await,
        Command::Recalculate(options) => recalculate::run::<A>(options).await,
        Command::Audit(options) => audit::run(&options).await,
        Command::Import(options) => import::run::<A>(&options).await,
        Command::Token { user, role, hours } => token::<A>(&user, &role, hours),
        Command::Schema => {
            Modules::new(A::modules())?;
            say(crate::server::sdl::<A>().trim_end());
            Ok(OK)
        }
        Command::Doctor => doctor::run::<A>().await,
    }
}

async fn migrate<A: App>(status: bool, choice: &backup::BackupChoice) -> Result<u8> {
    let (kernel, modules) = open::<A>().await?;
    let migrations = modules.migrations();
    if !status {
        let states = kernel.db.migration_states(&migrations).await?;
        // An empty database has nothing to lose.
        if states.iter().any(|state| state.applied) && states.iter().any(|state| !state.applied) {
            backup::offer(&kernel, &migrations, choice).await?;
        }
        let applied = kernel.db.migrate(&migrations).await?;
        say(format_args!("{applied} migration(s) applied"));
    }
    for state in kernel.db.migration_states(&migrations).await? {
        let word = if state.applied { "applied" } else { "pending" };
        say(format_args!("{word}  {}  {}", state.module, state.name));
    }
    kernel.db.close().await?;
    Ok(OK)
}

fn token<A: App>(user: &str, roles: &[Role], hours: i64) -> Result<u8> {
    let settings = settings::<A>(&[])?;
    let config = AuthConfig::read(&settings)?;
    if !config.has_secret() {
        return Err(Error::invalid(
            "tokens come from the issuer of auth.jwks_url, whose keys tally does not have: set TALLY_AUTH_SECRET as \
             well, on the server too, to make tokens here",
        ));
    }
    let tokens = Tokens::local(config, Arc::new(SystemClock));
    say(tokens.mint(user, roles, hours * 3600)?);
    Ok(OK)
}

/// Reads the settings of an app and starts logging.
fn settings<A: App>(flags: &[(&str, String)]) -> Result<Settings> {
    let settings = Settings::load(&Modules::new(A::modules())?.settings(), flags)?;
    crate::kernel::telemetry::start(&settings)?;
    Ok(settings)
}

/// Opens a database that is there, without starting modules.
async fn open_existing<A: App>() -> Result<(Kernel, Modules)> {
    if Db::is_missing(&settings::<A>(&[])?) {
        return Err(Error::invalid("there is no database yet: `tally serve` or `tally migrate` makes it"));
    }
    open::<A>().await
}

/// Opens a database whose schema is this binary's, without starting modules.
async fn open_migrated<A: App>() -> Result<(Kernel, Modules)> {
    let (kernel, modules) = open_existing::<A>().await?;
    if kernel.db.migration_states(&modules.migrations()).await?.iter().any(|state| !state.applied) {
        return Err(Error::invalid("the database's schema is not up to date: run `tally migrate` first"));
    }
    Ok((kernel, modules))
}

/// Opens the database without starting modules.
async fn open<A: App>() -> Result<(Kernel, Modules)> {
    open_with::<A>(settings::<A>(&[])?).await
}

/// Opens another database than the settings' without starting modules.
async fn open_at<A: App>(url: &str) -> Result<(Kernel, Modules)> {
    open_with::<A>(settings::<A>(&[("database.url", url.to_owned())])?).await
}

async fn open_with<A: App>(settings: Settings) -> Result<(Kernel, Modules)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Arc::new(Ids::new(Arc::clone(&clock)));
    Ok((Kernel::open(settings, clock, ids).await?, Modules::new(A::modules())?))
}

/// Prints a line. A reader that went away (`tally schema | head`) is no error.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn fail(error: &Error) -> u8 {
    let cause = error.cause().map(|cause| format!("\n  cause: {cause}")).unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "tally: {}{cause}", error.client());
    FAILED
}

/// What tells the process to stop: Ctrl-C, or SIGTERM. Heard from the moment it is made.
struct StopSignal(Option<(Signal, Signal)>);

impl StopSignal {
    fn new() -> Self {
        let made =
            signal(SignalKind::interrupt()).and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
        Self(made.inspect_err(|error| tracing::warn!(%error, "signals are not heard")).ok())
    }

    /// Ends with the next one.
    async fn heard(&mut self) {
        match &mut self.0 {
            Some((interrupt, terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            None => std::future::pending().await,
        }
    }
}

/// What is cancelled when the process is told to stop, from now on: for work that ends by itself then.
fn stopping() -> CancellationToken {
    let (mut signal, stop) = (StopSignal::new(), CancellationToken::new());
    let told = stop.clone();
    tokio::spawn(async move {
        signal.heard().await;
        told.cancel();
    });
    stop
}
