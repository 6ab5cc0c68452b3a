//! What is sent when a manifest is reapplied, changed or re-created.

use serde_json::json;

use crate::world::{World, message_of};

const MANIFEST: &str = "
apiVersion: groupattr.dev/v1alpha1
kind: GroupAttributeReset
metadata: { name: show, labels: { release: one } }
spec: { groupID: '@TGS#show', requestID: show-1 }
";

/// Like the periodic sync of a GitOps tool.
#[tokio::test]
async fn a_manifest_reapplied_many_times_is_sent_once() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.room("@TGS#show");
    for round in 0..5 {
        world.apply(&MANIFEST.replace("one", &format!("round-{round}"))).await;
        world.reset_is("show", "Cleared").await;
    }
    // Another tool replaces the whole object.
    let mut object = world.object("gar", "show").await.unwrap();
    object["metadata"]["annotations"] = json!({"by": "another"});
    object["metadata"]["managedFields"].take();
    let replaced =
        world.plane.kubectl_with_input(&["replace", "-f", "-"], &object.to_string()).await.unwrap();
    assert!(replaced.ok, "{}", replaced.stderr);
    world.marker("after").await;
    assert_eq!(world.calls("@TGS#show"), 1);
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn removing_a_request_id_is_refused_and_reusing_one_sends_nothing() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    world.room("@TGS#show");
    world.apply(MANIFEST).await;
    world.reset_is("show", "Cleared").await;

    let without = MANIFEST.replace(", requestID: show-1", "");
    let refusal = world.plane.apply_in(&world.namespace, &without).await.unwrap_err();
    assert!(format!("{refusal:#}").contains("requestID cannot be removed once set"), "{refusal:#}");

    for (request, calls) in [("show-2", 2), ("show-1", 2)] {
        world.apply(&MANIFEST.replace("show-1", request)).await;
        let looks = |object: &serde_json::Value| object["status"]["requestID"] == request;
        world.reset_where("show", request, looks).await;
        let shown = world.reset_is("show", "Cleared").await;
        assert_eq!(world.calls("@TGS#show"), calls, "{request}");
        assert_eq!(
            message_of(&shown, "Succeeded").contains("not sent again"),
            request == "show-1",
            "{shown:#}"
        );
    }
    world.check(&[&operator]).await;
}

/// Pruned and reverted, deleted by hand and restored by self-heal, or replaced by `kubectl replace --force`.
#[tokio::test]
async fn a_recreated_manifest_is_a_new_request_unless_expired() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    world.room("@TGS#show");
    world.room("@TGS#dated");
    let end = crate::gitops::restore::in_seconds(12);
    let dated = MANIFEST
        .replace("name: show,", "name: dated,")
        .replace("'@TGS#show'", &format!("'@TGS#dated', notAfter: '{end}'"));
    world.apply(&format!("{MANIFEST}---{dated}")).await;
    world.reset_is("show", "Cleared").await;
    world.reset_is("dated", "Cleared").await;

    for name in ["show", "dated"] {
        assert!(world.kubectl(&["delete", "gar", name]).await.ok);
    }
    testbed::until(crate::world::DEADLINE, "notAfter to pass", || async {
        (jiff::Timestamp::now() > end).then_some(())
    })
    .await;
    world.apply(&format!("{MANIFEST}---{dated}")).await;
    let again = world.reset_is("show", "Cleared").await;
    assert_eq!(again["status"]["requestID"], "show-1");
    let expired = world.reset_is("dated", "Expired").await;
    assert_eq!(expired["status"]["attempts"], 0);
    world.marker("after").await;
    assert_eq!((world.calls("@TGS#show"), world.calls("@TGS#dated")), (2, 1));
    world.check(&[&operator]).await;
}
