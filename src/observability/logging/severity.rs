//! The severity of a log line, as Google Cloud Logging names it. Without this field it takes all lines of standard
//! error for errors.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Lines of JSON with `severity` beside `level`.
pub(super) struct WithSeverity(pub(super) Format<Json>);

impl<S, N> FormatEvent<S, N> for WithSeverity
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        // The library has no hook for a further field of the object, and a line is never empty: it has a time.
        let fields = line.strip_prefix('{').ok_or(fmt::Error)?;
        write!(writer, "{{\"severity\":\"{}\",{fields}", severity(*event.metadata().level()))
    }
}

/// <https://docs.cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#LogSeverity>
fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}
