//! One operation from its beginning to its end: counted, timed, traced, and logged when it is slow.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use async_graphql::Response;
use async_graphql::parser::types::OperationType;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use tracing::{Instrument as _, Span};

use super::labels::{Kind, Outcome, Transport};
use super::metrics::{Held, Metrics};
use super::request::{Requested, current_request};
use crate::kernel::graphql::Answer;

/// Longest name of an operation that is logged.
const NAME_MOST: usize = 64;

tokio::task_local! {
    /// The operation that this task works on: how statements and errors deep below find theirs.
    static CURRENT: Arc<Current>;
}

struct Current {
    facts: Facts,
    /// Behind it.
    request: Option<Requested>,
    statements: AtomicU32,
}

/// What is known of an operation before it runs. Neither its text nor its variables: they may hold anything.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whether it asks, changes or listens.
    pub kind: OperationType,
    /// How it came in.
    pub transport: Transport,
    /// Its name, as the document gives it.
    pub name: Option<Arc<str>>,
    /// Whether the document is one of the trusted ones: only their names become labels.
    pub trusted: bool,
    /// The document's hash, where it is known.
    pub document: Option<Arc<str>>,
}

impl Facts {
    /// The name, fit for a line of a log: a GraphQL name, cut to 64 characters.
    #[must_use]
    pub fn logged_name(&self) -> Option<&str> {
        let name = self.name.as_deref()?;
        let end = name.bytes().take(NAME_MOST).take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        name.get(..end)
    }

    /// `query`, `mutation` or `subscription`.
    #[must_use]
    pub fn kind_word(&self) -> &'static str {
        Kind::from(self.kind).word()
    }
}

/// The operation that the calling task works on, if there is one.
#[must_use]
pub fn current() -> Option<Facts> {
    CURRENT.try_with(|current| current.facts.clone()).ok()
}

/// Counts a statement for the operation that the calling task works on.
pub(crate) fn count_statement() {
    // Outside of an operation nobody counts.
    let _ = CURRENT.try_with(|current| current.statements.fetch_add(1, Ordering::Relaxed));
}

/// The request behind the operation that the calling task works on.
pub(super) fn request_of_operation() -> Option<Requested> {
    CURRENT.try_with(|current| current.request.clone()).ok().flatten()
}

/// Watches one operation. Dropped before its end, the operation counts as cancelled.
pub struct Watch {
    metrics: Metrics,
    current: Arc<Current>,
    /// Monotonic: a duration decides nothing, so that it need not be injected.
    started: Instant,
    outcome: Outcome,
    listening: Option<Held>,
}

impl Watch {
    pub(super) fn new(metrics: Metrics, facts: Facts) -> Self {
        let listening =
            (facts.kind == OperationType::Subscription).then(|| metrics.subscription_opened(facts.transport));
        // A listener ends when it likes: that is how subscriptions end well.
        let outcome = if listening.is_some() { Outcome::Ok } else { Outcome::Cancelled };
        let current = Arc::new(Current { facts, request: current_request(), statements: AtomicU32::new(0) });
        Self { metrics, current, started: Instant::now(), outcome, listening }
    }

    fn span(&self) -> Span {
        let facts = &self.current.facts;
        tracing::debug_span!(
            "operation",
            kind = facts.kind_word(),
            transport = facts.transport.word(),
            operation = facts.logged_name(),
            document = facts.document.as_deref(),
            outcome = tracing::field::Empty,
        )
    }

    /// Runs a query or a mutation.
    pub async fn run(mut self, operation: impl Future<Output = Response>) -> Response {
        let span = self.span();
        let response = CURRENT.scope(Arc::clone(&self.current), operation).instrument(span.clone()).await;
        self.outcome = self.metrics.answered(&response);
        span.record("outcome", self.outcome.word());
        span.in_scope(|| drop(self));
        response
    }

    /// Runs an operation of any kind: a subscription answers many times.
    #[must_use]
    pub fn stream(self, answers: BoxStream<'static, Answer>) -> BoxStream<'static, Answer> {
        let span = self.span();
        Box::pin(Watched { watch: self, span, answers })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (facts, took) = (&self.current.facts, self.started.elapsed());
        let statements = self.current.statements.load(Ordering::Relaxed);
        self.metrics.request(facts, self.outcome, took, statements);
        if self.listening.is_none() && self.metrics.slow().is_some_and(|slow| took >= slow) {
            tracing::warn!(
                kind = facts.kind_word(),
                transport = facts.transport.word(),
                operation = facts.logged_name(),
                document = facts.document.as_deref(),
                outcome = self.outcome.word(),
                took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                statements,
                "slow operation"
            );
        }
    }
}

/// The answers of a watched operation.
struct Watched {
    watch: Watch,
    span: Span,
    answers: BoxStream<'static, Answer>,
}

impl Stream for Watched {
    type Item = Answer;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Answer>> {
        let Self { watch, span, answers } = self.get_mut();
        let entered = span.enter();
        let current = Arc::clone(&watch.current);
        let polled = CURRENT.sync_scope(current, || answers.as_mut().poll_next(context));
        if let Poll::Ready(Some(answer)) = &polled {
            let outcome = match answer {
                Answer::Own(response) => watch.metrics.answered(response),
                Answer::Shared(_) => Outcome::Ok,
            };
            if watch.listening.is_some() {
                watch.metrics.message_sent(watch.current.facts.transport);
            }
            if watch.listening.is_none() || outcome != Outcome::Ok {
                watch.outcome = outcome;
                span.record("outcome", outcome.word());
            }
        }
        drop(entered);
        polled
    }
}
