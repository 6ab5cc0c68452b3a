//! A vendor stops answering. Few calls may be spent to find out, because each leaves an unknown outcome.

use std::time::Duration;

use serde_json::Value;
use testbed::vendor::{Misbehaviour, When};

use crate::limits::{millis, until_called};
use crate::world::replicas::NO_ELECTION;
use crate::world::{World, numbered};

const LONG: Duration = Duration::from_mins(3);

/// The number of unanswered calls.
fn unanswered(world: &World) -> usize {
    world.vendor.clears().iter().filter(|call| call.answered.is_none()).count()
}

#[tokio::test]
async fn an_endpoint_that_never_answers_gets_sixteen_calls() {
    const MANY: usize = 100;
    let world = World::new().await;
    let rooms = numbered("silent", MANY);
    world.rooms(&rooms);
    let _operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(When::any(), Misbehaviour::Hang { execute: false });
    world.many_resets(rooms).await;
    world.app_is("Unreachable").await;
    assert_eq!(unanswered(&world), 16);
    let has_started =
        |status: &Value| status["pendingAttempt"].is_object() || status["attempts"].as_i64() > Some(0);
    let started = world.all_resets().await.iter().filter(|reset| has_started(&reset["status"])).count();
    assert_eq!(started, 16, "the others must have no intent");
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
    let _operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.many_resets(rooms).await;
    until_called(&world, 40).await;
    world.vendor.script(When::any(), Misbehaviour::Hang { execute: false });
    world.app_is("Unreachable").await;
    // As many as were in flight, and as many again. On a busy machine, late answers keep more in flight.
    let silent = unanswered(&world);
    assert!((3..=120).contains(&silent), "{silent} unanswered calls");
    world.vendor.clear_scripts();
    world.until_cleared(MANY, LONG).await;
    assert_eq!(world.vendor.clears().len(), MANY + silent);
}
