//! One execution for equal listeners: those of one document, operation and variables get one answer to one event, unless
//! it depended on who asks.
//!
//! A listener executes an event with its own session, which notes whether it was asked. If it was not, the execution would
//! have gone the same way for whoever else has the same document and variables: the answer is kept for them, written. If
//! it was, the answer is the listener's own, and so is every later one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, ObjectType, OutputType, Positioned, Response, ServerResult, Value};
use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::Serialize as _;

use super::with_codes;
use crate::kernel::auth::Asked;

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

/// An event for listeners: `item` as it is to be answered, and the number that [`Tick::numbered`] gave its change.
///
/// `item` must follow from that change and from the field's arguments, or from who asks through [`Session::of`]: equal
/// listeners may get what was answered to one of them.
///
/// [`Tick::numbered`]: crate::kernel::live::Tick::numbered
/// [`Session::of`]: crate::kernel::auth::Session::of
pub struct Shared<T> {
    number: u64,
    item: T,
}

impl<T> Shared<T> {
    /// Wraps what listeners of change `number` hear.
    pub fn new(number: u64, item: T) -> Self {
        Self { number, item }
    }
}

impl<T: ObjectType> OutputType for Shared<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        T::qualified_type_name()
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.item.introspection_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        // Of the root field only: what is kept is a whole answer.
        let is_root = ctx.path_node.as_ref().is_some_and(|node| node.parent.is_none());
        match ctx.data_opt::<Arc<Listener>>() {
            // The answer is there already: nobody looks at this one.
            Some(listener) if is_root && listener.finds(self.number) => Ok(Value::Null),
            _ => self.item.resolve(ctx, field).await,
        }
    }
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
    /// A value that JSON has no form for.
    pub fn write(&self, bytes: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Own(response) => response.serialize(&mut serde_json::Serializer::new(bytes)),
            Self::Shared(written) => {
                bytes.extend_from_slice(written);
                Ok(())
            }
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
        Arc::new(Listener { group, asked, current: Mutex::new(Current::Nothing), detached: Mutex::default() })
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
}

/// What a listener's execution under way came to.
enum Current {
    /// It is nobody else's matter.
    Nothing,
    /// The first one for this change.
    First(u64),
    /// It was not needed.
    Found(Bytes),
}

impl Listener {
    /// Whether the answer to this change is there.
    fn finds(&self, number: u64) -> bool {
        if self.asked.noted() || Arc::strong_count(&self.group) == 1 {
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
    }

    /// All that is told of an operation's responses.
    pub(crate) fn answers(self: Arc<Self>, responses: BoxStream<'static, Response>) -> BoxStream<'static, Answer> {
        Answers { listener: self, responses }.boxed()
    }

    /// What is told of a response: what was found in its place, or itself, which equal listeners get too if it may be.
    fn answer(&self, response: Response) -> Answer {
        match self.set(Current::Nothing) {
            Current::Found(written) => Answer::Shared(written),
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

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let Self { listener, responses } = self.get_mut();
        loop {
            if let Some(response) = ready!(responses.poll_next_unpin(cx)) {
                return Poll::Ready(Some(listener.answer(with_codes(response))));
            }
            let detached = listener.detached.lock().unwrap_or_else(PoisonError::into_inner).take();
            match detached {
                Some(detached) => *responses = detached,
                None => return Poll::Ready(None),
            }
        }
    }
}
