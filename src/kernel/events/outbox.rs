//! What modules and the server do with events: put them, wake those who deliver, deliver.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lease::Lease;
use super::relay::{Relay, RelayLimits, Turn};
use super::{Consumer, Consumes, Event, store};
use crate::kernel::clock::{Clock, Millis};
use crate::kernel::config::Settings;
use crate::kernel::db::{Db, Tx};
use crate::kernel::error::{Error, Result};
use crate::kernel::telemetry::WorkMetrics;

/// The consumers of each kind.
type Takers = BTreeMap<&'static str, Vec<&'static str>>;

/// The outbox. Cheap to clone.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Arc<dyn Clock>,
    node: Arc<str>,
    limits: RelayLimits,
    lease_millis: i64,
    metrics: WorkMetrics,
    /// Which consumers take a kind. Declared, so that a process that delivers nothing still writes for all of them.
    takers: RwLock<Option<Takers>>,
    /// Those whose module has started.
    relays: RwLock<BTreeMap<&'static str, Arc<Relay>>>,
}

impl Outbox {
    pub(crate) fn new(
        db: &Db,
        clock: &Arc<dyn Clock>,
        node: &Arc<str>,
        settings: &Settings,
        metrics: &WorkMetrics,
    ) -> Self {
        let lease_millis = i64::from(settings.count("worker.lease_secs")) * 1000;
        let limits = RelayLimits {
            batch: settings.count("events.batch").max(1) as usize,
            retries: settings.count("events.retries").into(),
            backoff_ms: settings.count("events.backoff_ms").into(),
            poll: Duration::from_millis(settings.count("worker.poll_ms").into()),
            patience: Duration::from_secs(settings.count("worker.lease_secs").into()) / 2,
        };
        Self(Arc::new(Inner {
            db: db.clone(),
            clock: Arc::clone(clock),
            node: Arc::clone(node),
            limits,
            lease_millis,
            metrics: metrics.clone(),
            takers: RwLock::default(),
            relays: RwLock::default(),
        }))
    }

    /// Writes one row per event and durable consumer that takes its kind, in the transaction of the fact. Events that
    /// nobody takes are not kept.
    ///
    /// # Errors
    /// The database's own; a key's sequence that was used before.
    pub async fn put(&self, tx: &Tx, events: &[Event]) -> Result<()> {
        let rows = self.addressed(events)?;
        store::put(tx, self.0.clock.now(), rows).await
    }

    fn addressed<'e>(&self, events: &'e [Event]) -> Result<Vec<(&'static str, &'e Event)>> {
        let takers = self.0.takers.read().unwrap_or_else(PoisonError::into_inner);
        // Without the declarations an event would be lost silently.
        let takers = takers.as_ref().ok_or_else(|| Error::internal("an event before the modules' start"))?;
        let mut rows: Vec<(&'static str, &Event)> = Vec::with_capacity(events.len());
        for event in events {
            for consumer in takers.get(event.kind).into_iter().flatten() {
                rows.push((consumer, event));
            }
        }
        Ok(rows)
    }

    /// After the commit: deliver now, if this process delivers.
    pub fn wake(&self) {
        for relay in self.relays() {
            relay.wake.notify_one();
        }
    }

    /// When the oldest event happened that a consumer has not taken: one that waits, or is set aside and may be
    /// replayed. What the consumer must remember for late events, it must remember since then. Reads all of its events.
    ///
    /// # Errors
    /// The database's own.
    pub async fn oldest(&self, consumer: &str) -> Result<Option<Millis>> {
        store::oldest(&self.0.db, consumer).await
    }

    /// Whether events of a consumer are set aside: they may be replayed, after what came later.
    ///
    /// # Errors
    /// The database's own.
    pub async fn has_set_aside(&self, consumer: &str) -> Result<bool> {
        store::has_set_aside(&self.0.db, consumer).await
    }

    /// Whether a consumer has not taken all events of a key yet: some wait, or are set aside and may be replayed.
    ///
    /// # Errors
    /// The database's own.
    pub async fn waits_for(&self, consumer: &str, key: uuid::Uuid) -> Result<bool> {
        store::key_waits(&self.0.db, consumer, key).await
    }

    /// For the consumer itself: the sequence of the first event of a key that it has not taken, and is not given in `tx`.
    ///
    /// # Errors
    /// The database's own.
    pub async fn first_beside(&self, tx: &Tx, consumer: &str, key: uuid::Uuid) -> Result<Option<i64>> {
        store::key_first_beside(tx, consumer, key).await
    }

    /// Delivers, now and here, what is due, until nothing is left; for tests and tools. Returns how many events were
    /// delivered or failed; what another node delivers, and what waits for its next try, stays.
    ///
    /// # Errors
    /// The database's own. A consumer's errors are noted with its events.
    pub async fn deliver_all(&self) -> Result<u64> {
        let mut all = 0;
        loop {
            let before = all;
            for relay in self.relays() {
                while let Turn::Worked(events) = relay.turn().await? {
                    all += events;
                }
            }
            if all == before {
                return Ok(all);
            }
        }
    }

    /// Says which consumers there are, and which of their kinds they take, before any module starts.
    pub(crate) fn declare(&self, all: &[Consumes], takes: impl Fn(&str, &str) -> bool) {
        let mut declared = self.0.takers.write().unwrap_or_else(PoisonError::into_inner);
        let takers = declared.get_or_insert_default();
        for Consumes { consumer, kinds } in all {
            for kind in kinds.iter().filter(|kind| takes(consumer, kind)) {
                let consumers = takers.entry(kind).or_default();
                if !consumers.contains(consumer) {
                    consumers.push(consumer);
                }
            }
        }
    }

    /// Adds a consumer, which its module declares.
    pub(crate) fn add(&self, name: &'static str, consumer: Arc<dyn Consumer>) -> Result<()> {
        let inner = &self.0;
        inner.metrics.begin_consumer(name);
        let relay = Relay {
            name,
            consumer,
            db: inner.db.clone(),
            clock: Arc::clone(&inner.clock),
            limits: inner.limits,
            metrics: inner.metrics.clone(),
            lease: Mutex::new(Lease::new(name, inner.node.to_string(), inner.lease_millis)),
            set_right_at: std::sync::atomic::AtomicI64::new(0),
            wake: Notify::new(),
        };
        let mut relays = inner.relays.write().unwrap_or_else(PoisonError::into_inner);
        match relays.insert(name, Arc::new(relay)) {
            None => Ok(()),
            Some(_) => Err(Error::internal(format!("consumer {name} is started twice"))),
        }
    }

    /// Whether a consumer has been added.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.relays.read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// The consumers that have been added.
    pub(crate) fn consumers(&self) -> Vec<&'static str> {
        self.relays().iter().map(|relay| relay.name).collect()
    }

    /// Begins to deliver, a task a consumer: a slow one holds nobody up.
    pub(crate) fn start(&self, tasks: &TaskTracker, shutdown: &CancellationToken) {
        for relay in self.relays() {
            tasks.spawn(relay.run(shutdown.clone()));
        }
    }

    /// Lets the consumers go: they hold facades, which hold this.
    pub(crate) async fn close(&self) {
        let relays = std::mem::take(&mut *self.0.relays.write().unwrap_or_else(PoisonError::into_inner));
        for relay in relays.into_values() {
            if let Err(error) = relay.lease.lock().await.release(&self.0.db).await {
                tracing::warn!(consumer = relay.name, error = error.for_operator(), "the lease stays until its end");
            }
        }
    }

    fn relays(&self) -> Vec<Arc<Relay>> {
        self.0.relays.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
