//! The CRDs change under a running operator: deleted, replaced by older ones, or without the status
//! subresource.

use std::time::Duration;

use serde_json::Value;
use testbed::{until, until_ok};
use tokio::sync::{Mutex, MutexGuard};

use crate::world::{CRDS, DEADLINE, OwnPlane, World, crd, numbered};

/// The command that installs the CRDs, as the operator's messages name it.
const REMEDY: &str = "groupattr-operator crd | kubectl apply --server-side -f -";

/// These tests take turns with one API server. Each turn starts with the current CRDs.
async fn turn() -> MutexGuard<'static, Option<OwnPlane>> {
    static PLANE: Mutex<Option<OwnPlane>> = Mutex::const_new(None);
    let mut turn = PLANE.lock().await;
    if let Some(plane) = &*turn {
        plane.install_crds(CRDS).await.expect("CRDs");
    } else {
        *turn = Some(OwnPlane::new().await);
    }
    turn
}

#[tokio::test]
async fn a_reinstalled_crd_is_served_without_a_restart() {
    let turn = turn().await;
    let plane = **turn.as_ref().expect("an API server");
    let world = World::on(plane).await;
    let operator = world.operator(&[]).await;
    for group in ["@TGS#before", "@TGS#waiting", "@TGS#after"] {
        world.room(group);
    }
    world.app("").await;
    world.reset("before", "@TGS#before", "").await;
    world.reset_is("before", "Cleared").await;
    world.reset("waiting", "@TGS#waiting", "  suspend: true").await;
    world.reset_is("waiting", "Suspended").await;
    let deleted = world.kubectl(&["delete", "crd", "groupattributeresets.groupattr.dev"]).await;
    assert!(deleted.ok, "{}", deleted.stderr);
    plane.install_crds(&crd("groupattributeresets")).await.expect("the CRD");
    // A new object of a former name is a new request.
    world.reset("before", "@TGS#before", "").await;
    world.reset("after", "@TGS#after", "").await;
    world.reset_is("before", "Cleared").await;
    world.reset_is("after", "Cleared").await;
    assert_eq!(
        ["@TGS#before", "@TGS#waiting", "@TGS#after"].map(|group| world.calls(group)),
        [2, 0, 1],
        "one call for each object that was not suspended"
    );
    assert_eq!(operator.exit_status(), None, "{}", operator.logs());
}

/// Resets are ready to be sent, but the CRD cannot store an intent; later the current CRD is installed.
async fn nothing_is_sent_under(wrong: &str, log: &str) {
    let turn = turn().await;
    let plane = **turn.as_ref().expect("an API server");
    let world = World::on(plane).await;
    let rooms = numbered("room", 10);
    world.rooms(&rooms);
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.reset("probe", "@TGS#probe", "  suspend: true").await;
    plane.install_crds(wrong).await.expect("the wrong CRD");
    until(DEADLINE, "the wrong CRD to take effect", || async {
        let pending = r#"{"status":{"pendingAttempt":{"id":"none"}}}"#;
        let patch = ["patch", "gar", "probe", "--subresource=status", "--type=merge", "-p", pending];
        let done = world.kubectl(&[&patch[..], &["--dry-run=server", "-o", "json"]].concat()).await;
        let is_dropped = done.ok && !done.stdout.contains("pendingAttempt");
        (is_dropped || done.stderr.contains("not found")).then_some(())
    })
    .await;
    world.many_resets(rooms.clone()).await;
    operator.wait_for_log(log, DEADLINE).await;
    until(DEADLINE, "several refused intents in the metric", || async {
        let refused =
            operator.metric("groupattr_api_writes", &[("kind", "intent"), ("result", "refused")]).await;
        let lost = operator.metric("groupattr_api_writes", &[("kind", "intent")]).await;
        (refused.or(lost)? >= 10.0).then_some(())
    })
    .await;
    assert_eq!(world.vendor.clears().len(), 0, "a call without a stored intent");
    assert_eq!(operator.exit_status(), None, "{}", operator.logs());
    // An older CRD stores only half of a status, so the oracles cannot judge.
    world.skip_oracles();

    plane.install_crds(CRDS).await.expect("the CRDs");
    world.until_cleared(10, Duration::from_mins(1)).await;
    world.assert_each_cleared_once(&rooms);
    assert_eq!(operator.exit_status(), None, "{}", operator.logs());
}

#[tokio::test]
async fn nothing_is_sent_when_an_older_crd_drops_the_intent_and_the_log_says_why() {
    let mut older: Value = serde_saphyr::from_str(&crd("groupattributeresets")).expect("YAML");
    let schema = &mut older["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let status = schema["properties"]["status"]["properties"].as_object_mut().expect("the status");
    status.remove("pendingAttempt").expect("a field to remove");
    nothing_is_sent_under(&older.to_string(), REMEDY).await;
}

#[tokio::test]
async fn nothing_is_sent_without_the_status_subresource_and_the_log_says_why() {
    let mut without: Value = serde_saphyr::from_str(&crd("groupattributeresets")).expect("YAML");
    let version = without["spec"]["versions"][0].as_object_mut().expect("a version");
    version.remove("subresources").expect("a subresource to remove");
    nothing_is_sent_under(&without.to_string(), "Kubernetes rejected a write").await;
}

#[tokio::test]
async fn the_operator_is_not_ready_until_the_status_subresource_exists() {
    let turn = turn().await;
    let plane = **turn.as_ref().expect("an API server");
    let mut without: Value = serde_saphyr::from_str(&crd("groupattributeresets")).expect("YAML");
    without["spec"]["versions"][0].as_object_mut().expect("a version").remove("subresources");
    plane.install_crds(&without.to_string()).await.expect("the wrong CRD");
    let world = World::on(plane).await;
    world.room("@TGS#a");
    let operator = world.start(world.launch(&[]));
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    until_ok(DEADLINE, "/readyz to report the missing status subresource", || async {
        match operator.get("/readyz").await {
            Ok((503, body)) if body.contains("groupattributeresets/status") && body.contains(REMEDY) => {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(world.vendor.connections(), 0);
    plane.install_crds(CRDS).await.expect("the CRDs");
    operator.ready(DEADLINE).await;
    world.reset_is("a", "Cleared").await;
    assert_eq!(world.calls("@TGS#a"), 1);
}
