//! `onUnknownOutcome`: attempts with an unknown outcome, or left behind by another process.

use std::time::{Duration, Instant};

use serde_json::json;
use testbed::until_ok;
use testbed::vendor::{Command, Entry, Misbehaviour, When};

use super::{seconds_between, time};
use crate::world::replicas::NO_ELECTION;
use crate::world::{DEADLINE, KEY, World, message_of};

/// An attempt with an unknown outcome, and the expected result.
struct Case {
    name: &'static str,
    script: Misbehaviour,
    more: &'static str,
    reason: &'static str,
    calls: usize,
    failures: i64,
}

#[tokio::test]
async fn an_unknown_outcome_is_read_back_before_anything_else() {
    let world = World::new().await;
    let operator = world.operator(&NO_ELECTION).await;
    world.secret("chat", KEY).await;
    let lost = || Misbehaviour::StatusAfterExecuting(502);
    let refused = || Misbehaviour::Status(503);
    let case =
        |name, script, more, (reason, calls, failures)| Case { name, script, more, reason, calls, failures };
    let stop = "  onUnknownOutcome: Stop";
    let cases = [
        case("retry-done", lost(), "", ("VerifiedEmpty", 1, 0)),
        case("retry-not-done", refused(), "", ("Cleared", 2, 1)),
        case("stop-done", lost(), stop, ("VerifiedEmpty", 1, 0)),
        case("stop-not-done", refused(), stop, ("OutcomeUnknown", 1, 0)),
        case("no-retry-left", refused(), "  backoffLimit: 0", ("BackoffLimitExceeded", 1, 1)),
        case("silent-done", Misbehaviour::Hang { execute: true }, "", ("VerifiedEmpty", 1, 0)),
        case("silent-not-done", Misbehaviour::Hang { execute: false }, "", ("Cleared", 2, 1)),
        case("broken-done", Misbehaviour::Reset { execute: true }, "", ("VerifiedEmpty", 1, 0)),
        case("disbanded-fail", lost(), "", ("GroupNotFound", 1, 0)),
        case("disbanded-succeed", lost(), "  onGroupNotFound: Succeed", ("GroupGone", 1, 0)),
        case("read-fails-once", lost(), "", ("VerifiedEmpty", 1, 0)),
        case("unsupported", lost(), "", ("GroupTypeNotSupported", 1, 0)),
        case("never-read", refused(), "  activeDeadlineSeconds: 25", ("OutcomeUnknown", 1, 0)),
        case(
            "too-late",
            Misbehaviour::Hang { execute: false },
            "  activeDeadlineSeconds: 8",
            ("OutcomeUnknown", 1, 0),
        ),
        case("suspended", refused(), "", ("Suspended", 1, 1)),
    ];
    for (account, case) in (1_500_000_001..).zip(&cases) {
        world.app_with_room(case.name, account, "").await;
        let group = format!("@TGS#{}", case.name);
        world.vendor.script(When::clear().of(&group).times(1), case.script.clone());
        if case.name.starts_with("disbanded") {
            world.vendor.script(When::get().of(&group), Misbehaviour::Code(10010));
        }
    }
    world.vendor.script(When::get().of("@TGS#read-fails-once").times(1), Misbehaviour::Status(500));
    world.vendor.script(When::get().of("@TGS#never-read"), Misbehaviour::Code(10006));
    world.vendor.script(When::get().of("@TGS#unsupported"), Misbehaviour::Code(10007));
    for case in &cases {
        world.until_reason("chatapp", case.name, "Ready", "Verified").await;
        world.reset_of_app(case.name, case.more).await;
    }
    until_ok(DEADLINE, "the first call of every reset", || async {
        let missing: Vec<_> = cases
            .iter()
            .filter(|case| world.calls(&format!("@TGS#{}", case.name)) == 0)
            .map(|case| case.name)
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    })
    .await;
    world.reset_is("suspended", "Verifying").await;
    // Suspending neither drops the attempt nor starts another one.
    world.merge("gar", "suspended", &json!({"spec": {"suspend": true}})).await;

    for (account, case) in (1_500_000_001..).zip(&cases) {
        let Case { name, reason, .. } = case;
        let object = world.reset_is(name, reason).await;
        let status = &object["status"];
        assert_eq!(
            (&status["attempts"], &status["failures"]),
            (&json!(case.calls), &json!(case.failures)),
            "{name}"
        );
        let group = format!("@TGS#{name}");
        assert_eq!(world.calls(&group), case.calls, "{name}");
        let reasons = world.reasons_of(name).await;
        assert_eq!(reasons[..2], ["Sending", "Verifying"], "{name}");
        let full = world.vendor.attributes(account, &group).is_some_and(|attributes| !attributes.is_empty());
        assert_eq!(full, ["OutcomeUnknown", "BackoffLimitExceeded", "Suspended"].contains(reason), "{name}");
        if *name != "too-late" {
            assert_read_back_in_time(&world, name).await;
        }
        if status["lastAttempt"]["outcome"] != "Succeeded" {
            assert_eq!(status["lastAttempt"]["outcome"], "Unknown", "{name}");
        }
    }
    assert_eq!(reads_of(&world, "@TGS#read-fails-once").len(), 2);
    let reads = reads_of(&world, "@TGS#never-read").len();
    assert!((2..=5).contains(&reads), "it was read {reads} times in twenty seconds");
    let message = message_of(&world.object("gar", "stop-not-done").await.unwrap(), "Succeeded");
    assert!(message.contains("2 attributes") && message.contains("requestID"), "{message}");
    world.event("GroupAttributeReset", "stop-not-done", "OutcomeUnknown").await;
    world.patch("gar", "suspended", "{\"suspend\":false}").await;
    world.reset_is("suspended", "Cleared").await;
    world.check(&[&operator]).await;
}

