//! Logs to standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use super::config::Settings;
use super::error::{Error, Result};

/// Starts logging as the settings say. A second call changes nothing.
///
/// # Errors
/// A filter that is not one.
pub fn start(settings: &Settings) -> Result<()> {
    let filter = EnvFilter::try_new(settings.text("telemetry.log"))
        .map_err(|error| Error::invalid(format!("telemetry.log: {error}")))?;
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_span_events(FmtSpan::NONE);
    let started = match settings.text("telemetry.format") {
        "json" => logs.json().flatten_event(true).try_init(),
        _ => logs.compact().try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}
