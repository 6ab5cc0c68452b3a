//! All attacks of the threat model at once, beside a well-behaved tenant.
//!
//! `cargo test` runs them for a few seconds and checks only what was sent. `cargo campaign --attacks` runs
//! them for minutes and measures the latency of the healthy tenant's resets, with and without attack, and the
//! operator's memory.
//!
//! | question | file |
//! |---|---|
//! | what does the healthy tenant do, and what is its latency? | `healthy` |
//! | what do the attackers do? | `attackers` |

mod attackers;
mod healthy;

use std::time::{Duration, Instant};

use testbed::OperatorProcess;
use testbed::control_plane::Scope;
use testbed::runs::{SOAK_OPERATOR, SOAK_SECONDS};

use self::attackers::Attackers;
use self::healthy::{Healthy, Waits};
use crate::world::replicas::NO_ELECTION;
use crate::world::{DEADLINE, OwnPlane, World, rights};

/// How long `cargo test` runs the attacks.
const BRIEF: Duration = Duration::from_secs(6);
/// The allowed slowdown of the healthy tenant at the 90th percentile, compared with an operator that ignores
/// the attackers' objects. No operator can avoid the load of their requests on the API server.
const SLOWER: f64 = 1.2;
/// The same at the 99th percentile: on two shared cores, a handful of resets that coincided with an edit of
/// 200 kB.
const SLOWER_AT_THE_TAIL: f64 = 2.0;
/// How much memory may grow from one third of the time to the next, apart from noise.
const FLAT: f64 = 1.05;
const NOISE_KIB: f64 = 2048.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_attacks_at_once_disturb_no_healthy_tenant() {
    let soak = std::env::var(SOAK_SECONDS).ok().map(|text| text.parse().expect("whole seconds"));
    let time = soak.map_or(BRIEF, Duration::from_secs);
    let plane = OwnPlane::new().await;
    // The attack runs on its own thread, so that it does not delay the healthy tenant's clock.
    let home: &'static World = Box::leak(Box::new(World::without_rights(*plane).await));
    home.skip_oracles();
    home.plane.grant(&home.account, &rights(), &Scope::Cluster).await.expect("rights");
    let operator = operator(home, None).await;

    let healthy = Healthy::new(home).await;
    let attackers: &'static Attackers<'static> = Box::leak(Box::new(Attackers::new(home).await));
    healthy.send(time.min(Duration::from_secs(10)) / 2).await; // Warm up connections, caches and the allocator.
    let calm = healthy.send(time / 2).await;
    let (attacked, memory) = attacked(attackers, &healthy, &operator, time).await;
    attackers.achieved_nothing().await;
    println!("undisturbed   {calm}");
    println!("attacked      {attacked}");
    let third = memory.len() / 3;
    let (before, after) = (mean(&memory[third..2 * third]), mean(&memory[2 * third..]));
    println!("memory {before:.0} KiB in the second third of the time, {after:.0} KiB in the last");
    if soak.is_some() {
        drop(operator);
        let elsewhere = self::operator(home, Some(&healthy.namespace)).await;
        healthy.send(Duration::from_secs(5)).await;
        let (beside, _) = self::attacked(attackers, &healthy, &elsewhere, time).await;
        println!("same requests {beside}, by an operator that watches the healthy namespace alone");
        for (percent, slower) in [(90, SLOWER), (99, SLOWER_AT_THE_TAIL)] {
            let (attacked, beside) = (attacked.percentile(percent), beside.percentile(percent));
            assert!(attacked <= beside * slower, "p{percent} is more than {slower} times slower");
        }
        assert!(after <= before * FLAT + NOISE_KIB, "memory grows");
    }
}

/// An operator for all namespaces, or for a single one.
async fn operator(home: &World, only: Option<&str>) -> OperatorProcess {
    let mut launch = home.launch(&NO_ELECTION);
    launch.args.retain(|arg| !arg.starts_with("--watch-namespace") && !arg.starts_with("--log-filter"));
    launch.args.extend(only.map(|namespace| format!("--watch-namespace={namespace}")));
    if let Some(binary) = std::env::var_os(SOAK_OPERATOR) {
        launch.binary = binary.into();
    }
    let operator = home.start(launch);
    operator.ready(DEADLINE).await;
    operator
}

/// The latency of the healthy tenant during the attack, and samples of the operator's memory.
async fn attacked(
    attackers: &'static Attackers<'static>,
    healthy: &Healthy<'_>,
    operator: &OperatorProcess,
    time: Duration,
) -> (Waits, Vec<f64>) {
    let until = Instant::now() + time;
    let (runtime, address) = (tokio::runtime::Handle::current(), operator.address());
    let attack = tokio::task::spawn_blocking(move || runtime.block_on(attackers.attack(address, until)));
    let measured = tokio::join!(healthy.send(time), sampled(operator, until));
    attack.await.expect("the attack must not panic");
    assert_eq!(operator.exit_status(), None, "{}", operator.logs());
    measured
}

/// Resident memory in KiB, once a second.
#[allow(clippy::cast_precision_loss)]
async fn sampled(operator: &OperatorProcess, until: Instant) -> Vec<f64> {
    let mut samples = Vec::new();
    while Instant::now() < until {
        samples.push(operator.rss_kib().expect("a running operator") as f64);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    samples
}

#[allow(clippy::cast_precision_loss)]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
