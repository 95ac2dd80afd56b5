//! Logs to standard error, and the one subscriber of the process.

use std::io::IsTerminal as _;

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::json::{JsonLine, log_panics};
use super::otlp;
use super::text::TextLine;
use crate::kernel::config::Settings;
use crate::kernel::error::{Error, Result};

/// How long [`stop`] waits for the collector to take the last spans.
const FLUSH: Duration = Duration::from_secs(3);

/// What sends spans, for [`stop`].
static TRACES: OnceLock<SdkTracerProvider> = OnceLock::new();

type BoxLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging and tracing as the settings say. A second call changes nothing.
///
/// # Errors
/// A filter that is not one; an endpoint or headers for traces that are not of their form.
pub fn start(settings: &Settings) -> Result<()> {
    let filter = EnvFilter::try_new(settings.text("telemetry.log"))
        .map_err(|error| Error::invalid(format!("telemetry.log: {error}")))?;
    // With a hint of its own: without one, every statement of every level would be looked at.
    let ours = filter_fn(|metadata| metadata.target() != otlp::SPANS).with_max_level_hint(LevelFilter::TRACE);
    let filter = filter.and(ours);
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let json = settings.text("telemetry.format") == "json";
    let logs: BoxLayer = if json {
        // Fields are kept as JSON until the line is written. Without colours: they would be inside the values.
        let fields = tracing_subscriber::fmt::format::JsonFields::new();
        logs.with_ansi(false).fmt_fields(fields).event_format(JsonLine).with_filter(filter).boxed()
    } else {
        // Colours are for people, not for files.
        logs.with_ansi(std::io::stderr().is_terminal()).event_format(TextLine).with_filter(filter).boxed()
    };
    if tracing::dispatcher::has_been_set() {
        tracing::debug!("logging was started before");
        return Ok(());
    }
    let mut layers = vec![logs];
    if let Some((layer, provider)) = otlp::layer(settings)? {
        layers.push(layer);
        // Nobody set it before: the subscriber has not been set either.
        let _ = TRACES.set(provider);
    }
    if tracing_subscriber::registry().with(layers).try_init().is_err() {
        tracing::debug!("logging was started before");
    } else if json {
        log_panics();
    }
    Ok(())
}

/// Sends the last spans; takes 3 seconds at most, whatever the collector does. Called once, before the process ends.
pub fn stop() {
    if let Some(traces) = TRACES.get()
        && let Err(error) = traces.shutdown_with_timeout(FLUSH)
    {
        tracing::warn!(%error, "the last spans were not exported");
    }
}

/// Whether spans are exported.
pub(super) fn traced() -> bool {
    TRACES.get().is_some()
}
