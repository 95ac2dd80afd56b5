//! The jobs `integrity.check` and `integrity.repair`.

use super::alarm::Alarm;
use super::hand::Hand;
use super::report::{Report, percent};
use super::{Integrity, Scope, Silent};
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
                let done = integrity.check_by(Hand::of_job(&run), &Scope::default(), BY, &Silent).await;
                tell(&alarm, CHECK, &run, &done).await;
                let report = done?;
                let (checks, rate) = (report.checks.len(), percent(report.consistency_rate));
                Ok(format!("{checks} checks, {} figures drifted, {rate} of the items tally", report.drifted()))
            }
        }),
        Job::new(REPAIR, REPAIR, move |run: JobRun| {
            let (integrity, alarm) = repairer.clone();
            async move {
                let scope = Scope::default();
                let report = integrity.repair_to_be(&run.kernel, &scope, false, BY)?;
                let done = integrity.repair_by(Hand::of_job(&run), &scope, report, &Silent).await;
                tell(&alarm, REPAIR, &run, &done).await;
                let report = done?;
                let (changed, drifted, id) = (report.changed(), report.drifted(), report.id);
                Ok(format!("{changed} figures put right by {id}, {drifted} still drifted"))
            }
        }),
    ])
}

async fn tell(alarm: &Alarm, job: &str, run: &JobRun, done: &Result<Report, Error>) {
    match done {
        Ok(report) if report.drifted() + report.changed() > 0 => alarm.drift(report).await,
        Ok(_) => {}
        // It goes on elsewhere.
        Err(error) if error.code() == Code::LEASE_LOST || run.kernel.shutdown.is_cancelled() => {}
        Err(error) => alarm.failure(job, error).await,
    }
}
