//! The span of a request: what its log lines and its trace begin with.

use opentelemetry::trace::TraceContextExt as _;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{logs, otlp};
use crate::kernel::http::ClientAddress;

/// The span of a request, which goes on with the caller's trace if there is one. An error's level: whatever is logged at
/// all says which request it was.
pub(crate) fn request_span<B>(request: &http::Request<B>, id: &str) -> Span {
    let (method, path) = (request.method(), request.uri().path());
    let client = request.extensions().get::<ClientAddress>().map(|address| tracing::field::display(address.0));
    if !logs::traced() {
        return tracing::error_span!("request", id, client, %method, path);
    }
    let span = tracing::error_span!("request", id, client, %method, path, trace_id = Empty, otel.kind = "server");
    if span.set_parent(otlp::parent(request.headers())).is_ok() {
        let context = span.context();
        let trace_id = context.span().span_context().trace_id();
        // So that a line of the log leads to the trace.
        span.record("trace_id", tracing::field::display(trace_id));
    }
    span
}
