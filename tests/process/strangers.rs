//! Whoever reaches the port of the pages without any right: takes all its connections, and tries its memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::world::{SOON, World};

/// Half-open connections, each of which holds on until the operator closes it.
const CONNECTIONS: usize = 2_000;
/// More than the operator takes.
const TOO_LONG: usize = 400_000;
/// Less than that.
const LONG: usize = 15_000;
/// What may come of it.
const MEMORY_KIB: u64 = 8 * 1024;
const LATENCY: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_half_open_connections_take_no_memory_and_keep_no_probe_out() {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    for _ in 0..20 {
        assert_eq!(operator.get("/livez").await.unwrap().0, 200);
        operator.metrics().await.unwrap();
    }
    let before = operator.rss_kib().unwrap();

    let address = operator.address();
    let mut strangers = JoinSet::new();
    let pressed = Arc::new(AtomicUsize::new(0));
    for number in 0..CONNECTIONS {
        let length = if number % 3 == 0 { TOO_LONG } else { LONG };
        strangers.spawn(press(address, length, Arc::clone(&pressed)));
    }
    let (mut slowest, mut most) = (Duration::ZERO, before);
    let end = Instant::now() + SOON;
    while pressed.load(Relaxed) < 2 * CONNECTIONS {
        let start = Instant::now();
        assert_eq!(operator.get("/livez").await.unwrap().0, 200);
        slowest = slowest.max(start.elapsed());
        most = most.max(operator.rss_kib().unwrap());
        assert!(start < end, "only {pressed:?} connections were made");
    }
    assert!(slowest <= LATENCY, "a probe took {slowest:?}");
    let grown = most.saturating_sub(before);
    assert!(grown <= MEMORY_KIB, "{CONNECTIONS} half-open connections made it grow by {grown} KiB");

    let shown = operator.metric("groupattr_http_connections", &[]).await.unwrap();
    assert!((1.0..=64.0).contains(&shown), "{shown} are open");
    let closed = operator.metric("groupattr_http_connections_closed", &[("reason", "full")]).await.unwrap();
    assert!(closed > 500.0, "{closed} were closed for others");
    assert!(!operator.logs().contains("forged"), "a stranger writes into the log: {}", operator.logs());
}

/// Begins requests and never ends one; comes back a moment after it was shut out.
async fn press(address: SocketAddr, length: usize, pressed: Arc<AtomicUsize>) {
    let head =
        format!("GET /forged-path HTTP/1.1\r\nhost: forged-host\r\nforged-name: {}", "x".repeat(length));
    loop {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may be closed before all of it is sent.
        let _ = stream.write_all(head.as_bytes()).await;
        pressed.fetch_add(1, Relaxed);
        while let Ok(1..) = stream.read(&mut [0; 64]).await {}
        sleep(LATENCY).await;
    }
}
