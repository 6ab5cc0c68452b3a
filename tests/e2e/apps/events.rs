//! Events of resets and apps: which are emitted, and which are not.

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
    // An error with an unknown outcome; the read-back finds attributes.
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
    assert_eq!(world.events("ChatApp", "default").await, [], "the first verification emits no event");
}
