//! The one way from a transport to the schema: who asks, may it run, run it.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Data, Executor, Request, Response, ServerError};
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{BoxStream, StreamExt as _};

use super::client::ClientAddress;
use super::limits::Limits;
use super::params::Params;
use super::room::Room;
use super::seats::{Seat, Seats};
use crate::kernel::auth::{Asked, Caller, Session, Tokens};
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::gate::{Admitted, Gate, Rejection};
use crate::kernel::graphql::{Answer, Equals, Listener, with_codes};
use crate::kernel::telemetry::{Facts, Transport};

/// What the handlers share. Cheap to clone: every request does, and the kernel's token of the shutdown takes a lock for it.
#[derive(Clone)]
pub struct Site(Arc<Shared>);

/// The one thing behind all clones of a [`Site`].
pub struct Shared {
    /// The kernel's services.
    pub kernel: Kernel,
    schema: AnySchema,
    gate: Gate,
    tokens: Tokens,
    limits: Limits,
    listeners: Arc<Seats>,
    equals: Arc<Equals>,
    pub(super) room: Room,
    pub(super) batch_most: usize,
    /// Bytes of an answer.
    pub(super) answer_most: usize,
}

/// An operation that may run: valid, within its limits, its variables coerced.
pub struct Operation {
    /// Whether it asks, changes or listens.
    pub kind: OperationType,
    /// What it costs: see [`crate::kernel::gate`].
    pub(super) cost: u64,
    /// What metrics, logs and traces know of it.
    pub facts: Facts,
    /// Of a subscription.
    listener: Option<Arc<Listener>>,
    request: Request,
}

impl std::ops::Deref for Site {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Site {
    /// Gathers what the handlers share.
    #[must_use]
    pub fn new(kernel: Kernel, schema: AnySchema, gate: Gate, tokens: Tokens) -> Self {
        let limits = Limits::new(&kernel.settings);
        let listeners = Seats::of_listeners(&kernel.settings);
        let batch_most = kernel.settings.count("limits.batch") as usize;
        let answer_most = kernel.settings.count("limits.answer_bytes") as usize;
        let (equals, room) = (Equals::new(), Room::new(&kernel.settings));
        Self(Arc::new(Shared {
            kernel,
            schema,
            gate,
            tokens,
            limits,
            listeners,
            equals,
            room,
            batch_most,
            answer_most,
        }))
    }

    /// As [`Site::session`], for a client at `address`: too many bad tokens from there, and no token is looked at for a
    /// while.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`] for a token that does not hold, [`Code::RATE_LIMITED`] after too many.
    pub async fn authenticate(&self, token: Option<Result<&str>>, address: ClientAddress) -> Result<Session> {
        if token.is_none() {
            return Ok(Session(None));
        }
        let metrics = &self.kernel.metrics;
        self.limits.may_sign_in(address).inspect_err(|_| metrics.rate_limited("address"))?;
        let session = self.session(token).await;
        if session.as_ref().is_err_and(|error| error.code() == Code::UNAUTHENTICATED) {
            self.limits.sign_in_failed(address);
        }
        session
    }

    /// Counts `operations` of whoever asks. A transport calls it before it looks at what they are.
    ///
    /// # Errors
    /// [`Code::RATE_LIMITED`], with [`Error::retry_after`].
    pub fn throttle(&self, session: &Session, address: ClientAddress, operations: usize) -> Result<()> {
        let Some(cost) = NonZeroU32::new(u32::try_from(operations).unwrap_or(u32::MAX)) else { return Ok(()) };
        let limit = if session.0.is_some() { "subject" } else { "address" };
        self.limits.check(session, address, cost).inspect_err(|_| self.kernel.metrics.rate_limited(limit))
    }

    /// A place for one more socket or event stream of a client, held until it is dropped.
    ///
    /// # Errors
    /// [`Code::RATE_LIMITED`] when it has too many.
    pub(super) fn seat_listener(&self, address: ClientAddress) -> Result<Seat> {
        self.listeners.take(Some(address)).map_err(|_| {
            self.kernel.metrics.connection_refused("listeners");
            Error::new(Code::RATE_LIMITED, "too many sockets and event streams from this address")
        })
    }

