//! The report as people read it.

use super::attention::span;
use super::{Report, say};

pub(super) fn print(report: &Report) {
    let pending = match report.database.migrations_pending {
        0 => "schema up to date".to_owned(),
        pending => format!("{pending} migration(s) pending"),
    };
    say(format_args!("tally {} on {}, {pending}, {}", report.version, report.database.backend, report.at));
    let named = |on| {
        let names: Vec<_> = report.modules.iter().filter(|module| module.on == on).map(|module| module.name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    say(format_args!("modules: {}; off: {}", named(true), named(false)));
    nodes(report);
    jobs(report);
    queues(report);
    checks(report);
    say("");
    if report.attention.is_empty() {
        say("all is well");
    }
    for attention in &report.attention {
        say(format_args!("!  {}  →  {}", attention.what, attention.command));
    }
}

fn nodes(report: &Report) {
    say("\nnodes");
    if report.nodes.is_empty() {
        say("  none");
    }
    for node in &report.nodes {
        let works = if node.works { "delivers and runs jobs" } else { "serves only" };
        let listen = node.listen.as_deref().unwrap_or("-");
        let seen = match node.dead_secs {
            Some(secs) => format!("DEAD, silent for {}", span(secs)),
            None => format!("seen {}", node.seen_at),
        };
        let (id, role, version) = (&node.id, &node.role, &node.version);
        say(format_args!("  {role:<6}  {version}  {id}  {listen}  {works}, since {}, {seen}", node.started_at));
    }
}

fn jobs(report: &Report) {
    say("\njobs");
    let width = report.jobs.iter().map(|job| job.name.len()).max().unwrap_or(0);
    if report.jobs.is_empty() {
        say("  none before a server's first start");
    }
    for job in &report.jobs {
        let success = job.last_success_at.as_deref().unwrap_or("never");
        let next = job.next_run_at.as_deref().unwrap_or("-");
        let (name, outcome) = (&job.name, &job.outcome);
        say(format_args!("  {name:<width$}  {outcome:<11}  last success {success:<20}  next {next}"));
    }
}

fn checks(report: &Report) {
    say("\nchecks");
    match &report.checks {
        Some(checks) => {
            let ran = checks.ran_at.as_deref().unwrap_or("not run yet");
            say(format_args!("  {}  {ran}  {} figure(s) differ", checks.state, checks.drifted));
        }
        None => say("  none before the schema is there"),
    }
}

fn queues(report: &Report) {
    say("\nqueues");
    if report.queues.is_empty() {
        say("  none");
    }
    let width = report.queues.iter().map(|queue| queue.consumer.len()).max().unwrap_or(0);
    for queue in &report.queues {
        let oldest = queue.oldest_age_secs.map(|age| format!(", oldest {}", span(age))).unwrap_or_default();
        let (consumer, waiting, aside) = (&queue.consumer, queue.waiting, queue.set_aside);
        say(format_args!("  {consumer:<width$}  {waiting} waiting, {aside} set aside{oldest}"));
    }
}
