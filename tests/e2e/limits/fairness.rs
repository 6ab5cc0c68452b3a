//! Fairness: neither another namespace's backlog nor a broken account delays anybody else.

use std::time::{Duration, Instant};

use serde_json::json;
use testbed::proxy::{Boundary, Fault, Position};
use testbed::vendor::{Command, Entry, Misbehaviour, When};
use testbed::{until, until_ok};

use crate::limits::{SECOND, fullest_second, until_called};
use crate::world::history::version;
use crate::world::replicas::NO_ELECTION;
use crate::world::{APP_ID, DEADLINE, KEY, Leg, World, chat_app, numbered, reason_of};

#[tokio::test]
async fn a_flood_of_resets_does_not_delay_another_namespace() {
    const FLOOD: usize = 300;
    let flood = World::new().await;
    let neighbour = flood.neighbour().await;
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
    until_called(&flood, 10).await;
    neighbour.many_resets(numbered("calm", 5)).await;
    let asked = Instant::now();
    neighbour.until_cleared(5, DEADLINE).await;
    let calm = |call: &Entry| call.group.as_deref().is_some_and(|group| group.starts_with("@TGS#calm"));
    let done = flood.vendor.entries(calm).iter().map(|call| call.arrived).max().unwrap();
    // The namespaces take turns. Half a second of the flood's attempts may have started before, and more
    // until the neighbour's resets are seen: up to a second on a busy machine.
    let before =
        flood.vendor.entries(|call| !calm(call) && call.arrived > asked && call.arrived < done).len();
    assert!(before <= 40, "{before} calls of the flood preceded the neighbour's five");
    let sent = flood.vendor.clears().len();
    assert!(sent < FLOOD, "the flood ended too early to prove anything");
    let fullest = fullest_second(&flood, Command::Clear);
    assert!(fullest <= 20, "{fullest} calls in one second");
}

