//! Log lines on standard error, and only ours.

use std::{env, io::IsTerminal, panic};

use tracing::{Level, Metadata, Subscriber, subscriber::SetGlobalDefaultError};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterFn, LevelFilter},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry,
};

use crate::text::one_line;

/// Shape of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One line for people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Starts logging to standard error at the levels of `filter` (checked before by [`checked_filter`]), as text on a
/// terminal and JSON elsewhere unless `format` says otherwise; panics are logged as well.
///
/// Records of the `log` crate have no bridge here on purpose: no dependency that uses it is let through anyway.
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
        Format::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
    };
    registry().with(EnvFilter::new(filter)).with(FilterFn::new(may_speak)).with(lines)
}

/// What may reach the log whatever level the user asked for.
///
/// Dependencies log what they handle: kube warns with the whole body of an answer that does not decode (a Secret,
/// say), and below that level HTTP and TLS libraries log request URLs (the vendor's carry the signature), headers and
/// buffers. No level makes that safe, so only our own crates speak freely. `kube_runtime` may warn, because what it
/// warns of (a watch without rights) is said by nobody else and names kinds only.
fn may_speak(metadata: &Metadata<'_>) -> bool {
    match metadata.target().split("::").next() {
        Some("groupattr" | "groupattr_operator") => true,
        Some("kube_runtime") => *metadata.level() <= Level::WARN,
        _ => false,
    }
}

/// Accepts what `--log-filter` may hold.
///
/// A bare word is a level or one of our modules: taken as a module, a misspelt level would silence everything.
pub fn checked_filter(text: &str) -> Result<String, String> {
    let bare_word_of_ours = |part: &str| {
        part.contains(['=', '['])
            || part.parse::<LevelFilter>().is_ok()
            || part.starts_with("groupattr")
            || part.starts_with("kube_runtime")
    };
    let parts_known = text.split(',').map(str::trim).all(|part| !part.is_empty() && bare_word_of_ours(part));
    if parts_known && EnvFilter::try_new(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err("use off, error, warn, info, debug, trace or module=level, separated by commas".to_owned())
}

/// One structured line. The text of a panic raised inside a dependency is left out: it can quote what the dependency
/// was handling. Its place is enough to find it.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let ours = file!().trim_end_matches("telemetry.rs");
    let message = match panic.payload_as_str() {
        Some(text) if place.starts_with(ours) => one_line(text, 512),
        Some(_) => "(text left out: raised in a library)".to_owned(),
        None => "(no text)".to_owned(),
    };
    if tracing::enabled!(Level::ERROR) {
        tracing::error!(location = place, message, "panic");
    } else {
        eprintln!("panic at {place}: {message}");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, filter: &str, speak: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = subscriber(format, filter, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, speak);
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    fn everybody_speaks() {
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
                let text = written(format, filter, everybody_speaks);
                assert!(!text.contains("secret") && !text.contains("runtime-info"), "{text}");
                assert!(text.contains("runtime-warning") && text.contains("our-trace"), "{text}");
            }
        }
    }

    #[test]
    fn the_user_sets_the_level_of_our_own() {
        let text = written(Format::Json, "info", everybody_speaks);
        assert!(!text.contains("our-trace") && text.contains("our-info"), "{text}");
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
        assert_eq!(written(Format::Json, "off", everybody_speaks), "");
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
