//! The leader dies, freezes, or loses its connection to the API server.

use std::time::{Duration, Instant};

use rand::Rng as _;
use testbed::proxy::{Boundary, Fault, Line, Position};
use testbed::runs::{Run, runs};
use testbed::vendor::{Command, Misbehaviour, When};
use testbed::{OperatorProcess, until};

use crate::world::replicas::{NO_ELECTION, SHORT_LEASE, until_leading};
use crate::world::{APP_ID, DEADLINE, Leg, World, numbered};

/// How the leader fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Killed,
    Frozen,
    /// Disconnected from the API server, but not from the vendor.
    CutOff,
}

/// Two replicas, of which only the leader reaches the API server through the proxy.
async fn leader_behind_proxy(world: &World, args: &[&str]) -> [OperatorProcess; 2] {
    let leader = world.operator(args).await;
    until_leading(&leader, DEADLINE).await;
    let mut launch = world.launch(args);
    launch.kubeconfig = world.plane.kubeconfig("follower", &world.account.token).expect("kubeconfig");
    let follower = world.start(launch);
    follower.ready(DEADLINE).await;
    [leader, follower]
}

/// Uses the default lease timings.
async fn fail_over(run: Run) {
    const LIMIT: usize = 10;
    let trouble = [Trouble::Killed, Trouble::Frozen, Trouble::CutOff][run.turn(3)];
    let world = World::breakable().await;
    let rooms = numbered("room", 20);
    world.rooms(&rooms);
    world.room("@TGS#in-flight");
    let [leader, follower] = leader_behind_proxy(&world, &[]).await;
    world.app(&format!("  limits: {{ callsPerSecond: {LIMIT} }}")).await;
    world.app_is("Verified").await;
    // Executed, but the sender learns of it too late or not at all.
    let in_flight = match trouble {
        Trouble::Frozen => Misbehaviour::DelayAfter(Duration::from_secs(8)),
        Trouble::Killed | Trouble::CutOff => Misbehaviour::Hang { execute: true },
    };
    world.vendor.script(When::clear().of("@TGS#in-flight"), in_flight);
    world.reset("in-flight", "@TGS#in-flight", "").await;
    world.until_calls(1).await;
    world.many_resets(rooms.clone()).await;
    // Each run strikes at a different moment.
    world.until_calls(run.chance().random_range(3..15)).await;
    match trouble {
        Trouble::Killed => drop(leader.kill9()),
        Trouble::Frozen => {
            world.until_between_calls().await;
            leader.stop();
        }
        Trouble::CutOff => world.proxy(Leg::Api).set(Line::Silent),
    }
    let struck = Instant::now();
    // 15 s for the lease to expire, and a second until the next check.
    until_leading(&follower, Duration::from_secs(20)).await;
    let leading_after = struck.elapsed();
    let old_calls = world.tenures().remove(0).calls;
    let silence = until(DEADLINE, "a call of the new leader", || async {
        world.tenures().get(1).map(|tenure| tenure.first.saturating_duration_since(struck))
    })
    .await;
    // At worst, calls that the old leader may still have in flight hold every permit: ten seconds plus one.
    assert!(silence <= Duration::from_secs(45), "{trouble:?}: no call for {silence:?}");
    if trouble == Trouble::CutOff {
        // It cannot record outcomes, and exits when its shutdown grace time is over.
        let exit = leader.wait_exit(Duration::from_mins(2)).await;
        assert!(!exit.success(), "it exited with success: {exit:?}");
    }
    let reset = world.reset_is("in-flight", "VerifiedEmpty").await;
    if trouble == Trouble::Frozen {
        // It now gets its answer, but too late to record the outcome.
        leader.cont();
    }
    let exit = leader.wait_exit(Duration::from_mins(1)).await;
    assert!(!exit.success(), "{trouble:?}: it exited with success: {exit:?}");
    world.until_cleared(21, Duration::from_mins(1)).await;
    let tenures = world.assert_no_overlap();
    assert_eq!(tenures.len(), 2, "{tenures:#?}");
    assert_eq!(tenures[0].calls, old_calls, "{trouble:?}: the old leader kept calling");
    world.assert_each_cleared_once(&rooms);
    assert_eq!(world.calls("@TGS#in-flight"), 1, "read back, not sent again");
    let still = world.object("gar", "in-flight").await.expect("the reset");
    assert_eq!(still["status"], reset["status"], "a final status was changed");
    let fullest = world.vendor.fullest_window(APP_ID, Command::Clear, Duration::from_secs(1));
    assert!(fullest <= LIMIT, "{fullest} calls in one second");
    assert_eq!(follower.exit_status(), None, "{}", follower.logs());
    println!("{trouble:?}: the follower led after {leading_after:.1?}, and called after {silence:.1?}");
    world.finish().await;
}

