//! Events: what happened, for those who act on it later, in order and exactly once in effect.
//!
//! The rows of an event are written in the transaction of its fact ([`Outbox::put`]) and go in the transaction of its
//! effect ([`Consumer::consume`]). In between one fenced relay a consumer delivers them (`docs/modules.md`).

mod check;
mod lease;
mod outbox;
mod relay;
mod store;

use futures_util::future::BoxFuture;
use uuid::Uuid;

pub(crate) use check::Undelivered;
pub use outbox::Outbox;
pub(crate) use store::{
    Backlog, SetAside, backlogs, consumers_with_set_aside, discard, replay, set_aside_page, set_aside_prune,
};

use super::clock::Millis;
use super::db::Tx;
use super::error::Result;

/// Something that happened, for those who act on it later.
#[derive(Clone, Debug)]
pub struct Event {
    /// Made before the first try of the transaction, so that every try writes the same one.
    pub id: Uuid,
    /// `module.what_happened`: `engagement.liked`.
    pub kind: &'static str,
    /// The aggregate's id, which the lane is of: order holds per key.
    pub key: Uuid,
    /// Rises with each event of a key: taken under the lock of the aggregate's row, so that commits come in its order.
    pub sequence: i64,
    /// When it happened.
    pub at: Millis,
    /// What the consumers need to know.
    pub payload: serde_json::Value,
}

/// An event as it is delivered.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// [`Event::id`]
    pub id: Uuid,
    /// [`Event::kind`]
    pub kind: String,
    /// [`Event::key`]
    pub key: Uuid,
    /// [`Event::sequence`]
    pub sequence: i64,
    /// [`Event::at`]
    pub at: Millis,
    /// [`Event::payload`]
    pub payload: serde_json::Value,
    /// 1 at the first try; one that failed in a batch with others comes again, alone, with the same number.
    pub attempt: i64,
}

/// Which kinds of event a durable consumer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumes {
    /// The consumer's name: a word in tables, metrics and reports that never changes.
    pub consumer: &'static str,
    /// The kinds.
    pub kinds: &'static [&'static str],
}

/// What is left to do when the effect is durable: to tell listeners. Best effort: it is lost when the process ends.
pub type AfterCommit = Option<Box<dyn FnOnce() + Send>>;

/// Acts on events.
pub trait Consumer: Send + Sync + 'static {
    /// Writes the effect of `events` inside `tx`, in which their rows go too: exactly once in effect. Events of a key
    /// come in sequence; those of several keys are mixed.
    ///
    /// # Errors
    /// Any: nothing of the batch holds then. Its events are tried one at a time; one that fails alone is tried again
    /// later, and the later events of its key wait. A panic is an error too.
    fn consume<'a>(&'a self, tx: &'a Tx, events: &'a [Delivered]) -> BoxFuture<'a, Result<AfterCommit>>;
}
