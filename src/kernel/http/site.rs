//! The one way from a transport to the schema: who asks, may it run, run it.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Data, Executor, Request, Response, ServerError};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _};
use http::HeaderMap;

use super::client::ClientAddress;
use super::limits::Limits;
use super::origins::Origins;
use super::params::Params;
use crate::kernel::auth::{Session, Tokens};
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::graphql::with_codes;

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    /// The kernel's services.
    pub kernel: Kernel,
    schema: AnySchema,
    tokens: Tokens,
    limits: Arc<Limits>,
    origins: Arc<Origins>,
}

/// An operation that may run: valid, within its limits, its variables coerced.
pub struct Operation {
    /// Whether it asks, changes or listens.
    pub kind: OperationType,
    request: Request,
}

impl Site {
    /// Gathers what the handlers share.
    #[must_use]
    pub fn new(kernel: Kernel, schema: AnySchema, tokens: Tokens) -> Self {
        let limits = Arc::new(Limits::new(&kernel.settings));
        let origins = Arc::new(Origins::new(&kernel.settings));
        Self { kernel, schema, tokens, limits, origins }
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
        self.limits.may_sign_in(address)?;
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
    pub fn throttle(&self, session: &Session, address: ClientAddress, operations: u32) -> Result<()> {
        match NonZeroU32::new(operations) {
            Some(cost) => self.limits.check(session, address, cost),
            None => Ok(()),
        }
    }

    /// Whether the page that sends a request or opens a socket may: see [`Origins::allowed`]. The front has asked
    /// already for everything under `/graphql`.
    #[must_use]
    pub fn origin_allowed(&self, headers: &HeaderMap) -> bool {
        self.origins.allowed(headers)
    }

    /// The session of a request with this `Authorization`, or nobody's without one.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::UNAUTHENTICATED`] for a token that does not hold.
    pub async fn session(&self, token: Option<Result<&str>>) -> Result<Session> {
        match token.transpose()? {
            Some(token) => Ok(Session(Some(self.tokens.verify(token)?))),
            None => Ok(Session(None)),
        }
    }

    /// Decides whether a request may run.
    ///
    /// # Errors
    /// The whole answer to a request that may not: errors, and no data.
    pub fn admit(&self, params: Params, session: &Session) -> Result<Operation, Response> {
        let mut request = Request::new(params.query.unwrap_or_default()).data(session.clone());
        let wanted = params.operation_name.clone();
        request.operation_name = params.operation_name;
        let variables = serde_json::to_value(&params.variables).unwrap_or_default();
        request.variables = async_graphql::Variables::from_json(variables);
        let document = request.parsed_query().map_err(|error| with_codes(Response::from_errors(vec![error])))?;
        // A stand-in until the document gate decides: of several operations, the named one.
        let kind = document
            .operations
            .iter()
            .find(|(name, _)| wanted.is_none() || name.map(|name| name.as_str()) == wanted.as_deref())
            .map_or(OperationType::Query, |(_, operation)| operation.node.ty);
        Ok(Operation { kind, request })
    }

    /// The schema itself, past the gate: for the library's socket, until tally has its own.
    pub(super) fn executor(&self) -> AnySchema {
        self.schema.clone()
    }

    /// Runs a query or a mutation to its end.
    pub async fn run(&self, operation: Operation) -> Response {
        Executor::execute(&self.schema, operation.request).await
    }

    /// Runs an operation of any kind: a subscription answers many times, the others once.
    #[must_use]
    pub fn stream(&self, operation: Operation) -> BoxStream<'static, Response> {
        Executor::execute_stream(&self.schema, operation.request, None)
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
    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response>;
}

impl<E: Executor> DynExecutor for E {
    fn execute(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(Executor::execute(self, request))
    }

    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        Executor::execute_stream(self, request, session)
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
        with_codes(self.0.execute(request).await)
    }

    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        self.0.execute_stream(request, session).map(with_codes).boxed()
    }
}
