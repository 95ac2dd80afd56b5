//! One execution for equal listeners: those of one document, operation and variables get one answer to one event, unless
//! it depended on who asks.
//!
//! A listener executes an event with its own session, which notes whether it was asked. If it was not, the execution would
//! have gone the same way for whoever else has the same document and variables: the answer is kept for them, written. If
//! it was, the answer is the listener's own, and so is every later one.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_graphql::{Context, Response};
use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::Serialize as _;

use super::with_codes;
use crate::kernel::auth::Asked;
use crate::kernel::error::{Error, Result};

/// What all kept answers take at most, in bytes. The oldest go first: a listener without one executes for itself.
const BYTES_MOST: u64 = 4 * 1024 * 1024;
/// What an answer is taken to weigh when the number of places is estimated.
const USUAL_BYTES: usize = 512;
/// What a place takes besides its answer.
const PLACE_BYTES: u64 = 96;
/// How old an answer may be that a listener gets who comes to its event later.
const AGE_MOST: Duration = Duration::from_secs(1);

/// What makes two listeners equal: the hash of document, operation and variables.
pub type Likeness = [u8; 32];

/// What listeners of a field hear: of each of `changes`, which come with their numbers, what `make` makes of it.
///
/// That must follow from the change and from the field's arguments, or from who asks through [`Session::of`]: equal
/// listeners get what was answered to one of them, and nothing is made for the others. A number stands for one change
/// of this process, as [`Tick::numbered`] gives them, or for all that is to be told, hashed.
///
/// [`Tick::numbered`]: crate::kernel::live::Tick::numbered
/// [`Session::of`]: crate::kernel::auth::Session::of
pub fn shared<S, F, I, M, T>(
    ctx: &Context<'_>,
    changes: S,
    mut make: F,
) -> impl Stream<Item = Result<T>> + use<S, F, I, M, T>
where
    S: Stream<Item = Result<(u64, I)>>,
    F: FnMut(I) -> M,
    M: Future<Output = Option<Result<T>>>,
{
    let listener = ctx.data_opt::<Arc<Listener>>().cloned();
    changes.filter_map(move |change| {
        let next = match change {
            Ok((number, _)) if listener.as_ref().is_some_and(|listener| listener.finds(number)) => Next::Found,
            Ok((_, item)) => Next::Made(make(item)),
            Err(error) => Next::Failed(error),
        };
        async {
            match next {
                Next::Found => {
                    // `Answers` has it, and asks again.
                    pending_once().await;
                    None
                }
                Next::Made(making) => making.await,
                Next::Failed(error) => Some(Err(error)),
            }
        }
    })
}

enum Next<M> {
    Found,
    Made(M),
    Failed(Error),
}

/// An answer to an operation.
pub enum Answer {
    /// Of one listener, or of one who asked once.
    Own(Box<Response>),
    /// Written, without errors: of all equal listeners.
    Shared(Bytes),
}

impl Answer {
    /// Appends it as JSON.
    ///
    /// # Errors
    /// A value that JSON has no form for; what the writer says.
    pub fn write(&self, to: &mut impl Write) -> serde_json::Result<()> {
        match self {
            Self::Own(response) => response.serialize(&mut serde_json::Serializer::new(to)),
            Self::Shared(written) => to.write_all(written).map_err(serde_json::Error::io),
        }
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Own(Box::new(response))
    }
}

/// Which listeners are equal, and their answers.
pub struct Equals {
    groups: Mutex<HashMap<Likeness, Weak<Group>>>,
    /// By the numbers of the change and of the group.
    answers: Cache<(u64, u64), Kept, ByBytes>,
    next: AtomicU64,
}

/// Equal listeners: as many as hold it.
struct Group {
    likeness: Likeness,
    number: u64,
    of: Arc<Equals>,
}

#[derive(Clone)]
struct Kept {
    written: Bytes,
    /// Monotonic: it is compared with nothing but itself.
    at: Instant,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<(u64, u64), Kept> for ByBytes {
    fn weight(&self, _: &(u64, u64), kept: &Kept) -> u64 {
        kept.written.len() as u64 + PLACE_BYTES
    }
}

impl Equals {
    /// Nobody listens yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let places = usize::try_from(BYTES_MOST).unwrap_or(usize::MAX) / USUAL_BYTES;
        Arc::new(Self {
            groups: Mutex::default(),
            answers: Cache::with_weighter(places, BYTES_MOST, ByBytes),
            next: AtomicU64::new(0),
        })
    }

