//! Refusals by the vendor that concern the account.

use std::time::{Duration, Instant};

use testbed::vendor::{Misbehaviour, When};

use super::{app_has, assert_says, reset_says};
use crate::world::{APP_ID, KEY, World, chat_app};

#[tokio::test]
async fn each_account_refusal_has_its_reason_and_remedy() {
    let world = World::new().await;
    let _operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    let refusals = [
        ("unpaid", 60020, "AccountUnavailable", "plan"),
        ("disabled", 60016, "AccountUnavailable", "console"),
        ("elsewhere", 60026, "WrongRegion", "spec.region"),
        ("another-api", 60009, "EndpointRejected", "spec.endpoint"),
        ("stranger", 60010, "CredentialsRejected", "spec.identifier"),
        ("hasty", 70050, "CredentialsRejected", "wait at least a minute"),
    ];
    for (account, (name, code, ..)) in (1_u64..).zip(refusals) {
        world.vendor.account(account, KEY, &["administrator"]);
        world.vendor.script(When::any().by(account), Misbehaviour::Code(code));
        world.apply(&chat_app(name, account, &world.vendor.url(), "")).await;
    }
    for (name, code, reason, remedy) in refusals {
        let app = app_has(&world, name, reason).await;
        assert_eq!(app["status"]["lastErrorCode"], code, "{app:#}");
        assert_says(&app, &[&format!("code {code}"), remedy]);
    }

    world.vendor.clear_scripts();
    for (name, ..) in refusals.iter().filter(|(name, ..)| *name != "hasty") {
        app_has(&world, name, "Verified").await;
    }
    // After 70050 the operator waits a minute; a change of the spec ends the wait at once.
    let hasty = || world.vendor.entries(|entry| entry.sdkappid == Some(6)).len();
    assert_eq!(hasty(), 1, "the others were probed again, but this one must not be");
    world.patch("chatapp", "hasty", r#"{"limits":{"callsPerSecond":100}}"#).await;
    let patched = Instant::now();
    app_has(&world, "hasty", "Verified").await;
    assert!(patched.elapsed() < Duration::from_secs(8), "a change of the spec must be probed at once");
}

#[tokio::test]
async fn what_does_not_speak_the_vendors_api_ends_no_reset() {
    let world = World::new().await;
    for group in ["@TGS#a", "@TGS#b"] {
        world.room(group);
    }
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    // A gateway begins to rewrite the path.
    world.vendor.script(When::any().by(APP_ID), Misbehaviour::Code(60009));
    for name in ["a", "b"] {
        world.reset(name, &format!("@TGS#{name}"), "").await;
    }
    world.app_is("EndpointRejected").await;
    for name in ["a", "b"] {
        reset_says(&world, name, "AppNotReady", "60009").await;
    }
    world.vendor.clear_scripts();
    for name in ["a", "b"] {
        let reset = world.reset_is(name, "Cleared").await;
        assert_eq!(reset["status"]["failures"].as_i64().unwrap_or_default(), 0, "{reset:#}");
    }
}

#[tokio::test]
async fn an_account_refused_later_makes_a_reset_wait_without_a_failure() {
    let world = World::new().await;
    world.room("@TGS#a");
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(When::any().by(APP_ID), Misbehaviour::Code(60020));
    world.reset("a", "@TGS#a", "").await;
    reset_says(&world, "a", "AppNotReady", "60020").await;
    let app = world.app_is("AccountUnavailable").await;
    assert_eq!(app["status"]["lastErrorCode"], 60020);
    world.vendor.clear_scripts();
    let reset = world.reset_is("a", "Cleared").await;
    assert_eq!(reset["status"]["failures"].as_i64().unwrap_or_default(), 0, "{reset:#}");
    assert_eq!(reset["status"]["attempts"], 2, "the refused call and the accepted one");
}
