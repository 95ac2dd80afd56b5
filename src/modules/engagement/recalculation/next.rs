//! Makes every figure of another version beside those in force, chunk by chunk, then puts them in force at once.
//!
//! A chunk locks its contents, adds up their facts and notes how far it is, in one transaction. Whoever writes to a content
//! that is done writes to both versions; whoever publishes does so from the beginning.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Heard, Report, Run, retire};
use crate::kernel::clock::Millis;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result, Retry};
use crate::modules::engagement::commands::publish::publication;
use crate::modules::engagement::content::{ContentInfo, Figures};
use crate::modules::engagement::graphql::content_id_text;
use crate::modules::engagement::hotness::{Hotness, Source};
use crate::modules::engagement::item::made_with;
use crate::modules::engagement::masses::{self, Sums};
use crate::modules::engagement::settings::Versions;
use crate::modules::engagement::store::batch::MassRow;
use crate::modules::engagement::store::in_force::{self, InForce, Lock, Progress};
use crate::modules::engagement::store::next::{self as store, Wanted};
use crate::modules::engagement::store::{batch, facts, recount};

/// How often the swap is tried, while somebody (a backup) keeps the tables: for about ten minutes. Each try keeps everybody
/// else waiting for half a second at most; in between they have four times as long.
const SWAP_TRIES: usize = 240;
const SWAP_PAUSE: Duration = Duration::from_secs(2);

/// In place of a lane: every content is done.
const COMPLETE: i16 = i16::MAX;

const ALL: Wanted = Wanted { kind: None, untouched_since: None };

/// What a chunk came to.
enum Step {
    /// There may be more.
    Done(Progress, Vec<(String, String)>),
    /// Nothing is left.
    Complete(Progress),
}

/// Makes all figures of `hotness`, and puts them in force if none failed.
pub(super) async fn make(run: &Run<'_>, hotness: Arc<Hotness>) -> Result<Report> {
    let kernel = run.kernel;
    let (version, now) = (hotness.heat.version, kernel.clock.now());
    let state = in_force::in_force(kernel.db.reader(), kernel.backend(), Lock::None).await?;
    if state.is_some_and(|state| state.next_version != Some(version)) {
        // What a run that was cut off after its swap had left to do: its progress, which is begun anew now, says what.
        retire::run(run).await?;
    }
    kernel.db.write(move |tx| Box::pin(begin(tx, version, now))).await?;
    let total = store::wanted_count(kernel.db.reader(), kernel.backend(), &ALL, (i16::MIN, Uuid::nil())).await?;
    let mut report = Report::default();
    let done = loop {
        let (hotness, versions) = (Arc::clone(&hotness), Arc::clone(&run.versions));
        let (now, size) = (kernel.clock.now(), run.chunk);
        let step = kernel
            .db
            .write(move |tx| Box::pin(chunk(tx, Arc::clone(&hotness), Arc::clone(&versions), now, size)))
            .await?;
        match step {
            Step::Done(progress, failures) => {
                failures.into_iter().for_each(|(id, message)| report.fail(id, message));
                let done = progress.succeeded + progress.failed;
                (run.heard)(Heard { done, total: total.max(done), last: None });
                run.pause().await;
            }
            Step::Complete(progress) => break progress,
        }
    };
    report.succeeded = done.succeeded;
    report.failed = done.failed;
    report.total = done.succeeded + done.failed;
    if report.failed > 0 {
        // The next run begins anew: by then somebody may have seen to those that failed.
        kernel.db.write(move |tx| Box::pin(rewind(tx, version))).await?;
    } else {
        switch(run, version).await?;
    }
    Ok(report)
}

fn taken_over() -> Error {
    Error::conflict("another recalculation, of other settings, has taken over")
}

