//! No second exceeds the rate limit, and writes to one group keep their interval.

use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::until_ok;
use testbed::vendor::{Command, Misbehaviour, When};

use crate::limits::{SECOND, assert_interval, fullest_second, millis, until_called};
use crate::world::replicas::{NO_ELECTION, SHORT_LEASE, until_leading};
use crate::world::{APP_ID, DEADLINE, KEY, World, chat_app, numbered, reason_of};

/// Three apps in two namespaces name one account with different limits; the lowest applies. Latency is up to
/// 300 ms, some calls are refused or lost, one leader gets SIGKILL and the next one SIGTERM.
#[tokio::test]
async fn no_second_exceeds_the_rate_limit_across_failovers_and_errors() {
    const LIMIT: usize = 20;
    let world = World::new().await;
    let other = world.neighbour().await;
    let second_namespace = format!("--watch-namespace={}", other.namespace);
    let mut args = vec![second_namespace.as_str()];
    args.extend(SHORT_LEASE);

    let (mine, theirs) = (numbered("mine", 120), numbered("theirs", 60));
    world.rooms(&mine);
    for (_, group) in &theirs {
        world.vendor.room(APP_ID, group, &[("seat1", "ann")]);
    }
    world.room("@TGS#twice");
    world.vendor.set_latency(Duration::ZERO, millis(300));
    let first = world.operator(&args).await;
    until_leading(&first, DEADLINE).await;
    let second = world.operator(&args).await;
    let url = world.vendor.url();
    for (world, app, limit) in [(&world, "default", LIMIT), (&world, "eager", 60), (&other, "default", 40)] {
        world.secret("chat", KEY).await;
        let limits = format!("  limits: {{ callsPerSecond: {limit}, groupIntervalMilliseconds: 2000 }}");
        world.apply(&chat_app(app, APP_ID, &url, &limits)).await;
        world.until_reason("chatapp", app, "Ready", "Verified").await;
    }

    // Each of these faults causes an extra call: re-signed, read back or retried.
    let clear = |group: &str| When::clear().of(format!("@TGS#{group}")).times(1);
    world.vendor.script(clear("mine-5"), Misbehaviour::Code(70001));
    for (group, fault) in [
        ("mine-10", Misbehaviour::Reset { execute: false }),
        ("theirs-20", Misbehaviour::Reset { execute: true }),
        ("mine-60", Misbehaviour::Code(10002)),
        ("mine-90", Misbehaviour::Status(502)),
        ("theirs-40", Misbehaviour::Code(10049)),
    ] {
        world.vendor.script(clear(group), fault);
    }
    for i in 0..4 {
        world.reset(&format!("twice-{i}"), "@TGS#twice", "  appRef: { name: eager }").await;
    }
    world.many_resets(mine.clone()).await;
    other.many_resets(theirs.clone()).await;

    until_called(&world, 40).await;
    first.kill9();
    until_leading(&second, DEADLINE).await;
    let third = world.operator(&args).await;
    until_called(&world, 100).await;
    second.terminate();
    assert!(second.wait_exit(DEADLINE).await.success(), "{}", second.logs());
    world.until_cleared(124, Duration::from_mins(2)).await;
    other.until_cleared(60, Duration::from_mins(1)).await;

    for (command, what) in [(Command::Clear, "clears"), (Command::Get, "reads")] {
        let fullest = fullest_second(&world, command);
        assert!((1..=LIMIT).contains(&fullest), "{fullest} {what} in one second");
    }
    assert_interval(&world.vendor.clears_of("@TGS#twice"), 2 * SECOND);
    assert_eq!(third.exit_status(), None);
}

#[tokio::test]
async fn writes_to_a_group_keep_their_interval_and_delay_no_other_group() {
    let world = World::new().await;
    let others = numbered("other", 20);
    world.rooms(&others);
    world.room("@TGS#busy");
    world.vendor.set_latency(millis(50), millis(250));
    let _operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 2500 }").await;
    world.app_is("Verified").await;
    world.many_resets((0..5).map(|i| (format!("busy-{i}"), "@TGS#busy".to_owned()))).await;
    world.many_resets(others).await;
    world.until_cleared(25, DEADLINE).await;
    let writes = world.vendor.clears_of("@TGS#busy");
    assert_eq!(writes.len(), 5);
    assert_interval(&writes, millis(2500));
    let others =
        world.vendor.entries(|e| e.command == Command::Clear && e.group.as_deref() != Some("@TGS#busy"));
    let last = others.iter().map(|call| call.arrived).max().unwrap();
    assert!(last < writes[2].arrived, "the busy group delayed the others");
}

