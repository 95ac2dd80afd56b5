//! What listeners hear: the newest state of a thing within an interval, at once when nothing happened for a while.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt as _};
use futures_util::task::AtomicWaker;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::{Code, Error, Result};

/// How many ticks a slow listener may be behind before it is cut off: with ten a second, six seconds.
const BEHIND: usize = 64;
/// Topics that all listeners together may ask for: each takes some 200 bytes.
const TOPICS_MOST: usize = 1_000_000;

/// A change that a newer one of the same thing replaces.
pub trait Conflate: Send + Sync + 'static {
    /// The thing.
    type Key: Eq + Hash + Send;
    /// What listeners ask for: the thing, or whose it is.
    type Topic: Eq + Hash + Clone + Send;
    /// Which thing changed.
    fn key(&self) -> Self::Key;
    /// Who hears of it, of those who did not ask for everything.
    fn topic(&self) -> Self::Topic;
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

impl<T> Clone for Change<T> {
    fn clone(&self) -> Self {
        Self { of: Arc::clone(&self.of), at: self.at }
    }
}

fn behind() -> Error {
    Error::new(Code::OVERLOADED, "this listener fell behind; subscribe again")
}

fn full() -> Error {
    Error::new(Code::OVERLOADED, "too much is listened to already; subscribe to less, or later")
}

/// Everything that a listener of all hears, change by change, each with its number. Ends when the server stops, and with
/// [`Code::OVERLOADED`] for a listener that fell behind.
pub fn changes<T: Send + Sync + 'static>(
    receiver: broadcast::Receiver<Tick<T>>,
) -> impl Stream<Item = Result<(u64, Change<T>)>> + Send {
    let ticks = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Ok(tick) => Some((Ok(tick), Some(receiver))),
            Err(RecvError::Lagged(_)) => Some((Err(behind()), None)),
            Err(RecvError::Closed) => None,
        }
    });
    ticks.flat_map(|tick| match tick {
        Ok(tick) => stream::iter(tick.numbered().map(Ok)).left_stream(),
        Err(error) => stream::iter([Err(error)]).right_stream(),
    })
}

/// What waits for a listener of some topics.
struct Ear<T> {
    heard: Mutex<Heard<T>>,
    waker: AtomicWaker,
}

struct Heard<T> {
    /// Each with the interval that it came in, and its number.
    changes: VecDeque<(u64, u64, Change<T>)>,
    end: Option<End>,
}

/// Why nothing more comes.
#[derive(Clone, Copy)]
enum End {
    Behind,
    Full,
    Closed,
}

impl<T> Ear<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self { heard: Mutex::new(Heard { changes: VecDeque::new(), end: None }), waker: AtomicWaker::new() })
    }

    fn hear(&self, interval: u64, number: u64, change: Change<T>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.end.is_some() {
            return;
        }
        let first = heard.changes.front().map_or(interval, |(interval, ..)| *interval);
        if interval - first < BEHIND as u64 {
            heard.changes.push_back((interval, number, change));
        } else {
            *heard = Heard { changes: VecDeque::new(), end: Some(End::Behind) };
        }
        drop(heard);
        self.waker.wake();
    }

    fn end(&self, why: End) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).end.get_or_insert(why);
        self.waker.wake();
    }
}

/// A listener of some topics: hears, change by change, what concerns them, each with its number. Ends as [`changes`] does.
pub struct Listener<T: Conflate> {
    ear: Arc<Ear<T>>,
    live: Arc<Live<T>>,
    topics: Vec<T::Topic>,
}

impl<T: Conflate> Stream for Listener<T> {
    type Item = Result<(u64, Change<T>)>;

    fn poll_next(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // First: what is heard after the look wakes.
        self.ear.waker.register(ctx.waker());
        let mut heard = self.ear.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match (heard.changes.pop_front(), heard.end) {
            (Some((_, number, change)), _) => Poll::Ready(Some(Ok((number, change)))),
            (None, None) => Poll::Pending,
            (None, Some(End::Closed)) => Poll::Ready(None),
            (None, Some(why)) => {
                heard.end = Some(End::Closed);
                Poll::Ready(Some(Err(if matches!(why, End::Full) { full() } else { behind() })))
            }
        }
    }
}

impl<T: Conflate> Drop for Listener<T> {
    fn drop(&mut self) {
        let mut ears = self.live.ears.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in self.topics.drain(..) {
            let Entry::Occupied(mut of) = ears.of.entry(topic) else { continue };
            if let Some(at) = of.get().iter().position(|ear| Arc::ptr_eq(ear, &self.ear)) {
                of.get_mut().swap_remove(at);
                self.live.topics.fetch_sub(1, Ordering::Release);
            }
            if of.get().is_empty() {
                of.remove();
            }
        }
        if ears.of.capacity() > 1_024 && ears.of.len() < ears.of.capacity() / 8 {
            let left = 2 * ears.of.len();
            ears.of.shrink_to(left);
        }
    }
}

/// Those who listen to some topics.
struct Ears<T: Conflate> {
    /// Of each topic, in no order.
    of: HashMap<T::Topic, Vec<Arc<Ear<T>>>>,
    /// How many intervals there were.
    intervals: u64,
    is_closed: bool,
}

/// Takes changes from writers and hands them to any number of listeners, at most one [`Tick`] an interval.
pub struct Live<T: Conflate> {
    pending: Mutex<HashMap<T::Key, T>>,
    wake: Notify,
    ticks: broadcast::Sender<Tick<T>>,
    ears: Mutex<Ears<T>>,
    /// How many there are, one of several topics as often. Changed under the lock of `ears`.
    topics: AtomicUsize,
}

