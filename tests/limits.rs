//! Never too fast, whatever happens, and yet as fast as is allowed; and nobody waits for somebody else.

#![allow(clippy::cast_precision_loss)] // No number here is that large.

mod world;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use testbed::control_plane::Scope;
use testbed::vendor::{Command, Entry, Misbehaviour, When};
use testbed::{until, until_ok};
use world::{APP_ID, KEY, SOON, World, chat_app, numbered, rights};

const SECOND: Duration = Duration::from_secs(1);

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn fullest_second(world: &World) -> usize {
    world.vendor.fullest_window(APP_ID, Command::Clear, SECOND)
}

async fn until_calls(world: &World, wanted: usize) {
    until(SOON, &format!("{wanted} calls"), || async {
        (world.vendor.clears().len() >= wanted).then_some(())
    })
    .await;
}

/// Each write left at least this long after the answer to the one before.
fn assert_interval(writes: &[Entry], least: Duration) {
    for pair in writes.windows(2) {
        let answered = pair[0].answered.expect("an answer");
        let apart = pair[1].arrived.saturating_duration_since(answered);
        assert!(apart >= least, "a write came {apart:?} after the answer to the last one, not {least:?}");
    }
}

/// From the plan of the last attempt to its end.
fn seconds_of_attempt(reset: &Value) -> f64 {
    let moment = |name: &str| -> Timestamp {
        reset["status"]["lastAttempt"][name].as_str().expect(name).parse().expect("a date and time")
    };
    moment("completionTime").duration_since(moment("startTime")).as_secs_f64()
}

#[tokio::test]
async fn six_hundred_resets_fill_no_second_with_more_than_fifty_calls_and_waste_no_time() {
    const RESETS: usize = 600;
    const LIMIT: usize = 50;
    let world = World::new().await;
    let rooms = numbered("six-hundred", RESETS);
    world.rooms(&rooms);
    world.vendor.set_latency(Duration::ZERO, millis(50));
    let _operator = world.operator(&[]).await;
    world.app(&format!("  limits: {{ callsPerSecond: {LIMIT} }}")).await;
    world.app_is("Verified").await;
    world.many_resets(rooms.clone()).await;
    world.until_cleared(RESETS, SOON).await;

    let clears = world.vendor.clears();
    assert_eq!(clears.len(), RESETS, "one call each");
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
    assert!(fullest_second(&world) <= LIMIT, "{} calls in one second", fullest_second(&world));
    // A permit covers the second after the answer, and before that the intent's write and the call itself.
    let covered: f64 = world.all_resets().await.iter().map(seconds_of_attempt).sum::<f64>() / RESETS as f64;
    let permitted = LIMIT as f64 / (1.0 + covered);
    let took = clears.last().unwrap().arrived - clears.first().unwrap().arrived;
    let rate = (RESETS - 1) as f64 / took.as_secs_f64();
    assert!(rate >= 0.85 * permitted, "{rate:.1} calls a second of {permitted:.1} that are permitted");
}

#[tokio::test]
async fn two_writes_to_one_group_keep_their_interval_and_hold_up_no_other_group() {
    let world = World::new().await;
    let others = numbered("other", 20);
    world.rooms(&others);
    world.room("@TGS#busy");
    world.vendor.set_latency(millis(50), millis(250));
    let _operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 1500 }").await;
    world.app_is("Verified").await;
    world.many_resets((0..5).map(|i| (format!("busy-{i}"), "@TGS#busy".to_owned()))).await;
    world.many_resets(others).await;
    world.until_cleared(25, SOON).await;
    let writes = world.vendor.clears_of("@TGS#busy");
    assert_eq!(writes.len(), 5);
    assert_interval(&writes, millis(1500));
    let others =
        world.vendor.entries(|e| e.command == Command::Clear && e.group.as_deref() != Some("@TGS#busy"));
    let last = others.iter().map(|call| call.arrived).max().unwrap();
    assert!(last < writes[2].arrived, "the other groups waited for the busy one");
}

#[tokio::test]
async fn a_vendor_that_finds_the_writes_too_frequent_gets_them_more_slowly() {
    let world = World::new().await;
    world.room("@TGS#crowded");
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world
        .vendor
        .script(testbed::vendor::When::clear().of("@TGS#crowded").times(2), Misbehaviour::Code(10049));
    world.reset("crowded", "@TGS#crowded", "").await;
    let reset = world.reset_is("crowded", "Cleared").await;
    assert_eq!(
        reset["status"]["failures"].as_i64().unwrap_or_default(),
        0,
        "waiting is no failure: {reset:#}"
    );
    let writes = world.vendor.clears_of("@TGS#crowded");
    assert_eq!(writes.len(), 3);
    assert_interval(&writes[..2], 2 * SECOND);
    assert_interval(&writes[1..], 4 * SECOND);
}

#[tokio::test]
async fn a_vendor_that_finds_the_account_too_fast_gets_half_of_it() {
    const RESETS: usize = 60;
    let world = World::new().await;
    let rooms = numbered("hot", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 40 }").await;
    world.app_is("Verified").await;
    world.vendor.script(When::clear().times(1), Misbehaviour::Code(60007));
    world.many_resets(rooms).await;
    until(SOON, "the rate to halve", || async {
        let rate = operator.metric("groupattr_effective_rate", &[("app", "default")]).await?;
        (rate < 30.0).then_some(())
    })
    .await;
    world.until_cleared(RESETS, SOON).await;
    let clears = world.vendor.clears();
    assert_eq!(clears.len(), RESETS + 1, "the refused one was sent again, and only that one");
    // From one second after the refusal on, when all calls that were under way are answered.
    let refused = clears[0].answered.unwrap();
    let later = clears.iter().filter(|call| {
        let since = call.arrived.saturating_duration_since(refused);
        since >= SECOND && since < 2 * SECOND
    });
    let later = later.count();
    assert!(later <= 23, "{later} calls in a second in which about 21 are allowed");
    let failures: i64 =
        world.all_resets().await.iter().filter_map(|r| r["status"]["failures"].as_i64()).sum();
    assert_eq!(failures, 0);
}

