//! Repairs: what the facts say is written, and what was there before is kept, in one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::check::{CHUNK, failure, look};
use super::hand::{Hand, Hear};
use super::report::{Change, CheckLine, Failure, Kind, Report};
use super::tell::Tell;
use super::{Check, Drift, Integrity, Key, Scope, store};
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};

/// Items of one transaction: on SQLite nobody else writes meanwhile.
const AT_ONCE: usize = 25;
/// How often what still differs is put right once more: a figure may stand on another that was wrong, too.
const PASSES: usize = 3;

/// One check of a repair.
struct Part {
    check: Arc<dyn Check>,
    key: Option<Key>,
    changed: u64,
    drifted: bool,
    /// Why it could not be put right.
    failure: Option<Failure>,
}

impl Integrity {
    /// Puts right what the checks of a scope find, keeps what was there before, and checks again. A dry run finds and
    /// says, and changes nothing. A check that fails, or whose repair does, is named in the report, and the others are put
    /// right.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::INVALID_INPUT`] for a scope without checks,
    /// [`crate::kernel::error::Code::UNAVAILABLE`] when the process is told to end, the database's own. What was done
    /// until then is recorded, and can be undone.
    pub async fn repair(
        &self,
        kernel: &Kernel,
        scope: &Scope,
        dry_run: bool,
        by: &str,
        hear: &dyn Hear,
    ) -> Result<Report> {
        let report = self.repair_to_be(kernel, scope, dry_run, by)?;
        self.repair_begun(kernel, scope, report, hear).await
    }

    /// The report of a repair that has not begun: its run has an id already.
    pub(crate) fn repair_to_be(&self, kernel: &Kernel, scope: &Scope, dry_run: bool, by: &str) -> Result<Report> {
        self.choose(scope)?;
        let mut report = Report::begin(kernel, Kind::Repair, scope, by);
        report.dry_run = dry_run;
        Ok(report)
    }

    /// [`Integrity::repair`] of such a report.
    pub(crate) async fn repair_begun(
        &self,
        kernel: &Kernel,
        scope: &Scope,
        report: Report,
        hear: &dyn Hear,
    ) -> Result<Report> {
        self.repair_by(Hand::of(kernel), scope, report, hear).await
    }

    pub(super) async fn repair_by(
        &self,
        mut hand: Hand<'_>,
        scope: &Scope,
        mut report: Report,
        hear: &dyn Hear,
    ) -> Result<Report> {
        let chosen = self.choose_there(hand.kernel, scope).await?;
        // Without its record nothing is changed: it could not be undone.
        hand.begin(&report).await?;
        let part = |(check, key)| Part { check, key, changed: 0, drifted: true, failure: None };
        let parts = chosen.into_iter().map(part).collect();
        let done = if report.dry_run {
            hand.alive_while(self.would_mend(&hand, parts, &mut report, hear)).await
        } else {
            let mut tell = Tell::new();
            let done = hand.alive_while(self.mend(&hand, parts, &mut report, &mut tell, hear)).await;
            tell.after(hand.kernel, done).await
        };
        report.recommend(&self.checks);
        hand.end(&mut report, done).await
    }

    async fn would_mend(&self, hand: &Hand<'_>, parts: Vec<Part>, report: &mut Report, hear: &dyn Hear) -> Result<()> {
        let number = AtomicI64::new(1);
        for Part { check, key, .. } in parts {
            let check = check.as_ref();
            let repairs = check.remedy().repairs();
            let told = |key: Key, drift: &Drift| {
                if repairs {
                    hear.change(&change(check, key, drift.clone(), number.fetch_add(1, Ordering::Relaxed)));
                }
            };
            let mut line = look(hand, check, key, hear, &told).await?;
            line.changed = if repairs { line.drifted } else { 0 };
            hear.ends(&line);
            report.checks.push(line);
            hand.go_on().await?;
        }
        Ok(())
    }

