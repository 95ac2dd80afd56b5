//! Delivers the events of one consumer: in sequence per key, again after a failure, exactly once in effect.

use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lease::Lease;
use super::store::{self, Row, Then};
use super::{AfterCommit, Consumer, Delivered};
use crate::kernel::clock::{Clock, Millis};
use crate::kernel::db::{Db, Fence};
use crate::kernel::error::{Code, Error, Result, Retry};
use crate::kernel::telemetry::WorkMetrics;

/// The longest pause between two tries of an event.
const BACKOFF_MOST: i64 = Millis::HOUR;
/// The longest error text that is kept, in bytes.
const ERROR_MOST: usize = 2000;

/// How a relay works.
#[derive(Clone, Copy, Debug)]
pub(super) struct RelayLimits {
    pub(super) batch: usize,
    pub(super) retries: i64,
    pub(super) backoff_ms: i64,
    pub(super) poll: Duration,
    /// How long a consumer may take for what it is given: well below the lease, so that a failure can still be noted.
    pub(super) patience: Duration,
}

/// One consumer's.
pub(super) struct Relay {
    pub(super) name: &'static str,
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) db: Db,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: RelayLimits,
    pub(super) metrics: WorkMetrics,
    /// Held while a batch is under way: one at a time in this process, as the lease has it in the cluster.
    pub(super) lease: Mutex<Lease>,
    /// When it looked last for what a clock that jumped has postponed.
    pub(super) set_right_at: AtomicI64,
    pub(super) wake: Notify,
}

/// What a look at the outbox came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// So many events were delivered, or found a failure; there may be more.
    Worked(u64),
    /// Nothing is due, or another node delivers.
    Idle,
}

impl Relay {
    /// Delivers until the server stops, then gives the lease back.
    pub(super) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut waits = false;
        while !shutdown.is_cancelled() {
            match self.turn().await {
                Ok(turn) => {
                    if std::mem::take(&mut waits) {
                        tracing::info!(consumer = self.name, "events are delivered again");
                    }
                    if turn != Turn::Idle {
                        continue;
                    }
                }
                // Once, not once a look: the database may be away for hours.
                Err(error) if !std::mem::replace(&mut waits, true) => {
                    tracing::warn!(consumer = self.name, error = error.for_operator(), "events wait");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(self.limits.poll) => {}
            }
        }
        if let Err(error) = self.lease.lock().await.release(&self.db).await {
            tracing::warn!(consumer = self.name, error = error.for_operator(), "the lease stays until its end");
        }
    }

    /// Delivers one batch of what is due.
    pub(super) async fn turn(&self) -> Result<Turn> {
        let mut lease = self.lease.lock().await;
        let now = self.clock.now();
        self.set_right(now).await?;
        let most = i64::try_from(self.limits.batch).unwrap_or(i64::MAX);
        let due = store::due(&self.db, self.name, now, most).await?;
        if due.is_empty() {
            return Ok(Turn::Idle);
        }
        let Some(fence) = lease.hold(&self.db, &*self.clock).await? else {
            return Ok(Turn::Idle);
        };
        let keys: BTreeMap<(i16, Uuid), ()> = due.iter().map(|due| ((due.lane, due.key), ())).collect();
        let keys: Vec<_> = keys.into_keys().collect();
        // Rounded down: a consumer is never given more than a batch. There are no more keys than that.
        let each = i64::try_from((self.limits.batch / keys.len()).max(1)).unwrap_or(1);
        let heads = store::heads(&self.db, self.name, &keys, each).await?;
        let done = async {
            let rows = self.part_parked(&fence, due, heads, now).await?;
            self.deliver(&mut lease, &fence, rows).await
        };
        match done.await {
            Err(error) if error.code() == Code::LEASE_LOST => {
                lease.lost();
                Ok(Turn::Idle)
            }
            // Read again: what was read is not there any more.
            Err(error) if error.code() == store::STALE => Ok(Turn::Worked(0)),
            done => done.map(Turn::Worked),
        }
    }

    /// Now and then, and whenever the clock was set: makes due what would wait for longer than any pause.
    async fn set_right(&self, now: Millis) -> Result<()> {
        if now.0.abs_diff(self.set_right_at.load(Ordering::Relaxed)) < Millis::MINUTE.unsigned_abs() {
            return Ok(());
        }
        // Clocks of nodes differ by less than a lease, of which the patience is half.
        let (name, longest) = (
            self.name,
            now.plus(BACKOFF_MOST + 2 * i64::try_from(self.limits.patience.as_millis()).unwrap_or(i64::MAX) * 4),
        );
        // A read alone: to ask by a write is to wait for others' transactions.
        if store::is_astray(&self.db, name, longest).await? {
            let set = self.db.write(move |tx| Box::pin(store::set_right(tx, name, now, longest))).await?;
            tracing::warn!(consumer = name, events = set, "events were due in the far future: the clock was set");
        }
        self.set_right_at.store(now.0, Ordering::Relaxed);
        Ok(())
    }

