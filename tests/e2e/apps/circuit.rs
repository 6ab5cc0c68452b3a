//! The circuit breaker, and the probes while the circuit is open.

use std::time::{Duration, Instant};

use serde_json::json;
use testbed::until;
use testbed::vendor::{Entry, Misbehaviour, When};

use super::{app_has, assert_says, reset_says};
use crate::world::{APP_ID, DEADLINE, KEY, PROBE_GROUP, World, chat_app, numbered};

/// The time from when a probe is due to its arrival varies: the Secret may have to be read, or the machine is busy.
const JITTER: Duration = Duration::from_secs(3);

/// No two of these arrived within less than this.
fn assert_apart(entries: &[Entry], least: Duration) {
    for pair in entries.windows(2) {
        let apart = pair[1].arrived - pair[0].arrived;
        assert!(apart + JITTER >= least, "two calls are {apart:?} apart instead of {least:?}");
    }
}

#[tokio::test]
async fn an_unreachable_vendor_opens_the_circuit_after_three_failures_until_it_is_back() {
    const RESETS: usize = 8;
    let world = World::new().await;
    let rooms = numbered("down", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&[]).await;
    // One call at a time, so that none is in flight when the third one fails.
    world.app("  limits: { callsPerSecond: 1 }").await;
    world.app_is("Verified").await;
    world.vendor.go_down();
    world.many_resets(rooms.clone()).await;
    let app = world.app_is("Unreachable").await;
    assert_says(&app, &["refused", "endpoint"]);
    let note = world.event("ChatApp", "default", "CircuitOpened").await;
    assert!(note.contains("refused"), "{note}");
    reset_says(&world, "down-7", "AppNotReady", "Unreachable").await;
    let failures = operator.metric("groupattr_attempts", &[("class", "not_sent")]).await;
    assert_eq!(failures, Some(3.0), "an open circuit must allow no attempt after three failures");

    world.vendor.come_back();
    world.app_is("Verified").await;
    world.until_cleared(RESETS, DEADLINE).await;
    assert!(!world.event("ChatApp", "default", "CircuitClosed").await.is_empty());
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
    let failures: i64 =
        world.all_resets().await.iter().filter_map(|reset| reset["status"]["failures"].as_i64()).sum();
    assert_eq!(failures, 3, "only attempts count as failures");
}

#[tokio::test]
async fn unintelligible_answers_open_the_circuit_and_probes_back_off() {
    let world = World::new().await;
    let rooms = numbered("odd", 6);
    world.rooms(&rooms);
    let _operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 1 }").await;
    world.app_is("Verified").await;
    world.vendor.script(When::any(), Misbehaviour::Status(502));
    let probes_before = world.vendor.reads().len();
    world.many_resets(rooms.clone()).await;
    let app = world.app_is("Unreachable").await;
    assert_says(&app, &["502"]);
    // The first probe comes 5 s after the last answer, the second 10 s later, and nothing else arrives.
    until(DEADLINE, "the second probe", || async {
        (world.vendor.reads().len() >= probes_before + 2).then_some(())
    })
    .await;
    let reads = world.vendor.reads().split_off(probes_before);
    assert!(
        reads.iter().all(|read| read.group.as_deref() == Some(PROBE_GROUP)),
        "an open circuit allows only probes"
    );
    let calls = world.vendor.clears();
    assert_eq!(calls.len(), 3, "an open circuit must allow no call after three failures");
    assert!(reads[0].arrived - calls[2].answered.unwrap() >= Duration::from_secs(5));
    assert!(reads[1].arrived - reads[0].answered.unwrap() >= Duration::from_secs(10));
}

/// The app's webhook refuses these rooms, say: nobody else has to wait for that.
#[tokio::test]
async fn rooms_that_the_vendor_answers_with_a_code_of_their_own_close_the_way_for_nobody() {
    const REFUSED: usize = 4;
    let world = World::new().await;
    let rooms = numbered("refused", REFUSED);
    world.rooms(&rooms);
    world.room("@TGS#good");
    let _operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 1 }").await;
    let before = world.app_is("Verified").await;
    for (_, group) in &rooms {
        world.vendor.script(When::clear().of(group), Misbehaviour::Code(10016));
    }
    world.many_resets(rooms.clone()).await;
    until(DEADLINE, "an answer for each", || async {
        rooms.iter().all(|(_, group)| world.calls(group) > 0).then_some(())
    })
    .await;
    world.reset("good", "@TGS#good", "").await;
    world.reset_is("good", "Cleared").await;
    for (name, _) in &rooms {
        reset_says(&world, name, "RetryScheduled", "attributes").await;
    }
    let after = world.app_is("Verified").await;
    assert_eq!(after["status"]["conditions"], before["status"]["conditions"], "it never looked broken");
}

