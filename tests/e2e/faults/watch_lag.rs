//! The watch lags behind the operator's own writes: no new attempt starts until it has caught up. A dead
//! watch is waited for once, and only briefly.

use std::time::{Duration, Instant};

use testbed::{until, until_ok};

use crate::faults::{AFTER_FAULTS, NO_ELECTION, RESETS, until_calls};
use crate::world::{DEADLINE, Leg, World, numbered};

const COUNT: usize = 200;
/// Twice as long as an account at its limit waits for permits.
const QUIET: Duration = Duration::from_secs(2);

#[tokio::test]
async fn no_attempt_starts_while_the_watch_lags_and_a_dead_watch_blocks_nothing() {
    let world = World::breakable().await;
    let api = world.proxy(Leg::Api);
    let resets = numbered("behind", COUNT);
    world.rooms(&resets);
    world.app("  limits: { callsPerSecond: 20 }").await;
    world.many_resets(resets.clone()).await;
    let _operator = world.operator(&NO_ELECTION).await;
    until_calls(&world, 5).await;

    api.hold_watches(RESETS);
    let held = Instant::now();
    until_ok(DEADLINE, "two quiet seconds", || async {
        let calls = world.vendor.clears();
        assert!(calls.len() < COUNT, "all calls were made although the watch shows nothing");
        // The operator waits for a dead watch only once; that wait may be over before the next poll.
        let since = calls.iter().map(|call| call.arrived).filter(|moment| *moment > held);
        let moments: Vec<Instant> = [held].into_iter().chain(since).chain([Instant::now()]).collect();
        let quiet = moments.windows(2).any(|pair| pair[1].saturating_duration_since(pair[0]) > QUIET);
        if quiet { Ok(()) } else { Err(calls.len()) }
    })
    .await;
    let then = world.vendor.clears().len();
    // Only time has passed: the watch is still held back.
    until_calls(&world, then + 40).await;

    api.release_watches(RESETS);
    world.until_cleared(COUNT, AFTER_FAULTS).await;
    for (_, group) in &resets {
        assert_eq!(world.calls(group), 1, "{group}");
    }
    world.finish().await;
}

/// The deletion is confirmed before the watch shows the attempt that finished the reset.
#[tokio::test]
async fn a_lagging_watch_does_not_bring_back_a_deleted_reset() {
    let world = World::breakable().await;
    let api = world.proxy(Leg::Api);
    for group in ["@TGS#over", "@TGS#next"] {
        world.room(group);
    }
    let _operator = world.operator(&NO_ELECTION).await;
    world.reset("over", "@TGS#over", "  ttlSecondsAfterFinished: 0").await;
    world.reset_is("over", "AppNotFound").await;
    api.hold_watches(RESETS);
    world.app("").await;
    until(DEADLINE, "its deletion", || async { world.object("gar", "over").await.is_none().then_some(()) })
        .await;
    api.release_watches(RESETS);
    world.reset("next", "@TGS#next", "").await;
    world.reset_is("next", "Cleared").await;

    let requests = world.requests(RESETS, "over").await;
    let verbs: Vec<&str> = requests.iter().map(|event| event.verb.as_str()).collect();
    let writes: Vec<&str> = verbs.iter().copied().take_while(|verb| *verb == "update").collect();
    // At least: waiting, intent, outcome. On a busy machine there are more status updates.
    assert!(writes.len() >= 3, "{verbs:?}");
    assert_eq!(verbs[writes.len()..], ["delete"], "after {writes:?}");
    assert_eq!(world.calls("@TGS#over"), 1);
    world.finish().await;
}