/// Says which version is being made: from here on, whoever publishes writes to it too.
async fn begin(tx: &Tx, version: i64, now: Millis) -> Result<()> {
    let state = in_force::in_force(tx.connection(), tx.backend(), Lock::Own).await?;
    let state = state.ok_or_else(|| Error::internal("no settings are in force"))?;
    if state.version >= version {
        // Another one has just come to its end; its progress says so.
        return Ok(());
    }
    if state.next_version == Some(version) {
        tracing::info!(version, "going on with the recalculation that is under way");
        return Ok(());
    }
    in_force::in_force_update(tx, &InForce { next_version: Some(version), ..state }).await?;
    // Behind whatever chunk of another version is under way.
    in_force::progress(tx.connection(), tx.backend(), Lock::Own).await?;
    in_force::progress_put(tx, &beginning(version, now)).await
}

fn beginning(version: i64, now: Millis) -> Progress {
    Progress {
        version,
        done_lane: i16::MIN,
        done_id: Uuid::nil(),
        succeeded: 0,
        failed: 0,
        started_at: now,
        switched_at: None,
    }
}

/// Gives up what is being made, if anything is.
pub(super) async fn give_up(run: &Run<'_>) -> Result<()> {
    let given_up = run.kernel.db.write(|tx| {
        Box::pin(async move {
            let state = in_force::in_force(tx.connection(), tx.backend(), Lock::Own).await?;
            match state {
                Some(state) if state.next_version.is_some() => {
                    tracing::warn!(
                        version = state.next_version,
                        "this recalculation is given up: it is not wanted any more"
                    );
                    in_force::in_force_update(tx, &InForce { next_version: None, ..state }).await?;
                    let progress = in_force::progress(tx.connection(), tx.backend(), Lock::Own).await?;
                    match progress {
                        // Of no version: a chunk that comes now sees that it is not wanted.
                        Some(progress) => in_force::progress_put(tx, &beginning(0, progress.started_at)).await,
                        None => Ok(()),
                    }
                }
                _ => Ok(()),
            }
        })
    });
    given_up.await
}

async fn rewind(tx: &Tx, version: i64) -> Result<()> {
    match in_force::progress(tx.connection(), tx.backend(), Lock::Own).await? {
        Some(progress) if progress.version == version && progress.switched_at.is_none() => {
            in_force::progress_put(tx, &beginning(version, progress.started_at)).await
        }
        _ => Ok(()),
    }
}