    /// The session of a request with this `Authorization`, or nobody's without one.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::UNAUTHENTICATED`] for a token that does not hold;
    /// [`crate::kernel::error::Code::UNAVAILABLE`] when the issuer's keys cannot be had to tell.
    pub async fn session(&self, token: Option<Result<&str>>) -> Result<Session> {
        match token.transpose()? {
            Some(token) => {
                let found = self.tokens.look_up(token).await;
                match &found {
                    Ok((_, cached)) => self.kernel.metrics.token_taken(*cached),
                    Err(_) => self.kernel.metrics.authentication_failed("token"),
                }
                Ok(Session(Some(found?.0)))
            }
            None => Ok(Session(None)),
        }
    }

    /// Decides whether a request may run.
    ///
    /// # Errors
    /// The whole answer to a request that may not: errors, and no data.
    pub fn admit(
        &self,
        params: &Params,
        session: &Session,
        client: ClientAddress,
        transport: Transport,
    ) -> Result<Operation, Response> {
        let admitted = self.gate.admit(params, session);
        let metrics = &self.kernel.metrics;
        match admitted {
            Ok(Admitted { request, likeness, kind, cost, name, trusted, document, known }) => {
                metrics.document_looked_up(known);
                let facts = Facts { kind, transport, name, trusted, document: Some(document) };
                let Some(likeness) = likeness else {
                    let request = request.data(Caller::once(session.clone()));
                    // What asks or listens does not depend on where from.
                    let request = if kind == OperationType::Mutation { request.data(client) } else { request };
                    return Ok(Operation { kind, cost, facts, listener: None, request });
                };
                let asked = Asked::default();
                let listener = self.equals.join(likeness, asked.clone());
                let request = request.data(Caller::listening(session.clone(), asked)).data(Arc::clone(&listener));
                Ok(Operation { kind, cost, facts, listener: Some(listener), request })
            }
            Err(Rejection { reason, response }) => {
                metrics.document_refused(reason, &response);
                Err(response)
            }
        }
    }

    /// Takes the measures that are read, not counted, for those who ask for the metrics.
    pub(super) fn measure(&self) {
        self.kernel.metrics.document_cache(self.gate.cached_documents(), self.gate.cached_bytes());
    }

    /// Runs a query or a mutation to its end.
    pub async fn run(&self, operation: Operation) -> Response {
        self.kernel.metrics.watch(operation.facts).run(self.schema.0.execute(operation.request)).await
    }

    /// Runs an operation of any kind: a subscription answers many times, the others once.
    #[must_use]
    pub fn stream(&self, operation: Operation) -> BoxStream<'static, Answer> {
        let answers = self.schema.0.answer(operation.request, operation.listener);
        self.kernel.metrics.watch(operation.facts).stream(answers)
    }
}

/// An answer without data: a request that was not executed.
#[must_use]
pub fn refusal(error: Error) -> Response {
    let error: async_graphql::Error = error.into();
    let error: ServerError = error.into_server_error(async_graphql::Pos::default());
    with_codes(Response::from_errors(vec![ServerError { locations: Vec::new(), ..error }]))
}

/// A schema without its types: handlers need not know which modules it is made of.
#[derive(Clone)]
pub struct AnySchema(Arc<dyn DynExecutor>);

trait DynExecutor: Send + Sync {
    fn execute(&self, request: Request) -> BoxFuture<'_, Response>;
    fn execute_stream(&self, request: Request) -> BoxStream<'static, Response>;
    fn answer(&self, request: Request, listener: Option<Arc<Listener>>) -> BoxStream<'static, Answer>;
}

impl<E: Executor> DynExecutor for E {
    fn execute(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(Executor::execute(self, request).map(with_codes))
    }

    fn execute_stream(&self, request: Request) -> BoxStream<'static, Response> {
        Executor::execute_stream(self, request, None).map(with_codes).boxed()
    }

    fn answer(&self, request: Request, listener: Option<Arc<Listener>>) -> BoxStream<'static, Answer> {
        let responses = Executor::execute_stream(self, request, None);
        match listener {
            Some(listener) => listener.answers(responses),
            None => responses.map(with_codes).map(Answer::from).boxed(),
        }
    }
}

impl AnySchema {
    /// Wraps a schema.
    pub fn new(schema: impl Executor) -> Self {
        Self(Arc::new(schema))
    }
}

impl Executor for AnySchema {
    async fn execute(&self, request: Request) -> Response {
        self.0.execute(request).await
    }

    fn execute_stream(&self, request: Request, _session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        self.0.execute_stream(request)
    }
}
