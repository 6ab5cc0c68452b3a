//! `/livez`, `/readyz` and `/metrics`.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::text::one_line;

/// A main loop that has been silent for this long counts as dead.
const SILENCE: Duration = Duration::from_secs(30);

/// What the probes are told.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    /// Milliseconds after `started`.
    last_beat: AtomicU64,
    missing: Mutex<Option<String>>,
}

impl Health {
    /// Alive, and not ready yet.
    #[must_use]
    pub fn new() -> Self {
        let missing = Mutex::new(Some("starting".to_owned()));
        Self { started: Instant::now(), last_beat: AtomicU64::new(0), missing }
    }

    /// The main loop is turning; call it every few seconds.
    pub fn beat(&self) {
        let since = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_beat.store(since, Ordering::Relaxed);
    }

    /// Everything needed is there.
    pub fn ready(&self) {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// `missing` is what `/readyz` shows, as one line.
    pub fn not_ready(&self, missing: &str) {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = Some(one_line(missing, 512));
    }

    fn alive(&self, now: Instant) -> bool {
        let beat = self.started + Duration::from_millis(self.last_beat.load(Ordering::Relaxed));
        now.saturating_duration_since(beat) < SILENCE
    }

    fn missing(&self) -> Option<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

/// `--listen` cannot be had; one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}; {remedy}")]
pub struct BindError {
    address: SocketAddr,
    cause: io::Error,
    remedy: &'static str,
}

/// Takes the address of `--listen`.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|cause| {
        let remedy = match cause.kind() {
            io::ErrorKind::AddrInUse => {
                "stop the program that has this port, or choose another one with --listen"
            }
            io::ErrorKind::PermissionDenied => "choose a port above 1023 with --listen",
            io::ErrorKind::AddrNotAvailable => {
                "choose an address of this host with --listen, such as 0.0.0.0"
            }
            _ => "choose another address with --listen",
        };
        BindError { address, cause, remedy }
    })
}

struct Shown {
    health: Arc<Health>,
    registry: Arc<Registry>,
}

/// Answers until `shutdown`, and then stops at once: a slow reader must not delay the end of the process.
pub async fn serve(
    listener: TcpListener,
    health: Arc<Health>,
    registry: Arc<Registry>,
    shutdown: CancellationToken,
) {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(Shown { health, registry }));
    tokio::select! {
        ended = axum::serve(listener, router) => {
            if let Err(error) = ended {
                tracing::error!(%error, "the admin server ended");
            }
        }
        () = shutdown.cancelled() => {}
    }
}

async fn livez(State(shown): State<Arc<Shown>>) -> Response {
    if shown.health.alive(Instant::now()) {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "the main loop has been silent for 30 s\n").into_response()
}

async fn readyz(State(shown): State<Arc<Shown>>) -> Response {
    match shown.health.missing() {
        None => "ok\n".into_response(),
        Some(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")).into_response(),
    }
}

/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
async fn metrics(State(shown): State<Arc<Shown>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &shown.registry) {
        Ok(()) => {
            let kind = [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
            (kind, text).into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_three_pages_are_served_until_shutdown() {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (health, shutdown) = (Arc::new(Health::new()), CancellationToken::new());
        let serving = tokio::spawn(serve(
            listener,
            Arc::clone(&health),
            Arc::new(Registry::default()),
            shutdown.clone(),
        ));

        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("\r\n\r\nstarting\n"), "{answer}");
        health.not_ready("no CRD\nchatapps");
        assert!(get(address, "/readyz").await.ends_with("\r\n\r\nno CRD chatapps\n"));
        health.ready();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "/metrics").await;
        assert!(
            answer.contains("application/openmetrics-text; version=1.0.0") && answer.ends_with("# EOF\n")
        );
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));

        shutdown.cancel();
        serving.await.unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_main_loop_silent_for_30_s_is_dead_until_it_beats() {
        let mut health = Health::new();
        health.started -= Duration::from_secs(100);
        assert!(!health.alive(Instant::now()));
        health.beat();
        assert!(health.alive(Instant::now()));
        assert!(!health.alive(Instant::now() + SILENCE));
    }

    #[tokio::test]
    async fn a_taken_port_is_said_with_what_to_do() {
        let taken = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let said = bind(taken.local_addr().unwrap()).await.unwrap_err().to_string();
        assert!(said.contains("another one with --listen") && said.lines().count() == 1, "{said}");
    }
}
