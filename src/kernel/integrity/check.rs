//! Runs checks: chunks of reads, and what seems to differ again under its lock.

use std::sync::atomic::{AtomicU64, Ordering};

use super::hand::{Hand, Hear};
use super::report::{CheckLine, Failure, Kind, Report};
use super::{Check, CheckReport, Chunk, Drift, Integrity, Key, Scope, store};
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};

/// Items read at once.
pub(super) const CHUNK: usize = 500;
/// Chunks after which a check counts as long, and its items are compared by two at a time.
const FEW: usize = 4;
/// Drifts of a check that a report shows.
const EXAMPLES: usize = 20;
/// How old what a job finds may be, in milliseconds, when it runs again because something failed.
const KEPT_MOST: i64 = 3_600_000;

/// Runs a check over everything. `progress` hears how many items were compared so far.
///
/// # Errors
/// The database's own.
pub async fn run(check: &dyn Check, kernel: &Kernel, progress: &(dyn Fn(u64) + Sync)) -> Result<CheckReport> {
    let mut report = CheckReport::of(check);
    examine(&Hand::of(kernel), check, None, progress, &|_, _| (), &mut report).await?;
    Ok(report)
}

/// Whether an error is the run's, and not that of one check: the database is gone, the process is to end, another goes on.
fn ends_run(error: &Error) -> bool {
    [Code::UNAVAILABLE, Code::OVERLOADED, Code::LEASE_LOST].contains(&error.code())
}

/// Why a check could not be made.
///
/// # Errors
/// The error itself, if it ends the run.
pub(super) fn failure(check: &dyn Check, error: Error) -> Result<Failure> {
    if ends_run(&error) {
        return Err(error);
    }
    tracing::error!(check = check.name(), error = error.for_operator(), "a check could not be made");
    Ok(Failure { error: error.for_operator(), client_error: error.client().to_owned() })
}

/// What a check finds, in a line. One that fails keeps the others from nothing: its line says why, and what it had found.
///
/// # Errors
/// Those that end the run.
pub(super) async fn look(
    hand: &Hand<'_>,
    check: &dyn Check,
    only: Option<Key>,
    hear: &dyn Hear,
    told: &(dyn Fn(Key, &Drift) + Sync),
) -> Result<CheckLine> {
    hear.begins(check.name());
    let mut report = CheckReport::of(check);
    let done = examine(hand, check, only, &|checked| hear.checked(checked), told, &mut report).await;
    let mut line = CheckLine::from(report);
    if let Err(error) = done {
        line.failure = Some(failure(check, error)?);
    }
    Ok(line)
}

/// What a job need not look at again. A tick that another process began goes on where it stopped: with the first check that
/// has no result yet. A run after one that failed makes what that could not, and the others once they are an hour old: it
/// comes each minute.
async fn results_to_keep(hand: &Hand<'_>, report: &Report) -> Result<Vec<CheckLine>> {
    let db = &hand.kernel.db;
    let since = match hand.tick() {
        Some(tick) => Some(tick),
        None if !hand.is_asked() && store::is_after_failure(db, report).await? => {
            Some(report.began_at.plus(-KEPT_MOST))
        }
        None => None,
    };
    let Some(since) = since else { return Ok(Vec::new()) };
    let found = store::results_since(db, since).await?;
    Ok(found.into_iter().filter(|line| line.failure.is_none()).collect())
}

/// Compares everything or one item, with a pause between chunks in which the run may be told to end; `told` hears of every
/// drift. What was found until an error is in the report.
async fn examine(
    hand: &Hand<'_>,
    check: &dyn Check,
    only: Option<Key>,
    progress: &(dyn Fn(u64) + Sync),
    told: &(dyn Fn(Key, &Drift) + Sync),
    report: &mut CheckReport,
) -> Result<()> {
    let kernel = hand.kernel;
    if let Some(key) = only {
        confirm(kernel, check, key, report, told).await?;
        report.checked = 1;
        return Ok(());
    }
    let all = AtomicU64::new(0);
    let walk = Walk { hand, check, told, all: &all, progress };
    let (mut after, mut chunks) = (None, 0);
    // Of few items one is enough.
    while chunks < FEW {
        let chunk = walk.scan(after, CHUNK).await?;
        after = chunk.next;
        walk.take(chunk, report).await?;
        if after.is_none() {
            return Ok(());
        }
        hand.go_on().await?;
        chunks += 1;
    }
    match check.middle().filter(|middle| hand.is_asked() && after.is_some_and(|after| after < *middle)) {
        Some(middle) => {
            let mut rest = CheckReport::of(check);
            let first = walk.go(after, Some(middle), report);
            let done = tokio::try_join!(first, walk.go(Some(middle), None, &mut rest));
            report.add(rest);
            done.map(drop)
        }
        None => walk.go(after, None, report).await,
    }
}

