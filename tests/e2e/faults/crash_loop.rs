//! A4: a minute of SIGKILLs with 200 resets in the backlog.

use std::time::{Duration, Instant};

use rand::Rng as _;
use testbed::runs;

use crate::faults::{AFTER_FAULTS, NO_ELECTION, assert_empty};
use crate::world::{DEADLINE, World, numbered};

const RESETS: usize = 200;
/// The minimum number of calls; fewer would prove nothing.
const MIN_CALLS: usize = 10;
const DURATION: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_minute_of_sigkills_under_load_loses_nothing_and_sends_nothing_twice() {
    runs("A4", 1)
        .one_by_one(|run| async move {
            let mut chance = run.chance();
            let world = World::new().await;
            let resets = numbered("storm", RESETS);
            world.rooms(&resets);
            let operator = world.operator(&NO_ELECTION).await;
            // Slow enough to leave work for the whole minute.
            world.app("  limits: { callsPerSecond: 8 }").await;
            world.app_is("Verified").await;
            drop(operator);
            world.many_resets(resets.clone()).await;
            let (begun, mut kills) = (Instant::now(), 0);
            while begun.elapsed() < DURATION || kills < 15 || world.vendor.clears().len() < MIN_CALLS {
                // Half of the kills hit before anything can be sent, the others in the middle of sending.
                let operator = world.start(world.launch(&NO_ELECTION));
                let life = if kills % 2 == 0 {
                    500
                } else {
                    operator.ready(DEADLINE).await;
                    let calls = world.vendor.clears().len();
                    if calls < MIN_CALLS {
                        // Calls of killed processes may hold all permits until they can no longer arrive.
                        world.until_calls(calls + 1).await;
                    }
                    chance.random_range(1000..4000)
                };
                tokio::time::sleep(Duration::from_millis(life)).await;
                operator.kill9();
                kills += 1;
            }
            let _operator = world.operator(&NO_ELECTION).await;
            // Calls of killed processes may hold all permits at first, so most of the backlog may be left.
            world.until_all_final(2 * AFTER_FAULTS).await;
            for (_, group) in &resets {
                assert_eq!(world.calls(group), 1, "{group}");
                assert_empty(&world, group);
            }
            world.finish().await;
        })
        .await;
}
