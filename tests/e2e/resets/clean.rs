//! A clean reset: its two writes, and nothing afterwards.

use serde_json::json;

use super::RESETS;
use crate::world::{APP_ID, DEADLINE, World, numbered};

#[tokio::test]
async fn a_clean_reset_costs_two_writes_no_read_and_nothing_afterwards() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    let resets = numbered("clean", 5);
    for (_, group) in &resets {
        world.room(group);
    }
    world.many_resets(resets.clone()).await;
    world.until_cleared(5, DEADLINE).await;
    for (name, group) in &resets {
        let verbs = verbs(&world, name).await;
        assert_eq!(verbs, ["update status", "update status"], "{name}");
        assert_eq!(world.reasons_of(name).await, ["Sending", "Cleared"]);
        assert_eq!(world.vendor.attributes(APP_ID, group).map(|attributes| attributes.len()), Some(0));
        let status = &world.object("gar", name).await.unwrap()["status"];
        assert_eq!((&status["attempts"], &status["failures"]), (&json!(1), &json!(0)));
        assert_eq!(status["lastAttempt"]["outcome"], "Succeeded");
        assert_eq!(
            (&status["lastAttempt"]["errorCode"], &status["lastAttempt"]["httpStatus"]),
            (&json!(0), &json!(200))
        );
        assert_eq!(status["lastAttempt"]["sdkAppID"], APP_ID);
        assert_eq!(status["lastAttempt"]["host"], world.vendor.address().to_string());
    }
    assert_eq!(world.requests("secrets", "chat").await.len(), 1, "one read of the Secret serves all resets");
    assert_eq!(world.events("GroupAttributeReset", "clean-0").await, [], "no event for a clean success");

    // The next process lists them and does nothing else.
    operator.terminate();
    assert!(operator.wait_exit(DEADLINE).await.success());
    let next = world.operator(&[]).await;
    world.marker("after-restart").await;
    for (name, group) in &resets {
        assert_eq!(verbs(&world, name).await.len(), 2, "{name} was touched after it finished");
        assert_eq!(world.calls(group), 1);
    }

    // An edit costs one write, for observedGeneration.
    world.patch("gar", "clean-0", "{\"backoffLimit\":3,\"activeDeadlineSeconds\":1,\"suspend\":true}").await;
    let edited = world.reset_is("clean-0", "Cleared").await;
    assert_eq!(
        (&edited["metadata"]["generation"], &edited["status"]["observedGeneration"]),
        (&json!(2), &json!(2))
    );
    world.marker("after-edit").await;
    assert_eq!(verbs(&world, "clean-0").await.len(), 3);
    assert_eq!(world.calls("@TGS#clean-0"), 1);

    // A label is not part of the spec and costs nothing.
    assert!(world.kubectl(&["label", "gar", "clean-1", "show=over"]).await.ok);
    world.marker("after-label").await;
    assert_eq!(verbs(&world, "clean-1").await.len(), 2);
    world.check(&[&next]).await;
}

/// The operator's requests for one reset.
async fn verbs(world: &World, name: &str) -> Vec<String> {
    let requests = world.requests(RESETS, name).await;
    requests.iter().map(|event| format!("{} {}", event.verb, event.subresource)).collect()
}
