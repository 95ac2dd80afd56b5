//! Group commit: commands that arrive while a transaction is in flight form the next one.
//!
//! There is no timer: an idle server answers at once, a busy one commits hundreds at a time (measured: batches of 44
//! at 64 callers, 170 at 256).

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use sea_orm::DbBackend;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::marker;
use super::writer::{Applied, BatchWriter};
use crate::kernel::clock::Clock;
use crate::kernel::db::Db;
use crate::kernel::error::{Code, Error, Result, Retry};
use crate::kernel::id::{Ids, Lane};
use crate::kernel::telemetry::BatchMetrics;

/// After the usual tries, a batch whose COMMIT may or may not have passed is tried so often, so far apart.
const PATIENT_TRIES: usize = 30;
const PATIENT_PAUSE: Duration = Duration::from_secs(1);
/// Old markers are removed once in so many batches.
const PRUNE_EVERY: u64 = 512;

/// How batches are cut.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Commands in one transaction at most, each by its weight; one that is heavier is alone. 1 turns group commit off.
    pub commands: usize,
    /// Commands waiting for one writer at most; past it callers get [`Code::OVERLOADED`].
    pub queue: usize,
    /// Writers, each with its own range of lanes. One on SQLite.
    pub groups: usize,
    /// Whether a batch holds one lane only, for a database that is sharded by lane.
    pub single_lane: bool,
}

/// Takes commands, returns their outcomes once they are durable. Cheap to clone; the writers end when the last clone
/// is dropped and their queues are empty.
pub struct Batcher<W: BatchWriter> {
    writer: Arc<W>,
    /// One a group of lanes.
    queues: Arc<[mpsc::Sender<Queued<W>>]>,
    /// Of commands over several groups.
    wide: mpsc::Sender<Queued<W>>,
    single_lane: bool,
    batches: Arc<AtomicU64>,
    metrics: BatchMetrics,
}

impl<W: BatchWriter> Clone for Batcher<W> {
    fn clone(&self) -> Self {
        Self {
            writer: Arc::clone(&self.writer),
            queues: Arc::clone(&self.queues),
            wide: self.wide.clone(),
            single_lane: self.single_lane,
            batches: Arc::clone(&self.batches),
            metrics: self.metrics.clone(),
        }
    }
}

struct Queued<W: BatchWriter> {
    command: W::Command,
    answer: oneshot::Sender<Result<W::Outcome>>,
    /// Of the one who waits; nothing when spans are off.
    span: Span,
}

impl<W: BatchWriter> Batcher<W> {
    /// Starts the writers on `tasks`.
    pub fn start(
        writer: Arc<W>,
        db: &Db,
        clock: &Arc<dyn Clock>,
        ids: &Arc<Ids>,
        limits: BatchLimits,
        tasks: &TaskTracker,
        metrics: BatchMetrics,
    ) -> Self {
        let groups = if db.backend() == DbBackend::Sqlite { 1 } else { limits.groups.clamp(1, 256) };
        let batches = Arc::new(AtomicU64::new(0));
        let start = |group, limits: BatchLimits| {
            let (sender, receiver) = mpsc::channel(limits.queue);
            // Weak: a writer ends when the last sender does.
            let weak = sender.downgrade();
            metrics.queue(group, limits.queue, move || weak.upgrade().map_or(0, |s| s.max_capacity() - s.capacity()));
            let group = Group {
                writer: Arc::clone(&writer),
                db: db.clone(),
                clock: Arc::clone(clock),
                ids: Arc::clone(ids),
                limits,
                batches: Arc::clone(&batches),
                metrics: metrics.clone(),
            };
            tasks.spawn(group.run(receiver));
            sender
        };
        let queues = (0..groups).map(|group| start(group, limits)).collect();
        // One command a transaction: a batch of them would hold locks all over the table.
        let wide = start(groups, BatchLimits { commands: 1, single_lane: false, ..limits });
        Self { writer, queues, wide, single_lane: limits.single_lane, batches, metrics }
    }

