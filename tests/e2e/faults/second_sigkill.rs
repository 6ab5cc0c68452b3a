//! A2: SIGKILL at one boundary, and again while the next process recovers.

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use testbed::proxy::{Boundary, Fault, POSITIONS, Position};
use testbed::{runs, until};

use crate::faults::{AFTER_FAULTS, NO_ELECTION, RESETS, assert_empty};
use crate::world::{DEADLINE, Leg, World};

/// Boundaries of an attempt that leave something to recover.
fn first() -> Vec<(Leg, Boundary, Position)> {
    let mut all = Vec::new();
    for position in POSITIONS {
        all.push((Leg::Api, Boundary::intent(), position));
        all.push((Leg::Vendor, Boundary::clear(), position));
    }
    all.push((Leg::Api, Boundary::outcome(), Position::Before));
    all
}

/// Requests of a process that recovers.
fn second() -> Vec<(Leg, Boundary)> {
    vec![
        (Leg::Api, Boundary::page(RESETS, 1)),
        (Leg::Api, Boundary::of("watch", RESETS)),
        (Leg::Api, Boundary::secret()),
        (Leg::Api, Boundary::of("update", "groupattributeresets/status")),
        (Leg::Vendor, Boundary::any().whose(|seen| !seen.resource.is_empty())),
    ]
}

#[tokio::test]
async fn a_second_sigkill_during_recovery_loses_nothing_and_sends_nothing_twice() {
    runs("A2", 20)
        .side_by_side(10, |run| async move {
            let mut chance = run.chance();
            let (leg, boundary, position) = first().choose(&mut chance).expect("a boundary").clone();
            let (leg_2, boundary_2) = second().choose(&mut chance).expect("a boundary").clone();
            let position_2 = POSITIONS[chance.random_range(0..POSITIONS.len())];
            let what = format!("{position:?} {boundary}, then {position_2:?} {boundary_2}");

            let world = World::breakable().await;
            world.room("@TGS#room");
            let _operator = world.operator(&NO_ELECTION).await;
            world.app("").await;
            world.app_is("Verified").await;
            let kill = || Fault::Kill9(world.latest());
            let plan = world.plan(leg, boundary, position, kill());
            world.reset("room", "@TGS#room", "").await;
            plan.has_fired(DEADLINE).await;
            drop(plan);

            let mut plan = world.plan(leg_2, boundary_2.times(1), position_2, kill());
            // A kill after the answer may come so late that nothing is left to recover.
            if position == Position::After {
                plan = plan.may_miss();
            }
            let _second = world.start(world.launch(&NO_ELECTION));
            let has_exited = || async { world.latest()().exit_status() };
            tokio::select! {
                _ = until(DEADLINE, "the second process to exit", has_exited) => assert_eq!(plan.fired(), 1, "{what}"),
                () = world.until_all_final(DEADLINE), if position == Position::After => {}
            }
            drop(plan);
            let _third = world.operator(&NO_ELECTION).await;
            world.until_all_final(AFTER_FAULTS).await;
            // Even after two crashes the room is read back before a second clear, and it is empty.
            assert_eq!(world.calls("@TGS#room"), 1, "{what}");
            assert_empty(&world, "@TGS#room");
            world.finish().await;
        })
        .await;
}
