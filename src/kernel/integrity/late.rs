//! Tells of repairs, and of what undoes them, that were cut off before they could: their changes stay, so the next look at
//! everything finds nothing, and nobody would ever know.

use super::alarm::Alarm;
use super::report::{CheckLine, Kind, Report};
use super::store::{self, RunRow};
use super::tell::Tell;
use super::{Integrity, Scope};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::id::Id;

/// Changes read at once.
const PAGE: i64 = 1000;
/// Changes of a check that a message shows.
const EXAMPLES: usize = 20;

impl Integrity {
    /// Tells indexes and other processes of what such runs changed, and operators of those that nobody waited for: those
    /// by `job`. The caller may hold the lease of that job; then no other run by it is alive.
    pub(super) async fn tell_late(&self, kernel: &Kernel, alarm: &Alarm, job: &str, leased: bool) -> Result<()> {
        let gone = Some(job).filter(|_| leased);
        for row in store::runs_untold(&kernel.db, kernel.clock.now(), gone).await? {
            let report = self.changed_by(kernel, &row).await?;
            tracing::warn!(run = %report.id, changed = report.changed(), "a run was cut off before it could tell of itself");
            if report.kind == Kind::Repair && report.started_by == job && report.changed() > 0 {
                alarm.drift(&report).await;
            }
            let id = row.id;
            kernel.db.write(move |tx| Box::pin(store::run_told(tx, id))).await?;
        }
        Ok(())
    }

    /// Tells the checks of all that a run changed. What it changed, as a report.
    async fn changed_by(&self, kernel: &Kernel, row: &RunRow) -> Result<Report> {
        let mut report = Report::begin(kernel, row.kind(), &Scope::default(), &row.started_by);
        (report.id, report.began_at, report.ended_at) = (Id::new(row.id), row.began_at, row.ended_at);
        report.state = row.state(kernel.clock.now());
        report.scope.clone_from(&row.scope);
        let (mut tell, mut after) = (Tell::new(), 0);
        loop {
            // What an undo put back is noted where the repair is.
            let page = store::changes_page(&kernel.db, row.undoes.unwrap_or(row.id), after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.number;
            for change in &page {
                if let Some(check) = self.named(change) {
                    tell.note(check, [change.key]);
                }
                let line = CheckLine::among(&mut report.checks, change);
                line.changed += 1;
                if line.examples.len() < EXAMPLES {
                    line.examples.push(change.drift.clone());
                }
            }
        }
        tell.after(kernel, Ok(report)).await
    }
}