#[tokio::test]
async fn unverified_apps_of_one_account_share_one_probe_every_five_seconds() {
    let world = World::new().await;
    let _operator = world.operator(&[]).await;
    world.secret("chat", &KEY.replace('f', "0")).await;
    let names = ["first", "second", "third"];
    for name in names {
        world.apply(&chat_app(name, APP_ID, &world.vendor.url(), "")).await;
    }
    until(DEADLINE, "two probes", || async { (world.vendor.reads().len() >= 2).then_some(()) }).await;
    assert_apart(&world.vendor.reads(), Duration::from_secs(5));
    // Each app gets its turn.
    world.secret("chat", KEY).await;
    for name in names {
        app_has(&world, name, "Verified").await;
    }
    assert_apart(&world.vendor.reads(), Duration::from_secs(5));
    assert!(world.vendor.clears().is_empty());
}

#[tokio::test]
async fn a_broken_app_does_not_affect_another_app_of_its_account() {
    let world = World::new().await;
    let rooms = numbered("good", 10);
    world.rooms(&rooms);
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    // The lowest possible rate, but the vendor never accepted this app's key, so its limits do not count.
    world.secret("wrong", &KEY.replace('0', "1")).await;
    let limits = "  limits: { callsPerSecond: 1, groupIntervalMilliseconds: 60000 }";
    let wrong =
        chat_app("wrong", APP_ID, &world.vendor.url(), limits).replace("name: chat }", "name: wrong }");
    world.apply(&wrong).await;
    app_has(&world, "wrong", "CredentialsRejected").await;
    world.many_resets(rooms).await;
    let started = Instant::now();
    world.until_cleared(10, DEADLINE).await;
    assert!(started.elapsed() < Duration::from_secs(6), "ten calls took {:?}", started.elapsed());
}

/// For example because its plan excludes a group type: one such reset must not hold up the others until its deadline.
#[tokio::test]
async fn a_group_the_account_is_refused_for_does_not_block_other_groups() {
    const OTHERS: usize = 6;
    let world = World::new().await;
    let rooms = numbered("good", OTHERS);
    world.rooms(&rooms);
    world.room("@TGS#excluded");
    let _operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 1 }").await;
    world.app_is("Verified").await;
    world.vendor.script(When::clear().of("@TGS#excluded"), Misbehaviour::Code(10026));
    world.reset("excluded", "@TGS#excluded", "").await;
    world.app_is("AccountUnavailable").await;
    // Its startTime is in an earlier second than theirs.
    let first = world.vendor.clears()[0].arrived;
    until(DEADLINE, "the next second", || async { (first.elapsed() > Duration::from_secs(1)).then_some(()) })
        .await;
    world.many_resets(rooms).await;
    world.until_cleared(OTHERS, DEADLINE).await;
    // It goes first, once more after the first probe, and then behind the others.
    let calls = world.vendor.clears();
    let is_refused = |call: &Entry| call.group.as_deref() == Some("@TGS#excluded");
    let order: Vec<_> = calls.iter().map(is_refused).take(2 + OTHERS).collect();
    assert_eq!(order, [vec![true; 2], vec![false; OTHERS]].concat(), "{calls:?}");
    // After the second refusal the backoff doubles, although the vendor has just accepted a probe.
    assert!(calls[2].arrived - calls[1].arrived >= Duration::from_secs(10), "{calls:?}");
    // The others' clears reset the backoff: after the third refusal, the probe comes after 5 s instead of 20 s.
    let third = until(DEADLINE, "the third refusal", || async {
        world.vendor.clears().into_iter().filter(is_refused).nth(2).filter(|call| call.answered.is_some())
    })
    .await;
    let probe = until(DEADLINE, "the probe after it", || async {
        world.vendor.reads().into_iter().find(|read| read.arrived > third.arrived)
    })
    .await;
    let wait = probe.arrived - third.answered.unwrap();
    assert!(wait < Duration::from_secs(15), "the probe came {wait:?} after the refusal");
}

#[tokio::test]
async fn an_app_is_probed_as_soon_as_those_ahead_of_it_leave_the_queue() {
    let world = World::new().await;
    let _operator = world.operator(&[]).await;
    world.secret("chat", &KEY.replace('f', "0")).await;
    world.secret("right", KEY).await;
    let wrong: Vec<_> = (0..12).map(|n| format!("wrong-{n}")).collect();
    for name in &wrong {
        world.apply(&chat_app(name, APP_ID, &world.vendor.url(), "")).await;
    }
    let right = chat_app("last", APP_ID, &world.vendor.url(), "").replace("name: chat }", "name: right }");
    world.apply(&right).await;
    // Behind all of them, its turn would come after a minute.
    let (deleted, suspended) = wrong.split_at(6);
    let delete = ["delete", "chatapp"].into_iter().chain(deleted.iter().map(String::as_str));
    let left = Instant::now();
    assert!(world.kubectl(&delete.collect::<Vec<_>>()).await.ok);
    for name in suspended {
        world.merge("chatapp", name, &json!({"spec": {"suspend": true}})).await;
    }
    app_has(&world, "last", "Verified").await;
    assert!(left.elapsed() < Duration::from_secs(25), "verified after {:?}", left.elapsed());
}
