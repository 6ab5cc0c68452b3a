//! Before the first call: an account is proved, and so is each change of it.

use std::time::{Duration, Instant};

use testbed::until;
use testbed::vendor::{Command, Misbehaviour, When};

use super::{app_has, reset_says};
use crate::world::{APP_ID, DEADLINE, PROBE_GROUP, World, chat_app, condition_of};

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[tokio::test]
async fn an_app_that_nobody_has_looked_at_reads_as_pending() {
    let world = World::new().await;
    world.app("").await;
    let app = world.object("chatapp", "default").await.unwrap();
    assert_eq!(app["status"]["observedGeneration"], -1, "{app:#}");
    let ready = condition_of(&app, "Ready").unwrap();
    assert_eq!((&ready["status"], &ready["reason"]), (&"Unknown".into(), &"Pending".into()));
    assert_eq!(testbed::kstatus::kstatus(&app), testbed::kstatus::Status::InProgress);
}

#[tokio::test]
async fn nothing_is_sent_before_the_account_is_verified_nor_before_a_change_of_it_is() {
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

    // A new spec has to be proved anew. The probe of the first one must not count for it.
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
    assert!(probe.answered.unwrap() <= clear.arrived, "the clear was sent before the change was proved");
}

#[tokio::test]
async fn a_reset_may_come_before_its_app() {
    let world = World::new().await;
    world.room("@TGS#a");
    let _operator = world.operator(&[]).await;
    world.reset("a", "@TGS#a", "").await;
    let said = reset_says(&world, "a", "AppNotFound", "ChatApp default").await;
    assert!(said.contains("Create it") && said.contains("new GroupAttributeReset"), "{said}");
    world.app("").await;
    world.reset_is("a", "Cleared").await;
}

#[tokio::test]
async fn apps_without_their_secret_keep_nobody_of_their_account_waiting() {
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
    // One turn in five seconds would have made it half a minute.
    assert!(waited < Duration::from_secs(15), "verified after {waited:?}");
    assert!(applied.elapsed() < Duration::from_secs(20), "told after {:?}", applied.elapsed());
    assert_eq!(world.vendor.reads().len(), 1, "without a key there is nothing to send");
}

#[tokio::test]
async fn a_probe_on_an_old_spec_proves_nothing_about_the_new_one() {
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
        "the clear was sent before the change was proved"
    );
}
