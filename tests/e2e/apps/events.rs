//! Events: what is told of a reset and of its app, and what is not.

use testbed::vendor::{Misbehaviour, When};

use crate::world::World;

#[tokio::test]
async fn events_report_the_first_retry_and_the_result_but_no_clean_success() {
    let world = World::new().await;
    for group in ["@TGS#clean", "@TGS#bumpy"] {
        world.room(group);
    }
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    // The vendor answers an error that leaves it open whether it worked; the group, read back, is not empty.
    world.vendor.script(When::clear().of("@TGS#bumpy").times(1), Misbehaviour::Code(10002));
    world.reset("bumpy", "@TGS#bumpy", "").await;
    world.reset("gone", "@TGS#gone", "").await;
    world.reset("clean", "@TGS#clean", "").await;
    world.reset_is("clean", "Cleared").await;
    world.reset_is("gone", "GroupNotFound").await;
    world.reset_is("bumpy", "Cleared").await;

    assert!(world.event("GroupAttributeReset", "gone", "Failed").await.contains("10010"));
    world.event("GroupAttributeReset", "bumpy", "Cleared").await;
    let reasons: Vec<_> =
        world.events("GroupAttributeReset", "bumpy").await.into_iter().map(|(r, _)| r).collect();
    assert_eq!(reasons, ["RetryScheduled", "Cleared"]);
    assert_eq!(world.events("GroupAttributeReset", "clean").await, []);
    assert_eq!(world.events("ChatApp", "default").await, [], "a first proof is no news");
}
