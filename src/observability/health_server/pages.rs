//! The content of the pages. Only method, path and `Accept` of a request are read, and nothing of it is repeated in the
//! response.

use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use prometheus_client::registry::Registry;
use tokio::time::{Duration, Instant};

use super::Health;
use super::exposition::Exposition;

const TEXT: &str = "text/plain; charset=utf-8";

enum Page {
    Livez,
    Readyz,
    Metrics,
}

/// The three pages and the data they show.
#[derive(Debug)]
pub struct Pages {
    health: Arc<Health>,
    registry: Arc<Registry>,
    /// The last encoded page of metrics in each format, shared by all clients because it can be large.
    encoded: Mutex<[Option<(Instant, Bytes)>; 2]>,
}

impl Pages {
    /// Creates pages that show the health and the metrics of this process.
    #[must_use]
    pub fn new(health: Arc<Health>, registry: Arc<Registry>) -> Self {
        Self { health, registry, encoded: Mutex::default() }
    }

    /// The response to a request. An encoded page of metrics is reused for `fresh`.
    pub(super) fn answer<B>(&self, request: &Request<B>, fresh: Duration) -> Response<Full<Bytes>> {
        let page = match request.uri().path() {
            "/livez" => Page::Livez,
            "/readyz" => Page::Readyz,
            "/metrics" => Page::Metrics,
            _ => return text(StatusCode::NOT_FOUND, "not found: use /livez, /readyz or /metrics\n"),
        };
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match page {
            Page::Livez => self.livez(),
            Page::Readyz => self.readyz(),
            Page::Metrics => self.metrics(Exposition::wanted(request.headers()), fresh),
        }
    }

    fn livez(&self) -> Response<Full<Bytes>> {
        if self.health.alive(Instant::now()) {
            return text(StatusCode::OK, "ok\n");
        }
        text(StatusCode::SERVICE_UNAVAILABLE, "the main loop has not responded for 30 s\n")
    }

    fn readyz(&self) -> Response<Full<Bytes>> {
        match self.health.missing() {
            None => text(StatusCode::OK, "ok\n"),
            Some(missing) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
        }
    }

    fn metrics(&self, format: Exposition, fresh: Duration) -> Response<Full<Bytes>> {
        let mut kept = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut kept[format as usize];
        if let Some((at, encoded)) = kept.as_ref()
            && at.elapsed() < fresh
        {
            return page(StatusCode::OK, format.content_type(), encoded.clone());
        }
        let Ok(encoded) = format.encode(&self.registry) else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be encoded\n");
        };
        let encoded = Bytes::from(encoded);
        *kept = Some((Instant::now(), encoded.clone()));
        page(StatusCode::OK, format.content_type(), encoded)
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
