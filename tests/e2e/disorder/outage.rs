//! The vendor is down with hundreds of resets in the backlog, or leaves many calls unanswered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use testbed::runs::runs;
use testbed::until;
use testbed::vendor::{Command, Entry, Misbehaviour, When};

use crate::world::replicas::NO_ELECTION;
use crate::world::{APP_ID, DEADLINE, KEY, PROBE_GROUP, World, chat_app, numbered};

const RESETS: usize = 1000;
const LIMIT: usize = 100;
/// Jitter between a probe's due time and its arrival.
const SLACK: Duration = Duration::from_millis(250);

#[tokio::test]
async fn an_outage_costs_one_probe_every_five_seconds_and_loses_nothing() {
    runs("E2", 1).one_by_one(|_| outage()).await;
}

async fn outage() {
    let world = World::new().await;
    let rooms = numbered("waiting", RESETS);
    world.rooms(&rooms);
    world.vendor.account(7, KEY, &["administrator"]);
    let operator = world.operator(&NO_ELECTION).await;
    world.app(&format!("  limits: {{ callsPerSecond: {LIMIT} }}")).await;
    world.apply(&chat_app("second", 7, &world.vendor.url(), "")).await;
    for app in ["default", "second"] {
        world.until_reason("chatapp", app, "Ready", "Verified").await;
    }
    let (earlier, later) = rooms.split_at(RESETS / 2);
    world.many_resets(earlier.to_vec()).await;
    world.until_calls(RESETS / 10).await;
    let before = world.vendor.journal().len();
    world.vendor.script(When::any(), Misbehaviour::Status(502));
    world.many_resets(later.to_vec()).await;
    for i in 0..5 {
        let app = "  appRef: { name: second }";
        world.vendor.room(7, &format!("@TGS#second-{i}"), &[("seat1", "ann")]);
        world.reset(&format!("second-{i}"), &format!("@TGS#second-{i}"), app).await;
    }
    for app in ["default", "second"] {
        world.until_reason("chatapp", app, "Ready", "Unreachable").await;
    }
    for account in [APP_ID, 7] {
        // Calls in flight when the circuit opened are answered before the first probe is due.
        let is_probe = |call: &Entry| call.group.as_deref() == Some(PROBE_GROUP);
        let since_probing = || {
            let mut calls = world.vendor.journal().split_off(before);
            calls.retain(|call| call.sdkappid == Some(account));
            let first = calls.iter().position(is_probe).unwrap_or(calls.len());
            calls.split_off(first)
        };
        until(DEADLINE, "two probes", || async { (since_probing().len() >= 2).then_some(()) }).await;
        let probes = since_probing();
        assert!(
            probes.iter().all(is_probe),
            "a call other than a probe while the circuit is open: {probes:#?}"
        );
        for pair in probes.windows(2) {
            let apart = pair[1].arrived.saturating_duration_since(pair[0].arrived);
            assert!(apart + SLACK >= Duration::from_secs(5), "two probes within {apart:?}");
        }
    }

    world.vendor.clear_scripts();
    world.app_is("Verified").await;
    let (recovered, sent) = (Instant::now(), world.vendor.clears().len());
    world.until_cleared(RESETS + 5, Duration::from_mins(10)).await;
    let took = recovered.elapsed();
    let calls = world.vendor.clears();
    let fullest = world.vendor.fullest_window(APP_ID, Command::Clear, Duration::from_secs(1));
    println!("{} calls in {took:.1?} after the outage; at most {fullest} in one second", calls.len() - sent);
    assert!(fullest <= LIMIT, "{fullest} calls in one second");
    for (_, group) in &rooms {
        let executed = world.vendor.clears_of(group).iter().filter(|call| call.executed).count();
        assert_eq!(executed, 1, "{group}");
    }
    // Only calls made during the outage had to be retried.
    let refused = calls.iter().filter(|call| !call.executed).count();
    assert_eq!(calls.len(), RESETS + 5 + refused);
    for reset in world.all_resets().await {
        assert!(reset["status"]["failures"].as_i64().unwrap_or_default() <= 1, "{reset:#}");
    }
    operator.ready(DEADLINE).await;
    world.finish().await;
}

#[tokio::test]
async fn outcomes_of_unanswered_calls_are_recorded_one_after_another() {
    const OF_EACH: usize = 15;
    const HANGING: usize = 10 * OF_EACH;
    let world = World::new().await;
    world.secret("chat", KEY).await;
    let _operator = world.operator(&NO_ELECTION).await;
    // A silent account gets only a few calls, hence ten accounts.
    let apps: Vec<_> =
        (0..10).map(|n| (format!("app-{n}"), numbered(&format!("hanging-{n}"), OF_EACH))).collect();
    for (account, (app, rooms)) in (1_500_000_001..).zip(&apps) {
        world.app_with_room(app, account, "").await;
        for (_, group) in rooms {
            world.vendor.room(account, group, &[("seat1", "ann")]);
        }
    }
    for (app, _) in &apps {
        world.until_reason("chatapp", app, "Ready", "Verified").await;
    }
    world.vendor.script(When::any(), Misbehaviour::Hang { execute: false });
    for (app, rooms) in &apps {
        world.many_resets_with(rooms.clone(), &json!({"appRef": {"name": app}})).await;
    }
    // All calls break at the same moment.
    world.until_calls(HANGING).await;
    let broken = jiff::Timestamp::now();
    world.vendor.go_down();
    // For each reset, the first write is the intent and the second one the outcome.
    let outcomes = testbed::until_ok(DEADLINE, "all outcomes", || async {
        world.plane.audit_marker().await.expect("the audit log");
        let mut writes: BTreeMap<String, Vec<jiff::Timestamp>> = BTreeMap::new();
        for event in world.plane.audit().expect("the audit log") {
            if event.namespace == world.namespace
                && (event.verb.as_str(), event.resource.as_str()) == ("update", "groupattributeresets")
            {
                writes.entry(event.name.clone()).or_default().push(event.received);
            }
        }
        let mut outcomes: Vec<_> = writes.values().filter_map(|of_one| of_one.get(1).copied()).collect();
        outcomes.sort_unstable();
        if outcomes.len() == HANGING { Ok(outcomes) } else { Err(outcomes.len()) }
    })
    .await;
    let took = outcomes[HANGING - 1].duration_since(broken);
    // They are written twenty milliseconds apart.
    assert!(
        took > jiff::SignedDuration::from_millis(2900),
        "{HANGING} outcomes were written within {took:#}"
    );
    world.vendor.clear_scripts();
    world.vendor.come_back();
    world.until_cleared(HANGING, Duration::from_mins(3)).await;
    world.finish().await;
}
