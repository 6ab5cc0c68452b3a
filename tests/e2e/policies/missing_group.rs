//! `onGroupNotFound`.

use serde_json::json;

use crate::world::{World, message_of};

#[tokio::test]
async fn a_missing_group_fails_or_succeeds_as_the_spec_says() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.reset("fail", "@TGS#gone-a", "").await;
    world.reset("succeed", "@TGS#gone-b", "  onGroupNotFound: Succeed").await;
    let fail = world.reset_is("fail", "GroupNotFound").await;
    let message = message_of(&fail, "Succeeded");
    assert!(
        message.to_lowercase().contains("code 10010") && message.contains("onGroupNotFound"),
        "{message}"
    );
    let succeed = world.reset_is("succeed", "GroupGone").await;
    for object in [&fail, &succeed] {
        let status = &object["status"];
        assert_eq!((&status["attempts"], &status["failures"]), (&json!(1), &json!(0)));
        assert_eq!(
            (&status["lastAttempt"]["outcome"], &status["lastAttempt"]["errorCode"]),
            (&json!("Rejected"), &json!(10010))
        );
    }
    world.app_is("Verified").await;
    world.event("GroupAttributeReset", "fail", "Failed").await;
    world.check(&[&operator]).await;
}