/// A run of one check through its items.
struct Walk<'a> {
    hand: &'a Hand<'a>,
    check: &'a dyn Check,
    told: &'a (dyn Fn(Key, &Drift) + Sync),
    /// How many items were compared, by whichever walk.
    all: &'a AtomicU64,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Walk<'_> {
    async fn scan(&self, after: Option<Key>, size: usize) -> Result<Chunk> {
        self.check.scan(self.hand.kernel, after, size).await
    }

    /// Confirms what seems to differ in a chunk.
    async fn take(&self, chunk: Chunk, report: &mut CheckReport) -> Result<()> {
        report.checked += chunk.checked;
        for suspect in chunk.suspects {
            confirm(self.hand.kernel, self.check, suspect, report, self.told).await?;
        }
        (self.progress)(self.all.fetch_add(chunk.checked, Ordering::Relaxed) + chunk.checked);
        Ok(())
    }

    /// The items after `after`, up to `until` if that is given.
    async fn go(&self, mut after: Option<Key>, until: Option<Key>, report: &mut CheckReport) -> Result<()> {
        let mut size = CHUNK;
        loop {
            let chunk = self.scan(after, size).await?;
            // It may hold items that another walk compares: fewer are asked for, until the next one alone is beyond.
            if until.is_some_and(|until| chunk.next.is_none_or(|next| next > until)) {
                if size == 1 {
                    return Ok(());
                }
                size /= 2;
                continue;
            }
            after = chunk.next;
            self.take(chunk, report).await?;
            if after.is_none() {
                return Ok(());
            }
            self.hand.go_on().await?;
        }
    }
}

async fn confirm(
    kernel: &Kernel,
    check: &dyn Check,
    key: Key,
    report: &mut CheckReport,
    told: &(dyn Fn(Key, &Drift) + Sync),
) -> Result<()> {
    let drifts = check.confirm(kernel, key).await?;
    drifts.iter().for_each(|drift| told(key, drift));
    report.drifted += drifts.len() as u64;
    report.items += u64::from(!drifts.is_empty());
    let room = EXAMPLES.saturating_sub(report.examples.len());
    report.examples.extend(drifts.into_iter().take(room));
    Ok(())
}

impl CheckReport {
    fn of(check: &dyn Check) -> Self {
        let (module, name) = (check.module(), check.name());
        Self { module, name, checked: 0, drifted: 0, items: 0, examples: Vec::new() }
    }

    /// Adds what another walk of the same check found.
    fn add(&mut self, other: Self) {
        self.checked += other.checked;
        self.drifted += other.drifted;
        self.items += other.items;
        let room = EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }
}

impl Integrity {
    /// Runs the checks of a scope and records what they found. A database that takes no writes is checked all the same:
    /// the record is then missing, which the log says. A check that fails is named in the report, and the others are made.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::INVALID_INPUT`] for a scope without checks,
    /// [`crate::kernel::error::Code::NOT_FOUND`] for an item that there is not,
    /// [`crate::kernel::error::Code::UNAVAILABLE`] when the process is told to end, the database's own.
    pub async fn check(&self, kernel: &Kernel, scope: &Scope, by: &str, hear: &dyn Hear) -> Result<Report> {
        self.check_by(Hand::of(kernel), scope, by, hear).await
    }

    pub(super) async fn check_by(
        &self,
        mut hand: Hand<'_>,
        scope: &Scope,
        by: &str,
        hear: &dyn Hear,
    ) -> Result<Report> {
        let chosen = self.choose_there(hand.kernel, scope).await?;
        let mut report = Report::begin(hand.kernel, Kind::Check, scope, by);
        if let Err(error) = hand.begin(&report).await {
            tracing::warn!(error = error.for_operator(), "the check goes on without a record of it");
        }
        let done = results_to_keep(&hand, &report).await?;
        let checked = async {
            for (check, key) in &chosen {
                let kept = done.iter().find(|line| line.module == check.module() && line.name == check.name());
                let line = match kept {
                    Some(line) => line.clone(),
                    None => self.check_one(&hand, check.as_ref(), *key, &report, hear).await?,
                };
                report.checks.push(line);
            }
            Ok(())
        };
        let checked = hand.alive_while(checked).await;
        report.recommend(&self.checks);
        hand.end(&mut report, checked).await
    }

    /// Runs one check and records what it found.
    pub(super) async fn check_one(
        &self,
        hand: &Hand<'_>,
        check: &dyn Check,
        key: Option<Key>,
        report: &Report,
        hear: &dyn Hear,
    ) -> Result<CheckLine> {
        let line = look(hand, check, key, hear, &|_, _| ()).await?;
        // What is true of one item says nothing of the rest.
        if key.is_none() {
            hand.result(report, &line).await;
        }
        hear.ends(&line);
        hand.go_on().await?;
        Ok(line)
    }
}
