//! Traces to a collector, over OTLP/HTTP with protobuf. Without `telemetry.otlp_endpoint` nothing of this runs.
//! Sources: <https://opentelemetry.io/docs/specs/otlp/>, <https://www.w3.org/TR/trace-context/>.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use crate::kernel::config::Settings;
use crate::kernel::error::{Error, Result};

/// Where spans go, after the endpoint.
const PATH: &str = "/v1/traces";
/// How long the collector may take. It runs on a thread of its own, with a bounded queue: spans beyond it are dropped.
const EXPORT: Duration = Duration::from_secs(5);

/// Target of the spans that no log shows: it says the same without them.
pub(super) const SPANS: &str = "tally::request";

type BoxLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The layer that makes spans, and what sends them; `None` without an endpoint.
///
/// # Errors
/// An endpoint that is no HTTP URL, headers that are not `name=value,…`. The headers are not repeated: they are secret.
pub(super) fn layer(settings: &Settings) -> Result<Option<(BoxLayer, SdkTracerProvider)>> {
    let Some(endpoint) = settings.optional("telemetry.otlp_endpoint") else {
        return Ok(None);
    };
    if !["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme)) {
        return Err(Error::invalid("telemetry.otlp_endpoint must be a URL: http://127.0.0.1:4318"));
    }
    let exporter = OtlpExporter::builder()
        .with_http()
        .with_endpoint(format!("{}{PATH}", endpoint.trim_end_matches('/')))
        .with_headers(headers(settings.text("telemetry.otlp_headers"))?)
        .with_timeout(EXPORT)
        .build()
        .map_err(|error| Error::invalid(format!("telemetry.otlp_endpoint: {error}")))?;
    let resource = Resource::builder()
        .with_service_name("tally")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let ratio = settings.number("telemetry.otlp_sample");
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(Reporting::of(exporter)).build())
        // Who sent a traceparent has decided already: half a trace is of no use to anybody.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_resource(resource)
        .build();
    // Spans only: events may hold causes, with SQL in them, and belong into the log.
    let spans = filter_fn(|metadata| {
        let most = if metadata.target().starts_with("tally") { Level::DEBUG } else { Level::INFO };
        metadata.is_span() && *metadata.level() <= most
    });
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("tally"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        // Nobody here asks OpenTelemetry for the current span; tracing knows it.
        .with_context_activation(false)
        .with_filter(spans.with_max_level_hint(LevelFilter::DEBUG));
    Ok(Some((layer.boxed(), provider)))
}

/// Reads `name=value,name=value`.
fn headers(text: &str) -> Result<HashMap<String, String>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let read = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        HeaderName::try_from(name).ok()?;
        HeaderValue::try_from(value).ok()?;
        Some((name.to_owned(), value.to_owned()))
    };
    let all: Option<_> = pairs.map(read).collect();
    all.ok_or_else(|| Error::invalid("telemetry.otlp_headers must be name=value,name=value"))
}

/// Says when spans cannot be exported, and when they can be again: once each, not once a batch.
#[derive(Debug)]
struct Reporting {
    inner: OtlpExporter,
    failing: AtomicBool,
}

impl Reporting {
    fn of(inner: OtlpExporter) -> Self {
        Self { inner, failing: AtomicBool::new(false) }
    }
}

impl SpanExporter for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.inner.export(batch).await;
        match &exported {
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => tracing::info!("spans are exported again"),
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "spans cannot be exported; they are dropped until the collector answers");
            }
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// The caller's trace, as its `traceparent` says; an empty context without one, or with one that is none.
pub(super) fn parent(headers: &HeaderMap) -> Context {
    struct Headers<'a>(&'a HeaderMap);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).and_then(|value| value.to_str().ok())
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(HeaderName::as_str).collect()
        }
    }
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers))
}