/// They queue for their group, and the first in the queue is woken. Leaving the queue must not stall it.
#[tokio::test]
async fn resets_of_one_group_take_turns_even_if_some_drop_out() {
    const RESETS: usize = 40;
    let world = World::new().await;
    world.room("@TGS#popular");
    let _operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    world.app_is("Verified").await;
    let name = |i: usize| format!("popular-{i}");
    world.many_resets((0..RESETS).map(|i| (name(i), "@TGS#popular".to_owned()))).await;
    until_called(&world, 2).await;
    let suspended: Vec<String> = (0..10).map(name).collect();
    let patches = suspended.iter().map(|name| async {
        world.merge("gar", name, &json!({"spec": {"suspend": true}})).await;
    });
    join_all(patches).await;
    let deleted: Vec<String> = (10..20).map(name).collect();
    let mut delete = vec!["delete", "gar"];
    delete.extend(deleted.iter().map(String::as_str));
    assert!(world.kubectl(&delete).await.ok);
    until_ok(DEADLINE, "all others to be cleared", || async {
        let resets = world.all_resets().await;
        let left = |reset: &&Value| {
            let name = reset["metadata"]["name"].as_str().unwrap_or_default();
            !suspended.iter().any(|other| other == name) && reason_of(reset, "Succeeded") != "Cleared"
        };
        match resets.iter().filter(left).count() {
            0 => Ok(()),
            left => Err(left),
        }
    })
    .await;
    let writes = world.vendor.clears_of("@TGS#popular");
    assert!(writes.len() >= RESETS / 2, "{} writes", writes.len());
    assert_interval(&writes, millis(200));
    let longest = writes.windows(2).map(|pair| pair[1].arrived - pair[0].arrived).max().unwrap();
    assert!(longest < 5 * SECOND, "the queue stalled for {longest:?}");
}

#[tokio::test]
async fn a_sigkill_under_load_breaks_neither_the_rate_limit_nor_the_group_interval() {
    const RESETS: usize = 100;
    const LIMIT: usize = 20;
    let world = World::new().await;
    let rooms = numbered("killed", RESETS);
    world.rooms(&rooms);
    world.room("@TGS#twice");
    world.vendor.set_latency(millis(20), millis(120));
    let operator = world.operator(&NO_ELECTION).await;
    world.app(&format!("  limits: {{ callsPerSecond: {LIMIT}, groupIntervalMilliseconds: 3000 }}")).await;
    world.app_is("Verified").await;
    world.many_resets((0..3).map(|i| (format!("twice-{i}"), "@TGS#twice".to_owned()))).await;
    world.many_resets(rooms.clone()).await;
    until_called(&world, 30).await;
    operator.kill9();
    let _operator = world.operator(&NO_ELECTION).await;
    world.until_cleared(RESETS + 3, Duration::from_mins(1)).await;
    let fullest = fullest_second(&world, Command::Clear);
    assert!(fullest <= LIMIT, "{fullest} calls in one second");
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}: a call in flight was repeated or lost");
    }
    let writes = world.vendor.clears_of("@TGS#twice");
    // A reset whose intent was stored but not sent before the kill may find the room empty when read back.
    let unsent = world.reasons().await.get("VerifiedEmpty").copied().unwrap_or_default();
    assert!(
        writes.len() <= 3 && writes.len() + unsent >= 3,
        "{} writes for three resets, {unsent} resets read back as empty",
        writes.len()
    );
    assert_interval(&writes, 3 * SECOND);
}

/// The call may still be in flight.
#[tokio::test]
async fn a_clear_with_a_broken_connection_holds_its_permit_until_it_can_no_longer_arrive() {
    let world = World::new().await;
    for group in ["@TGS#broken", "@TGS#next"] {
        world.room(group);
    }
    let _operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 1 }").await;
    world.app_is("Verified").await;
    let broken = When::clear().of("@TGS#broken").times(1);
    world.vendor.script(broken, Misbehaviour::Reset { execute: false });
    world.reset("broken", "@TGS#broken", "").await;
    until_called(&world, 1).await;
    world.reset("next", "@TGS#next", "").await;
    world.reset_is("next", "Cleared").await;
    let arrived = |group| world.vendor.clears_of(group)[0].arrived;
    // Until a second after its attempt ends; on a busy machine the attempt began well before the call
    // arrived.
    let waited = arrived("@TGS#next") - arrived("@TGS#broken");
    assert!(waited >= millis(5_000), "the only permit was reused after {waited:?}");
}

/// The previous leader may have written to the group a moment ago.
#[tokio::test]
async fn the_group_interval_holds_across_a_restart() {
    let world = World::new().await;
    world.room("@TGS#a");
    let operator = world.operator(&NO_ELECTION).await;
    world.app("  limits: { groupIntervalMilliseconds: 8000 }").await;
    world.reset("first", "@TGS#a", "").await;
    world.reset_is("first", "Cleared").await;
    operator.kill9();
    let _operator = world.operator(&NO_ELECTION).await;
    world.reset("second", "@TGS#a", "").await;
    world.reset_is("second", "Cleared").await;
    assert_interval(&world.vendor.clears_of("@TGS#a"), 8 * SECOND);
}

