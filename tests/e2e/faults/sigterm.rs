//! A3: SIGTERM during a call, while waiting for a permit, and during a list.

use std::time::{Duration, Instant};

use testbed::proxy::{Boundary, Fault, Position, Signal};
use testbed::vendor::{Misbehaviour, When};
use testbed::{runs, until};

use crate::faults::{AFTER_FAULTS, RESETS, assert_empty};
use crate::world::replicas::until_leading;
use crate::world::{DEADLINE, Leg, World, numbered};

/// If the lease is not released, nobody leads for a long time.
const LONG_LEASE: [&str; 3] =
    ["--lease-duration-seconds=40", "--lease-renew-deadline-seconds=30", "--lease-retry-seconds=1"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Call,
    Wait,
    List,
}

const MOMENTS: [Moment; 3] = [Moment::Call, Moment::Wait, Moment::List];

#[tokio::test]
async fn sigterm_records_outcomes_in_flight_and_releases_the_lease() {
    runs("A3", 9)
        .side_by_side(5, |run| async move { terminated_during(MOMENTS[run.turn(MOMENTS.len())]).await })
        .await;
}

async fn terminated_during(moment: Moment) {
    let world = World::breakable().await;
    let resets = numbered("room", 3);
    world.rooms(&resets);
    world.app("  limits: { callsPerSecond: 1 }").await;
    let term = || Fault::Signal(world.latest(), Signal::TERM);
    if moment == Moment::List {
        let plan = world.plan(Leg::Api, Boundary::page(RESETS, 1), Position::Before, term());
        let leader = world.start(world.launch(&LONG_LEASE));
        plan.has_fired(DEADLINE).await;
        assert_eq!(leader.wait_exit(DEADLINE).await.code(), Some(0), "{}", leader.logs());
        drop(plan);
        assert_eq!(world.lease_holder().await, "");
        let _successor = world.operator(&LONG_LEASE).await;
        world.many_resets(resets.clone()).await;
        return finish(&world, &resets).await;
    }
    let leader = world.operator(&LONG_LEASE).await;
    until_leading(&leader, DEADLINE).await;
    world.app_is("Verified").await;
    let plan = match moment {
        // The vendor is slow, and the signal arrives during the call.
        Moment::Call => {
            world.vendor.script(When::clear().times(1), Misbehaviour::DelayAfter(Duration::from_secs(1)));
            world.plan(Leg::Vendor, Boundary::clear(), Position::Before, term())
        }
        // The other two resets wait one second each for the permit.
        _ => world.plan(Leg::Api, Boundary::outcome(), Position::After, term()),
    };
    world.many_resets(resets.clone()).await;
    plan.has_fired(DEADLINE).await;
    let signalled = Instant::now();
    let successor = world.operator(&LONG_LEASE).await;
    assert_eq!(leader.wait_exit(DEADLINE).await.code(), Some(0), "{}", leader.logs());
    assert!(signalled.elapsed() < Duration::from_secs(25), "it took {:?}", signalled.elapsed());
    let ended = Instant::now();
    for reset in world.all_resets().await {
        let holder = &reset["status"]["pendingAttempt"]["holder"];
        let left = holder.as_str().is_some_and(|holder| leader.logs().contains(holder));
        assert!(!left, "an attempt has no recorded outcome: {reset:#}");
    }
    until_leading(&successor, DEADLINE).await;
    let first = until(DEADLINE, "the successor's first call", || async {
        world.tenures().get(1).map(|tenure| tenure.first)
    })
    .await;
    // A second until it checks the lease, one more before its first call, some for the lists, and slack for a
    // busy machine. A lease that was not released would take forty seconds to expire.
    let waited = first.saturating_duration_since(ended);
    assert!(waited < Duration::from_secs(25), "the successor's first call came {waited:?} later");
    finish(&world, &resets).await;
}

async fn finish(world: &World, resets: &[(String, String)]) {
    world.until_all_final(AFTER_FAULTS).await;
    for (name, group) in resets {
        assert_eq!(world.calls(group), 1, "{group}");
        assert_eq!(world.reason(name).await, "Cleared", "no read-back should be needed");
        assert_empty(world, group);
    }
    world.finish().await;
}
