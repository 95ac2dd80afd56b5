//! The request that a task works for: what its log lines end with, and its trace begins with.
//!
//! A span would do both, but its fields are formatted for every request, and hardly one of them is ever logged.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{logs, otlp, watch};

tokio::task_local! {
    static CURRENT: Requested;
}

/// What a log line says of the request behind it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Requested(Arc<Facts>);

struct Facts {
    id: Box<str>,
    client: IpAddr,
    method: Method,
    /// A copy: hyper's own keeps the whole buffer of the request's head.
    path: Box<str>,
    /// Leads from a line of the log to the trace; where spans are exported.
    trace_id: Option<String>,
    /// Disabled where they are not.
    span: Span,
}

impl Requested {
    /// Of a request of `client`; goes on with the caller's trace if there is one.
    pub(crate) fn new<B>(request: &http::Request<B>, id: &str, client: IpAddr) -> Self {
        let (span, trace_id) = if logs::traced() { span(request, id, client) } else { (Span::none(), None) };
        let (method, path) = (request.method().clone(), request.uri().path().into());
        Self(Arc::new(Facts { id: id.into(), client, method, path, trace_id, span }))
    }

    /// Runs `work` as a part of the request.
    pub(crate) fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        let span = self.0.span.clone();
        CURRENT.scope(self, work.instrument(span))
    }

    /// For a log of JSON lines.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let facts = &*self.0;
        let mut fields = Map::new();
        fields.insert("id".into(), (&*facts.id).into());
        fields.insert("client".into(), facts.client.to_string().into());
        fields.insert("method".into(), facts.method.as_str().into());
        fields.insert("path".into(), (&*facts.path).into());
        if let Some(trace_id) = &facts.trace_id {
            fields.insert("trace_id".into(), trace_id.as_str().into());
        }
        fields
    }
}

/// For a log of text.
impl fmt::Display for Requested {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { id, client, method, path, trace_id, .. } = &*self.0;
        // Quoted: a path is what anybody sends.
        write!(out, "request{{id={id} client={client} method={method} path={path:?}")?;
        if let Some(trace_id) = trace_id {
            write!(out, " trace_id={trace_id}")?;
        }
        out.write_str("}")
    }
}

/// The request that the calling task works for.
pub(crate) fn current_request() -> Option<Requested> {
    CURRENT.try_with(Clone::clone).ok().or_else(watch::request_of_operation)
}

/// Runs `work` as a part of `request`, in whatever task.
pub(crate) async fn carried<F: Future>(request: Option<Requested>, work: F) -> F::Output {
    match request {
        Some(request) => request.scope(work).await,
        None => work.await,
    }
}

/// The same, for what does not wait.
pub(crate) fn within<T>(request: Option<Requested>, work: impl FnOnce() -> T) -> T {
    match request {
        Some(request) => {
            let span = request.0.span.clone();
            CURRENT.sync_scope(request, || span.in_scope(work))
        }
        None => work(),
    }
}

fn span<B>(request: &http::Request<B>, id: &str, client: IpAddr) -> (Span, Option<String>) {
    let (method, path) = (request.method(), request.uri().path());
    let span = tracing::info_span!(target: otlp::SPANS, "request", id, %client, %method, path, otel.kind = "server");
    if span.set_parent(otlp::parent(request.headers())).is_err() {
        return (span, None);
    }
    let trace_id = span.context().span().span_context().trace_id().to_string();
    (span, Some(trace_id))
}
