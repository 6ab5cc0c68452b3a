//! B1: watch events arrive late and many times over.

use rand::Rng as _;
use testbed::proxy::{Boundary, Fault, Position};
use testbed::runs;

use crate::faults::{NO_ELECTION, RESETS, until_calls};
use crate::world::{DEADLINE, Leg, World, numbered};

/// Resets, and writes one of which starts the fault.
const COUNT: usize = 10;

#[tokio::test]
async fn late_and_duplicated_watch_events_cause_no_call() {
    runs("B1", 5)
        .side_by_side(5, |run| async move {
            let mut chance = run.chance();
            let world = World::breakable().await;
            let api = world.proxy(Leg::Api);
            let resets = numbered("late", COUNT);
            world.rooms(&resets);
            let _operator = world.operator(&NO_ELECTION).await;
            world.app("").await;
            world.app_is("Verified").await;
            // From a random write on, the watch delivers no events: the operator knows what it wrote, while
            // its watch still shows the previous state.
            let write = chance.random_range(1..=10);
            let hold = Fault::Run(api.watch_holder(RESETS));
            let writes = Boundary::of("update", "groupattributeresets/status").nth(write);
            let plan = world.plan(Leg::Api, writes, Position::After, hold);
            world.many_resets(resets.clone()).await;
            plan.has_fired(DEADLINE).await;
            until_calls(&world, 1).await;
            api.repeat_watches(RESETS, 10);
            api.release_watches(RESETS);
            api.repeat_watches(RESETS, 10);
            world.until_cleared(COUNT, DEADLINE).await;
            api.repeat_watches(RESETS, 10);
            world.marker("marker").await;

            // After an edit, events of old generations are delivered ten more times.
            for (name, _) in &resets {
                world.patch("gar", name, "{\"backoffLimit\":3}").await;
            }
            for (name, _) in &resets {
                world.reset_is(name, "Cleared").await;
            }
            api.repeat_watches(RESETS, 10);
            world.marker("marker-2").await;
            for (_, group) in &resets {
                assert_eq!(world.calls(group), 1, "{group}");
            }
            world.finish().await;
        })
        .await;
}
