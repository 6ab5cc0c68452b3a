//! Noisy neighbours: how long a reset takes from its creation to its call, alone and beside neighbours of
//! every bad kind.
//!
//! Interference costs seconds: a hanging call, a pause, a full queue. A busy machine adds far less, so the
//! bounds are generous, and the figures are printed.

use std::time::{Duration, Instant};

use crate::world::{DEADLINE, KEY, World, chat_app, numbered};
use futures::future::join_all;
use testbed::until;
use testbed::vendor::{Command, Misbehaviour, When};

/// Resets that are created one after another.
const RESETS: usize = 40;

/// Latencies of many resets, from creation to the arrival of the call.
#[derive(Debug)]
struct Waits {
    median: Duration,
    /// The third longest, because a single pause of the machine says nothing about neighbours.
    long: Duration,
}

impl Waits {
    /// Measures resets of the app `default`; `name` is the prefix of their names and rooms.
    async fn measured(world: &World, name: &str) -> Self {
        let mut waits = Vec::new();
        for (name, group) in numbered(name, RESETS) {
            world.room(&group);
            world.reset(&name, &group, "").await;
            let created = Instant::now();
            let call =
                until(DEADLINE, "its call", || async { world.vendor.clears_of(&group).into_iter().next() })
                    .await;
            // The call may arrive before the response to the creation.
            waits.push(call.arrived.saturating_duration_since(created));
        }
        waits.sort();
        Self { median: waits[RESETS / 2], long: waits[RESETS - 3] }
    }

    fn assert_like(&self, clean: &Self, beside: &str) {
        println!("alone {clean:.1?}, beside {beside} {self:.1?}");
        let bound = clean.median * 3 + Duration::from_millis(150);
        assert!(self.median <= bound, "beside {beside}: {self:.1?}, alone: {clean:.1?}");
        let bound = clean.long.max(Duration::from_millis(300)) * 3;
        assert!(self.long <= bound, "beside {beside}: {self:.1?}, alone: {clean:.1?}");
    }
}

#[tokio::test]
async fn no_noisy_neighbour_slows_down_a_healthy_account() {
    let world = World::new().await;
    let flood = world.neighbour().await;
    let more = [
        format!("--watch-namespace={}", flood.namespace),
        format!("--allow-endpoint={}", flood.vendor.address()),
    ];
    let operator = world.operator(&more.each_ref().map(String::as_str)).await;
    world.app("").await;
    flood.app("  limits: { callsPerSecond: 20 }").await;
    world.vendor.account(7, KEY, &["administrator"]);
    world.apply(&chat_app("hanging", 7, &world.vendor.url(), "")).await;
    for (world, app) in [(&world, "default"), (&world, "hanging"), (&flood, "default")] {
        world.until_reason("chatapp", app, "Ready", "Verified").await;
    }
    Waits::measured(&world, "warm").await;
    let clean = Waits::measured(&world, "alone").await;

    // Fifty resets, the first few of which make calls that hang.
    world.vendor.script(When::any().by(7), Misbehaviour::Hang { execute: false });
    let rooms = numbered("hanging", 50);
    let app = "  appRef: { name: hanging }";
    join_all(rooms.iter().map(|(name, group)| world.reset(name, group, app))).await;
    let hangs =
        || world.vendor.entries(|call| call.sdkappid == Some(7) && call.command == Command::Clear).len();
    until(DEADLINE, "hanging calls", || async { (hangs() >= 10).then_some(()) }).await;
    Waits::measured(&world, "hanging-too").await.assert_like(&clean, "an endpoint that hangs");
    world.until_reason("chatapp", "hanging", "Ready", "Unreachable").await;
    Waits::measured(&world, "open-too").await.assert_like(&clean, "an open circuit with fifty waiting");

    // An account with a wrong key and a hundred waiting resets.
    world.secret("wrong", &KEY.replace('0', "1")).await;
    world.vendor.account(8, KEY, &["administrator"]);
    let wrong = chat_app("wrong", 8, &world.vendor.url(), "").replace("name: chat }", "name: wrong }");
    world.apply(&wrong).await;
    world.until_reason("chatapp", "wrong", "Ready", "CredentialsRejected").await;
    for (name, group) in numbered("wrong", 100) {
        world.reset(&name, &group, "  appRef: { name: wrong }").await;
    }
    Waits::measured(&world, "wrong-too").await.assert_like(&clean, "a wrong key with a hundred waiting");

    // Another namespace with a thousand resets.
    let rooms = numbered("flood", 1000);
    flood.rooms(&rooms);
    flood.many_resets(rooms).await;
    Waits::measured(&world, "flood-too").await.assert_like(&clean, "a namespace with a thousand waiting");
    let sent = flood.vendor.clears().len();
    assert!(sent < 1000, "the flood ended too early to prove anything");
    assert_eq!(operator.exit_status(), None, "{}", operator.logs());
    // The last call has arrived; its outcome is stored a moment later.
    until(DEADLINE, "all resets of the healthy account to be cleared", || async {
        (world.reasons().await.get("Cleared") == Some(&(RESETS * 6))).then_some(())
    })
    .await;
}
