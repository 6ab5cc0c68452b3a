//! Attack: influence another account's limits with a forged status that claims a verified key.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use testbed::until;

use super::tenant::Tenant;
use crate::world::replicas::NO_ELECTION;
use crate::world::{APP_ID, DEADLINE, KEY, World, chat_app, numbered};

#[tokio::test]
async fn a_forged_proof_does_not_affect_the_limits_of_an_account_even_after_a_restart() {
    const RESETS: usize = 30;
    let world = World::new().await;
    let other = world.neighbour().await;
    let both = [format!("--watch-namespace={}", other.namespace), NO_ELECTION[0].to_owned()];
    let both = both.each_ref().map(String::as_str);
    let operator = world.operator(&both).await;
    world.app("").await;
    world.app_is("Verified").await;
    // A wrong key, the victim's account, and a limit that would slow it down.
    other.secret("chat", &KEY.replace('0', "1")).await;
    let limits = "  limits: { callsPerSecond: 1, groupIntervalMilliseconds: 60000 }";
    other.apply(&chat_app("thief", APP_ID, &world.vendor.url(), limits)).await;
    other.until_reason("chatapp", "thief", "Ready", "CredentialsRejected").await;
    let tenant = Tenant::with_stray_rights(world.plane, &other.namespace).await;
    let forged = json!({"observedGeneration": 1, "lastErrorCode": null, "lastVerifiedTime": Timestamp::now(),
        "conditions": [{"type": "Ready", "status": "True", "reason": "Verified", "message": "forged",
            "lastTransitionTime": Timestamp::now(), "observedGeneration": 1}]});
    tenant.forge("ChatApp", "thief", &forged).await;
    other.until_reason("chatapp", "thief", "Ready", "CredentialsRejected").await;
    let send = async |name: &str| {
        let rooms = numbered(name, RESETS);
        world.rooms(&rooms);
        let begun = Instant::now();
        world.many_resets(rooms).await;
        until(DEADLINE, "all resets to be sent", || async {
            let of_name = |group: &String| group.contains(name);
            let clears = world.vendor.clears();
            let sent = clears.iter().filter(|call| call.group.as_ref().is_some_and(of_name)).count();
            (sent == RESETS).then_some(())
        })
        .await;
        begun.elapsed()
    };
    let running = send("running").await;

    operator.terminate();
    operator.wait_exit(DEADLINE).await;
    tenant.forge("ChatApp", "thief", &forged).await;
    let next = world.operator(&both).await;
    let restarted = send("restarted").await;
    println!("{RESETS} resets took {running:.1?} beside it, and {restarted:.1?} after a restart");
    // At one call a second they would take half a minute.
    let bound = Duration::from_secs(12);
    assert!(running < bound && restarted < bound, "{running:?} {restarted:?}");
    // The forged status is corrected at once, although none of the app's resets was ever sent.
    other.until_reason("chatapp", "thief", "Ready", "CredentialsRejected").await;
    assert_eq!(next.exit_status(), None);
}

/// The stricter of two valid apps also applies after a restart, before anything is sent for it.
#[tokio::test]
async fn the_lowest_limit_of_an_account_applies_after_a_restart() {
    const RESETS: usize = 40;
    const LIMIT: usize = 5;
    let world = World::new().await;
    let operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    let careful = format!("  limits: {{ callsPerSecond: {LIMIT} }}");
    world.apply(&chat_app("careful", APP_ID, &world.vendor.url(), &careful)).await;
    for app in ["default", "careful"] {
        world.until_reason("chatapp", app, "Ready", "Verified").await;
    }
    operator.terminate();
    operator.wait_exit(DEADLINE).await;
    let rooms = numbered("room", RESETS);
    world.rooms(&rooms);
    world.many_resets(rooms).await;
    let _next = world.operator(&NO_ELECTION).await;
    world.until_cleared(RESETS, DEADLINE).await;
    let clears = world.vendor.clears();
    let (first, last) = (clears[0].arrived, clears[RESETS - 1].arrived);
    // Both apps are probed at the time of the first call; only a few calls are sent before the answer.
    let shortest = Duration::from_secs((RESETS / LIMIT - 3) as u64);
    assert!(last - first >= shortest, "{RESETS} within {:?}", last - first);
}