#[tokio::test]
async fn a_kill_in_the_middle_bursts_neither_the_window_nor_the_interval_of_a_group() {
    const RESETS: usize = 100;
    const LIMIT: usize = 20;
    let world = World::new().await;
    let rooms = numbered("killed", RESETS);
    world.rooms(&rooms);
    world.room("@TGS#twice");
    world.vendor.set_latency(millis(20), millis(120));
    let alone = ["--leader-elect=false"];
    let operator = world.operator(&alone).await;
    world.app(&format!("  limits: {{ callsPerSecond: {LIMIT}, groupIntervalMilliseconds: 3000 }}")).await;
    world.app_is("Verified").await;
    world.many_resets((0..3).map(|i| (format!("twice-{i}"), "@TGS#twice".to_owned()))).await;
    world.many_resets(rooms.clone()).await;
    until_calls(&world, 30).await;
    operator.kill9();
    let _operator = world.operator(&alone).await;
    world.until_cleared(RESETS + 3, Duration::from_mins(1)).await;
    assert!(fullest_second(&world) <= LIMIT, "{} calls in one second", fullest_second(&world));
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}: whatever was in flight was read back, and was done");
    }
    let writes = world.vendor.clears_of("@TGS#twice");
    assert!(writes.len() == 3, "{} writes for three resets", writes.len());
    assert_interval(&writes, 3 * SECOND);
}

#[tokio::test]
async fn a_namespace_that_floods_the_account_does_not_delay_its_neighbour() {
    const FLOOD: usize = 300;
    let flood = World::new().await;
    let neighbour = World::without_rights(flood.plane).await;
    let both = Scope::Namespaces(vec![flood.namespace.clone(), neighbour.namespace.clone()]);
    flood.plane.grant(&flood.account, &rights(), &both).await.unwrap();
    let _operator = flood.operator(&[&format!("--watch-namespace={}", neighbour.namespace)]).await;
    for (world, name, count) in [(&flood, "flood", FLOOD), (&neighbour, "calm", 5)] {
        flood.rooms(&numbered(name, count));
        world.secret("chat", KEY).await;
        world
            .apply(&chat_app("default", APP_ID, &flood.vendor.url(), "  limits: { callsPerSecond: 20 }"))
            .await;
        world.app_is("Verified").await;
    }
    flood.many_resets(numbered("flood", FLOOD)).await;
    until_calls(&flood, 10).await;
    neighbour.many_resets(numbered("calm", 5)).await;
    let asked = Instant::now();
    neighbour.until_cleared(5, SOON).await;
    let calm = |call: &Entry| call.group.as_deref().is_some_and(|group| group.starts_with("@TGS#calm"));
    let done = flood.vendor.entries(calm).iter().map(|call| call.arrived).max().unwrap();
    let took = done.saturating_duration_since(asked);
    assert!(took < Duration::from_secs(2), "the neighbour's five resets took {took:?}");
    // The two take turns, so few calls of the flood come before the last of the five.
    let before =
        flood.vendor.entries(|call| !calm(call) && call.arrived > asked && call.arrived < done).len();
    assert!(before <= 10, "{before} calls of the flood came before the neighbour's five");
    let sent = flood.vendor.clears().len();
    assert!(sent < FLOOD, "the flood was over before, which proves nothing");
    assert!(fullest_second(&flood) <= 20, "{} calls in one second", fullest_second(&flood));
}

#[tokio::test]
async fn an_app_that_hangs_does_not_delay_the_resets_of_another() {
    let world = World::new().await;
    world.vendor.account(7, KEY, &["administrator"]);
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.apply(&chat_app("hanging", 7, &world.vendor.url(), "")).await;
    for app in ["default", "hanging"] {
        world.until_reason("chatapp", app, "Ready", "Verified").await;
    }
    world.vendor.script(When::any().by(7), Misbehaviour::Hang { execute: false });
    for i in 0..40 {
        world
            .reset(&format!("hanging-{i}"), &format!("@TGS#hanging-{i}"), "  appRef: { name: hanging }")
            .await;
    }
    let hanging =
        || world.vendor.entries(|entry| entry.sdkappid == Some(7) && entry.command == Command::Clear).len();
    until_ok(SOON, "calls that hang", || async { if hanging() >= 20 { Ok(()) } else { Err(hanging()) } })
        .await;
    let rooms = numbered("quick", 20);
    world.rooms(&rooms);
    world.many_resets(rooms).await;
    until(SOON, "the other app's resets", || async {
        (world.reasons().await.get("Cleared") == Some(&20)).then_some(())
    })
    .await;
    // Not one of the calls that hang had come to its end, which takes ten seconds, when the others were all sent.
    let calls =
        |account| world.vendor.entries(move |e| e.sdkappid == Some(account) && e.command == Command::Clear);
    let last = calls(APP_ID).iter().map(|call| call.arrived).max().unwrap();
    let after = last - calls(7)[0].arrived;
    assert!(after < Duration::from_secs(8), "the last call was sent {after:?} after the first that hangs");
}
