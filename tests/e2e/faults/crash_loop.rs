//! A4: killed again and again for a minute, under 200 resets.

use std::time::{Duration, Instant};

use rand::Rng as _;
use testbed::runs;

use crate::faults::{AFTER_FAULTS, ALONE, assert_empty};
use crate::world::{SOON, World, numbered};

const RESETS: usize = 200;
/// Fewer calls are no storm.
const STORMY: usize = 10;
const STORM: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_minute_of_sigkills_under_load_loses_nothing_and_sends_nothing_twice() {
    runs("A4", 1)
        .one_by_one(|run| async move {
            let mut chance = run.chance();
            let world = World::new().await;
            let resets = numbered("storm", RESETS);
            world.rooms(&resets);
            let operator = world.operator(&ALONE).await;
            // So slow that there is work left for the whole minute.
            world.app("  limits: { callsPerSecond: 8 }").await;
            world.app_is("Verified").await;
            drop(operator);
            world.many_resets(resets.clone()).await;
            let (begun, mut kills) = (Instant::now(), 0);
            while begun.elapsed() < STORM || kills < 15 || world.vendor.clears().len() < STORMY {
                // Half of them come before anything can be sent, the others in the middle of it.
                let operator = world.start(world.launch(&ALONE));
                let life = if kills % 2 == 0 {
                    500
                } else {
                    operator.ready(SOON).await;
                    let calls = world.vendor.clears().len();
                    if calls < STORMY {
                        // All permits may be held for calls of the dead, until those cannot arrive any more.
                        world.until_calls(calls + 1).await;
                    }
                    chance.random_range(1000..4000)
                };
                tokio::time::sleep(Duration::from_millis(life)).await;
                operator.kill9();
                kills += 1;
            }
            let _operator = world.operator(&ALONE).await;
            // All permits may be held for calls of the dead, and then most of the work is still to be done.
            world.all_end(2 * AFTER_FAULTS).await;
            for (_, group) in &resets {
                assert_eq!(world.calls(group), 1, "{group}");
                assert_empty(&world, group);
            }
            world.finish().await;
        })
        .await;
}
