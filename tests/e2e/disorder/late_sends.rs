//! Something changes while an intent is in flight or waits for its permit. The last check before the call
//! must notice the change and the time that has passed.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use testbed::OperatorProcess;
use testbed::proxy::{Boundary, Fault, Plan, Position};
use testbed::vendor::{Misbehaviour, When};

use crate::world::{APP_ID, DEADLINE, Leg, World, time};

/// A reset named `room` of a working app: its intent is stored, but the operator has no answer yet.
struct DelayedAttempt {
    world: World,
    answer: Plan,
    _operator: OperatorProcess,
}

impl DelayedAttempt {
    /// `app` and `reset` are further lines of the specs.
    async fn new(app: &str, reset: impl FnOnce() -> String) -> Self {
        let world = World::breakable().await;
        world.room("@TGS#room");
        let intent = Boundary::intent().about("room");
        let answer = world.plan(Leg::Api, intent, Position::LostAnswer, Fault::Hold);
        let operator = world.operator(&[]).await;
        world.app(app).await;
        world.app_is("Verified").await;
        world.reset("room", "@TGS#room", &reset()).await;
        answer.has_fired(DEADLINE).await;
        Self { world, answer, _operator: operator }
    }

    /// Waits until the operator has seen all changes of resets and apps so far.
    async fn until_seen(&self, name: &str, app: &str, reason: &str) {
        let world = &self.world;
        world.reset(name, &format!("@TGS#{name}"), &format!("  appRef: {{ name: {app} }}")).await;
        world.reset_is(name, reason).await;
    }
}

/// The app is suspended or deleted when only the call is missing.
#[tokio::test]
async fn no_call_is_sent_for_an_app_suspended_or_deleted_meanwhile() {
    for (change, reason) in [
        (["patch", r#"--patch={"spec":{"suspend":true}}"#], "AppSuspended"),
        (["delete", "--wait"], "AppNotFound"),
    ] {
        let delayed = DelayedAttempt::new("", String::new).await;
        let world = &delayed.world;
        let [verb, how] = change;
        let mut command = vec![verb, "chatapp", "default", how];
        command.extend((verb == "patch").then_some("--type=merge"));
        assert!(world.kubectl(&command).await.ok, "{command:?}");
        delayed.until_seen("other", "default", reason).await;
        delayed.answer.release();
        let reset = world.reset_is("room", reason).await;
        assert_eq!(reset["status"]["lastAttempt"]["outcome"], "NotSent", "{reset:#}");
        assert_eq!(world.calls("@TGS#room"), 0, "{verb}");
    }
}

/// Its permit, its group's interval and its read-back rely on that.
#[tokio::test]
async fn a_late_call_times_out_with_its_attempt() {
    let delayed = DelayedAttempt::new("", String::new).await;
    let world = &delayed.world;
    world.vendor.script(When::clear().of("@TGS#room").times(1), Misbehaviour::Hang { execute: true });
    let clock = "  appRef: { name: nobody }\n  activeDeadlineSeconds: 4";
    world.reset("clock", "@TGS#clock", clock).await;
    world.reset_is("clock", "DeadlineExceeded").await;
    delayed.answer.release();
    let status = world.reset_is("room", "Verifying").await["status"].clone();
    let waited = time(&status["lastAttempt"]["completionTime"])
        .duration_since(time(&status["pendingAttempt"]["deadline"]));
    assert!(waited < SignedDuration::from_millis(2500), "it waited {waited:#} too long");
    world.reset_is("room", "VerifiedEmpty").await;
    assert_eq!(world.calls("@TGS#room"), 1);
}

/// The call of another process holds the only permit until the reset has expired.
#[tokio::test]
async fn a_late_permit_is_not_used() {
    let not_after =
        || format!("  notAfter: {:?}", (Timestamp::now() + SignedDuration::from_millis(3500)).to_string());
    let delayed = DelayedAttempt::new("  limits: { callsPerSecond: 1 }", not_after).await;
    let world = &delayed.world;
    // It waits for the same permit, so it has no status yet, and the operator still trusts foreign attempts
    // shortly after its start.
    world.reset("elsewhere", "@TGS#elsewhere", "").await;
    let now = Timestamp::now();
    let host = world.chat_url().trim_start_matches("http://").to_owned();
    let pending = json!({"id": "another", "number": 1, "startTime": now, "deadline": now + SignedDuration::from_secs(3),
        "holder": "somebody", "sdkAppID": APP_ID, "host": host});
    world.put_status("elsewhere", &json!({"observedGeneration": 1, "pendingAttempt": pending})).await;
    delayed.until_seen("other", "nobody", "AppNotFound").await;
    delayed.answer.release();
    let reset = world.reset_is("room", "Expired").await;
    assert_eq!(reset["status"]["lastAttempt"]["outcome"], "NotSent", "{reset:#}");
    assert_eq!(world.calls("@TGS#room"), 0);
}
