//! Edits, deletions, and other writers.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use testbed::until;
use testbed::vendor::{Misbehaviour, When};

use super::RESETS;
use crate::world::replicas::NO_ELECTION;
use crate::world::{self, DEADLINE, World, message_of, numbered};

#[tokio::test]
async fn an_edit_is_observed_in_every_waiting_state() {
    let world = World::new().await;
    world.secret("chat", world::KEY).await;
    for (account, name) in (1_500_000_001..).zip(["retrying", "verifying"]) {
        world.app_with_room(name, account, "").await;
    }
    store_retrying_status(&world).await;
    let operator = world.operator(&[]).await;
    for name in ["retrying", "verifying"] {
        world.until_reason("chatapp", name, "Ready", "Verified").await;
    }
    world.vendor.script(When::clear().of("@TGS#verifying"), Misbehaviour::Hang { execute: false });
    world.reset_of_app("verifying", "").await;
    world.reset("missing", "@TGS#missing", "").await;
    world.reset_of_app("asleep", "  suspend: true").await;
    world.reset_is("verifying", "Verifying").await;
    // Keeps it from being read back in the meantime.
    world.vendor.go_down();
    for (name, reason) in [
        ("retrying", "RetryScheduled"),
        ("verifying", "Verifying"),
        ("missing", "AppNotFound"),
        ("asleep", "Suspended"),
    ] {
        let before = world.reset_is(name, reason).await["status"].clone();
        world.patch("gar", name, "{\"backoffLimit\":19}").await;
        // Only the observed generation changes.
        let after = world.reset_is(name, reason).await;
        assert_eq!(
            (&after["metadata"]["generation"], &after["status"]["observedGeneration"]),
            (&json!(2), &json!(2))
        );
        for field in ["startTime", "attempts", "failures", "nextAttemptTime", "pendingAttempt", "lastAttempt"]
        {
            assert_eq!(before[field], after["status"][field], "{name} {field}");
        }
        assert_eq!(
            message_of(&json!({"status": before}), "Succeeded"),
            message_of(&after, "Succeeded"),
            "{name}"
        );
    }
    world.check(&[&operator]).await;
}

/// A reset as left by an earlier process: its next attempt is minutes away, which leaves time to edit it.
async fn store_retrying_status(world: &World) {
    world.reset_of_app("retrying", "  backoffLimit: 10").await;
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    let next = now + SignedDuration::from_mins(4);
    let condition = |type_: &str, status: &str| {
        json!({"type": type_, "status": status, "reason": "RetryScheduled", "message": "As before.",
            "lastTransitionTime": now, "observedGeneration": 1})
    };
    let status = json!({
        "observedGeneration": 1, "startTime": now, "attempts": 0, "failures": 8, "nextAttemptTime": next,
        "lastAttempt": {"id": "eighth", "number": 1, "startTime": now, "completionTime": now,
            "outcome": "NotSent", "sdkAppID": 1_500_000_001, "host": world.vendor.address().to_string()},
        "conditions": [condition("Succeeded", "Unknown"), condition("Ready", "False"),
            condition("Finished", "False"), condition("Reconciling", "True")],
    });
    world.put_status("retrying", &status).await;
}

#[tokio::test]
async fn a_terminating_reset_starts_no_attempt() {
    let world = World::new().await;
    let operator = world.operator(&NO_ELECTION).await;
    world.room("@TGS#held");
    world.reset("held", "@TGS#held", "").await;
    world.reset_is("held", "AppNotFound").await;
    // Another controller's finalizer holds it.
    let hold = "{\"metadata\":{\"finalizers\":[\"example.com/hold\"]}}";
    assert!(world.kubectl(&["patch", "gar", "held", "--type=merge", "-p", hold]).await.ok);
    assert!(world.kubectl(&["delete", "gar", "held", "--wait=false"]).await.ok);
    let written = world.requests(RESETS, "held").await.len();
    world.app("").await;
    world.app_is("Verified").await;
    world.marker("after").await;
    world.patch("gar", "held", "{\"suspend\":true}").await;
    world.patch("gar", "held", "{\"suspend\":false}").await;
    world.marker("after-edits").await;
    assert_eq!(world.calls("@TGS#held"), 0);
    assert_eq!(world.requests(RESETS, "held").await.len(), written, "the operator wrote its status");
    let release = "{\"metadata\":{\"finalizers\":null}}";
    assert!(world.kubectl(&["patch", "gar", "held", "--type=merge", "-p", release]).await.ok);
    until(DEADLINE, "it to be gone", || async { world.object("gar", "held").await.is_none().then_some(()) })
        .await;
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn constant_edits_by_another_writer_starve_no_reset() {
    let world = World::new().await;
    let operator = world.operator(&NO_ELECTION).await;
    world.app("  limits: { callsPerSecond: 10 }").await;
    world.app_is("Verified").await;
    // Slow enough for an edit to land between intent and outcome.
    world.vendor.set_latency(Duration::from_millis(600), Duration::from_millis(600));
    let resets = numbered("edited", 50);
    for (_, group) in &resets {
        world.room(group);
    }
    world.many_resets(resets.clone()).await;
    let kind = GroupVersionKind::gvk("groupattr.dev", "v1alpha1", "GroupAttributeReset");
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &world.namespace, &ApiResource::from_gvk(&kind));
    let mut edits = 0_u32;
    let cleared = async { world.until_cleared(50, DEADLINE).await };
    let editing = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            let (name, _) = &resets[usize::try_from(edits).unwrap() * 7 % 50];
            let labels = json!({"edit": edits.to_string()});
            let edit = json!({"metadata": {"labels": labels}, "spec": {"backoffLimit": edits % 20}});
            api.patch(name, &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
            edits += 1;
        }
    };
    tokio::select! {
        () = cleared => {}
        () = editing => {}
    }
    assert!(edits > 40, "{edits} edits");
    let conflicts = operator.metric("groupattr_api_writes", &[("result", "conflict")]).await;
    assert!(conflicts.unwrap_or_default() >= 1.0, "no edit ever caused a conflict");
    for (name, group) in &resets {
        let object = world.reset_is(name, "Cleared").await;
        assert_eq!(world.calls(group), 1, "{name}");
        assert_eq!(object["status"]["attempts"], 1, "{name}");
    }
    world.check(&[&operator]).await;
}
