//! Log lines as text, for people.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::request::current_request;

/// Writes time, level, target, the message and its fields; then the spans around it and the request behind it.
pub(super) struct TextLine;

impl<S, F> FormatEvent<S, F> for TextLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, F>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (dim, plain) = if out.has_ansi_escapes() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        let metadata = event.metadata();
        out.write_str(dim)?;
        SystemTime.format_time(&mut out)?;
        write!(out, "{plain} {}{:>5}{plain} ", colour(&out, *metadata.level()), metadata.level().as_str())?;
        write!(out, "{dim}{}:{plain} ", metadata.target())?;
        context.field_format().format_fields(out.by_ref(), event)?;
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            write!(out, " {dim}{}{{", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<F>>() {
                out.write_str(fields.as_str())?;
            }
            write!(out, "{dim}}}{plain}")?;
        }
        if let Some(request) = current_request() {
            write!(out, " {dim}{request}{plain}")?;
        }
        writeln!(out)
    }
}

fn colour(out: &Writer<'_>, level: Level) -> &'static str {
    match level {
        _ if !out.has_ansi_escapes() => "",
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}