    /// Queues `command` and waits until it is durable. The command runs even if the caller goes away.
    ///
    /// # Errors
    /// [`Code::OVERLOADED`] when the queue is full, [`Code::UNAVAILABLE`] when the database cannot take it, and the
    /// command's own refusal.
    pub async fn submit(&self, command: W::Command) -> Result<W::Outcome> {
        let queue = self.queue_of(&command);
        let (answer, outcome) = oneshot::channel();
        let span = tracing::debug_span!("submit", writer = W::NAME);
        let queued = Queued { command, answer, span: span.clone() };
        queue.try_send(queued).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.metrics.refused();
                Error::new(Code::OVERLOADED, "too many writes are waiting, try again")
            }
            mpsc::error::TrySendError::Closed(_) => Error::new(Code::UNAVAILABLE, "the server is shutting down"),
        })?;
        outcome
            .instrument(span)
            .await
            .map_err(|_| Error::internal(format!("the {} writer dropped a command", W::NAME)))?
    }

    /// The queue of the group that all of the command's lanes are of, or that of wide ones.
    fn queue_of(&self, command: &W::Command) -> &mpsc::Sender<Queued<W>> {
        let group = |lane: Lane| usize::from(lane.0) * self.queues.len() / 256;
        let mut lanes = self.writer.lanes(command).iter();
        let own = lanes.next().unwrap_or_else(|| self.writer.lane(command));
        let wide = lanes.any(|lane| self.single_lane || group(lane) != group(own));
        if wide { &self.wide } else { &self.queues[group(own)] }
    }

    /// How many batches were committed since the start.
    #[must_use]
    pub fn batch_count(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }
}

/// One writer: the lanes of its group, in the order of arrival.
struct Group<W: BatchWriter> {
    writer: Arc<W>,
    db: Db,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
    limits: BatchLimits,
    batches: Arc<AtomicU64>,
    metrics: BatchMetrics,
}

impl<W: BatchWriter> Group<W> {
    async fn run(self, mut receiver: mpsc::Receiver<Queued<W>>) {
        let mut arrived = Vec::with_capacity(self.limits.commands);
        let mut batches = 0;
        while receiver.recv_many(&mut arrived, self.limits.commands).await > 0 {
            for batch in self.cut(std::mem::take(&mut arrived)) {
                let span = span_of(&batch);
                self.settle(batch).instrument(span).await;
                batches += 1;
                if batches % PRUNE_EVERY == 0 {
                    marker::prune(&self.db, self.clock.now()).await;
                }
            }
        }
    }

    /// The batches of what arrived. Keeps the order within each lane.
    fn cut(&self, arrived: Vec<Queued<W>>) -> Vec<Vec<Queued<W>>> {
        self.by_lane(arrived).into_iter().flat_map(|lane| self.by_weight(lane)).collect()
    }

    fn by_weight(&self, arrived: Vec<Queued<W>>) -> Vec<Vec<Queued<W>>> {
        let mut batches: Vec<Vec<Queued<W>>> = Vec::new();
        let mut room = 0;
        for queued in arrived {
            let weight = self.writer.weight(&queued.command);
            match batches.last_mut() {
                Some(batch) if weight <= room => batch.push(queued),
                _ => {
                    room = self.limits.commands;
                    batches.push(vec![queued]);
                }
            }
            room = room.saturating_sub(weight);
        }
        batches
    }

    fn by_lane(&self, arrived: Vec<Queued<W>>) -> Vec<Vec<Queued<W>>> {
        if !self.limits.single_lane {
            return vec![arrived];
        }
        let lanes: HashSet<Lane> = arrived.iter().map(|queued| self.writer.lane(&queued.command)).collect();
        let mut batches: Vec<(Lane, Vec<Queued<W>>)> = lanes.into_iter().map(|lane| (lane, Vec::new())).collect();
        batches.sort_by_key(|(lane, _)| *lane);
        for queued in arrived {
            let lane = self.writer.lane(&queued.command);
            if let Ok(at) = batches.binary_search_by_key(&lane, |(lane, _)| *lane) {
                batches[at].1.push(queued);
            }
        }
        batches.into_iter().map(|(_, batch)| batch).collect()
    }

