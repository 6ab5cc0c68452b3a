//! The content of the pages. Only the method and path of a request are read, and nothing of it is repeated in the
//! response.

use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::time::{Duration, Instant};

use super::Health;

const TEXT: &str = "text/plain; charset=utf-8";
/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The three pages and the data they show.
#[derive(Debug)]
pub struct Pages {
    health: Arc<Health>,
    registry: Arc<Registry>,
    /// The last encoded page of metrics, shared by all clients because it can be large.
    encoded: Mutex<Option<(Instant, Bytes)>>,
}

impl Pages {
    /// Creates pages that show the health and the metrics of this process.
    #[must_use]
    pub fn new(health: Arc<Health>, registry: Arc<Registry>) -> Self {
        Self { health, registry, encoded: Mutex::new(None) }
    }

    /// The response to a request. An encoded page of metrics is reused for `fresh`.
    pub(super) fn answer<B>(&self, request: &Request<B>, fresh: Duration) -> Response<Full<Bytes>> {
        let page = match request.uri().path() {
            "/livez" => Self::livez,
            "/readyz" => Self::readyz,
            "/metrics" => Self::metrics,
            _ => return text(StatusCode::NOT_FOUND, "not found: use /livez, /readyz or /metrics\n"),
        };
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        page(self, fresh)
    }

    fn livez(&self, _: Duration) -> Response<Full<Bytes>> {
        if self.health.alive(Instant::now()) {
            return text(StatusCode::OK, "ok\n");
        }
        text(StatusCode::SERVICE_UNAVAILABLE, "the main loop has not responded for 30 s\n")
    }

    fn readyz(&self, _: Duration) -> Response<Full<Bytes>> {
        match self.health.missing() {
            None => text(StatusCode::OK, "ok\n"),
            Some(missing) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
        }
    }

    fn metrics(&self, fresh: Duration) -> Response<Full<Bytes>> {
        let mut kept = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, encoded)) = kept.as_ref()
            && at.elapsed() < fresh
        {
            return page(StatusCode::OK, OPEN_METRICS, encoded.clone());
        }
        let mut encoded = String::new();
        if encode(&mut encoded, &self.registry).is_err() {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be encoded\n");
        }
        let encoded = Bytes::from(encoded);
        *kept = Some((Instant::now(), encoded.clone()));
        page(StatusCode::OK, OPEN_METRICS, encoded)
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    page(status, TEXT, body.into())
}

fn page(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