impl<T: Conflate> Live<T> {
    /// Starts the task that hands out ticks, until `shutdown`; listeners' streams end with it.
    pub fn start(interval: Duration, tasks: &TaskTracker, shutdown: CancellationToken) -> Arc<Self> {
        let live = Arc::new(Self {
            pending: Mutex::new(HashMap::new()),
            wake: Notify::new(),
            ticks: broadcast::Sender::new(BEHIND),
            ears: Mutex::new(Ears { of: HashMap::new(), intervals: 0, is_closed: false }),
            topics: AtomicUsize::new(0),
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
            ticking.close();
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
                Entry::Occupied(mut older) => older.get_mut().absorb(change),
                Entry::Vacant(none) => {
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
        self.ticks.receiver_count() > 0 || self.topics.load(Ordering::Acquire) > 0
    }

    /// Has listeners look again though no single thing changed: an empty tick.
    pub fn nudge(&self) {
        // An error here: nobody listens.
        let _ = self.ticks.send(Tick::new(Arc::from([])));
    }

    /// Listens to everything from now on. A listener that falls [`BEHIND`] gets `Lagged`.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Tick<T>> {
        self.ticks.subscribe()
    }

    /// Listens to these topics from now on: what concerns others costs this listener nothing. Where too much is listened
    /// to already, it hears of that and no more.
    #[must_use]
    pub fn listen_to(self: &Arc<Self>, topics: impl IntoIterator<Item = T::Topic>) -> Listener<T> {
        let mut listener = Listener { ear: Ear::new(), live: Arc::clone(self), topics: topics.into_iter().collect() };
        let mut ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        if ears.is_closed {
            listener.ear.end(End::Closed);
        }
        if self.topics.load(Ordering::Acquire) + listener.topics.len() > TOPICS_MOST {
            listener.ear.end(End::Full);
            listener.topics.clear();
        }
        for topic in &listener.topics {
            let of = ears.of.entry(topic.clone()).or_default();
            // Asked for twice, it was the last to come.
            if !of.last().is_some_and(|last| Arc::ptr_eq(last, &listener.ear)) {
                of.push(Arc::clone(&listener.ear));
                self.topics.fetch_add(1, Ordering::Release);
            }
        }
        drop(ears);
        listener
    }

    fn tick(&self) {
        let changes = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if changes.is_empty() {
            return;
        }
        let tick = Tick::new(changes.into_values().collect());
        let mut ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        ears.intervals += 1;
        let (interval, mut told) = (ears.intervals, Vec::new());
        if !ears.of.is_empty() {
            for (number, change) in tick.clone().numbered() {
                let of = ears.of.get(&change.topic()).into_iter().flatten();
                told.extend(of.map(|ear| (Arc::clone(ear), number, change.clone())));
            }
        }
        // Writers and newcomers wait for the list, not for those who are woken.
        drop(ears);
        for (ear, number, change) in told {
            ear.hear(interval, number, change);
        }
        // An error here: nobody listens to everything.
        let _ = self.ticks.send(tick);
    }

    fn close(&self) {
        let mut ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        ears.is_closed = true;
        for ear in ears.of.values().flatten() {
            ear.end(End::Closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a thing is now; its tens are whose it is.
    #[derive(Clone, Debug, PartialEq)]
    struct Now(u32, &'static str);

    impl Conflate for Now {
        type Key = u32;
        type Topic = u32;

        fn key(&self) -> u32 {
            self.0
        }

        fn topic(&self) -> u32 {
            self.0 / 10
        }

        fn absorb(&mut self, newer: Self) {
            *self = newer;
        }
    }

    fn live() -> (Arc<Live<Now>>, CancellationToken) {
        let shutdown = CancellationToken::new();
        (Live::start(Duration::from_millis(1), &TaskTracker::new(), shutdown.clone()), shutdown)
    }

    #[tokio::test]
    async fn a_listener_of_topics_hears_what_one_of_all_hears_of_them() {
        let (live, shutdown) = live();
        assert!(!live.is_heard());
        let mut all = Box::pin(changes(live.listen()));
        let mut some = live.listen_to([1, 3, 3]);
        let mut told = Vec::new();
        for (key, word) in [(11, "a"), (20, "b"), (12, "c"), (31, "d"), (11, "e")] {
            live.publish([Now(key, word)]);
            let (number, change) = all.next().await.unwrap().unwrap();
            assert_eq!(*change, Now(key, word));
            if key != 20 {
                told.push((number, change.clone()));
            }
        }
        for (due, change) in told {
            let (number, heard) = some.next().await.unwrap().unwrap();
            assert_eq!((number, &*heard), (due, &*change));
        }
        shutdown.cancel();
        assert!(some.next().await.is_none(), "it ends with the server");
        assert!(live.listen_to([1]).next().await.is_none(), "who comes later ends too");
    }

    #[tokio::test]
    async fn who_does_not_read_is_cut_off_and_who_leaves_is_forgotten() {
        let (live, _shutdown) = live();
        let (mut slow, mut rare) = (live.listen_to([1]), live.listen_to([2]));
        live.publish([Now(20, "once")]);
        for _ in 0..BEHIND {
            live.publish([Now(10, "again")]);
            live.tick();
        }
        assert_eq!(*slow.next().await.unwrap().unwrap().1, Now(10, "again"), "so far behind it may be");
        for _ in 0..2 {
            live.publish([Now(10, "too much")]);
            live.tick();
        }
        assert_eq!(slow.next().await.unwrap().err().unwrap().code(), Code::OVERLOADED);
        assert!(slow.next().await.is_none());
        assert_eq!(*rare.next().await.unwrap().unwrap().1, Now(20, "once"), "nothing of its own came since");
        drop((slow, rare));
        assert!(!live.is_heard());
    }
}
