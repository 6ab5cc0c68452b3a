//! The two formats of `/metrics`, and which of them a client asks for.

use std::fmt;

use hyper::header::{ACCEPT, HeaderMap};
use prometheus_client::{encoding::text::encode, registry::Registry};

/// How metrics are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposition {
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
    Text,
    /// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
    OpenMetrics,
}

impl Exposition {
    /// What the `Accept` headers prefer: text, unless OpenMetrics is named and ranks at least as high.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut rank, mut version) = (1.0_f32, "1.0.0");
            for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => rank = value.trim().parse().unwrap_or(0.0),
                    "version" => version = value.trim().trim_matches('"'),
                    _ => {}
                }
            }
            match kind.as_str() {
                "application/openmetrics-text" if version == "1.0.0" => open_metrics = open_metrics.max(rank),
                "text/plain" | "text/*" | "*/*" => text = text.max(rank),
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text { Self::OpenMetrics } else { Self::Text }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Writes down all metrics of the registry.
    pub(super) fn encode(self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut page = String::new();
        encode(&mut page, registry)?;
        Ok(match self {
            Self::Text => text_of(&page),
            Self::OpenMetrics => page,
        })
    }
}

/// Turns OpenMetrics, as `prometheus_client` writes it, into the older text format. There a family of counters is
/// named as its series are, information is a gauge, and units and the end are not marked.
fn text_of(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(family) = line.strip_prefix("# HELP ") {
            // It comes before the type, which decides about the name.
            help = family.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            let name = format!("{name}{suffix}");
            text.extend(["# HELP ", &name, " ", help, "\n# TYPE ", &name, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram, info::Info};
    use prometheus_client::registry::Unit;

    use super::*;

    fn wanted(accept: &[&'static str]) -> Exposition {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        Exposition::wanted(&headers)
    }

    #[test]
    fn open_metrics_go_to_those_who_prefer_them() {
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [
            &[prometheus_3][..],
            &["application/openmetrics-text"],
            &["Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.1"],
            &["text/plain;q=0.5", "application/openmetrics-text;q=0.7"],
            &["application/openmetrics-text; version=1.0.0, text/plain"],
        ] {
            assert_eq!(wanted(accept), Exposition::OpenMetrics, "{accept:?}");
        }
    }

    #[test]
    fn text_goes_to_everybody_else() {
        for accept in [
            &[][..],
            &["*/*"],
            &["text/plain"],
            &["text/html,application/xhtml+xml,*/*;q=0.8"],
            &["application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"],
            &["application/openmetrics-text;q=0"],
            &["application/openmetrics-text;q=0.1,text/plain"],
            &["application/openmetrics-text;q=0.1", "*/*"],
            &["application/openmetrics-text;q=much"],
            &[";;=,,"],
        ] {
            assert_eq!(wanted(accept), Exposition::Text, "{accept:?}");
        }
    }

    #[test]
    fn the_text_names_and_types_each_series_as_older_readers_know_them() {
        let mut registry = Registry::with_prefix("p");
        let calls = Counter::<u64>::default();
        calls.inc();
        registry.register("calls", "Calls made", calls);
        registry.register("leader", "Leads", Gauge::<i64>::default());
        registry.register("build", "Built", Info::new([("version", "a\"b\\c\nd")]));
        let waits = Histogram::new([0.5]);
        waits.observe(0.25);
        registry.register_with_unit("wait", "Waits", Unit::Seconds, waits);
        let text = Exposition::Text.encode(&registry).unwrap();
        let expected = "\
# HELP p_calls_total Calls made.
# TYPE p_calls_total counter
p_calls_total 1
# HELP p_leader Leads.
# TYPE p_leader gauge
p_leader 0
# HELP p_build_info Built.
# TYPE p_build_info gauge
p_build_info{version=\"a\\\"b\\\\c\\nd\"} 1
# HELP p_wait_seconds Waits.
# TYPE p_wait_seconds histogram
p_wait_seconds_sum 0.25
p_wait_seconds_count 1
p_wait_seconds_bucket{le=\"0.5\"} 1
p_wait_seconds_bucket{le=\"+Inf\"} 1
";
        assert_eq!(text, expected);
        let open_metrics = Exposition::OpenMetrics.encode(&registry).unwrap();
        assert!(
            open_metrics.contains("# TYPE p_calls counter\n") && open_metrics.contains("p_calls_total 1\n")
        );
        assert!(open_metrics.contains("# TYPE p_build info\n") && open_metrics.ends_with("# EOF\n"));
    }
}