    /// One more listener; `asked` is its session's.
    pub(crate) fn join(self: &Arc<Self>, likeness: Likeness, asked: Asked) -> Arc<Listener> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let found = groups.get(&likeness).and_then(Weak::upgrade);
        let group = found.unwrap_or_else(|| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let group = Arc::new(Group { likeness, number, of: Arc::clone(self) });
            groups.insert(likeness, Arc::downgrade(&group));
            group
        });
        drop(groups);
        Arc::new(Listener {
            group,
            asked,
            current: Mutex::new(Current::Nothing),
            detached: Mutex::default(),
            is_detached: AtomicBool::new(false),
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut groups = self.of.groups.lock().unwrap_or_else(PoisonError::into_inner);
        // Another one of this likeness may have begun meanwhile.
        if groups.get(&self.likeness).is_some_and(|group| group.strong_count() == 0) {
            groups.remove(&self.likeness);
        }
    }
}

/// One listener: in its request's data, and with its stream of answers.
pub(crate) struct Listener {
    group: Arc<Group>,
    asked: Asked,
    current: Mutex<Current>,
    /// The field's stream, which is polled in place of the operation's.
    detached: Mutex<Option<BoxStream<'static, Response>>>,
    /// Whether it is: nothing but [`Answers`] hears then that a stream waits though its answer is there.
    is_detached: AtomicBool,
}

/// What a listener's execution under way came to.
enum Current {
    /// It is nobody else's matter.
    Nothing,
    /// The first one for this change.
    First(u64),
    /// It is not needed.
    Found(Bytes),
}

impl Listener {
    /// Whether the answer to this change is there, to be told in place of an execution.
    fn finds(&self, number: u64) -> bool {
        let alone = Arc::strong_count(&self.group) == 1;
        if alone || self.asked.noted() || !self.is_detached.load(Ordering::Relaxed) {
            self.set(Current::Nothing);
            return false;
        }
        let kept = self.group.of.answers.get(&(number, self.group.number));
        let kept = kept.filter(|kept| kept.at.elapsed() <= AGE_MOST);
        let found = kept.is_some();
        self.set(kept.map_or(Current::First(number), |kept| Current::Found(kept.written)));
        found
    }

    /// Goes on with this stream when the operation's own ends.
    pub(super) fn take_over(&self, answers: BoxStream<'static, Response>) {
        *self.detached.lock().unwrap_or_else(PoisonError::into_inner) = Some(answers);
        self.is_detached.store(true, Ordering::Relaxed);
    }

    /// All that is told of an operation's responses.
    pub(crate) fn answers(self: Arc<Self>, responses: BoxStream<'static, Response>) -> BoxStream<'static, Answer> {
        Answers { listener: self, responses }.boxed()
    }

    /// What is told of a response: itself, which equal listeners get too if it may be.
    fn answer(&self, response: Response) -> Answer {
        match self.set(Current::Nothing) {
            Current::First(number) if !self.asked.noted() && response.errors.is_empty() => {
                match serde_json::to_vec(&response) {
                    Ok(written) => {
                        let kept = Kept { written: written.into(), at: Instant::now() };
                        self.group.of.answers.insert((number, self.group.number), kept.clone());
                        Answer::Shared(kept.written)
                    }
                    // It is told of when the listener's own is written.
                    Err(_) => response.into(),
                }
            }
            _ => response.into(),
        }
    }

    /// What was found in place of a response.
    fn found(&self) -> Option<Bytes> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *current, Current::Nothing) {
            Current::Found(written) => Some(written),
            other => {
                *current = other;
                None
            }
        }
    }

    fn set(&self, current: Current) -> Current {
        std::mem::replace(&mut *self.current.lock().unwrap_or_else(PoisonError::into_inner), current)
    }
}

/// The answers of one listener.
struct Answers {
    listener: Arc<Listener>,
    responses: BoxStream<'static, Response>,
}

impl Stream for Answers {
    type Item = Answer;

    fn poll_next(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Option<Answer>> {
        let Self { listener, responses } = self.get_mut();
        loop {
            match responses.poll_next_unpin(cx) {
                Poll::Ready(Some(response)) => return Poll::Ready(Some(listener.answer(with_codes(response)))),
                Poll::Ready(None) => {}
                Poll::Pending => {
                    let found = listener.found().map(|written| Some(Answer::Shared(written)));
                    return found.map_or(Poll::Pending, Poll::Ready);
                }
            }
            let detached = listener.detached.lock().unwrap_or_else(PoisonError::into_inner).take();
            match detached {
                Some(detached) => *responses = detached,
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Waits until it is polled again, by whoever knows of it: it wakes nobody.
pub(super) async fn pending_once() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}
