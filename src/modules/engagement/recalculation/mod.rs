//! `tally recalculate`: makes heat and levels anew from their facts while servers run, on the same database.
//!
//! With other settings than those in force it makes every figure of the new version beside those in force, and swaps both
//! at once when all are there: see `docs/adr/0012-recalculation.md`. Without, it puts right what is in force.

mod next;
mod retire;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::commands::recalculate::Recalculate;
use super::content::Kind;
use super::graphql::{ContentId, content_id_text};
use super::ranks::Ranks;
use super::settings::{self, Standing, Versions};
use super::store::in_force::{self, Lock};
use super::store::next::{self as store, Wanted};
use super::writer::{Command, EngagementWriter};
use crate::kernel::batch::BatchWriter as _;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::live::Live;

/// Errors that a report shows.
const SHOWN: usize = 100;

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

/// Hears how many contents are done, and of how many.
pub type Heard<'a> = &'a (dyn Fn(i64, i64) + Sync);

/// What every step of a recalculation needs.
struct Run<'a> {
    kernel: &'a Kernel,
    versions: Arc<Versions>,
    /// Contents in one transaction.
    chunk: usize,
    pause: Duration,
    heard: Heard<'a>,
}

impl Run<'_> {
    /// Lets others write.
    async fn pause(&self) {
        tokio::time::sleep(self.pause).await;
    }
}

/// Recalculates; `chunk` contents in one transaction. Any number may run at once, and one that was killed is gone on with.
///
/// # Errors
/// A part of the contents while other settings are due, another recalculation that took over, the database's own.
pub async fn run(kernel: &Kernel, scope: Scope, chunk: usize, heard: Heard<'_>) -> Result<Report> {
    let standing = settings::register(kernel).await?;
    let pause_ms = settings::millis(&kernel.settings, "engagement.recalculation_pause_ms", 1.0);
    let pause = Duration::from_millis(pause_ms.unsigned_abs());
    let run = Run { kernel, versions: Arc::default(), chunk, pause, heard };
    if let Some(pending) = standing.pending {
        if !matches!(scope, Scope::Due | Scope::All) {
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
    in_place(&run, &standing, scope).await
}

/// Puts right what is in force, in transactions of its own, as a server's writer would.
async fn in_place(run: &Run<'_>, standing: &Standing, scope: Scope) -> Result<Report> {
    let kernel = run.kernel;
    let stale_ms = settings::millis(&kernel.settings, "engagement.stale_hours", 3_600_000.0);
    let wanted = match scope {
        Scope::Due => return Ok(Report::default()),
        Scope::Ids(ids) => return of_ids(run, standing, &ids).await,
        Scope::All => Wanted { kind: None, untouched_since: None },
        Scope::Kind(kind) => Wanted { kind: Some(kind.number().into()), untouched_since: None },
        Scope::Stale => Wanted { kind: None, untouched_since: Some(kernel.clock.now().plus(-stale_ms)) },
    };
    let (reader, backend) = (kernel.db.reader(), kernel.backend());
    let total = store::wanted_count(reader, backend, &wanted).await?;
    let (mut report, writer) = (Report::default(), writer(run, standing));
    let mut after = (i16::MIN, Uuid::nil());
    loop {
        let found = store::wanted_after(reader, backend, &wanted, after, run.chunk).await?;
        let Some((lane, id, _)) = found.last() else {
            return Ok(report);
        };
        after = (*lane, *id);
        let kind = |number: i16| if number == 0 { Kind::Artwork } else { Kind::Video };
        let contents = found.iter().map(|(_, id, number)| ContentId { kind: kind(*number), uuid: *id });
        chunk(run, &writer, contents.collect(), &mut report).await?;
        (run.heard)(report.total, total.max(report.total));
        run.pause().await;
    }
}

async fn of_ids(run: &Run<'_>, standing: &Standing, ids: &[ContentId]) -> Result<Report> {
    let (mut report, writer) = (Report::default(), writer(run, standing));
    for ids in ids.chunks(run.chunk) {
        chunk(run, &writer, ids.to_vec(), &mut report).await?;
        (run.heard)(report.total, report.total);
        run.pause().await;
    }
    Ok(report)
}

/// A writer without a queue: this process has no listeners and no ranking that anybody asks.
fn writer(run: &Run<'_>, standing: &Standing) -> Arc<EngagementWriter> {
    let kernel = run.kernel;
    let ranks = Ranks::new(kernel, &run.versions, standing.in_force);
    let live = Live::start(Duration::from_secs(1), &kernel.tasks, kernel.shutdown.clone());
    Arc::new(EngagementWriter::new(kernel, &run.versions, &ranks, &live))
}

async fn chunk(
    run: &Run<'_>,
    writer: &Arc<EngagementWriter>,
    contents: Vec<ContentId>,
    report: &mut Report,
) -> Result<()> {
    let command = |id: &ContentId| Command::Recalculate(Recalculate { content: id.uuid, content_kind: id.kind });
    let commands: Arc<Vec<Command>> = Arc::new(contents.iter().map(command).collect());
    let writer = Arc::clone(writer);
    let applied = run.kernel.db.write(move |tx| {
        let (writer, commands) = (Arc::clone(&writer), Arc::clone(&commands));
        Box::pin(async move { writer.apply(tx, &commands).await })
    });
    let applied = applied.await?;
    if applied.effects.any() {
        announce(run.kernel).await?;
    }
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
    Ok(())
}

/// Tells the servers that figures changed behind the back of their rank indexes.
pub(super) async fn announce(kernel: &Kernel) -> Result<()> {
    let announced = kernel.db.write(|tx| {
        Box::pin(async move {
            let state = in_force::in_force(tx.connection(), tx.backend(), Lock::Own).await?;
            let mut state = state.ok_or_else(|| Error::internal("no settings are in force"))?;
            state.generation += 1;
            in_force::in_force_update(tx, &state).await
        })
    });
    announced.await
}
