//! Clients without permissions that reach the HTTP port, take all its connections, and try to use up memory.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use testbed::ports::free_port;
use testbed::{Launch, OperatorProcess, metric_in, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::OPERATOR;
use crate::world::DEADLINE;

/// Half-open connections; each one reconnects once the operator has closed it.
const CONNECTIONS: usize = 2_000;
/// The pause before a reconnect.
const RECONNECT_DELAY: Duration = Duration::from_secs(4);
/// A header larger than the operator accepts.
const TOO_LARGE: usize = 400_000;
/// A large header that it accepts.
const LARGE: usize = 15_000;
/// How much memory all of it may cost.
const MEMORY_KIB: u64 = 8 * 1024;
/// How long a probe may take.
const LATENCY: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_half_open_connections_cost_no_memory_and_block_no_probe() {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    let kubeconfig = std::env::temp_dir().join(format!("groupattr-strangers-{}", std::process::id()));
    let operator = operator_without_cluster(&kubeconfig);
    until(DEADLINE, "/livez", || async { operator.get("/livez").await.ok() }).await;
    for _ in 0..20 {
        assert_eq!(operator.get("/livez").await.unwrap().0, 200);
        operator.metrics().await.unwrap();
    }
    let before = operator.rss_kib().unwrap();

    let mut clients = JoinSet::new();
    let connected = Arc::new(AtomicUsize::new(0));
    for number in 0..CONNECTIONS {
        let length = if number % 3 == 0 { TOO_LARGE } else { LARGE };
        clients.spawn(connect_forever(operator.address(), length, Arc::clone(&connected)));
    }
    until(DEADLINE, "all clients to connect", || async {
        (connected.load(Relaxed) >= CONNECTIONS).then_some(())
    })
    .await;
    let (mut probes, mut late, mut peak) = (0, Vec::new(), before);
    let start = Instant::now();
    while connected.load(Relaxed) < CONNECTIONS * 3 / 2 || probes < 20 {
        let sent = Instant::now();
        let answer = operator.get("/livez").await.map(|(code, _)| code).map_err(|error| error.to_string());
        probes += 1;
        late.extend(
            Some((sent.elapsed(), answer.clone())).filter(|(took, _)| *took > LATENCY || answer != Ok(200)),
        );
        peak = peak.max(operator.rss_kib().unwrap());
        assert!(start.elapsed() < DEADLINE, "only {connected:?} connections were made");
    }
    // A busy machine may stall the test itself, even between connect and request: others connect meanwhile, and the
    // operator closes the idle connection for them. A kubelet tolerates two failed probes in a row.
    assert!(late.len() * 20 <= probes, "of {probes} probes, too many were late or failed: {late:?}");
    let growth = peak.saturating_sub(before);
    assert!(growth <= MEMORY_KIB, "{CONNECTIONS} half-open connections cost {growth} KiB");

    std::fs::remove_file(&kubeconfig).unwrap();
    let metrics = until(DEADLINE, "/metrics", || async { operator.metrics().await.ok() }).await;
    let open = metric_in(&metrics, "groupattr_http_connections", &[]).unwrap();
    assert!((1.0..=64.0).contains(&open), "{open} connections are open");
    let closed = metric_in(&metrics, "groupattr_http_connections_closed", &[("reason", "full")]).unwrap();
    assert!(closed > 500.0, "{closed} connections were closed for new ones");
    assert!(!operator.logs().contains("forged"), "a client wrote into the log: {}", operator.logs());
}

/// An operator that cannot reach an API server: it only serves HTTP.
fn operator_without_cluster(kubeconfig: &Path) -> OperatorProcess {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "only",
        "clusters": [{"name": "only", "cluster": {"server": nobody}}],
        "users": [{"name": "only", "user": {}}],
        "contexts": [{"name": "only", "context": {"cluster": "only", "user": "only"}}],
    });
    std::fs::write(kubeconfig, config.to_string()).unwrap();
    let args = ["--namespace", "strangers"].map(str::to_owned).to_vec();
    let launch = Launch { binary: OPERATOR.into(), kubeconfig: kubeconfig.to_owned(), args, env: Vec::new() };
    OperatorProcess::start(launch).unwrap()
}

/// Starts requests without ever finishing one, and reconnects a moment after each disconnect.
async fn connect_forever(address: SocketAddr, length: usize, connected: Arc<AtomicUsize>) {
    let head =
        format!("GET /forged-path HTTP/1.1\r\nhost: forged-host\r\nforged-name: {}", "x".repeat(length));
    loop {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The operator may close it before everything is sent.
        let _ = stream.write_all(head.as_bytes()).await;
        connected.fetch_add(1, Relaxed);
        while let Ok(1..) = stream.read(&mut [0; 64]).await {}
        sleep(RECONNECT_DELAY).await;
    }
}
