//! Logging to standard error. Only the operator's own log lines are written, not those of libraries.

mod severity;

use std::{env, io::IsTerminal, panic};

use tracing::{Level, Metadata, Subscriber, subscriber::SetGlobalDefaultError};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterFn, LevelFilter},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry,
};

use self::severity::WithSeverity;
use crate::text::one_line;

/// Format of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines of text, for reading.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

/// Starts logging to standard error at the levels of `filter` (validated by [`checked_filter`]). Without `format`, it
/// logs text on a terminal and JSON elsewhere. Panics are logged as well.
///
/// There is deliberately no bridge for records of the `log` crate, because no dependency that uses it may log anyway.
///
/// # Errors
///
/// [`SetGlobalDefaultError`] if logging was already installed.
pub fn install(format: Option<Format>, filter: &str) -> Result<(), SetGlobalDefaultError> {
    let terminal = std::io::stderr().is_terminal();
    let colours = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let format = format.unwrap_or(if terminal { Format::Text } else { Format::Json });
    tracing::subscriber::set_global_default(subscriber(format, filter, colours, std::io::stderr))?;
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn subscriber<W>(format: Format, filter: &str, colours: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = match format {
        Format::Text => fmt::layer().with_writer(writer).with_ansi(colours).boxed(),
        Format::Json => {
            let lines = WithSeverity(fmt::format().json().flatten_event(true));
            fmt::layer().json().event_format(lines).with_writer(writer).boxed()
        }
    };
    registry().with(EnvFilter::new(filter)).with(FilterFn::new(may_log)).with(lines)
}

/// Whether a record may be logged at all, regardless of the user's log level.
///
/// Dependencies log the data they handle. kube warns with the whole body of an answer that cannot be decoded, which may
/// be a Secret. At lower levels, HTTP and TLS libraries log request URLs (the vendor's carry the signature), headers
/// and buffers. No level makes that safe, so only our own crates may log without restriction. `kube_runtime` may log
/// warnings, because its warnings (a watch without RBAC permission) are not logged anywhere else and name only kinds.
fn may_log(metadata: &Metadata<'_>) -> bool {
    match metadata.target().split("::").next() {
        Some("groupattr" | "groupattr_operator") => true,
        Some("kube_runtime") => *metadata.level() <= Level::WARN,
        _ => false,
    }
}

/// Validates the value of `--log-filter`.
///
/// A bare word must be a level or one of our modules. Otherwise a misspelt level would be taken as a module name, and
/// nothing would be logged.
///
/// # Errors
///
/// One line that says which values are valid.
pub fn checked_filter(text: &str) -> Result<String, String> {
    let is_known = |part: &str| {
        part.contains(['=', '['])
            || part.parse::<LevelFilter>().is_ok()
            || part.starts_with("groupattr")
            || part.starts_with("kube_runtime")
    };
    let all_known = text.split(',').map(str::trim).all(|part| !part.is_empty() && is_known(part));
    if all_known && EnvFilter::try_new(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err("use off, error, warn, info, debug, trace or module=level, separated by commas".to_owned())
}

/// Logs a panic as one structured line. The message of a panic inside a dependency is left out, because it can quote
/// the data that the dependency was handling; its location is enough to find it.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let payload = match panic.payload_as_str() {
        Some(text) if is_ours(&location) => one_line(text, 512),
        Some(_) => "(message omitted: raised in a library)".to_owned(),
        None => "(no message)".to_owned(),
    };
    if tracing::enabled!(Level::ERROR) {
        tracing::error!(location, payload, "panic");
    } else {
        eprintln!("panic at {location}: {payload}");
    }
}

/// Whether a panic at this location comes from this crate: its paths start at its own `src`, those of dependencies at
/// the root.
fn is_ours(location: &str) -> bool {
    location.starts_with(file!().trim_end_matches("observability/logging.rs"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str, log: impl FnOnce()) -> String {
        let output = Output::default();
        let writer = output.clone();
        let subscriber = subscriber(format, filter, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(output.0.lock().unwrap().clone()).unwrap()
    }

    fn log_from_all_crates() {
        let _request =
            tracing::error_span!(target: "kube_client::client", "HTTP", url = "span-secret").entered();
        tracing::warn!(target: "kube_client::client", "body-secret");
        tracing::error!(target: "hyper::proto", "hyper-secret");
        tracing::error!(target: "groupattribute_thief", "prefix-secret");
        tracing::info!(target: "kube_runtime::watcher", "runtime-info");
        tracing::warn!(target: "kube_runtime::watcher", "runtime-warning");
        tracing::trace!(target: "groupattr::controller", code = 7, "our-trace");
        tracing::info!(target: "groupattr_operator", "our-info");
    }

    #[test]
    fn nobody_else_speaks_at_any_level() {
        for filter in ["trace", "kube_client=trace,hyper=trace,groupattr=trace,kube_runtime=trace"] {
            for format in [Format::Text, Format::Json] {
                let text = logged(format, filter, log_from_all_crates);
                assert!(!text.contains("secret") && !text.contains("runtime-info"), "{text}");
                assert!(text.contains("runtime-warning") && text.contains("our-trace"), "{text}");
            }
        }
    }

    #[test]
    fn the_user_sets_the_level_of_our_own() {
        let text = logged(Format::Json, "info", log_from_all_crates);
        assert!(!text.contains("our-trace") && text.contains("our-info"), "{text}");
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
        assert_eq!(logged(Format::Json, "off", log_from_all_crates), "");
    }

    #[test]
    fn each_line_of_json_has_its_severity_beside_its_level() {
        let text = logged(Format::Json, "trace", || {
            tracing::error!(code = 7, "\"quoted\"");
            tracing::warn!("");
            tracing::info!("x");
            tracing::debug!("x");
            tracing::trace!("x");
        });
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let lines: Vec<_> = lines.collect();
        let named = lines.iter().map(|line| [&line["level"], &line["severity"]].map(|v| v.as_str().unwrap()));
        let expected = [
            ["ERROR", "ERROR"],
            ["WARN", "WARNING"],
            ["INFO", "INFO"],
            ["DEBUG", "DEBUG"],
            ["TRACE", "DEBUG"],
        ];
        assert_eq!(named.collect::<Vec<_>>(), expected);
        assert_eq!((&lines[0]["code"], &lines[0]["message"]), (&7.into(), &"\"quoted\"".into()));
    }

    #[test]
    fn the_text_of_a_panic_is_logged_for_all_of_this_crate_and_for_no_other() {
        assert!(is_ours(&file!().replace("observability/logging.rs", "run.rs:7:1")));
        assert!(!is_ours("/registry/src/hyper-1.0.0/src/lib.rs:7:1"));
    }

    #[test]
    fn a_misspelt_level_is_refused() {
        for good in
            ["info", "DEBUG", "off", "warn,groupattr::controller=trace", "groupattr", "info,hyper=warn"]
        {
            assert_eq!(checked_filter(good).as_deref(), Ok(good));
        }
        for bad in ["", "inof", "info,", "groupattr=loud", "verbose,info"] {
            assert!(checked_filter(bad).is_err(), "{bad}");
        }
    }
}
