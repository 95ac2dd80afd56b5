//! What listeners hear: the newest state of a thing within an interval, at once when nothing happened for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::{Code, Error, Result};

/// How many ticks a slow listener may be behind before it is cut off: with ten a second, six seconds.
const BEHIND: usize = 64;

/// A change that a newer one of the same thing replaces.
pub trait Conflate: Send + Sync + 'static {
    /// The thing.
    type Key: Eq + Hash + Send;
    /// Which thing changed.
    fn key(&self) -> Self::Key;
    /// Takes in a newer change of the same thing: keeps what was before, takes what is now.
    fn absorb(&mut self, newer: Self);
}

/// The number of the next change that listeners of this process are told.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What happened within one interval: a list of changes. Cheap to clone.
pub struct Tick<T> {
    first: u64,
    changes: Arc<[T]>,
}

impl<T> Tick<T> {
    fn new(changes: Arc<[T]>) -> Self {
        Self { first: NEXT.fetch_add(changes.len() as u64, Ordering::Relaxed), changes }
    }

    /// Its changes, each with a number that no other one of this process has.
    pub fn numbered(self) -> impl Iterator<Item = (u64, Change<T>)> {
        let Self { first, changes } = self;
        (first..).zip((0..changes.len()).map(move |at| Change { of: Arc::clone(&changes), at }))
    }
}

/// One change of a [`Tick`]. Cheap to make.
pub struct Change<T> {
    of: Arc<[T]>,
    at: usize,
}

impl<T> Deref for Change<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.of[self.at]
    }
}

impl<T> Clone for Tick<T> {
    fn clone(&self) -> Self {
        Self { first: self.first, changes: Arc::clone(&self.changes) }
    }
}

impl<T> Deref for Tick<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.changes
    }
}

/// What a listener hears, change by change, each with its number. Ends when the server stops, and with
/// [`Code::OVERLOADED`] for a listener that fell behind.
pub fn changes<T: Send + Sync + 'static>(
    receiver: broadcast::Receiver<Tick<T>>,
) -> impl Stream<Item = Result<(u64, Change<T>)>> + Send {
    let ticks = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Ok(tick) => Some((Ok(tick), Some(receiver))),
            Err(RecvError::Lagged(_)) => {
                let behind = Error::new(Code::OVERLOADED, "this listener fell behind; subscribe again");
                Some((Err(behind), None))
            }
            Err(RecvError::Closed) => None,
        }
    });
    ticks.flat_map(|tick| match tick {
        Ok(tick) => stream::iter(tick.numbered().map(Ok)).left_stream(),
        Err(error) => stream::iter([Err(error)]).right_stream(),
    })
}

/// Takes changes from writers and hands them to any number of listeners, at most one [`Tick`] an interval.
pub struct Live<T: Conflate> {
    pending: Mutex<HashMap<T::Key, T>>,
    wake: Notify,
    ticks: broadcast::Sender<Tick<T>>,
}

impl<T: Conflate> Live<T> {
    /// Starts the task that hands out ticks, until `shutdown`; listeners' streams end with it.
    pub fn start(interval: Duration, tasks: &TaskTracker, shutdown: CancellationToken) -> Arc<Self> {
        let live = Arc::new(Self {
            pending: Mutex::new(HashMap::new()),
            wake: Notify::new(),
            ticks: broadcast::Sender::new(BEHIND),
        });
        let ticking = Arc::clone(&live);
        tasks.spawn(async move {
            shutdown
                .run_until_cancelled(async {
                    loop {
                        ticking.wake.notified().await;
                        ticking.tick();
                        tokio::time::sleep(interval).await;
                    }
                })
                .await;
        });
        live
    }

    /// Adds changes, in the order in which they were committed.
    pub fn publish(&self, changes: impl IntoIterator<Item = T>) {
        if !self.is_heard() {
            return;
        }
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match pending.entry(change.key()) {
                std::collections::hash_map::Entry::Occupied(mut older) => older.get_mut().absorb(change),
                std::collections::hash_map::Entry::Vacant(none) => {
                    none.insert(change);
                }
            }
        }
        drop(pending);
        self.wake.notify_one();
    }

    /// Whether somebody listens.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.ticks.receiver_count() > 0
    }

    /// Has listeners look again though no single thing changed: an empty tick.
    pub fn nudge(&self) {
        // An error here: nobody listens.
        let _ = self.ticks.send(Tick::new(Arc::from([])));
    }

    /// Listens from now on. A listener that falls [`BEHIND`] gets `Lagged`.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Tick<T>> {
        self.ticks.subscribe()
    }

    fn tick(&self) {
        let changes = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if !changes.is_empty() {
            // An error here: nobody listens any more.
            let _ = self.ticks.send(Tick::new(changes.into_values().collect()));
        }
    }
}
