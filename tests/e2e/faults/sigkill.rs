//! A1: SIGKILL at each boundary: before it, while the answer is lost, and after it.

use testbed::proxy::{Boundary, Fault, POSITIONS, Position, Signal};
use testbed::runs;

use crate::faults::{AFTER_FAULTS, NO_ELECTION, RESETS, assert_empty};
use crate::world::replicas::{SHORT_LEASE, until_leading};
use crate::world::{DEADLINE, Leg, World, numbered};

/// What the process is doing when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// It starts and has nothing to do yet.
    Starting,
    /// It verifies an app.
    Proving,
    /// It sends a reset.
    Clearing,
    /// A reset fails because its room does not exist, and an event reports it.
    Failing,
    /// One reset is in flight, others wait for a permit.
    Waiting,
    /// An idle leader renews its lease.
    Leading,
    /// The leader has received SIGTERM.
    Ending,
}

/// A boundary at which the process is killed.
struct Point {
    leg: Leg,
    boundary: Boundary,
    position: Position,
    scene: Scene,
}

/// All points of A1 except the second page of a list.
fn points() -> Vec<Point> {
    let boundaries = [
        (Leg::Api, Boundary::secret(), Scene::Proving),
        (Leg::Api, Boundary::intent(), Scene::Clearing),
        (Leg::Vendor, Boundary::clear(), Scene::Clearing),
        (Leg::Api, Boundary::outcome(), Scene::Clearing),
        (Leg::Api, Boundary::event(), Scene::Failing),
        (Leg::Api, Boundary::of("create", "leases"), Scene::Starting),
        (Leg::Api, Boundary::renewal(), Scene::Leading),
        (Leg::Api, Boundary::release(), Scene::Ending),
        (Leg::Api, Boundary::page(RESETS, 1), Scene::Starting),
        (Leg::Api, Boundary::of("watch", RESETS), Scene::Starting),
    ];
    let mut points: Vec<Point> = boundaries
        .into_iter()
        .flat_map(|(leg, boundary, scene)| {
            POSITIONS.map(|position| Point { leg, boundary: boundary.clone(), position, scene })
        })
        .collect();
    points.push(Point {
        leg: Leg::Vendor,
        boundary: Boundary::clear(),
        position: Position::After,
        scene: Scene::Waiting,
    });
    points
}

const EACH: u32 = 3;

#[tokio::test]
async fn a_sigkill_at_any_boundary_loses_nothing_and_sends_nothing_twice() {
    let count = points().len();
    let few = EACH * u32::try_from(count).unwrap();
    runs("A1", few)
        .side_by_side(12, |run| async move { killed_at(points().swap_remove(run.turn(count))).await })
        .await;
}

async fn killed_at(point: Point) {
    let Point { leg, boundary, position, scene } = point;
    let what = format!("{position:?} {boundary} while {scene:?}");
    let world = World::breakable().await;
    let resets = numbered("room", if scene == Scene::Waiting { 3 } else { 1 });
    if scene != Scene::Failing {
        world.rooms(&resets);
    }
    let with_lease = boundary.to_string().contains("leases");
    let args: &[&str] = if with_lease { &SHORT_LEASE } else { &NO_ELECTION };
    let kill = || Fault::Kill9(world.latest());

    if scene == Scene::Starting {
        let plan = world.plan(leg, boundary, position, kill());
        let _killed = world.start(world.launch(args));
        plan.has_fired(DEADLINE).await;
        let _operator = world.operator(args).await;
        world.app("").await;
        world.many_resets(resets.clone()).await;
        return finish(&world, &resets, scene, &what).await;
    }
    let operator = world.operator(args).await;
    if with_lease {
        until_leading(&operator, DEADLINE).await;
    }
    let plan = if scene == Scene::Proving {
        let plan = world.plan(leg, boundary, position, kill());
        world.app("").await;
        world.many_resets(resets.clone()).await;
        plan
    } else {
        world.app(if scene == Scene::Waiting { "  limits: { callsPerSecond: 1 }" } else { "" }).await;
        world.app_is("Verified").await;
        if scene == Scene::Ending {
            world.many_resets(resets.clone()).await;
            world.until_all_final(DEADLINE).await;
        }
        let plan = world.plan(leg, boundary, position, kill());
        if scene == Scene::Ending {
            world.latest()().signal(Signal::TERM);
        } else {
            world.many_resets(resets.clone()).await;
        }
        plan
    };
    plan.has_fired(DEADLINE).await;
    let _next = world.operator(args).await;
    finish(&world, &resets, scene, &what).await;
}

/// Every reset finishes, nothing is lost, and no room is cleared more than once.
async fn finish(world: &World, resets: &[(String, String)], scene: Scene, what: &str) {
    world.until_all_final(AFTER_FAULTS).await;
    for (name, group) in resets {
        // After every fault of this row the room is read back, and each call that arrives empties it.
        assert_eq!(world.calls(group), 1, "{what}: calls of {group}");
        let reason = world.reason(name).await;
        if scene == Scene::Failing {
            assert_eq!(reason, "GroupNotFound", "{what}");
        } else {
            assert!(["Cleared", "VerifiedEmpty"].contains(&reason.as_str()), "{what}: {reason}");
            assert_empty(world, group);
        }
    }
    world.finish().await;
}

#[tokio::test]
async fn a_sigkill_at_the_second_page_of_a_list_loses_nothing() {
    // A page holds 500 objects.
    const MANY: usize = 520;
    runs("A1-page-2", 1)
        .one_by_one(|_| async {
            let world = World::breakable().await;
            let rooms = numbered("page", MANY);
            world.rooms(&rooms);
            // Below the maximum: each concurrent call is a connection through the proxy.
            world.app("  limits: { callsPerSecond: 30 }").await;
            world.many_resets(rooms.clone()).await;
            for position in POSITIONS {
                let plan =
                    world.plan(Leg::Api, Boundary::page(RESETS, 2), position, Fault::Kill9(world.latest()));
                let _killed = world.start(world.launch(&NO_ELECTION));
                plan.has_fired(DEADLINE).await;
            }
            let _operator = world.operator(&NO_ELECTION).await;
            world.until_cleared(MANY, 3 * AFTER_FAULTS).await;
            for (_, group) in &rooms {
                assert_eq!(world.calls(group), 1, "{group}");
            }
            world.finish().await;
        })
        .await;
}
