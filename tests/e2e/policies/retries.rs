//! `backoffLimit` and `nextAttemptTime`.

use jiff::Timestamp;
use serde_json::json;

use super::{in_seconds, seconds_between, time};
use crate::world::{KEY, World, message_of, reason_of};

#[tokio::test]
async fn unsent_attempts_are_retried_with_backoff_up_to_the_limit() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    let cases = [
        ("limit-0", "  backoffLimit: 0"),
        ("limit-1", "  backoffLimit: 1"),
        ("limit-2", "  backoffLimit: 2"),
        ("limit-6", ""),
    ];
    for (account, (name, _)) in (1_500_000_001..).zip(cases) {
        world.app_with_room(name, account, "").await;
    }
    for (name, _) in cases {
        world.until_reason("chatapp", name, "Ready", "Verified").await;
    }
    world.vendor.go_down();
    for (name, more) in cases {
        world.reset_of_app(name, more).await;
    }
    for (name, failures) in [("limit-0", 1), ("limit-1", 2), ("limit-2", 3)] {
        let object = world.reset_is(name, "BackoffLimitExceeded").await;
        let status = &object["status"];
        assert_eq!(status["failures"], failures, "{name}");
        assert_eq!(status["attempts"], 0, "{name}: nothing was sent");
        assert_eq!(status["lastAttempt"]["outcome"], "NotSent", "{name}");
        let message = message_of(&object, "Succeeded");
        assert!(message.contains("backoffLimit") && message.contains("requestID"), "{message}");
    }

    // The third failure in a row makes the app `Unreachable`, and waiting for the app is not a failure.
    world.until_reason("chatapp", "limit-6", "Ready", "Unreachable").await;
    let waiting = world.reset_is("limit-6", "AppNotReady").await;
    assert_eq!(waiting["status"]["failures"], 3);
    world.vendor.come_back();
    let cleared = world.reset_is("limit-6", "Cleared").await;
    assert_eq!((&cleared["status"]["failures"], &cleared["status"]["attempts"]), (&json!(3), &json!(1)));
    assert_eq!(world.vendor.clears().len(), 1, "a finished reset was sent");

    // Each delay is between half and all of its backoff step, in whole seconds.
    let mut waits = 0;
    for stored in world.stored().await {
        let status = &stored.object["status"];
        if reason_of(&stored.object, "Succeeded") == "RetryScheduled" {
            let wait = seconds_between(
                time(&status["lastAttempt"]["completionTime"]),
                time(&status["nextAttemptTime"]),
            );
            let longest = f64::from(1 << status["failures"].as_i64().unwrap());
            assert!((longest / 2.0..=longest + 1.1).contains(&wait), "{wait} s after {}", status["failures"]);
            waits += 1;
        }
    }
    assert!(waits >= 5, "{waits}");
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn the_retry_time_survives_a_restart_and_a_wrong_clock() {
    let world = World::new().await;
    world.app("").await;
    // As left by an earlier process.
    let cases = [("kept", 30, 5), ("wrong-clock", 3600, 1), ("over", -60, 3)];
    let mut due = Vec::new();
    for (name, seconds, failures) in cases {
        let group = format!("@TGS#{name}");
        world.room(&group);
        world.reset(name, &group, "").await;
        let next = in_seconds(seconds);
        due.push(next);
        let since = in_seconds(-5).to_string();
        let condition = |type_: &str, status: &str| {
            json!({"type": type_, "status": status, "reason": "RetryScheduled", "message": "As before.",
                "lastTransitionTime": since, "observedGeneration": 1})
        };
        let status = json!({
            "observedGeneration": 1, "startTime": since, "attempts": failures, "failures": failures,
            "nextAttemptTime": next.to_string(),
            "conditions": [condition("Succeeded", "Unknown"), condition("Ready", "False"),
                condition("Finished", "False"), condition("Reconciling", "True")],
        });
        world.put_status(name, &status).await;
    }
    let operator = world.operator(&[]).await;
    world.app_is("Verified").await;
    let verified = Timestamp::now();
    for (name, _, failures) in cases {
        let object = world.reset_is(name, "Cleared").await;
        assert_eq!(
            (&object["status"]["attempts"], &object["status"]["failures"]),
            (&json!(failures + 1), &json!(failures))
        );
    }
    let arrived = |name: &str| world.vendor.clears_of(&format!("@TGS#{name}"))[0].arrived_at;
    let late = seconds_between(due[0], arrived("kept"));
    assert!((0.0..=3.0).contains(&late), "sent {late} s after its time");
    // At most the two seconds that one failure costs, not the hour that a wrong clock stored.
    assert!(seconds_between(verified, arrived("wrong-clock")) <= 5.0);
    assert!(seconds_between(verified, arrived("over")) <= 3.0);
    world.check(&[&operator]).await;
}
