//! Undoes a repair: what it replaced is put back, item by item, the last one first.

use std::sync::Arc;

use super::hand::{Hand, Hear};
use super::report::{Change, CheckLine, Kind, Report, RunKind, State};
use super::{Check, Drift, Integrity, Key, Scope, store};
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Id;

/// Changes of one item at most: each has a figure or two, or a sum an epoch.
const OF_ITEM: i64 = 1000;
/// Items after which indexes and listeners hear of what was put back.
const TOLD_AT: usize = 100;

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
        let mut told: Vec<Key> = Vec::new();
        let mut last: Option<Arc<dyn Check>> = None;
        let mut before = i64::MAX;
        loop {
            let tried = self.put_back_one(hand, of.uuid(), before).await?;
            let check = tried.last().and_then(|change| self.named(change)).cloned();
            let other = match (&last, &check) {
                (Some(last), Some(check)) => !Arc::ptr_eq(last, check),
                (Some(_), None) => true,
                (None, _) => false,
            };
            if let Some(last) = last.as_ref().filter(|_| !told.is_empty() && (other || told.len() >= TOLD_AT)) {
                last.changed(hand.kernel, &std::mem::take(&mut told)).await?;
            }
            let Some(newest) = tried.first() else {
                break;
            };
            before = newest.number;
            if tried.iter().any(|change| change.put_back == Some(true)) {
                told.push(newest.key);
            }
            last = check;
            for change in &tried {
                hear.change(change);
                count(&mut report.checks, change);
            }
            hand.go_on().await?;
        }
        self.look_again(hand, report, hear).await
    }

    /// Tries the newest item before a number, in one transaction: its changes, oldest first; none at the end.
    async fn put_back_one(&self, hand: &Hand<'_>, of: uuid::Uuid, before: i64) -> Result<Vec<Change>> {
        let work: (Kernel, Integrity) = (hand.kernel.clone(), self.clone());
        let written = hand.write(move |tx| {
            let (kernel, integrity) = work.clone();
            Box::pin(async move {
                // One item a transaction: the order of a run is not that in which writers lock.
                let mut open = store::changes_open(tx, of, before, OF_ITEM).await?;
                let same = |a: &Change, b: &Change| a.key == b.key && a.name == b.name && a.module == b.module;
                let first = open.first().cloned();
                open.retain(|change| first.as_ref().is_some_and(|first| same(first, change)));
                open.reverse();
                let drifts: Vec<Drift> = open.iter().map(|change| change.drift.clone()).collect();
                let back = match (open.first(), open.first().and_then(|change| integrity.named(change))) {
                    (Some(change), Some(check)) => check.restore(&kernel, tx, change.key, &drifts).await?,
                    // Of a module that is not here: its figures are left alone.
                    _ => vec![false; open.len()],
                };
                if back.len() != open.len() {
                    return Err(Error::internal(format!("{} answers for {} drifts", back.len(), open.len())));
                }
                for (change, back) in open.iter_mut().zip(back) {
                    change.put_back = Some(back);
                }
                store::changes_tried(tx, of, &open).await?;
                Ok(open)
            })
        });
        written.await
    }

    fn named(&self, change: &Change) -> Option<&Arc<dyn Check>> {
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

fn count(lines: &mut Vec<CheckLine>, change: &Change) {
    let found = lines.iter().position(|line| line.module == change.module && line.name == change.name);
    let place = found.unwrap_or_else(|| {
        lines.push(CheckLine::without_look(&change.module, &change.name, 0, 0));
        lines.len() - 1
    });
    if let Some(line) = lines.get_mut(place) {
        if change.put_back == Some(true) { line.changed += 1 } else { line.left += 1 }
    }
}
