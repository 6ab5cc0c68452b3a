//! What a user sees of a reset, from apply to its final status.

mod world;

use world::World;

#[tokio::test]
async fn a_room_is_cleared_and_the_status_says_so() {
    let world = World::new().await;
    world.room("@TGS#clean");
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.reset("clean", "@TGS#clean", "").await;
    let reset = world.reset_is("clean", "Cleared").await;
    assert_eq!(world.vendor.attributes(world::APP_ID, "@TGS#clean").map(|a| a.len()), Some(0));
    assert_eq!(reset["status"]["attempts"], 1);
    println!("{}", serde_json::to_string_pretty(&reset).unwrap());
}
