//! C1: another writer keeps editing the same objects.

use std::time::Duration;

use futures::future::{Either, select};
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use serde_json::json;
use testbed::runs;

use crate::faults::{AFTER_FAULTS, NO_ELECTION, assert_empty};
use crate::world::{World, numbered};

const COUNT: usize = 50;

#[tokio::test]
async fn concurrent_edits_of_labels_and_specs_neither_block_nor_repeat_a_reset() {
    runs("C1", 1)
        .one_by_one(|run| async move {
            let mut chance = run.chance();
            let world = World::new().await;
            let resets = numbered("written", COUNT);
            world.rooms(&resets);
            let _operator = world.operator(&NO_ELECTION).await;
            world.app("  limits: { callsPerSecond: 5 }").await;
            world.app_is("Verified").await;
            world.many_resets(resets.clone()).await;
            let edits = async {
                // Twenty writes a second, without a burst after a slow one.
                let mut beat = tokio::time::interval(Duration::from_millis(50));
                beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                let mut writes = 0_usize;
                loop {
                    beat.tick().await;
                    let (name, _) = resets.choose(&mut chance).expect("a reset");
                    let patch = match writes % 3 {
                        0 => json!({"spec": {"backoffLimit": chance.random_range(1..20)}}),
                        1 => json!({"metadata": {"labels": {"show": format!("n{writes}")}}}),
                        _ => json!({"metadata": {"annotations": {"note": format!("n{writes}")}}}),
                    };
                    world.merge("gar", name, &patch).await;
                    writes += 1;
                }
            };
            tokio::pin!(edits);
            let until_all_final = world.until_all_final(AFTER_FAULTS);
            tokio::pin!(until_all_final);
            match select(edits, until_all_final).await {
                Either::Left(((), _)) => unreachable!("the other writer never stops"),
                Either::Right(((), _)) => {}
            }
            for (_, group) in &resets {
                assert_eq!(world.calls(group), 1, "{group}");
                assert_empty(&world, group);
            }
            world.finish().await;
        })
        .await;
}
