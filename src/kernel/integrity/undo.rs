//! Undoes a repair: what it replaced is put back, item by item, the last one first.

use std::sync::Arc;

use super::hand::{Hand, Hear};
use super::report::{Change, CheckLine, Kind, Report, RunKind, State};
use super::tell::Tell;
use super::{Check, Drift, Integrity, Scope, store};
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Id;

/// Changes of one item at most: each has a figure or two, or a sum an epoch.
const OF_ITEM: i64 = 1000;

impl Integrity {
    /// Puts back what a repair replaced, beside all that has happened since, and checks again. Each change is put back or
    /// left, and `hear` is told which. Once: an undo that was interrupted goes on when it is asked for again.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::NOT_FOUND`] for a run that there is not,
    /// [`crate::kernel::error::Code::INVALID_INPUT`] for one that is no repair,
    /// [`crate::kernel::error::Code::CONFLICT`] for one that goes on, or is undone already; the database's own.
    pub async fn undo(&self, kernel: &Kernel, of: Id<RunKind>, by: &str, hear: &dyn Hear) -> Result<Report> {
        let now = kernel.clock.now();
        let row = store::run_by_id(&kernel.db, of.uuid()).await?;
        let row = row.ok_or_else(|| Error::not_found(format!("there is no run {of}")))?;
        if row.kind() != Kind::Repair || row.is_dry() {
            let what = if row.is_dry() { "a dry run" } else { row.kind().word() };
            return Err(Error::invalid(format!("{of} is {what}: only repairs are undone")));
        }
        if row.state(now) == State::Running {
            return Err(Error::conflict(format!("{of} still goes on")));
        }
        let mut report = Report::begin(kernel, Kind::Undo, &Scope::default(), by);
        report.scope.clone_from(&row.scope);
        report.undoes = Some(of);
        let mut hand = Hand::of(kernel);
        hand.begin_undo(&report, of).await?;
        let done = hand.alive_while(self.put_back(&hand, of, &mut report, hear)).await;
        report.recommend(&self.checks);
        hand.end(&mut report, done).await
    }

    async fn put_back(&self, hand: &Hand<'_>, of: Id<RunKind>, report: &mut Report, hear: &dyn Hear) -> Result<()> {
        let mut tell = Tell::new();
        let mut before = i64::MAX;
        let done = async {
            loop {
                let tried = self.put_back_one(hand, of.uuid(), before).await?;
                let Some(oldest) = tried.first() else { return Ok(()) };
                before = oldest.number;
                if let Some(check) = self.named(oldest)
                    && tried.iter().any(|change| change.put_back == Some(true))
                {
                    tell.note(check, [oldest.key]);
                }
                for change in &tried {
                    hear.change(change);
                    count(&mut report.checks, change);
                }
                tell.by_the_way(hand.kernel).await?;
                hand.go_on().await?;
            }
        };
        let done = done.await;
        tell.after(hand.kernel, done).await?;
        self.look_again(hand, report, hear).await
    }

    /// Tries the newest item before a number, in one transaction: its changes, oldest first; none at the end.
    async fn put_back_one(&self, hand: &Hand<'_>, of: uuid::Uuid, before: i64) -> Result<Vec<Change>> {
        let work: (Kernel, Integrity) = (hand.kernel.clone(), self.clone());
        let written = hand.write(move |tx| {
            let (kernel, integrity) = work.clone();
            Box::pin(async move {
                // One item a transaction: the order of a run is not that in which writers lock.
                let mut open = of_one_item(store::changes_open(tx, of, before, OF_ITEM).await?);
                let Some(first) = open.first() else { return Ok(open) };
                let (check, key, number) = (integrity.named(first).cloned(), first.key, first.number);
                let mut kept = first.kept.clone();
                if kept.is_none() && open.len() as i64 == OF_ITEM {
                    kept = store::kept_before(tx, of, number).await?;
                }
                // What a newer repair has replaced again is what that one kept.
                let own = open.iter().filter(|change| !change.replaced_since);
                let drifts: Vec<Drift> = own.map(|change| change.drift.clone()).collect();
                let back = match &check {
                    Some(check) if !drifts.is_empty() => {
                        check.restore_kept(&kernel, tx, key, &drifts, kept.as_deref()).await?
                    }
                    // Of a module that is not here: its figures are left alone.
                    _ => vec![false; drifts.len()],
                };
                if back.len() != drifts.len() {
                    return Err(Error::internal(format!("{} answers for {} drifts", back.len(), drifts.len())));
                }
                let mut back = back.into_iter();
                for change in &mut open {
                    change.put_back = Some(!change.replaced_since && back.next().unwrap_or(false));
                }
                store::changes_tried(tx, of, &open).await?;
                Ok(open)
            })
        });
        written.await
    }

    pub(super) fn named(&self, change: &Change) -> Option<&Arc<dyn Check>> {
        self.checks.iter().find(|check| check.module() == change.module && check.name() == change.name)
    }

    /// Checks what was put back: the drift is there again, and the record should say so.
    async fn look_again(&self, hand: &Hand<'_>, report: &mut Report, hear: &dyn Hear) -> Result<()> {
        for place in 0..report.checks.len() {
            let Some(old) = report.checks.get(place).cloned() else { continue };
            let Some(check) = self.checks.iter().find(|check| old.is_of(check.as_ref())) else { continue };
            let mut line = self.check_one(hand, check.as_ref(), None, report, hear).await?;
            (line.changed, line.left) = (old.changed, old.left);
            if let Some(kept) = report.checks.get_mut(place) {
                *kept = line;
            }
        }
        Ok(())
    }
}

/// Of changes, newest first, those of the first one's item that one transaction of the repair made, oldest first.
fn of_one_item(open: Vec<Change>) -> Vec<Change> {
    let mut one: Vec<Change> = Vec::new();
    for change in open {
        let other = one.last().is_some_and(|newer| {
            // The first change of an item holds what was kept with all of them.
            newer.kept.is_some()
                || (newer.key, &newer.name, &newer.module) != (change.key, &change.name, &change.module)
        });
        if other {
            break;
        }
        one.push(change);
    }
    one.reverse();
    one
}

fn count(lines: &mut Vec<CheckLine>, change: &Change) {
    let line = CheckLine::among(lines, change);
    if change.put_back == Some(true) { line.changed += 1 } else { line.left += 1 }
}
