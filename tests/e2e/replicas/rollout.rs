//! A thousand resets at once; both replicas are replaced while they are being sent.

use std::time::{Duration, Instant};

use testbed::runs::runs;
use testbed::until;
use testbed::vendor::Command;

use crate::world::replicas::{SHORT_LEASE, until_one_leads};
use crate::world::{APP_ID, DEADLINE, World, numbered};

const RESETS: usize = 1000;
const LIMIT: usize = 25;

async fn roll_out() {
    let world = World::new().await;
    let rooms = numbered("crowd", RESETS);
    world.rooms(&rooms);
    world.vendor.set_latency(Duration::ZERO, Duration::from_millis(300));
    let [first, second] = world.two_replicas(&SHORT_LEASE).await;
    world.many_resets(rooms.clone()).await;
    world.app(&format!("  limits: {{ callsPerSecond: {LIMIT} }}")).await;
    let started = Instant::now();

    // As in a rolling update: a new replica is ready, and an old one gets SIGTERM.
    world.until_calls(RESETS / 10).await;
    let third = world.operator(&SHORT_LEASE).await;
    first.terminate();
    assert_eq!(first.wait_exit(DEADLINE).await.code(), Some(0), "{}", first.logs());
    // Then SIGKILL hits whichever replica took over.
    let candidates = [second, third];
    let leading = until_one_leads(&candidates, DEADLINE).await;
    until(DEADLINE, "calls of the new leader", || async {
        world.tenures().get(1).filter(|tenure| tenure.calls >= RESETS / 10).map(|_| ())
    })
    .await;
    candidates[leading].kill9();
    let fourth = world.start(world.launch(&SHORT_LEASE));
    world.until_cleared(RESETS, Duration::from_mins(10)).await;

    let took = started.elapsed();
    let fullest = world.vendor.fullest_window(APP_ID, Command::Clear, Duration::from_secs(1));
    println!("{RESETS} resets in {took:.1?}; at most {fullest} calls in one second, of {LIMIT}");
    assert!(fullest <= LIMIT, "{fullest} calls in one second");
    world.assert_each_cleared_once(&rooms);
    let tenures = world.assert_no_overlap();
    assert!(tenures.len() >= 3, "{tenures:#?}");
    drop((candidates, fourth));
    world.finish().await;
}

#[tokio::test]
async fn a_thousand_resets_are_sent_once_each_within_the_limit_while_both_replicas_are_replaced() {
    runs("E3", 1).one_by_one(|_| roll_out()).await;
}
