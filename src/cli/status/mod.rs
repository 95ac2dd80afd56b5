//! `tally status`

mod attention;
mod print;

use sea_orm::DbBackend;
use serde::Serialize;

use super::{FOUND, OK, open_existing, say};
use crate::app::App;
use crate::cli::events::all_backlogs;
use crate::cli::jobs::outcome;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::jobs::{self, JobState};
use crate::kernel::module::{Modules, Need};
use crate::kernel::nodes::{self, NodeState};

#[derive(clap::Args)]
pub(super) struct Options {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// All that it says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// `OK` or `ATTENTION`.
    state: &'static str,
    at: String,
    /// Of this binary.
    version: &'static str,
    database: Database,
    modules: Vec<Switched>,
    nodes: Vec<Node>,
    jobs: Vec<Job>,
    queues: Vec<Queue>,
    /// What the checks found last; nothing before the schema is there.
    checks: Option<Checks>,
    attention: Vec<Attention>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checks {
    /// `OK`, `DRIFT`, `FAILED` when one could not be made, or `UNKNOWN` before every check has run.
    state: &'static str,
    /// When the oldest of their runs began.
    ran_at: Option<String>,
    /// How long ago that was.
    age_secs: Option<i64>,
    drifted: u64,
    /// How many checks could not be made.
    failed: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Database {
    /// `sqlite` or `postgres`.
    backend: &'static str,
    migrations_pending: usize,
}

#[derive(Serialize)]
struct Switched {
    name: &'static str,
    on: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: String,
    version: String,
    /// `server` or `worker`.
    role: String,
    /// Whether it delivers events and runs jobs.
    works: bool,
    listen: Option<String>,
    started_at: String,
    seen_at: String,
    /// For how long it has been silent, if that is too long.
    dead_secs: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    name: String,
    outcome: String,
    last_success_at: Option<String>,
    next_run_at: Option<String>,
    /// For how long it has been due and nobody ran it.
    overdue_secs: i64,
    detail: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Queue {
    consumer: String,
    /// Whether a module of this binary takes its events.
    known: bool,
    waiting: i64,
    set_aside: i64,
    oldest_age_secs: Option<i64>,
}

/// What needs somebody.
#[derive(Serialize)]
struct Attention {
    what: String,
    /// The command that helps, or shows more.
    command: &'static str,
}

pub(super) async fn run<A: App>(options: &Options) -> Result<u8> {
    let (kernel, modules) = open_existing::<A>().await?;
    let report = look(&kernel, &modules).await?;
    kernel.db.close().await?;
    if options.json {
        say(serde_json::to_string_pretty(&report).map_err(Error::internal)?);
    } else {
        print::print(&report);
    }
    Ok(if report.attention.is_empty() { OK } else { FOUND })
}

async fn look(kernel: &Kernel, modules: &Modules) -> Result<Report> {
    let now = kernel.clock.now();
    let states = kernel.db.migration_states(&modules.migrations()).await?;
    let pending = states.iter().filter(|state| !state.applied).count();
    let backend = if kernel.backend() == DbBackend::Postgres { "postgres" } else { "sqlite" };
    let off: Vec<_> = kernel.settings.list("modules.off").collect();
    let switched = |name| Switched { name, on: !off.contains(&name) };
    let mut report = Report {
        state: "OK",
        at: now.to_text(),
        version: env!("CARGO_PKG_VERSION"),
        database: Database { backend, migrations_pending: pending },
        modules: modules.list.iter().map(|module| switched(module.name)).collect(),
        nodes: Vec::new(),
        jobs: Vec::new(),
        queues: Vec::new(),
        checks: None,
        attention: Vec::new(),
    };
    // Without the kernel's tables there is nothing to read yet.
    if states.iter().all(|state| state.applied || state.module != "kernel") {
        report.nodes = nodes::all(&kernel.db).await?.into_iter().map(|state| node(state, now)).collect();
        report.jobs = jobs::states(&kernel.db).await?.into_iter().map(|state| job(state, now)).collect();
        let backlogs = all_backlogs(kernel, modules).await?.into_iter();
        let queues = backlogs.map(|(backlog, known)| Queue {
            consumer: backlog.consumer,
            known,
            waiting: backlog.waiting,
            set_aside: backlog.set_aside,
            oldest_age_secs: backlog.oldest_at.map(|at| (now.0 - at.0).max(0) / 1000),
        });
        report.queues = queues.collect();
        let latest = modules.integrity().latest(kernel, None, None).await?;
        report.checks = Some(Checks {
            state: latest.report.state.word(),
            ran_at: latest.ran_at.map(|at| at.to_text()),
            age_secs: latest.ran_at.map(|at| (now.0 - at.0).max(0) / 1000),
            drifted: latest.checks().iter().map(|line| line.drifted).sum(),
            failed: latest.checks().iter().filter(|line| line.failure.is_some()).count(),
        });
    }
    report.attention = attention::of(&report);
    // Before its tables are there a module has nothing to say.
    if pending == 0 {
        let needs = modules.needs(kernel).await?.into_iter();
        report.attention.extend(needs.map(|Need { what, command }| Attention { what, command }));
    }
    if !report.attention.is_empty() {
        report.state = "ATTENTION";
    }
    Ok(report)
}

fn node(state: NodeState, now: Millis) -> Node {
    Node {
        dead_secs: state.dead_secs(now),
        id: state.id,
        version: state.version,
        role: state.role,
        works: state.works != 0,
        listen: state.listen,
        started_at: state.started_at.to_text(),
        seen_at: state.seen_at.to_text(),
    }
}

fn job(state: JobState, now: Millis) -> Job {
    // Whoever had it is gone: it has been due since the end of its lease.
    let abandoned = (!state.owner.is_empty() && state.lease_until <= now).then_some(state.lease_until);
    let due = state.next_run_at.filter(|_| state.owner.is_empty());
    let since = abandoned.or(due).map_or(0, |at| (now.0 - at.0).max(0) / 1000);
    Job {
        outcome: outcome(&state, now).to_owned(),
        last_success_at: state.last_success_at.map(Millis::to_text),
        next_run_at: state.next_run_at.map(Millis::to_text),
        overdue_secs: since,
        name: state.name,
        detail: state.detail,
    }
}