#[tokio::test]
async fn failover_is_timely_and_calls_never_overlap() {
    runs("D1", 9).side_by_side(3, fail_over).await;
}

#[tokio::test]
async fn a_leader_frozen_between_intent_and_call_never_sends_it() {
    let world = World::breakable().await;
    world.room("@TGS#held");
    let [leader, follower] = leader_behind_proxy(&world, &SHORT_LEASE).await;
    world.app("").await;
    world.app_is("Verified").await;
    let plan = world.plan(Leg::Api, Boundary::intent().about("held"), Position::LostAnswer, Fault::Hold);
    world.reset("held", "@TGS#held", "").await;
    plan.has_fired(DEADLINE).await;
    let probes = world.tenures()[0].calls;
    leader.stop();
    until_leading(&follower, Duration::from_secs(20)).await;
    plan.release();
    leader.cont();
    assert!(!leader.wait_exit(DEADLINE).await.success());
    // The new leader reads the group back, finds attributes, and sends.
    let reset = world.reset_is("held", "Cleared").await;
    assert_eq!(world.calls("@TGS#held"), 1);
    assert!(reset["status"]["failures"].as_i64() <= Some(1), "{reset:#}");
    let tenures = world.assert_no_overlap();
    assert_eq!(tenures[0].calls, probes, "it called although another process leads");
}

/// How long a new process waits before it calls for `group` while a call of a dead process for
/// `@TGS#hanging` may still be in flight. `limits` are further lines of the app's spec.
async fn silence_after_a_call_of_a_dead_process(limits: &str, group: &str) -> Duration {
    let world = World::new().await;
    for group in ["@TGS#hanging", "@TGS#next"] {
        world.room(group);
    }
    let operator = world.operator(&NO_ELECTION).await;
    world.app(limits).await;
    world.app_is("Verified").await;
    let first = When::clear().of("@TGS#hanging").times(1);
    world.vendor.script(first, Misbehaviour::Hang { execute: true });
    world.reset("hanging", "@TGS#hanging", "").await;
    world.until_calls(1).await;
    operator.kill9();
    world.reset("next", group, "").await;
    let started = Instant::now();
    let _next = world.operator(&NO_ELECTION).await;
    world.reset_is("next", "Cleared").await;
    let called = world.vendor.clears_of(group).pop().expect("a call").arrived - started;
    world.reset_is("hanging", "VerifiedEmpty").await;
    assert_eq!(world.vendor.clears().len(), 2);
    called
}

#[tokio::test]
async fn calls_of_a_dead_process_hold_their_permits_until_they_can_no_longer_arrive() {
    let one = "  limits: { callsPerSecond: 1 }";
    let called = silence_after_a_call_of_a_dead_process(one, "@TGS#next").await;
    // The call may still be in flight: ten seconds, plus one for the rate limit's window.
    assert!(called >= Duration::from_secs(11), "the only permit was reused after {called:?}");
}

#[tokio::test]
async fn the_group_of_a_dead_process_is_not_written_until_its_call_can_no_longer_arrive() {
    let called = silence_after_a_call_of_a_dead_process("", "@TGS#hanging").await;
    // Ten seconds for the attempt, and one for the interval of the group.
    assert!(called >= Duration::from_secs(11), "the group was written again after {called:?}");
}
