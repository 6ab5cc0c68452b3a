//! Apps in two namespaces name the same account.

use std::time::{Duration, Instant};

use testbed::vendor::Command;

use crate::world::replicas::NO_ELECTION;
use crate::world::{APP_ID, DEADLINE, KEY, World, chat_app, numbered};

#[tokio::test]
async fn apps_of_one_account_share_its_lowest_limit_across_namespaces() {
    const RESETS: usize = 15;
    const AGAIN: usize = 200;
    let here = World::new().await;
    let there = here.neighbour().await;
    let _operator = here.operator(&[NO_ELECTION[0], &format!("--watch-namespace={}", there.namespace)]).await;
    let app = |limit: u32| {
        chat_app("default", APP_ID, &here.vendor.url(), &format!("  limits: {{ callsPerSecond: {limit} }}"))
    };
    for (world, limit, name) in [(&here, 200, "here"), (&there, 5, "there")] {
        here.rooms(&numbered(name, RESETS));
        world.secret("chat", KEY).await;
        world.apply(&app(limit)).await;
    }
    here.app_is("Verified").await;
    there.app_is("Verified").await;
    here.many_resets(numbered("here", RESETS)).await;
    there.many_resets(numbered("there", RESETS)).await;
    here.until_cleared(RESETS, DEADLINE).await;
    there.until_cleared(RESETS, DEADLINE).await;
    let fullest = here.vendor.fullest_window(APP_ID, Command::Clear, Duration::from_secs(1));
    assert!((4..=5).contains(&fullest), "{fullest} calls in one second, {} are allowed", 5);
    // Together they use the whole limit: 30 calls at 5/s.
    let clears = here.vendor.clears();
    let took = clears.last().unwrap().arrived - clears.first().unwrap().arrived;
    assert!(took < Duration::from_secs(12), "30 calls took {took:?}");

    // The slow app is deleted, and its limit with it.
    there.kubectl(&["delete", "chatapp", "default"]).await;
    let again = numbered("again", AGAIN);
    here.rooms(&again);
    let started = Instant::now();
    here.many_resets(again).await;
    here.until_cleared(RESETS + AGAIN, DEADLINE).await;
    // At the deleted app's limit they would take twice as long.
    assert!(started.elapsed() < Duration::from_secs(20), "{AGAIN} calls took {:?}", started.elapsed());
}

#[tokio::test]
async fn an_app_with_a_wrong_key_does_not_slow_down_the_account_it_names() {
    const RESETS: usize = 40;
    let here = World::new().await;
    let stranger = here.neighbour().await;
    let _operator =
        here.operator(&[NO_ELECTION[0], &format!("--watch-namespace={}", stranger.namespace)]).await;
    stranger.secret("chat", &KEY.replace("c0", "d1")).await;
    let limits = "  limits: { callsPerSecond: 1, groupIntervalMilliseconds: 60000 }";
    stranger.apply(&chat_app("default", APP_ID, &here.vendor.url(), limits)).await;
    stranger.app_is("CredentialsRejected").await;
    stranger.many_resets(numbered("greedy", 20)).await;
    let started = Instant::now();
    here.app("  limits: { callsPerSecond: 20 }").await;
    here.app_is("Verified").await;
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "a stranger's probes delayed it by {:?}",
        started.elapsed()
    );

    let rooms = numbered("here", RESETS);
    here.rooms(&rooms);
    let started = Instant::now();
    here.many_resets(rooms).await;
    here.until_cleared(RESETS, DEADLINE).await;
    assert!(started.elapsed() < Duration::from_secs(15), "{RESETS} calls took {:?}", started.elapsed());
    assert_eq!(here.vendor.clears().len(), RESETS, "nothing may be sent for the stranger");
}
