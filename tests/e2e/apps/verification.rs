//! Before the first clear, an app is verified, and so is each change to it.

use std::time::{Duration, Instant};

use testbed::until;
use testbed::vendor::{Command, Misbehaviour, When};

use super::{app_has, reset_says};
use crate::world::{APP_ID, DEADLINE, PROBE_GROUP, World, chat_app, condition_of};

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[tokio::test]
async fn an_unobserved_app_is_pending() {
    let world = World::new().await;
    world.app("").await;
    let app = world.object("chatapp", "default").await.unwrap();
    assert_eq!(app["status"]["observedGeneration"], -1, "{app:#}");
    let ready = condition_of(&app, "Ready").unwrap();
    assert_eq!((&ready["status"], &ready["reason"]), (&"Unknown".into(), &"Pending".into()));
    assert_eq!(testbed::kstatus::kstatus(&app), testbed::kstatus::Status::InProgress);
}

#[tokio::test]
async fn no_clear_is_sent_before_the_app_or_a_change_to_it_is_verified() {
    let world = World::new().await;
    for group in ["@TGS#a", "@TGS#b"] {
        world.room(group);
    }
    world.vendor.script(When::get().of(PROBE_GROUP).times(1), Misbehaviour::DelayAfter(millis(1500)));
    let _operator = world.operator(&[]).await;
    world.reset("a", "@TGS#a", "").await;
    world.app("").await;
    world.reset_is("a", "Cleared").await;
    let journal = world.vendor.journal();
    let (probe, clear) = (&journal[0], &journal[1]);
    assert_eq!((probe.command, clear.command), (Command::Get, Command::Clear));
    assert!(probe.answered.unwrap() <= clear.arrived, "the clear was sent before the probe was answered");

    // A new spec must be verified again: the first spec's probe does not count.
    world.vendor.clear_scripts();
    world.vendor.script(When::get().of(PROBE_GROUP).times(1), Misbehaviour::DelayAfter(millis(1500)));
    let probes = world.vendor.reads().len();
    world.patch("chatapp", "default", r#"{"limits":{"callsPerSecond":100}}"#).await;
    until(DEADLINE, "the second probe", || async { (world.vendor.reads().len() > probes).then_some(()) })
        .await;
    world.reset("b", "@TGS#b", "").await;
    world.reset_is("b", "Cleared").await;
    let probe = world.vendor.reads().pop().unwrap();
    let clear = world.vendor.clears_of("@TGS#b").pop().unwrap();
    assert!(probe.answered.unwrap() <= clear.arrived, "the clear was sent before the change was verified");
}

#[tokio::test]
async fn a_reset_may_be_created_before_its_app() {
    let world = World::new().await;
    world.room("@TGS#a");
    let _operator = world.operator(&[]).await;
    world.reset("a", "@TGS#a", "").await;
    let message = reset_says(&world, "a", "AppNotFound", "ChatApp default").await;
    assert!(message.contains("Create it") && message.contains("new GroupAttributeReset"), "{message}");
    world.app("").await;
    world.reset_is("a", "Cleared").await;
}

#[tokio::test]
async fn apps_with_a_missing_secret_do_not_delay_others_of_their_account() {
    let world = World::new().await;
    let _operator = world.operator(&[]).await;
    let url = world.vendor.url();
    for number in 0..6 {
        let app = chat_app(&format!("broken-{number}"), APP_ID, &url, "")
            .replace("name: chat }", "name: nowhere }");
        world.apply(&app).await;
    }
    world.app("").await;
    let applied = Instant::now();
    world.app_is("Verified").await;
    let waited = applied.elapsed();
    for number in 0..6 {
        app_has(&world, &format!("broken-{number}"), "SecretNotFound").await;
    }
    // Behind the others, at one probe per five seconds, it would have taken half a minute.
    assert!(waited < Duration::from_secs(15), "verified after {waited:?}");
    assert!(applied.elapsed() < Duration::from_secs(20), "reported after {:?}", applied.elapsed());
    assert_eq!(world.vendor.reads().len(), 1, "nothing can be sent without a key");
}

#[tokio::test]
async fn a_probe_of_the_old_spec_does_not_verify_the_new_one() {
    let world = World::new().await;
    world.room("@TGS#a");
    let slow = When::get().of(PROBE_GROUP).times(1);
    world.vendor.script(slow, Misbehaviour::DelayAfter(Duration::from_secs(3)));
    let _operator = world.operator(&[]).await;
    world.app("").await;
    until(DEADLINE, "the first probe", || async { (!world.vendor.reads().is_empty()).then_some(()) }).await;
    world.patch("chatapp", "default", r#"{"limits":{"callsPerSecond":100}}"#).await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    let (probes, clears) = (world.vendor.reads(), world.vendor.clears());
    assert_eq!((probes.len(), clears.len()), (2, 1));
    assert!(
        probes[1].answered.unwrap() <= clears[0].arrived,
        "the clear was sent before the change was verified"
    );
}
