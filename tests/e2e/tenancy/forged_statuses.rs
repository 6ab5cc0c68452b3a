//! Attack: overwrite statuses to make a running operator forget what it sent, which resets are final, or
//! which permits are free.
//!
//! The attacker has unintended permissions: `resources: ["*"]` in a Role of its namespace. No admission
//! policy is installed.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::vendor::{Misbehaviour, When};
use testbed::{OperatorProcess, until};

use super::tenant::Tenant;
use crate::world::replicas::NO_ELECTION;
use crate::world::{APP_ID, DEADLINE, KEY, World, chat_app, message_of, numbered, reason_of};

/// A namespace with an operator, a working account, and a tenant who may write statuses.
struct Attacked {
    world: World,
    tenant: Tenant,
    _operator: OperatorProcess,
}

impl Attacked {
    async fn new() -> Self {
        let world = World::new().await;
        // The oracles trust what is stored, and here somebody else writes it.
        world.skip_oracles();
        let operator = world.operator(&NO_ELECTION).await;
        world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
        world.app_is("Verified").await;
        let tenant = Tenant::with_stray_rights(world.plane, &world.namespace).await;
        Self { world, tenant, _operator: operator }
    }

    async fn cleared(&self, name: &str, more: &str) -> Value {
        self.world.room(&format!("@TGS#{name}"));
        self.world.reset(name, &format!("@TGS#{name}"), more).await;
        self.world.reset_is(name, "Cleared").await
    }

    /// Waits until the operator has restored the status.
    async fn is_restored(&self, name: &str, reason: &str, request: Option<&str>) -> Value {
        until(DEADLINE, "the status to be restored", || async {
            let reset = self.world.object("gar", name).await?;
            let is_same = reset["status"]["requestID"].as_str() == request
                && reset["status"]["completionTime"].is_string()
                && reset["status"]["pendingAttempt"].is_null();
            (is_same && reason_of(&reset, "Succeeded") == reason).then_some(reset)
        })
        .await
    }
}

#[tokio::test]
async fn erasing_the_status_of_a_finished_reset_sends_no_second_clear() {
    let attacked = Attacked::new().await;
    attacked.cleared("plain", "").await;
    attacked.cleared("named", "  requestID: one").await;
    for (name, request) in [("plain", None), ("named", Some("one"))] {
        let group = format!("@TGS#{name}");
        // Somebody has joined since.
        attacked.world.room(&group);
        for forged in [
            Value::Null,
            json!({"completionTime": null, "conditions": [], "attempts": 0, "lastAttempt": null}),
            json!({"observedGeneration": -1, "completionTime": null, "conditions": []}),
            json!({"pendingAttempt": {"id": "forged", "number": 1, "startTime": Timestamp::now(),
                "deadline": Timestamp::now() + SignedDuration::from_secs(10), "holder": "nobody", "sdkAppID": APP_ID,
                "host": attacked.world.vendor.address().to_string()}, "completionTime": null, "conditions": []}),
        ] {
            attacked.tenant.forge("GroupAttributeReset", name, &forged).await;
            let restored = attacked.is_restored(name, "Cleared", request).await;
            assert!(message_of(&restored, "Succeeded").contains("somebody else"), "{restored:#}");
            assert_eq!(restored["status"]["attempts"], 1, "{restored:#}");
        }
        assert_eq!(attacked.world.calls(&group), 1, "{name} was sent again");
    }
    let events = attacked.world.kubectl(&["get", "events", "-o", "json"]).await.stdout;
    let events: Value = serde_json::from_str(&events).unwrap();
    let warnings = events["items"].as_array().unwrap().iter();
    let warnings =
        warnings.filter(|event| event["reason"] == "StatusRestored" && event["type"] == "Warning").count();
    assert!(warnings >= 2, "{events:#}");
    // A new request is still sent.
    attacked.world.patch("gar", "named", "{\"requestID\":\"two\"}").await;
    attacked.is_restored("named", "Cleared", Some("two")).await;
    assert_eq!(attacked.world.calls("@TGS#named"), 2);
}

/// Without `history`, an old request would look like a new one.
#[tokio::test]
async fn erasing_the_history_does_not_resend_an_old_request() {
    let attacked = Attacked::new().await;
    attacked.cleared("room", "  requestID: one").await;
    attacked.world.patch("gar", "room", "{\"requestID\":\"two\"}").await;
    attacked.is_restored("room", "Cleared", Some("two")).await;
    attacked.tenant.forge("GroupAttributeReset", "room", &json!({"history": null})).await;
    attacked.world.patch("gar", "room", "{\"requestID\":\"one\"}").await;
    let shown = attacked.is_restored("room", "Cleared", Some("one")).await;
    assert!(message_of(&shown, "Succeeded").contains("is not sent again"), "{shown:#}");
    assert_eq!(attacked.world.calls("@TGS#room"), 2);
}

