//! The jobs `integrity.check` and `integrity.repair`.

use super::alarm::Alarm;
use super::hand::Hand;
use super::report::{Report, percent};
use super::{Integrity, Scope, Silent, store};
use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::jobs::{Job, JobRun};

const CHECK: &str = "integrity.check";
const REPAIR: &str = "integrity.repair";
const BY: &str = "job";

/// Both jobs.
///
/// # Errors
/// A setting that is no address.
pub(crate) fn jobs(integrity: &Integrity, settings: &Settings) -> Result<[Job; 2]> {
    let alarm = Alarm::new(settings)?;
    let (checker, repairer) = ((integrity.clone(), alarm.clone()), (integrity.clone(), alarm));
    Ok([
        Job::new(CHECK, CHECK, move |run: JobRun| {
            let (integrity, alarm) = checker.clone();
            async move {
                late(&integrity, &alarm, &run, false).await;
                let done = integrity.check_by(Hand::of_job(&run), &Scope::default(), BY, &Silent).await;
                tell(&alarm, CHECK, &run, &done).await;
                let report = whole(done?)?;
                let (checks, rate) = (report.checks.len(), percent(report.consistency_rate));
                Ok(format!("{checks} checks, {} figures drifted, {rate} of the items tally", report.drifted()))
            }
        }),
        Job::new(REPAIR, REPAIR, move |run: JobRun| {
            let (integrity, alarm) = repairer.clone();
            async move {
                late(&integrity, &alarm, &run, true).await;
                let scope = Scope::default();
                let report = integrity.repair_to_be(&run.kernel, &scope, false, BY)?;
                let done = integrity.repair_by(Hand::of_job(&run), &scope, report, &Silent).await;
                tell(&alarm, REPAIR, &run, &done).await;
                let report = done?;
                let (changed, drifted, id) = (report.changed(), report.drifted(), report.id);
                // No error: it would put all right each minute, for what the daily check fails of.
                let failed = report.failure().map(|error| format!("; {}", error.client())).unwrap_or_default();
                Ok(format!("{changed} figures put right by {id}, {drifted} still drifted{failed}"))
            }
        }),
    ])
}

/// A report of all checks, or the error of those that could not be made: the job is tried again.
fn whole(report: Report) -> Result<Report> {
    report.failure().map_or(Ok(report), Err)
}

/// Runs before this one that were cut off; that they cannot be told of now keeps nothing from its work.
async fn late(integrity: &Integrity, alarm: &Alarm, run: &JobRun, repairs: bool) {
    if let Err(error) = integrity.tell_late(&run.kernel, alarm, BY, repairs).await {
        tracing::warn!(error = error.for_operator(), "runs that were cut off are told of by the next one");
    }
}

async fn tell(alarm: &Alarm, job: &str, run: &JobRun, done: &Result<Report, Error>) {
    match done {
        Ok(report) => {
            let failure = report.failure();
            // A job that fails is tried again soon, and finds again what it found: one message an hour is enough of that.
            let due = failure.is_none() || alarm.is_due();
            if report.changed() > 0 || due && report.drifted() > 0 {
                alarm.drift(report).await;
            }
            if let Some(error) = failure.filter(|_| due) {
                alarm.failure(job, &error).await;
            }
            let id = report.id.uuid();
            if let Err(error) = run.kernel.db.write(move |tx| Box::pin(store::run_told(tx, id))).await {
                tracing::warn!(error = error.for_operator(), "the next run tells of this one again");
            }
        }
        // It goes on elsewhere; what it changed until now is told of there.
        Err(error) if error.code() == Code::LEASE_LOST || run.kernel.shutdown.is_cancelled() => {}
        Err(error) if alarm.is_due() => alarm.failure(job, error).await,
        Err(_) => {}
    }
}
