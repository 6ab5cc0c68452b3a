//! Serves `/livez`, `/readyz` and `/metrics` to any client that can reach the port.
//!
//! | question | file |
//! |---|---|
//! | what do the pages contain? | `pages` |
//! | which format do the metrics have? | `exposition` |
//! | which connections are open, and which one is closed when there are too many? | `connections` |
//! | which phase is a connection in, and when does it time out? | `progress` |

mod connections;
mod exposition;
mod pages;
mod progress;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::pages::Pages;
use crate::{observability::metrics::Metrics, text::one_line};

/// `/livez` fails if the main loop has not called [`Health::beat`] for this long.
const LIVENESS_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections that the kernel queues until they are accepted. Beyond that it drops the first packet, which the client
/// sends again after 1 s: too late for a probe among many connections.
const ACCEPT_BACKLOG: u32 = 2048;

/// The health of the process, as reported by the probes.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    /// The last call of [`Health::beat`], in milliseconds after `started`.
    last_beat: AtomicU64,
    missing: Mutex<Option<String>>,
}

impl Health {
    /// Alive, but not ready yet.
    #[must_use]
    pub fn new() -> Self {
        let missing = Mutex::new(Some("starting".to_owned()));
        Self { started: Instant::now(), last_beat: AtomicU64::new(0), missing }
    }

    /// Records that the main loop is running. Call this every few seconds.
    pub fn beat(&self) {
        let since = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_beat.store(since, Ordering::Relaxed);
    }

    /// Marks the process as ready.
    pub fn ready(&self) {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Marks the process as not ready. `/readyz` shows `missing` as one line.
    pub fn not_ready(&self, missing: &str) {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = Some(one_line(missing, 512));
    }

    fn alive(&self, now: Instant) -> bool {
        let beat = self.started + Duration::from_millis(self.last_beat.load(Ordering::Relaxed));
        now.saturating_duration_since(beat) < LIVENESS_TIMEOUT
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

/// Why the address of `--listen` cannot be bound, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}; {remedy}")]
pub struct BindError {
    address: SocketAddr,
    cause: io::Error,
    remedy: &'static str,
}

/// Binds the address of `--listen`.
///
/// # Errors
///
/// [`BindError`] with the cause and a remedy.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    listen(address).map_err(|cause| {
        let remedy = match cause.kind() {
            io::ErrorKind::AddrInUse => {
                "stop the program that uses this port, or choose another one with --listen"
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

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // After a restart, allow the port to be bound again at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}

/// Limits that protect the port, because clients need no credentials.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of concurrent connections.
    pub connections: usize,
    /// Timeout from the start of a connection, or from the first byte of its next request, to the end of that request's
    /// head.
    pub head: Duration,
    /// Timeout between two requests.
    pub idle: Duration,
    /// Timeout from the end of a request's head until its response is sent, which limits slow readers.
    pub response: Duration,
    /// A response of which nothing could be sent for this long no longer protects its connection from being closed in
    /// favour of a new one.
    pub stall: Duration,
    /// A connection that is older than this is closed after its next response.
    pub lifetime: Duration,
    /// How long an encoded page of metrics is reused.
    pub metrics: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head: Duration::from_secs(5),
            idle: Duration::from_secs(15),
            response: Duration::from_secs(10),
            stall: Duration::from_secs(1),
            lifetime: Duration::from_mins(10),
            metrics: Duration::from_secs(1),
        }
    }
}

/// Serves until `shutdown`, and then stops at once: a slow reader must not delay the exit of the process.
pub async fn serve(
    listener: TcpListener,
    pages: Pages,
    limits: Limits,
    counters: Metrics,
    shutdown: CancellationToken,
) {
    tokio::select! {
        () = connections::serve(&listener, &pages, limits, &counters) => {}
        () = shutdown.cancelled() => {}
    }
}
