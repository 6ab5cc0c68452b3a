//! A health server on a port of its own, and clients that behave well and badly.
//!
//! These tests use real sockets, which do not work with tokio's paused clock, so the limits are short instead.

use std::sync::Arc;

use prometheus_client::{encoding::text::encode, metrics::counter::Counter, registry::Registry};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::super::*;

/// Longer than any step takes, even on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(20);
/// Longer than any test waits, so a limit of this length never takes effect.
pub(super) const LATE: Duration = Duration::from_mins(1);
pub(super) const SHORT: Duration = Duration::from_millis(100);
pub(super) const PATIENT: Limits = Limits {
    connections: 64,
    head: LATE,
    idle: LATE,
    response: LATE,
    stall: LATE,
    lifetime: LATE,
    metrics: LATE,
};

/// A health server on a port of its own.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) health: Arc<Health>,
    pub(super) registry: Arc<Registry>,
    pub(super) metrics: Metrics,
    pub(super) shutdown: CancellationToken,
    pub(super) serving: JoinHandle<()>,
}

impl Served {
    pub(super) fn with(limits: Limits) -> Self {
        Self::with_text(limits, "short")
    }

    /// Registers a metric whose help text is `text`.
    pub(super) fn with_text(limits: Limits, text: &str) -> Self {
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (health, shutdown) = (Arc::new(Health::new()), CancellationToken::new());
        let (metrics, mut registry) = Metrics::new();
        registry.register("text", text, Counter::<u64>::default());
        let registry = Arc::new(registry);
        let pages = Pages::new(Arc::clone(&health), Arc::clone(&registry));
        let serving = tokio::spawn(serve(listener, pages, limits, metrics.clone(), shutdown.clone()));
        Self { address, health, registry, metrics, shutdown, serving }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection on which `bytes` were sent.
    pub(super) async fn sent(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream
    }

    pub(super) async fn ask(&self, method: &str, path: &str) -> String {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        rest_of(&mut self.sent(request.as_bytes()).await).await
    }

    pub(super) async fn get(&self, path: &str) -> String {
        self.ask("GET", path).await
    }

    /// Waits until `wanted` connections were closed for `reason`.
    pub(super) async fn closed(&self, reason: &str, wanted: usize) {
        self.shows(&format!("groupattr_http_connections_closed_total{{reason=\"{reason}\"}} {wanted}")).await;
    }

    /// Waits until `wanted` connections are open.
    pub(super) async fn is_open(&self, wanted: usize) {
        self.shows(&format!("groupattr_http_connections {wanted}")).await;
    }

    pub(super) async fn shows(&self, line: &str) {
        let seen = async {
            while !self.shown().lines().any(|shown| shown == line) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, seen).await.unwrap_or_else(|_| panic!("no {line} in {}", self.shown()));
    }

    pub(super) fn shown(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// Reads until the server closes or resets the connection.
pub(super) async fn rest_of(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut some = [0; 4096];
    let read = async {
        while let Ok(count @ 1..) = stream.read(&mut some).await {
            all.extend_from_slice(&some[..count]);
        }
    };
    timeout(SOON, read).await.expect("the connection is not closed");
    String::from_utf8(all).unwrap()
}

/// Reads one response from a connection that stays open.
pub(super) async fn answer_of(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = String::new();
    while !answer.ends_with(end) {
        let mut some = [0; 4096];
        let count = timeout(SOON, stream.read(&mut some)).await.expect("no answer").unwrap();
        assert!(count > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&some[..count]).unwrap());
    }
    answer
}

pub(super) const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
pub(super) const METRICS: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
pub(super) const HALF: &[u8] = b"GET /livez HTTP/1.1\r\nhost: ";

/// More than the buffers of a connection hold, in bytes.
pub(super) const LARGE: usize = 8 << 20;

/// A connection that has requested a large page and reads none of it.
pub(super) async fn slow_reader(served: &Served) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(served.address).await.unwrap();
    stream.write_all(METRICS).await.unwrap();
    // The response has begun.
    stream.readable().await.unwrap();
    stream
}

/// Reads until the server closes the connection.
pub(super) async fn is_closed(stream: &mut TcpStream) -> bool {
    rest_of(stream).await;
    true
}