    /// Leaves out the keys whose first event is not due; their events will not be found again before it is.
    async fn part_parked(&self, fence: &Fence, due: Vec<store::Due>, heads: Vec<Row>, now: Millis) -> Result<Vec<Row>> {
        let mut until: BTreeMap<Uuid, Millis> = BTreeMap::new();
        for row in &heads {
            until.entry(row.key).or_insert(row.due_at);
        }
        until.retain(|_, at| *at > now);
        // Of each key the first event that is due: those before it wait already.
        let mut parked: BTreeMap<Uuid, (store::Due, Millis)> = BTreeMap::new();
        for due in due {
            if let Some(at) = until.get(&due.key)
                && parked.get(&due.key).is_none_or(|(first, _)| due.sequence < first.sequence)
            {
                parked.insert(due.key, (due, *at));
            }
        }
        if !parked.is_empty() {
            let (parked, name) = (Arc::new(parked), self.name);
            let park = self.db.write_fenced(fence, move |tx| {
                let parked = Arc::clone(&parked);
                Box::pin(async move {
                    for (first, until) in parked.values() {
                        store::park(tx, name, first, *until).await?;
                    }
                    Ok(())
                })
            });
            park.await?;
        }
        Ok(heads.into_iter().filter(|row| !until.contains_key(&row.key)).collect())
    }

    /// Delivers a batch, or as much of it as goes. How many events were delivered or failed.
    async fn deliver(&self, lease: &mut Lease, fence: &Fence, rows: Vec<Row>) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let count = rows.len() as u64;
        let all: Arc<[Row]> = rows.into();
        let error = match self.attempt(fence, Arc::clone(&all)).await {
            Ok(after) => {
                self.tell(after, count);
                return Ok(count);
            }
            Err(error) if !is_the_events_fault(&error) => return Err(error),
            Err(error) => error,
        };
        if let [row] = &*all {
            self.failed(fence, row, &error).await?;
            return Ok(1);
        }
        tracing::warn!(
            consumer = self.name,
            events = count,
            error = error.for_operator(),
            "batch failed, one event at a time"
        );
        let mut parked: HashSet<Uuid> = HashSet::new();
        for row in all.iter() {
            if parked.contains(&row.key) {
                continue;
            }
            // Each may take its time: the lease is to last as long as all of them together.
            let held = lease.hold(&self.db, &*self.clock).await?;
            let fence = &held.ok_or_else(|| Fence::lost(self.name))?;
            match self.attempt(fence, Arc::new([row.clone()])).await {
                Ok(after) => self.tell(after, 1),
                Err(error) if !is_the_events_fault(&error) => return Err(error),
                Err(error) => {
                    parked.insert(row.key);
                    self.failed(fence, row, &error).await?;
                }
            }
        }
        Ok(count)
    }

    /// The effect and the end of the rows, in one transaction.
    async fn attempt(&self, fence: &Fence, rows: Arc<[Row]>) -> Result<AfterCommit> {
        let events: Arc<[Delivered]> = rows.iter().map(Row::delivered).collect::<Result<_>>()?;
        let (name, consumer, patience) = (self.name, Arc::clone(&self.consumer), self.limits.patience);
        let work = self.db.write_fenced(fence, move |tx| {
            let (rows, events, consumer) = (Arc::clone(&rows), Arc::clone(&events), Arc::clone(&consumer));
            Box::pin(async move {
                // First: a second try after a COMMIT whose answer was lost finds them gone.
                store::delete(tx, name, &rows).await?;
                // One that hangs would keep its lease and all that waits, and nothing would tell of it.
                match tokio::time::timeout(patience, consumer.consume(tx, &events)).await {
                    Ok(consumed) => consumed,
                    Err(_) => Err(Error::internal(format!("the consumer took more than {} ms", patience.as_millis()))),
                }
            })
        });
        let done = AssertUnwindSafe(work).catch_unwind().await;
        done.unwrap_or_else(|_| Err(Error::internal("the consumer panicked")))
    }

    /// It is durable: a panic of those who are told is theirs alone.
    fn tell(&self, after: AfterCommit, events: u64) {
        self.metrics.delivered(self.name, events);
        if let Some(after) = after
            && std::panic::catch_unwind(AssertUnwindSafe(after)).is_err()
        {
            tracing::error!(consumer = self.name, "delivered events did not reach listeners");
        }
    }

    /// Notes the failure of an event that was tried alone.
    async fn failed(&self, fence: &Fence, row: &Row, error: &Error) -> Result<()> {
        let now = self.clock.now();
        let text = shortened(&error.for_operator());
        let then = if row.attempts >= self.limits.retries {
            Then::SetAside(now)
        } else {
            let doublings = u32::try_from(row.attempts).unwrap_or(u32::MAX).min(40);
            let pause = self.limits.backoff_ms.saturating_mul(1 << doublings).min(BACKOFF_MOST);
            Then::TryAt(now.plus(pause))
        };
        let (event, attempt) = (row.id, row.attempts + 1);
        match then {
            Then::SetAside(_) => {
                tracing::error!(consumer = self.name, %event, kind = row.kind, attempt, error = text, "event set aside");
            }
            Then::TryAt(_) => {
                tracing::warn!(consumer = self.name, %event, kind = row.kind, attempt, error = text, "event failed");
            }
        }
        let (name, row) = (self.name, row.clone());
        let note = self.db.write_fenced(fence, move |tx| {
            let (row, text) = (row.clone(), text.clone());
            Box::pin(async move { store::fail(tx, name, &row, &text, then).await })
        });
        note.await?;
        self.metrics.failed(self.name, matches!(then, Then::SetAside(_)));
        Ok(())
    }
}

/// A database that is away, or a lost lease, says nothing of the events.
fn is_the_events_fault(error: &Error) -> bool {
    let passing = matches!(error.retry(), Retry::Soon | Retry::Down);
    !passing && error.code() != Code::LEASE_LOST && error.code() != store::STALE
}

/// NUL is no text for PostgreSQL.
fn shortened(text: &str) -> String {
    let text = text.replace('\0', "\u{fffd}");
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= ERROR_MOST).last().unwrap_or(0);
    if text.len() <= ERROR_MOST { text } else { format!("{}…", &text[..end]) }
}