#[tokio::test]
async fn the_longest_group_interval_of_an_account_applies() {
    let world = World::new().await;
    world.room("@TGS#a");
    let _operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    for (app, interval) in [("slow", 3000), ("fast", 200)] {
        let limits = format!("  limits: {{ groupIntervalMilliseconds: {interval} }}");
        world.apply(&chat_app(app, APP_ID, &world.vendor.url(), &limits)).await;
        world.until_reason("chatapp", app, "Ready", "Verified").await;
    }
    for (name, app) in [("first", "slow"), ("second", "fast")] {
        world.reset(name, "@TGS#a", &format!("  appRef: {{ name: {app} }}")).await;
        world.reset_is(name, "Cleared").await;
    }
    assert_interval(&world.vendor.clears_of("@TGS#a"), 3 * SECOND);
}

/// Like a clear, it may still be in flight.
#[tokio::test]
async fn a_read_with_a_broken_connection_holds_its_permit_until_it_can_no_longer_arrive() {
    let world = World::new().await;
    world.vendor.script(When::get().times(1), Misbehaviour::Reset { execute: false });
    let _operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 1 }").await;
    world.app_is("Verified").await;
    let reads = world.vendor.reads();
    let waited = reads[1].arrived - reads[0].arrived;
    // Otherwise the second probe would follow after five seconds.
    assert!(waited >= 8 * SECOND, "the only permit was reused after {waited:?}");
}

#[tokio::test]
async fn read_backs_after_a_restart_respect_the_rate_limit() {
    const RESETS: usize = 30;
    const LIMIT: usize = 5;
    let world = World::new().await;
    let rooms = numbered("unknown", RESETS);
    world.rooms(&rooms);
    world.many_resets_with(rooms.clone(), &json!({"onUnknownOutcome": "Stop"})).await;
    let host = world.vendor.url().trim_start_matches("http://").to_owned();
    let sent = Timestamp::now() - SignedDuration::from_mins(1);
    for (name, _) in &rooms {
        let pending = json!({"id": name, "number": 1, "startTime": sent, "deadline": sent + SignedDuration::from_secs(10),
            "holder": "somebody", "sdkAppID": APP_ID, "host": host});
        world.put_status(name, &json!({"observedGeneration": 1, "pendingAttempt": pending})).await;
    }
    let _operator = world.operator(&[]).await;
    world.app(&format!("  limits: {{ callsPerSecond: {LIMIT} }}")).await;
    until_ok(DEADLINE, "all resets to be read back", || async {
        let reasons = world.reasons().await;
        if reasons.get("OutcomeUnknown") == Some(&RESETS) { Ok(()) } else { Err(reasons) }
    })
    .await;
    let fullest = fullest_second(&world, Command::Get);
    assert!(fullest <= LIMIT, "{fullest} reads in one second");
}

/// They apply from the first verification of its key until the vendor rejects it. Meanwhile the other apps of
/// the account must not go faster.
#[tokio::test]
async fn the_limits_of_an_app_apply_while_it_is_edited_or_suspended() {
    const RESETS: usize = 60;
    const LIMIT: usize = 5;
    let world = World::new().await;
    let rooms = numbered("room", RESETS);
    world.rooms(&rooms);
    let _operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    for (app, limit) in [("default", 200), ("careful", LIMIT)] {
        let limits = format!("  limits: {{ callsPerSecond: {limit} }}");
        world.apply(&chat_app(app, APP_ID, &world.vendor.url(), &limits)).await;
        world.until_reason("chatapp", app, "Ready", "Verified").await;
    }
    // Its next check is slow; until it completes, nobody knows whether the app still works.
    world.vendor.script(When::get().times(1), Misbehaviour::DelayBefore(2 * SECOND));
    world.many_resets(rooms).await;
    world.until_calls(LIMIT).await;
    world.patch("chatapp", "careful", "{\"limits\":{\"groupIntervalMilliseconds\":1001}}").await;
    world.until_reason("chatapp", "careful", "Ready", "Verified").await;
    world.patch("chatapp", "careful", "{\"suspend\":true}").await;
    world.until_reason("chatapp", "careful", "Ready", "Suspended").await;
    world.until_cleared(RESETS, DEADLINE).await;
    let fullest = fullest_second(&world, Command::Clear);
    assert!(fullest <= LIMIT, "{fullest} calls in one second, {LIMIT} are allowed");
}
