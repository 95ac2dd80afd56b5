//! `tally jobs`

use serde::Serialize;

use super::{OK, open_migrated, say};
use crate::app::App;
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::jobs::{self, JobState};

#[derive(clap::Args)]
pub(super) struct Options {
    /// Make this job due now: the server or worker that is there first runs it.
    #[arg(long, value_name = "NAME", conflicts_with = "json")]
    run: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One job as JSON has it: times in RFC 3339, UTC.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    name: &'a str,
    schedule: &'a str,
    next_run_at: Option<String>,
    last_tick: Option<String>,
    last_success_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    outcome: &'a str,
    detail: Option<&'a str>,
    owner: Option<&'a str>,
}

pub(super) async fn run<A: App>(options: &Options) -> Result<u8> {
    let (kernel, _) = open_migrated::<A>().await?;
    let now = kernel.clock.now();
    if let Some(name) = &options.run {
        let owned = name.clone();
        let woken = kernel.db.write(move |tx| {
            let name = owned.clone();
            Box::pin(async move { jobs::wake(tx, &name, now).await })
        });
        if !woken.await? {
            let all: Vec<_> = jobs::states(&kernel.db).await?.into_iter().map(|job| job.name).collect();
            let all = if all.is_empty() { "none before a server's first start".to_owned() } else { all.join(", ") };
            return Err(Error::not_found(format!("there is no job {name}; there are {all}")));
        }
        say(format_args!("{name} is due; whichever server or worker looks first runs it"));
    } else {
        let states = jobs::states(&kernel.db).await?;
        let lines: Vec<_> = states.iter().map(|job| line(job, now)).collect();
        if options.json {
            say(serde_json::to_string_pretty(&lines).map_err(Error::internal)?);
        } else {
            print(&lines);
        }
    }
    kernel.db.close().await?;
    Ok(OK)
}

/// The word for how a job is.
pub(super) fn outcome(job: &JobState, now: Millis) -> &str {
    let runs = !job.owner.is_empty();
    match &job.outcome {
        _ if runs && job.lease_until > now => "RUNNING",
        // Its lease is over: whoever is there next takes it over.
        _ if runs => "ABANDONED",
        Some(outcome) => outcome,
        None if job.started_at.is_some() => "INTERRUPTED",
        None => "NEVER",
    }
}

fn line(job: &JobState, now: Millis) -> Line<'_> {
    let shown = |moment: Option<Millis>| moment.map(Millis::to_text);
    Line {
        name: &job.name,
        schedule: &job.schedule,
        next_run_at: shown(job.next_run_at),
        last_tick: shown(job.last_tick),
        last_success_at: shown(job.last_success_at),
        started_at: shown(job.started_at),
        ended_at: shown(job.ended_at),
        outcome: outcome(job, now),
        detail: job.detail.as_deref(),
        owner: Some(job.owner.as_str()).filter(|owner| !owner.is_empty()),
    }
}

fn print(lines: &[Line<'_>]) {
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0).max(4);
    let schedules = lines.iter().map(|line| line.schedule.len()).max().unwrap_or(0).max(8);
    let heads = ("name", "schedule", "next run", "last run", "outcome");
    say(format_args!(
        "{:<width$}  {:<schedules$}  {:<20}  {:<20}  {:<11}  owner",
        heads.0, heads.1, heads.2, heads.3, heads.4
    ));
    for line in lines {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let (next, last) = (or_none(&line.next_run_at), or_none(&line.started_at));
        let (name, schedule, outcome) = (line.name, line.schedule, line.outcome);
        let owner = line.owner.unwrap_or("-");
        say(format_args!("{name:<width$}  {schedule:<schedules$}  {next:<20}  {last:<20}  {outcome:<11}  {owner}"));
        if let Some(detail) = line.detail.filter(|detail| !detail.is_empty()) {
            say(format_args!("  {detail}"));
        }
    }
}
