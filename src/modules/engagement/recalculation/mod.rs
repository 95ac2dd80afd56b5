//! `tally recalculate`: makes heat and levels anew from their facts while servers run, on the same database.
//!
//! With other settings than those in force it makes every figure of the new version beside those in force, and swaps both
//! at once when all are there: see `docs/adr/0012-recalculation.md`. Without, it puts right what is in force.

mod next;
mod retire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use uuid::Uuid;

use super::commands::recalculate::Recalculate;
use super::content::{Kind, key};
use super::graphql::{ContentId, content_id_text};
use super::ranks::Ranks;
use super::settings::{self, Standing, Versions};
use super::store::in_force;
use super::store::next::{self as store, Wanted};
use super::writer::{Command, EngagementWriter};
use crate::kernel::batch::BatchWriter as _;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::live::Live;

/// Errors that a report shows.
const SHOWN: usize = 100;
/// How often servers are told at most to read their rankings anew while figures are put right: each reads all of them.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// Which contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What changed settings make due: every content, or none.
    Due,
    /// Every content.
    All,
    /// Those of a kind.
    Kind(Kind),
    /// These.
    Ids(Vec<ContentId>),
    /// Those that nobody touched for `engagement.stale_hours`.
    Stale,
}

/// What a recalculation came to, together with the runs before that it went on from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How many contents there were to do.
    pub total: i64,
    /// How many were done.
    pub succeeded: i64,
    /// How many were not.
    pub failed: i64,
    /// Why: the first 100 of this run.
    pub errors: Vec<Failure>,
}

/// Why one content could not be recalculated.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Which one.
    pub id: String,
    /// What was wrong with it.
    pub message: String,
}

impl Report {
    fn fail(&mut self, id: String, message: String) {
        if self.errors.len() < SHOWN {
            self.errors.push(Failure { id, message });
        }
    }
}

/// Where a recalculation is.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// How many contents are done.
    pub done: i64,
    /// Of how many.
    pub total: i64,
    /// The last of them, where a run that is cut off does not know itself how far it was: `after` goes on from there.
    pub last: Option<ContentId>,
}

/// What a recalculation is to do.
pub struct Wish<'a> {
    /// Which contents.
    pub scope: Scope,
    /// Of these, in the order of keys, those after this one: to go on with a run of [`Scope::All`], [`Scope::Kind`] or
    /// [`Scope::Stale`] that was cut off.
    pub after: Option<ContentId>,
    /// Contents in one transaction.
    pub chunk: usize,
    /// Hears of each chunk that is done.
    pub heard: &'a (dyn Fn(Heard) + Sync),
}

/// What every step of a recalculation needs.
struct Run<'a> {
    kernel: &'a Kernel,
    versions: Arc<Versions>,
    /// Contents in one transaction.
    chunk: usize,
    pause: Duration,
    heard: &'a (dyn Fn(Heard) + Sync),
}

impl Run<'_> {
    /// Lets others write.
    async fn pause(&self) {
        tokio::time::sleep(self.pause).await;
    }
}

/// Recalculates. Any number may run at once. One of other settings that was killed is gone on with; one that puts right
/// what is in force begins anew, or after a content that is named.
///
/// # Errors
/// A part of the contents while other settings are due, another recalculation that took over, the database's own.
pub async fn run(kernel: &Kernel, wish: Wish<'_>) -> Result<Report> {
    let Wish { scope, after, chunk, heard } = wish;
    if after.is_some() && matches!(scope, Scope::Due | Scope::Ids(_)) {
        return Err(Error::invalid("to go on after a content, say which: all, a kind, or stale ones"));
    }
    let standing = settings::register(kernel).await?;
    let pause_ms = settings::millis(&kernel.settings, "engagement.recalculation_pause_ms", 1.0);
    let pause = Duration::from_millis(pause_ms.unsigned_abs());
    let run = Run { kernel, versions: Arc::default(), chunk, pause, heard };
    if let Some(pending) = standing.pending {
        if !matches!(scope, Scope::Due | Scope::All) || after.is_some() {
            return Err(Error::invalid(
                "other settings are due, and two versions are never mixed: recalculate all contents first",
            ));
        }
        let report = next::make(&run, run.versions.add(pending)).await?;
        if report.failed == 0 {
            retire::run(&run).await?;
        }
        return Ok(report);
    }
    if scope == Scope::Due {
        // Settings that were changed back: what was made of the others is of no use.
        next::give_up(&run).await?;
    }
    retire::run(&run).await?;
    in_place(&run, &standing, scope, after).await
}