    /// Commits a batch and answers everybody in it. One that fails for good is halved until the culprit is alone.
    async fn settle(&self, batch: Vec<Queued<W>>) {
        let (commands, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|queued| (queued.command, queued.answer)).unzip();
        let mut answers = answers.into_iter();
        let mut parts = vec![commands.as_slice()];
        while let Some(part) = parts.pop() {
            let began = Instant::now();
            match self.commit(part).await {
                Ok(applied) => {
                    self.batches.fetch_add(1, Ordering::Relaxed);
                    self.metrics.committed(part.len(), began.elapsed());
                    // It is durable: a panic here must neither end this writer nor withhold the answers.
                    let effects = AssertUnwindSafe(|| self.writer.committed(applied.effects));
                    if std::panic::catch_unwind(effects).is_err() {
                        tracing::error!(writer = W::NAME, "a committed batch did not reach rankings and listeners");
                    }
                    // Outcomes first: a zip takes from its left side before it sees that the right one has ended.
                    for (outcome, answer) in applied.outcomes.into_iter().zip(answers.by_ref()) {
                        // An error here: the caller has gone away; the command holds all the same.
                        let _ = answer.send(outcome);
                    }
                }
                Err(error) if part.len() > 1 && matches!(error.retry(), Retry::Never | Retry::Taken) => {
                    self.metrics.halved();
                    tracing::warn!(
                        writer = W::NAME,
                        commands = part.len(),
                        error = error.for_operator(),
                        "batch failed, halving it"
                    );
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(error) => {
                    self.metrics.failed(part.len());
                    tracing::error!(
                        writer = W::NAME,
                        commands = part.len(),
                        error = error.for_operator(),
                        "batch failed"
                    );
                    let error = for_client(error);
                    for answer in answers.by_ref().take(part.len()) {
                        let _ = answer.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// Runs one batch until it is committed or fails for good. After a COMMIT of unknown outcome the next try finds
    /// the marker and keeps the first outcomes: read again, they would say «nothing changed» of their own work.
    async fn commit(&self, commands: &[W::Command]) -> Result<Applied<W>> {
        let marker = self.ids.next();
        let mut pauses = crate::kernel::db::retry_pauses();
        // An unknown outcome is worth waiting for: whoever asked could only be told that nobody knows.
        let mut patience = std::iter::repeat_n(PATIENT_PAUSE, PATIENT_TRIES);
        let mut unknown: Option<Applied<W>> = None;
        loop {
            // A panic must not take the writer with it: it is a batch that fails for good.
            let attempt = self.attempt(marker, commands, &mut unknown).instrument(tracing::debug_span!("transaction"));
            let attempt = AssertUnwindSafe(attempt).catch_unwind().await;
            let error = match attempt.unwrap_or_else(|_| Err(Error::internal("a batch writer panicked"))) {
                Ok(applied) => return Ok(applied),
                Err(error) => error,
            };
            let pause = pauses.next().or_else(|| unknown.as_ref().and_then(|_| patience.next()));
            match pause {
                Some(pause) if matches!(error.retry(), Retry::Soon | Retry::Taken) || unknown.is_some() => {
                    self.metrics.tried_again();
                    tracing::warn!(writer = W::NAME, error = error.for_operator(), "batch is tried again");
                    tokio::time::sleep(pause).await;
                }
                // Not to be halved: what may have been committed must not run again under another marker.
                _ if unknown.is_some() => {
                    let lost =
                        Error::new(Code::UNAVAILABLE, "the database does not say whether it was done, try again");
                    return Err(lost.caused_by(error.for_operator()).with_retry(Retry::Down));
                }
                _ => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        marker: Uuid,
        commands: &[W::Command],
        unknown: &mut Option<Applied<W>>,
    ) -> Result<Applied<W>> {
        let tx = self.db.begin().await?;
        // First of all: where the first try is still committing, an insert of the same key waits for it. A look-up
        // would not, and would miss it.
        let written = tx.execute(marker::insert(tx.backend(), marker, self.clock.now())).await?.rows_affected();
        if written == 0 {
            return unknown.take().ok_or_else(|| Error::internal("a batch marker without a first try"));
        }
        *unknown = None;
        let applied = self.writer.apply(&tx, commands).await?;
        if applied.outcomes.len() != commands.len() {
            return Err(Error::internal("a batch writer returned another number of outcomes than commands"));
        }
        match tx.commit().await {
            Ok(()) => Ok(applied),
            Err(error) => {
                // Only a connection that broke leaves it open; SQLite's COMMIT is a call, whose answer cannot be lost.
                if self.db.backend() == DbBackend::Postgres && error.retry() == Retry::Soon {
                    *unknown = Some(applied);
                }
                Err(error)
            }
        }
    }
}

/// A command that found others' rows in its way at every try is none that failed: nothing of it was written.
fn for_client(error: Error) -> Error {
    if error.retry() != Retry::Taken {
        return error;
    }
    let text = "others kept writing the same first: nothing was written, try again";
    Error::new(Code::UNAVAILABLE, text).caused_by(error.for_operator()).with_retry(Retry::Soon)
}

/// A part of the first caller's trace, with links to the others': a batch has many causes, and a span one parent.
fn span_of<W: BatchWriter>(batch: &[Queued<W>]) -> Span {
    let parent = batch.first().and_then(|first| first.span.id());
    let span = tracing::debug_span!(parent: parent, "batch", writer = W::NAME, commands = batch.len());
    for queued in batch.iter().skip(1).filter(|queued| !queued.span.is_disabled()) {
        span.follows_from(&queued.span);
    }
    span
}