#[tokio::test]
async fn erasing_an_attempt_in_flight_loses_no_outcome() {
    let attacked = Attacked::new().await;
    let slow = Misbehaviour::DelayAfter(Duration::from_secs(2));
    attacked.world.vendor.script(When::clear().of("@TGS#slow").times(1), slow);
    attacked
        .world
        .vendor
        .script(When::clear().of("@TGS#lost").times(1), Misbehaviour::Reset { execute: true });
    for name in ["slow", "lost"] {
        attacked.world.room(&format!("@TGS#{name}"));
        attacked.world.reset(name, &format!("@TGS#{name}"), "").await;
        let group = format!("@TGS#{name}");
        until(DEADLINE, "the call", || async { (attacked.world.calls(&group) == 1).then_some(()) }).await;
        attacked.tenant.forge("GroupAttributeReset", name, &Value::Null).await;
    }
    attacked.is_restored("slow", "Cleared", None).await;
    // This one has an unknown outcome; it is read back although the status does not mention it.
    attacked.is_restored("lost", "VerifiedEmpty", None).await;
    assert_eq!(["@TGS#slow", "@TGS#lost"].map(|group| attacked.world.calls(group)), [1, 1]);
}

#[tokio::test]
async fn a_forged_final_status_ends_nothing() {
    let attacked = Attacked::new().await;
    attacked.world.room("@TGS#later");
    attacked.world.reset("later", "@TGS#later", "  suspend: true").await;
    attacked.world.reset_is("later", "Suspended").await;
    let forged = json!({"completionTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Succeeded", "status": "True",
        "reason": "Cleared", "message": "forged", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    attacked.tenant.forge("GroupAttributeReset", "later", &forged).await;
    attacked.world.reset_is("later", "Suspended").await;
    attacked.world.patch("gar", "later", "{\"suspend\":false}").await;
    attacked.is_restored("later", "Cleared", None).await;
    assert_eq!(attacked.world.calls("@TGS#later"), 1);
}

/// The victim's account allows 20 calls a second; a tenant of another namespace forges 100 attempts.
#[tokio::test]
async fn forged_attempts_hold_no_permit_of_another_account() {
    const FORGED: usize = 100;
    const RESETS: usize = 30;
    let world = World::new().await;
    let other = world.neighbour().await;
    world.skip_oracles();
    other.skip_oracles();
    world.app("  limits: { callsPerSecond: 20 }").await;
    // An app that names the victim's account with a wrong key, a missing app, and the attacker's own app.
    other.secret("chat", &KEY.replace('0', "1")).await;
    other.apply(&chat_app("thief", APP_ID, &world.vendor.url(), "")).await;
    other.apply(&chat_app("own", 7, &world.vendor.url(), "")).await;
    let tenant = Tenant::with_stray_rights(world.plane, &other.namespace).await;
    let apps = ["thief", "missing", "own"];
    for (app, (name, group)) in apps.iter().cycle().zip(numbered("forged", FORGED)) {
        let spec = format!("  suspend: true\n  appRef: {{ name: {app} }}");
        other.reset(&name, &group, &spec).await;
    }
    let forge = async |round: &str| {
        for (name, _) in numbered("forged", FORGED) {
            let now = Timestamp::now();
            let pending = json!({"id": format!("{name}-{round}"), "number": 1, "startTime": now,
                "deadline": now + SignedDuration::from_secs(20), "holder": "nobody", "sdkAppID": APP_ID,
                "host": world.vendor.address().to_string()});
            tenant
                .forge(
                    "GroupAttributeReset",
                    &name,
                    &json!({"observedGeneration": 1, "pendingAttempt": pending}),
                )
                .await;
        }
    };
    let rooms = numbered("room", RESETS);
    world.rooms(&rooms);
    forge("before").await;
    let both = [
        format!("--watch-namespace={}", other.namespace),
        format!("--allow-endpoint={}", other.vendor.address()),
        NO_ELECTION[0].to_owned(),
    ];
    let operator = world.operator(&both.each_ref().map(String::as_str)).await;
    world.app_is("Verified").await;
    let started = Instant::now();
    world.many_resets(rooms).await;
    world.until_cleared(RESETS, DEADLINE).await;
    let at_start = started.elapsed();
    forge("meanwhile").await;
    let used = operator.metric("groupattr_permits_in_use", &[("app", "default")]).await;
    let more = numbered("more", RESETS);
    world.rooms(&more);
    let started = Instant::now();
    world.many_resets(more).await;
    world.until_cleared(2 * RESETS, DEADLINE).await;
    let later = started.elapsed();
    println!(
        "{RESETS} resets took {at_start:.1?} after startup, {later:.1?} later; {used:?} permits in use before"
    );
    // The forged attempts would hold all 20 permits for 20 seconds.
    let bound = Duration::from_secs(12);
    assert!(at_start < bound && later < bound, "{at_start:?} {later:?}");
}
