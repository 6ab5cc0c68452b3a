//! `/livez`, `/readyz` and `/metrics`, for anybody who reaches the port.
//!
//! | question | file |
//! |---|---|
//! | what do the pages say? | `pages` |
//! | which connections are there, and which one has to go? | `connections` |
//! | where does a connection stand, and when is its time over? | `progress` |

mod connections;
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

/// A main loop that has been silent for this long counts as dead.
const LIVENESS_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections that the kernel keeps until they are accepted. Of more, it drops the first packet, which comes again after a
/// second: too late for a probe in a crowd.
const ACCEPT_BACKLOG: u32 = 2048;

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

/// `--listen` cannot be had; one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}; {remedy}")]
pub struct BindError {
    address: SocketAddr,
    cause: io::Error,
    remedy: &'static str,
}

/// Takes the address of `--listen`.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    listen(address).map_err(|cause| {
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

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A port that was just in use may be had at once after a restart.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}

/// How much one stranger may take of this port. Whoever reaches it needs no credentials.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// From the start of a connection, or from the first byte of its next request, to the end of that request's head.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// From a request's head to the moment its answer is sent: for readers who are slow.
    pub response: Duration,
    /// An answer of which nothing could be sent for this long does not keep its connection from being closed for another.
    pub stall: Duration,
    /// After this long a connection is closed with its next answer.
    pub lifetime: Duration,
    /// For how long a text of the metrics is good.
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

/// Answers until `shutdown`, and then stops at once: a slow reader must not delay the end of the process.
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