/// The first read comes once the first call can no longer take effect, and before the second call.
async fn assert_read_back_in_time(world: &World, name: &str) {
    let group = &format!("@TGS#{name}");
    let (calls, reads) = (world.vendor.clears_of(group), reads_of(world, group));
    let read = reads.first().unwrap_or_else(|| panic!("{group} was not read back"));
    let waited = if let Some(answered) = calls[0].answered {
        (read.arrived - answered).as_secs_f64()
    } else {
        let stored = world.stored().await;
        let intent = stored.iter().find(|stored| stored.object["metadata"]["name"] == name).unwrap();
        seconds_between(time(&intent.object["status"]["pendingAttempt"]["deadline"]), read.arrived_at)
    };
    // The vendor's backend may work on a call for five more seconds after its caller gave up.
    assert!((5.0..=13.0).contains(&waited), "{group} was read back after {waited} s");
    assert!(calls.get(1).is_none_or(|second| second.arrived > read.arrived), "{group}");
}

fn reads_of(world: &World, group: &str) -> Vec<Entry> {
    world.vendor.entries(|entry| entry.command == Command::Get && entry.group.as_deref() == Some(group))
}

#[tokio::test]
async fn an_attempt_left_by_a_dead_process_is_read_back_before_any_retry() {
    let world = World::new().await;
    let operator = world.operator(&NO_ELECTION).await;
    world.secret("chat", KEY).await;
    let names = ["done", "not-done", "stop", "asleep", "moved"];
    for (account, name) in (1_500_000_001..).zip(names) {
        world.app_with_room(name, account, "").await;
        let execute = ["done", "asleep"].contains(&name);
        world
            .vendor
            .script(When::clear().of(format!("@TGS#{name}")).times(1), Misbehaviour::Hang { execute });
    }
    for name in names {
        world.until_reason("chatapp", name, "Ready", "Verified").await;
        world.reset_of_app(name, if name == "stop" { "  onUnknownOutcome: Stop" } else { "" }).await;
    }
    until_ok(DEADLINE, "one call of every reset", || async {
        let calls = world.vendor.clears().len();
        if calls == names.len() { Ok(()) } else { Err(calls) }
    })
    .await;
    operator.kill9();
    let holder = world.object("gar", "done").await.unwrap()["status"]["pendingAttempt"]["holder"].clone();
    assert!(holder.is_string());
    world.patch("gar", "asleep", "{\"suspend\":true}").await;
    let elsewhere = world.vendor.url().replace("127.0.0.1", "localhost");
    world.patch("chatapp", "moved", &json!({"endpoint": elsewhere}).to_string()).await;

    let started = Instant::now();
    let next = world.operator(&NO_ELECTION).await;
    let moved = world.reset_is("moved", "OutcomeUnknown").await;
    assert!(
        message_of(&moved, "Succeeded").contains("another account or host"),
        "{}",
        message_of(&moved, "Succeeded")
    );
    let done = world.reset_is("done", "VerifiedEmpty").await;
    assert_eq!(
        (&done["status"]["attempts"], &done["status"]["lastAttempt"]["outcome"]),
        (&json!(1), &json!("Unknown"))
    );
    world.reset_is("asleep", "VerifiedEmpty").await;
    world.reset_is("stop", "OutcomeUnknown").await;
    let again = world.reset_is("not-done", "Cleared").await;
    assert_eq!((&again["status"]["attempts"], &again["status"]["failures"]), (&json!(2), &json!(1)));
    for (name, calls) in [("done", 1), ("asleep", 1), ("stop", 1), ("moved", 1), ("not-done", 2)] {
        let group = format!("@TGS#{name}");
        assert_eq!(world.calls(&group), calls, "{name}");
        // The dead process's attempt may last ten seconds and the backend five more, by the successor's clock.
        for read in reads_of(&world, &group) {
            assert!(
                read.arrived - started >= Duration::from_secs(15),
                "{name}: {:?}",
                read.arrived - started
            );
        }
    }
    assert_eq!(reads_of(&world, "@TGS#done").len(), 1);
    world.check(&[&operator, &next]).await;
}
