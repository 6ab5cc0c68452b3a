//! Whoever reaches the port of the pages without any right: takes all its connections, and tries its memory.

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

/// Half-open connections, each of which comes back when the operator has closed it.
const CONNECTIONS: usize = 2_000;
/// After this long.
const REST: Duration = Duration::from_secs(4);
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
    let kubeconfig = std::env::temp_dir().join(format!("groupattr-strangers-{}", std::process::id()));
    let operator = lonely_operator(&kubeconfig);
    until(DEADLINE, "its pages", || async { operator.get("/livez").await.ok() }).await;
    for _ in 0..20 {
        assert_eq!(operator.get("/livez").await.unwrap().0, 200);
        operator.metrics().await.unwrap();
    }
    let before = operator.rss_kib().unwrap();

    let mut strangers = JoinSet::new();
    let pressed = Arc::new(AtomicUsize::new(0));
    for number in 0..CONNECTIONS {
        let length = if number % 3 == 0 { TOO_LONG } else { LONG };
        strangers.spawn(press(operator.address(), length, Arc::clone(&pressed)));
    }
    until(DEADLINE, "all to be connected", || async { (pressed.load(Relaxed) >= CONNECTIONS).then_some(()) })
        .await;
    let (mut probes, mut late, mut most) = (0, Vec::new(), before);
    let start = Instant::now();
    while pressed.load(Relaxed) < CONNECTIONS * 3 / 2 || probes < 20 {
        let asked = Instant::now();
        let answer = operator.get("/livez").await.map(|(code, _)| code).map_err(|error| error.to_string());
        probes += 1;
        late.extend(
            Some((asked.elapsed(), answer.clone())).filter(|(took, _)| *took > LATENCY || answer != Ok(200)),
        );
        most = most.max(operator.rss_kib().unwrap());
        assert!(start.elapsed() < DEADLINE, "only {pressed:?} connections were made");
    }
    // A busy machine may hold up the test itself now and then, between its connection and its request too: then others
    // connect meanwhile, and the idle connection is closed for them. A kubelet needs three failures in a row.
    assert!(late.len() * 20 <= probes, "of {probes} probes some were late or failed: {late:?}");
    let grown = most.saturating_sub(before);
    assert!(grown <= MEMORY_KIB, "{CONNECTIONS} half-open connections made it grow by {grown} KiB");

    std::fs::remove_file(&kubeconfig).unwrap();
    let page = until(DEADLINE, "its metrics", || async { operator.metrics().await.ok() }).await;
    let shown = metric_in(&page, "groupattr_http_connections", &[]).unwrap();
    assert!((1.0..=64.0).contains(&shown), "{shown} are open");
    let closed = metric_in(&page, "groupattr_http_connections_closed", &[("reason", "full")]).unwrap();
    assert!(closed > 500.0, "{closed} were closed for others");
    assert!(!operator.logs().contains("forged"), "a stranger writes into the log: {}", operator.logs());
}

/// One that finds no API server, and so has nothing to do but to answer.
fn lonely_operator(kubeconfig: &Path) -> OperatorProcess {
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
        sleep(REST).await;
    }
}
