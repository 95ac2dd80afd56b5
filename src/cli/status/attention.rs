//! What needs somebody, and the command that helps: the same bounds as the alerting rules in docs/alerts.yml.

use std::collections::BTreeSet;

use super::{Attention, Node, Report};

/// How long a job may be due, in seconds.
const OVERDUE_MOST: i64 = 300;
/// How long an event may wait, in seconds.
const WAIT_MOST: i64 = 600;
/// How old the oldest result of a check may be, in seconds.
const CHECKED_MOST: i64 = 2 * 24 * 3600;
/// For how long a node that ended without a word is worth a look: afterwards somebody knows, or another took its place.
const DEAD_MOST: i64 = 3600;

/// All of it, the most pressing first.
pub(super) fn of(report: &Report) -> Vec<Attention> {
    let mut found = Vec::new();
    let pending = report.database.migrations_pending;
    if pending > 0 {
        found.push(Attention { what: format!("{pending} migration(s) are pending"), command: "tally migrate" });
    }
    nodes(report, &mut found);
    jobs(report, &mut found);
    for queue in &report.queues {
        let name = &queue.consumer;
        if let Some(age) = queue.oldest_age_secs.filter(|age| *age > WAIT_MOST) {
            let what = if queue.known {
                format!("events for {name} have waited for {}", span(age))
            } else {
                format!("{} event(s) wait for {name}, which no module has", queue.waiting)
            };
            found.push(Attention { what, command: "tally events" });
        }
        if queue.set_aside > 0 {
            let what = format!("{} event(s) for {name} failed and are set aside", queue.set_aside);
            found.push(Attention { what, command: "tally events --failed" });
        }
    }
    if let Some(checks) = &report.checks {
        if checks.drifted > 0 {
            let what = format!("{} figure(s) were not what their facts say when last looked at", checks.drifted);
            found.push(Attention { what, command: "tally check" });
        }
        if checks.failed > 0 {
            let what = format!("{} check(s) could not be made when they were to run last", checks.failed);
            found.push(Attention { what, command: "tally check" });
        }
        if let Some(age) = checks.age_secs.filter(|age| *age > CHECKED_MOST) {
            found.push(Attention { what: format!("the last check was {} ago", span(age)), command: "tally check" });
        }
    }
    found
}

fn nodes(report: &Report, found: &mut Vec<Attention>) {
    let (dead, live): (Vec<&Node>, Vec<&Node>) = report.nodes.iter().partition(|node| node.dead_secs.is_some());
    if !live.iter().any(|node| node.role == "server") {
        found.push(Attention { what: "no server runs".to_owned(), command: "tally serve" });
    }
    if !live.is_empty() && !live.iter().any(|node| node.works) {
        let what = "nobody delivers events or runs jobs: worker.enabled is false on every server".to_owned();
        found.push(Attention { what, command: "tally worker" });
    }
    for node in dead {
        if let Some(secs) = node.dead_secs.filter(|secs| *secs <= DEAD_MOST) {
            let (id, role, silent) = (&node.id, &node.role, span(secs));
            let what = format!("{role} {id} has been silent for {silent}: it died, or cannot write to the database");
            let command = if role == "worker" { "tally worker" } else { "tally serve" };
            found.push(Attention { what, command });
        }
    }
    let versions: BTreeSet<&str> = live.iter().map(|node| &*node.version).collect();
    if versions.len() > 1 {
        let all: Vec<_> = versions.into_iter().collect();
        let what = format!("nodes of several versions run: {}; restart those of the older ones", all.join(", "));
        found.push(Attention { what, command: "tally serve" });
    }
}

fn jobs(report: &Report, found: &mut Vec<Attention>) {
    let overdue = report.jobs.iter().filter(|job| job.overdue_secs > OVERDUE_MOST);
    let names: Vec<_> = overdue.map(|job| format!("{} ({})", job.name, span(job.overdue_secs))).collect();
    if !names.is_empty() {
        let what = format!("due, and nobody runs them: {}", names.join(", "));
        found.push(Attention { what, command: "tally jobs" });
    }
    for job in report.jobs.iter().filter(|job| job.outcome == "FAILED") {
        let what = format!("the last run of {} failed: {}", job.name, job.detail.as_deref().unwrap_or_default());
        found.push(Attention { what, command: "tally jobs" });
    }
}

/// A time as people say it.
pub(super) fn span(secs: i64) -> String {
    match secs {
        ..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} days", secs / 86_400),
    }
}
