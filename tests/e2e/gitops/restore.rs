//! What is sent after a restore or in a rebuilt cluster.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::vendor::{Misbehaviour, When};

use crate::world::{DEADLINE, World, reason_of};

/// The time this many seconds from now, in whole seconds.
pub(crate) fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap() + SignedDuration::from_secs(seconds)
}

/// The object as a backup tool restores it: spec, labels and annotations, but no server-side fields.
fn restored(backup: &Value) -> Value {
    let metadata = &backup["metadata"];
    json!({
        "apiVersion": backup["apiVersion"], "kind": backup["kind"], "spec": backup["spec"],
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"],
            "labels": {"velero.io/restore-name": "after-the-fire"},
        },
    })
}

impl World {
    async fn backup(&self, names: &[&str]) -> Vec<Value> {
        let mut objects = Vec::new();
        for name in names {
            objects.push(self.object("gar", name).await.unwrap());
            assert!(self.kubectl(&["delete", "gar", name]).await.ok);
        }
        objects
    }
}

/// A backup tool with default settings, or manifests of a lost cluster applied to a new one.
#[tokio::test]
async fn a_finished_reset_restored_without_status_is_resent_unless_expired() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    let end = in_seconds(12);
    for name in ["plain", "dated", "held"] {
        world.room(&format!("@TGS#{name}"));
    }
    world.reset("plain", "@TGS#plain", "  requestID: a").await;
    world.reset("dated", "@TGS#dated", &format!("  requestID: a\n  notAfter: {:?}", end.to_string())).await;
    world.reset("held", "@TGS#held", "").await;
    for name in ["plain", "dated", "held"] {
        world.reset_is(name, "Cleared").await;
    }
    let backup = world.backup(&["plain", "dated", "held"]).await;
    testbed::until(DEADLINE, "notAfter to pass", || async { (Timestamp::now() > end).then_some(()) }).await;

    // Suspending the app leaves time to examine what was restored.
    world.patch("chatapp", "default", "{\"suspend\":true}").await;
    world.app_is("Suspended").await;
    for object in &backup {
        world.apply(&restored(object).to_string()).await;
    }
    world.reset_is("dated", "Expired").await;
    for name in ["plain", "held"] {
        world.reset_is(name, "AppSuspended").await;
    }
    assert!(world.kubectl(&["delete", "gar", "held"]).await.ok);
    world.patch("chatapp", "default", "{\"suspend\":false}").await;
    world.reset_is("plain", "Cleared").await;
    world.marker("after").await;
    assert_eq!(["plain", "dated", "held"].map(|name| world.calls(&format!("@TGS#{name}"))), [2, 1, 1]);
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn a_reset_restored_with_its_status_resumes_where_it_was() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    for name in ["done", "failed", "flying"] {
        world.room(&format!("@TGS#{name}"));
    }
    world.vendor.script(When::clear().of("@TGS#failed"), Misbehaviour::Code(10007));
    world.vendor.script(When::clear().of("@TGS#flying").times(1), Misbehaviour::Hang { execute: true });
    world.reset("done", "@TGS#done", "  requestID: a").await;
    world.reset("failed", "@TGS#failed", "").await;
    world.reset_is("done", "Cleared").await;
    world.reset_is("failed", "GroupTypeNotSupported").await;
    // Edited, so that its generation differs from that of a new object.
    world.patch("gar", "done", "{\"backoffLimit\":3}").await;
    world.reset_is("done", "Cleared").await;
    world.reset("flying", "@TGS#flying", "").await;
    testbed::until(DEADLINE, "the call", || async { (world.calls("@TGS#flying") == 1).then_some(()) }).await;
    operator.kill9();
    world.check(&[]).await;
    world.skip_oracles();

    let backup = world.backup(&["done", "failed", "flying"]).await;
    world.vendor.clear_scripts();
    for object in &backup {
        world.apply(&restored(object).to_string()).await;
        world.put_status(object["metadata"]["name"].as_str().unwrap(), &object["status"]).await;
    }
    let next = world.operator(&[]).await;
    let done = world.reset_is("done", "Cleared").await;
    assert_eq!(done["status"]["completionTime"], backup[0]["status"]["completionTime"]);
    world.reset_is("failed", "GroupTypeNotSupported").await;
    world.reset_is("flying", "VerifiedEmpty").await;
    world.marker("after").await;
    assert_eq!(["done", "failed", "flying"].map(|name| world.calls(&format!("@TGS#{name}"))), [1, 1, 1]);
    assert_eq!(next.exit_status(), None);
}

/// etcd is restored from a snapshot: the statuses lack everything that happened since.
#[tokio::test]
async fn after_a_cluster_rollback_only_resets_that_had_not_started_are_resent() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    world.app_is("Verified").await;
    for (name, more) in [
        ("late", "  activeDeadlineSeconds: 20"),
        ("fresh", ""),
        ("begun", ""),
        ("stop", "  onUnknownOutcome: Stop"),
    ] {
        world.room(&format!("@TGS#{name}"));
        world.reset(name, &format!("@TGS#{name}"), more).await;
        world.reset_is(name, "Cleared").await;
    }
    operator.terminate();
    operator.wait_exit(DEADLINE).await;
    world.check(&[]).await;
    world.skip_oracles();
    let stored = world.stored().await;
    for name in ["begun", "stop"] {
        let intent = stored
            .iter()
            .find(|stored| {
                stored.object["metadata"]["name"] == name
                    && reason_of(&stored.object, "Succeeded") == "Sending"
            })
            .unwrap();
        let mut status = intent.object["status"].clone();
        for gone in ["completionTime", "lastAttempt"] {
            status[gone] = Value::Null;
        }
        world.put_status(name, &status).await;
    }
    let condition = json!({"type": "Succeeded", "status": "Unknown", "reason": "Pending", "message": "Not seen yet.",
        "lastTransitionTime": "1970-01-01T00:00:00Z"});
    let fresh = json!({"observedGeneration": -1, "conditions": [condition], "startTime": null,
        "completionTime": null, "lastAttempt": null, "attempts": 0});
    for name in ["fresh", "late"] {
        world.put_status(name, &fresh).await;
    }
    let made = world.object("gar", "late").await.unwrap()["metadata"]["creationTimestamp"].take();
    let end = made.as_str().unwrap().parse::<Timestamp>().unwrap() + SignedDuration::from_secs(20);
    testbed::until(DEADLINE, "the deadline to pass", || async { (Timestamp::now() > end).then_some(()) })
        .await;
    // Somebody has joined one of the rooms since.
    world.room("@TGS#stop");
    let next = world.operator(&[]).await;
    world.reset_is("begun", "VerifiedEmpty").await;
    world.reset_is("stop", "OutcomeUnknown").await;
    world.reset_is("fresh", "Cleared").await;
    world.reset_is("late", "DeadlineExceeded").await;
    let calls = ["fresh", "late", "begun", "stop"].map(|name| world.calls(&format!("@TGS#{name}")));
    assert_eq!(calls, [2, 1, 1, 1]);
    assert_eq!(next.exit_status(), None);
}
