//! `suspend` of an app: stops all its calls.

use testbed::until;

use super::{assert_says, reset_says};
use crate::world::{APP_ID, DEADLINE, KEY, World, chat_app};

#[tokio::test]
async fn a_suspended_app_sends_nothing_until_it_is_resumed() {
    let world = World::new().await;
    for group in ["@TGS#a", "@TGS#b", "@TGS#marker"] {
        world.room(group);
    }
    world.vendor.account(7, KEY, &["administrator"]);
    world.vendor.room(7, "@TGS#marker", &[("seat1", "ann")]);
    let _operator = world.operator(&[]).await;
    world.app("  suspend: true").await;
    let app = world.app_is("Suspended").await;
    assert_says(&app, &["spec.suspend", "false"]);
    world.reset("a", "@TGS#a", "").await;
    reset_says(&world, "a", "AppSuspended", "spec.suspend").await;
    let of_app = || world.vendor.entries(|entry| entry.sdkappid == Some(APP_ID)).len();

    world.apply(&chat_app("marker", 7, &world.vendor.url(), "")).await;
    world.reset("marker", "@TGS#marker", "  appRef: { name: marker }").await;
    world.reset_is("marker", "Cleared").await;
    assert_eq!(of_app(), 0, "a suspended app must not even be probed");

    world.patch("chatapp", "default", r#"{"suspend":false}"#).await;
    world.app_is("Verified").await;
    world.reset_is("a", "Cleared").await;

    // The same for an app that was already verified.
    world.patch("chatapp", "default", r#"{"suspend":true}"#).await;
    world.app_is("Suspended").await;
    let before = of_app();
    world.reset("b", "@TGS#b", "").await;
    reset_says(&world, "b", "AppSuspended", "ChatApp default").await;
    world.patch("gar", "marker", r#"{"requestID":"again"}"#).await;
    until(DEADLINE, "the marker's second call", || async { (world.calls("@TGS#marker") == 2).then_some(()) })
        .await;
    assert_eq!(of_app(), before);
    world.patch("chatapp", "default", r#"{"suspend":false}"#).await;
    world.reset_is("b", "Cleared").await;
}