/// Puts right what is in force, in transactions of its own, as a server's writer would.
async fn in_place(run: &Run<'_>, standing: &Standing, scope: Scope, after: Option<ContentId>) -> Result<Report> {
    let stale_ms = settings::millis(&run.kernel.settings, "engagement.stale_hours", 3_600_000.0);
    // Goes on: what the run before it changed last it may not have told.
    let mut tell = Tell { untold: after.is_some(), told: Instant::now() };
    let done = match scope {
        Scope::Due => return Ok(Report::default()),
        Scope::Ids(ids) => of_ids(run, standing, &ids, &mut tell).await,
        Scope::All => of_all(run, standing, Wanted { kind: None, untouched_since: None }, after, &mut tell).await,
        Scope::Kind(kind) => {
            let wanted = Wanted { kind: Some(kind.number().into()), untouched_since: None };
            of_all(run, standing, wanted, after, &mut tell).await
        }
        Scope::Stale => {
            let wanted = Wanted { kind: None, untouched_since: Some(run.kernel.clock.now().plus(-stale_ms)) };
            of_all(run, standing, wanted, after, &mut tell).await
        }
    };
    // Also of what was done before an error.
    let told = tell.now(run.kernel).await;
    done.and_then(|report| told.map(|()| report))
}

async fn of_all(
    run: &Run<'_>,
    standing: &Standing,
    wanted: Wanted,
    after: Option<ContentId>,
    tell: &mut Tell,
) -> Result<Report> {
    let kernel = run.kernel;
    let (reader, backend) = (kernel.db.reader(), kernel.backend());
    let mut after = after.map_or((i16::MIN, Uuid::nil()), |id| key(id.uuid));
    let total = store::wanted_count(reader, backend, &wanted, after).await?;
    let (mut report, writer) = (Report::default(), writer(run, standing));
    loop {
        let found = store::wanted_after(reader, backend, &wanted, after, run.chunk).await?;
        let kind = |number: i16| if number == 0 { Kind::Artwork } else { Kind::Video };
        let contents: Vec<_> =
            found.iter().map(|(_, id, number)| ContentId { kind: kind(*number), uuid: *id }).collect();
        let Some(last) = contents.last().copied() else {
            return Ok(report);
        };
        after = key(last.uuid);
        tell.untold |= chunk(run, &writer, contents, &mut report).await?;
        (run.heard)(Heard { done: report.total, total: total.max(report.total), last: Some(last) });
        tell.by_the_way(kernel).await?;
        run.pause().await;
    }
}

async fn of_ids(run: &Run<'_>, standing: &Standing, ids: &[ContentId], tell: &mut Tell) -> Result<Report> {
    let (mut report, writer) = (Report::default(), writer(run, standing));
    for chunked in ids.chunks(run.chunk) {
        tell.untold |= chunk(run, &writer, chunked.to_vec(), &mut report).await?;
        (run.heard)(Heard { done: report.total, total: ids.len() as i64, last: None });
        tell.by_the_way(run.kernel).await?;
        run.pause().await;
    }
    Ok(report)
}

/// What servers do not know yet of figures that changed behind the back of their rank indexes.
struct Tell {
    untold: bool,
    told: Instant,
}

impl Tell {
    async fn by_the_way(&mut self, kernel: &Kernel) -> Result<()> {
        if self.told.elapsed() < TOLD_EVERY { Ok(()) } else { self.now(kernel).await }
    }

    async fn now(&mut self, kernel: &Kernel) -> Result<()> {
        if self.untold {
            kernel.db.write(|tx| Box::pin(in_force::generation_raise(tx))).await?;
            *self = Self { untold: false, told: Instant::now() };
        }
        Ok(())
    }
}

/// A writer without a queue: this process has no listeners and no ranking that anybody asks.
fn writer(run: &Run<'_>, standing: &Standing) -> Arc<EngagementWriter> {
    let kernel = run.kernel;
    let ranks = Ranks::new(kernel, &run.versions, standing.in_force);
    let live = Live::start(Duration::from_secs(1), &kernel.tasks, kernel.shutdown.clone());
    Arc::new(EngagementWriter::new(kernel, &run.versions, &ranks, &live))
}

/// Whether any figure changed.
async fn chunk(
    run: &Run<'_>,
    writer: &Arc<EngagementWriter>,
    contents: Vec<ContentId>,
    report: &mut Report,
) -> Result<bool> {
    let command = |id: &ContentId| Command::Recalculate(Recalculate { content: id.uuid, content_kind: id.kind });
    let commands: Arc<Vec<Command>> = Arc::new(contents.iter().map(command).collect());
    let writer = Arc::clone(writer);
    let applied = run.kernel.db.write(move |tx| {
        let (writer, commands) = (Arc::clone(&writer), Arc::clone(&commands));
        Box::pin(async move { writer.apply(tx, &commands).await })
    });
    let applied = applied.await?;
    let changed = applied.effects.any();
    for (id, outcome) in contents.iter().zip(applied.outcomes) {
        report.total += 1;
        match outcome {
            Ok(_) => report.succeeded += 1,
            Err(error) => {
                report.failed += 1;
                report.fail(content_id_text(id.kind.number().into(), id.uuid), error.client().to_owned());
            }
        }
    }
    Ok(changed)
}