    async fn mend(
        &self,
        hand: &Hand<'_>,
        mut parts: Vec<Part>,
        report: &mut Report,
        tell: &mut Tell,
        hear: &dyn Hear,
    ) -> Result<()> {
        let mut number = 1;
        for _ in 0..PASSES {
            let before = number;
            for part in parts.iter_mut().filter(|part| part.is_to_do()) {
                hear.begins(part.check.name());
                let from = number;
                let done = mend_one(hand, part, report, &mut number, tell, hear).await;
                part.changed += (number - from).unsigned_abs();
                if let Err(error) = done.or_else(|error| part.fail(error)) {
                    // What was done until here is said, with what failed.
                    report.checks = parts.iter().filter(|part| part.changed > 0).map(Part::line).collect();
                    return Err(error);
                }
            }
            // Before it is looked at again: indexes are figures, too.
            tell.now(hand.kernel).await?;
            report.checks.clear();
            for part in &mut parts {
                let mut line = self.check_one(hand, part.check.as_ref(), part.key, report, hear).await?;
                line.changed = part.changed;
                part.drifted = line.drifted > 0;
                line.failure = line.failure.or_else(|| part.failure.clone());
                report.checks.push(line);
            }
            if !parts.iter().any(Part::is_to_do) || number == before {
                break;
            }
        }
        Ok(())
    }
}

impl Part {
    fn is_to_do(&self) -> bool {
        self.drifted && self.failure.is_none() && self.check.remedy().repairs()
    }

    /// Notes why it could not be put right.
    fn fail(&mut self, error: Error) -> Result<()> {
        self.failure = Some(failure(self.check.as_ref(), error)?);
        Ok(())
    }

    fn line(&self) -> CheckLine {
        CheckLine::without_look(self.check.module(), self.check.name(), self.changed, 0)
    }
}

/// Puts right what one check finds.
async fn mend_one(
    hand: &Hand<'_>,
    part: &Part,
    report: &Report,
    number: &mut i64,
    tell: &mut Tell,
    hear: &dyn Hear,
) -> Result<()> {
    let (kernel, check) = (hand.kernel, &part.check);
    let (mut after, mut checked) = (None, 0);
    loop {
        let (mut suspects, next) = match part.key {
            Some(key) => (vec![key], None),
            None => {
                let chunk = check.scan(kernel, after, CHUNK).await?;
                checked += chunk.checked;
                hear.checked(checked);
                (chunk.suspects, chunk.next)
            }
        };
        // Locks are taken in (lane, id) order.
        suspects.sort_unstable();
        for keys in suspects.chunks(AT_ONCE) {
            let made = replace(hand, check, keys, report.id.uuid(), *number).await?;
            *number += i64::try_from(made.len()).unwrap_or(i64::MAX);
            made.iter().for_each(|change| hear.change(change));
            tell.note(check, made.iter().map(|change| change.key));
            tell.by_the_way(kernel).await?;
            hand.go_on().await?;
        }
        match next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

/// Puts some items right and records what was there, in one transaction. Run again after a COMMIT whose answer was lost,
/// it finds its own record.
async fn replace(
    hand: &Hand<'_>,
    check: &Arc<dyn Check>,
    keys: &[Key],
    run: uuid::Uuid,
    first: i64,
) -> Result<Vec<Change>> {
    let work: (Kernel, Arc<dyn Check>, Vec<Key>) = (hand.kernel.clone(), Arc::clone(check), keys.to_vec());
    let written = hand.write(move |tx| {
        let (kernel, check, keys) = work.clone();
        Box::pin(async move {
            let done = store::changes_from(tx, run, first).await?;
            if !done.is_empty() {
                return Ok(done);
            }
            check.lock(&kernel, tx, &keys).await?;
            let mut changes = Vec::new();
            for key in keys {
                let (drifts, mut kept) = check.repair_keeping(&kernel, tx, key).await?;
                for drift in drifts {
                    let number = first + i64::try_from(changes.len()).unwrap_or(i64::MAX);
                    // Once an item, with the first.
                    changes.push(Change { kept: kept.take(), ..change(check.as_ref(), key, drift, number) });
                }
            }
            store::changes_put(tx, run, &changes).await?;
            Ok(changes)
        })
    });
    written.await
}

fn change(check: &dyn Check, key: Key, drift: Drift, number: i64) -> Change {
    let (module, name) = (check.module().to_owned(), check.name().to_owned());
    Change { number, module, name, key, drift, put_back: None, kept: None, replaced_since: false }
}
