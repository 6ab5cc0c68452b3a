//! A vendor that stops answering is found out with a few calls: each of them leaves a group in doubt.

use std::time::Duration;

use serde_json::Value;
use testbed::vendor::{Misbehaviour, When};

use crate::limits::{millis, until_called};
use crate::world::replicas::ALONE;
use crate::world::{World, numbered};

const LONG: Duration = Duration::from_mins(3);

/// Calls that nobody answered.
fn in_doubt(world: &World) -> usize {
    world.vendor.clears().iter().filter(|call| call.answered.is_none()).count()
}

#[tokio::test]
async fn an_endpoint_that_never_answers_gets_sixteen_calls() {
    const MANY: usize = 100;
    let world = World::new().await;
    let rooms = numbered("silent", MANY);
    world.rooms(&rooms);
    let _operator = world.operator(&ALONE).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(When::any(), Misbehaviour::Hang { execute: false });
    world.many_resets(rooms).await;
    world.app_is("Unreachable").await;
    assert_eq!(in_doubt(&world), 16);
    let is_begun =
        |status: &Value| status["pendingAttempt"].is_object() || status["attempts"].as_i64() > Some(0);
    let begun = world.all_resets().await.iter().filter(|reset| is_begun(&reset["status"])).count();
    assert_eq!(begun, 16, "the others have no intent");
    world.vendor.clear_scripts();
    world.until_cleared(MANY, LONG).await;
    assert_eq!(world.vendor.clears().len(), MANY + 16);
}

#[tokio::test]
async fn an_endpoint_that_stops_answering_gets_few_more_calls() {
    const MANY: usize = 400;
    let world = World::new().await;
    let rooms = numbered("falling", MANY);
    world.rooms(&rooms);
    world.vendor.set_latency(millis(50), millis(50));
    let _operator = world.operator(&ALONE).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.many_resets(rooms).await;
    until_called(&world, 40).await;
    world.vendor.script(When::any(), Misbehaviour::Hang { execute: false });
    world.app_is("Unreachable").await;
    // As many as were out, and as many again; a busy machine answers some late, so that more were out.
    let silent = in_doubt(&world);
    assert!((3..=120).contains(&silent), "{silent} calls were not answered");
    world.vendor.clear_scripts();
    world.until_cleared(MANY, LONG).await;
    assert_eq!(world.vendor.clears().len(), MANY + silent);
}