/// The next contents in key order. Its lock on the progress lets several processes take turns.
async fn chunk(tx: &Tx, hotness: Arc<Hotness>, versions: Arc<Versions>, now: Millis, size: usize) -> Result<Step> {
    let (connection, backend) = (tx.connection(), tx.backend());
    let progress = in_force::progress(connection, backend, Lock::Own).await?;
    let mut progress = progress.filter(|own| own.version == hotness.heat.version).ok_or_else(taken_over)?;
    let keys = match progress.switched_at {
        Some(_) => Vec::new(),
        None => recount::content_keys(connection, backend, (progress.done_lane, progress.done_id), size).await?,
    };
    let from = (progress.done_lane, progress.done_id);
    let until = keys.last().copied().unwrap_or((COMPLETE, Uuid::max()));
    if progress.switched_at.is_none() {
        // Of an attempt that was given up, or in force before; those of deleted contents too, which have no key here.
        let foreign = store::foreign_between(tx, from, until, hotness.heat.version).await?;
        store::remove(tx, &foreign).await?;
    }
    let Some(last) = keys.last() else {
        // What is published from here on is written to both by whoever publishes.
        progress.done_lane = COMPLETE;
        in_force::progress_put(tx, &progress).await?;
        return Ok(Step::Complete(progress));
    };
    (progress.done_lane, progress.done_id) = *last;
    let ids: Vec<Uuid> = keys.iter().map(|(_, id)| *id).collect();
    let locked = batch::figures_lock(tx, &ids).await?;
    let figures: HashMap<Uuid, Figures> = locked.into_iter().map(|row| (row.content_id, row.figures)).collect();
    let mut infos = batch::info_by_ids(tx, &ids).await?;
    // Deleted while this waited for its lock.
    infos.retain(|info| !info.deleted);
    let sums = add_up(tx, &versions, &ids, &infos, &hotness).await?;
    let (mut made, mut masses, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for info in &infos {
        let sums = sums.get(&info.id).and_then(Option::as_ref);
        let why = match (figures.get(&info.id), sums) {
            (Some(figures), Some(sums)) => {
                let at = now.max(figures.settled_at());
                // The moment counts as looked at: no level ended before it by settings that were not in force.
                let figures = Figures { last_history_at: at, ..*figures };
                made.push((info.id, made_with(figures, info, &hotness, sums, at)));
                masses.extend(sums.iter().map(|(epoch, mass)| (info.id, *epoch, *mass)));
                continue;
            }
            (None, _) => "it has no figures",
            (_, None) => "its mass overflows with these settings",
        };
        failures.push((content_id_text(info.kind.number().into(), info.id), why.to_owned()));
    }
    // Made anew, masses that are none any more among it.
    store::remove(tx, &ids).await?;
    progress.succeeded += made.len() as i64;
    progress.failed += failures.len() as i64;
    store::figures_put(tx, made.into_iter()).await?;
    let rows = masses.into_iter().map(|(content_id, epoch, mass)| MassRow { content_id, epoch, mass });
    store::mass_put(tx, rows).await?;
    in_force::progress_put(tx, &progress).await?;
    Ok(Step::Done(progress, failures))
}

/// The masses of locked contents; `None` for one whose facts do not fit.
async fn add_up(
    tx: &Tx,
    versions: &Versions,
    ids: &[Uuid],
    infos: &[ContentInfo],
    hotness: &Hotness,
) -> Result<HashMap<Uuid, Option<Sums>>> {
    let mut sums: HashMap<Uuid, Option<Sums>> = infos.iter().map(|info| (info.id, Some(Sums::new()))).collect();
    let mut take = |id: Uuid, source| {
        if let Some(sums) = sums.get_mut(&id) {
            masses::add(sums, &hotness.heat, &source);
        }
    };
    infos.iter().for_each(|info| take(info.id, Source::Fact(publication(info))));
    facts::each(tx, versions, ids, take).await?;
    Ok(sums)
}

/// Puts what was made in force, as soon as nobody is in the middle of something.
async fn switch(run: &Run<'_>, version: i64) -> Result<()> {
    for _ in 0..SWAP_TRIES {
        let now = run.kernel.clock.now();
        match run.kernel.db.write(move |tx| Box::pin(swap(tx, version, now))).await {
            Err(error) if error.code() == in_force::TABLES_IN_USE || error.retry() == Retry::Soon => {
                tracing::info!(error = error.for_operator(), "the tables are in use: the swap is tried again");
                tokio::time::sleep(SWAP_PAUSE).await;
            }
            done => return done,
        }
    }
    Err(Error::conflict("all is made, but somebody holds on to the tables (a backup?): run it again later"))
}

async fn swap(tx: &Tx, version: i64, now: Millis) -> Result<()> {
    let (connection, backend) = (tx.connection(), tx.backend());
    let state = in_force::in_force(connection, backend, Lock::Own).await?;
    let state = state.ok_or_else(|| Error::internal("no settings are in force"))?;
    if state.version == version {
        return Ok(());
    }
    let progress = in_force::progress(connection, backend, Lock::Own).await?;
    let progress = progress.filter(|own| own.version == version && state.next_version == Some(version));
    let progress = progress.ok_or_else(taken_over)?;
    if progress.failed > 0 || progress.done_lane != COMPLETE {
        return Err(Error::conflict("the recalculation was begun anew by another process: run it again"));
    }
    in_force::swap(tx).await?;
    let next = InForce { version, next_version: None, generation: state.generation + 1 };
    in_force::in_force_update(tx, &next).await?;
    in_force::progress_put(tx, &Progress { switched_at: Some(now), ..progress }).await
}