#[tokio::test]
async fn the_oldest_reset_of_a_namespace_goes_first() {
    const RESETS: usize = 60;
    let world = World::new().await;
    let rooms = numbered("queue", RESETS);
    world.rooms(&rooms);
    // Created while the app is suspended; creation timestamps have a resolution of one second.
    let _operator = world.operator(&[]).await;
    world.app("  suspend: true").await;
    world.app_is("Suspended").await;
    for batch in rooms.chunks(RESETS / 3) {
        world.many_resets(batch.to_vec()).await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    world
        .patch("chatapp", "default", &json!({"suspend": false, "limits": {"callsPerSecond": 6}}).to_string())
        .await;
    world.until_cleared(RESETS, DEADLINE).await;
    let clears = world.vendor.clears();
    let position = |group: &str| clears.iter().position(|call| call.group.as_deref() == Some(group)).unwrap();
    let batches: Vec<Vec<usize>> = rooms
        .chunks(RESETS / 3)
        .map(|batch| batch.iter().map(|(_, group)| position(group)).collect())
        .collect();
    for pair in batches.windows(2) {
        let (last, first) = (pair[0].iter().max().unwrap(), pair[1].iter().min().unwrap());
        // Attempts start in order, and each is sent as soon as its intent is stored. Among the six with
        // permits and those started half a second early, the order is up to the API server.
        assert!(
            first + 12 > *last,
            "the last of the older batch was call {last}, the first of the newer batch call {first}"
        );
    }
}

#[tokio::test]
async fn hanging_or_rejected_apps_do_not_delay_resets_of_other_apps() {
    let world = World::new().await;
    for account in [7, 8] {
        world.vendor.account(account, KEY, &["administrator"]);
    }
    let _operator = world.operator(&[]).await;
    world.app("").await;
    for (app, account) in [("hanging", 7), ("refused", 8)] {
        world.apply(&chat_app(app, account, &world.vendor.url(), "")).await;
    }
    for app in ["default", "hanging", "refused"] {
        world.until_reason("chatapp", app, "Ready", "Verified").await;
    }
    world.vendor.script(When::any().by(7), Misbehaviour::Hang { execute: false });
    world.vendor.script(When::any().by(8), Misbehaviour::Code(70003));
    let thirty_of = async |app: &str| {
        world.many_resets_with(numbered(app, 30), &json!({"appRef": {"name": app}})).await;
    };
    thirty_of("refused").await;
    world.until_reason("chatapp", "refused", "Ready", "CredentialsRejected").await;
    let rooms = numbered("quick", 20);
    world.rooms(&rooms);
    thirty_of("hanging").await;
    let of =
        |account| world.vendor.entries(move |e| e.sdkappid == Some(account) && e.command == Command::Clear);
    until_ok(DEADLINE, "hanging calls", || async {
        if of(7).len() >= 10 { Ok(()) } else { Err(of(7).len()) }
    })
    .await;
    world.many_resets(rooms).await;
    until(DEADLINE, "the resets of the healthy app", || async {
        (world.reasons().await.get("Cleared") == Some(&20)).then_some(())
    })
    .await;
    // All were sent before the tenth hanging call timed out, which takes ten seconds.
    let last = of(APP_ID).iter().map(|call| call.arrived).max().unwrap();
    let after = last.saturating_duration_since(of(7)[9].arrived);
    assert!(after < Duration::from_secs(9), "the last call was sent {after:?} after the tenth hanging one");
}

/// Writes outside of attempts have a queue of their own, with at most 32 in flight.
#[tokio::test]
async fn mass_edits_do_not_delay_the_outcomes_of_another_namespace() {
    const FLOOD: usize = 120;
    let flood = World::breakable().await;
    let neighbour = flood.neighbour().await;
    let operator = flood.operator(&[&format!("--watch-namespace={}", neighbour.namespace)]).await;
    for world in [&flood, &neighbour] {
        world.secret("chat", KEY).await;
        world.apply(&chat_app("default", APP_ID, &flood.chat_url(), "")).await;
        world.app_is("Verified").await;
    }
    let records = Boundary::of("update", "groupattributeresets/status").always();
    let records = flood.plan(Leg::Api, records, Position::Before, Fault::Hold);
    flood.many_resets_with(numbered("flood", FLOOD), &json!({"suspend": true})).await;
    neighbour.reset("calm", "@TGS#calm", "  suspend: true").await;
    until_ok(DEADLINE, "all resets in the metrics", || async {
        let waiting = operator.metric("groupattr_waiting_resets", &[]).await;
        if waiting == Some((FLOOD + 1) as f64) { Ok(()) } else { Err((waiting, records.fired())) }
    })
    .await;
    assert!((records.fired() as usize) < FLOOD, "no write is queued, which proves nothing");
    records.release();
    let calm = version(&neighbour.reset_is("calm", "Suspended").await);
    until_ok(DEADLINE, "all of the flood to be suspended", || async {
        let reasons = flood.reasons().await;
        if reasons.get("Suspended") == Some(&FLOOD) { Ok(()) } else { Err(reasons) }
    })
    .await;
    let before = flood.all_resets().await.iter().filter(|reset| version(reset) < calm).count();
    assert!(before < FLOOD * 2 / 3, "{before} writes of the flood preceded it");
}

/// The operator writes twenty such updates a second across all namespaces.
#[tokio::test]
async fn mass_status_updates_do_not_delay_those_of_another_namespace() {
    const FLOOD: usize = 200;
    let flood = World::new().await;
    let neighbour = flood.neighbour().await;
    let missing_app = json!({"appRef": {"name": "nobody"}});
    flood.many_resets_with(numbered("flood", FLOOD), &missing_app).await;
    let _operator = flood.operator(&[&format!("--watch-namespace={}", neighbour.namespace)]).await;
    neighbour.many_resets_with(numbered("calm", 1), &missing_app).await;
    let calm = version(&neighbour.reset_is("calm-0", "AppNotFound").await);
    let updated = flood.all_resets().await;
    let before = updated
        .iter()
        .filter(|reset| reason_of(reset, "Succeeded") == "AppNotFound" && version(reset) < calm);
    let before = before.count();
    assert!(before < FLOOD / 2, "{before} status updates of the flood preceded it");
}

/// A neighbour can no longer go ahead of a request that is already queued at the API server.
#[tokio::test]
async fn at_most_16_intents_of_an_account_are_in_flight() {
    const RESETS: usize = 150;
    let world = World::breakable().await;
    let rooms = numbered("in-line", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    // With a latency of a second, as many again may start before the next answer.
    world.vendor.set_latency(SECOND, SECOND);
    world.many_resets(rooms.clone()).await;
    until_called(&world, 40).await;
    let intents = world.plan(Leg::Api, Boundary::intent().always(), Position::Before, Fault::Hold);
    intents.has_fired_times(16, DEADLINE).await;
    // No call is in flight any more, so every reset that is not cleared counts as waiting.
    until_ok(DEADLINE, "all outcomes to be recorded and the rest to be waiting", || async {
        let cleared = world.reasons().await.get("Cleared").copied().unwrap_or_default();
        let waiting = operator.metric("groupattr_waiting_resets", &[]).await;
        let is_settled = cleared == world.vendor.clears().len() && waiting == Some((RESETS - cleared) as f64);
        if is_settled { Ok(()) } else { Err((cleared, waiting, intents.fired())) }
    })
    .await;
    assert_eq!(intents.fired(), 16, "intents in flight");
    world.vendor.set_latency(Duration::ZERO, Duration::ZERO);
    intents.release();
    world.until_cleared(RESETS, DEADLINE).await;
    world.assert_each_cleared_once(&rooms);
}
