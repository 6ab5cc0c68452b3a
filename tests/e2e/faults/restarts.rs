//! C3: the API server and etcd restart under load, alone and together with other faults.

use std::time::Duration;

use testbed::runs;

use crate::faults::{AFTER_FAULTS, NO_ELECTION, assert_empty, until_calls};
use crate::world::replicas::{SHORT_LEASE, until_leading};
use crate::world::{DEADLINE, OwnPlane, World, numbered};

const COUNT: usize = 100;

#[tokio::test]
async fn restarting_the_api_server_and_etcd_under_load_loses_and_repeats_nothing() {
    runs("C3", 2)
        .one_by_one(|run| async move {
            let plane = OwnPlane::new().await;
            let world = World::on(*plane).await;
            let resets = numbered("load", COUNT);
            world.rooms(&resets);
            let operator = world.operator(&NO_ELECTION).await;
            world.app("  limits: { callsPerSecond: 10 }").await;
            world.app_is("Verified").await;
            world.many_resets(resets.clone()).await;
            until_calls(&world, COUNT / 5).await;
            if run.turn(2) == 0 {
                world.plane.stop_apiserver().await;
            } else {
                world.plane.kill_apiserver();
            }
            world.plane.restart_apiserver().await.expect("the API server");
            let before = world.vendor.clears().len();
            until_calls(&world, (before + COUNT / 5).min(COUNT)).await;
            world.plane.restart_etcd().await.expect("etcd");
            world.until_all_final(AFTER_FAULTS).await;
            for (_, group) in &resets {
                assert_eq!(world.calls(group), 1, "{group}");
                assert_empty(&world, group);
            }
            assert_eq!(operator.exit_status(), None);
            world.finish().await;
            world.plane.shut_down();
        })
        .await;
}

#[tokio::test]
async fn a_vendor_outage_an_api_server_restart_and_a_dead_leader_at_once_lose_and_repeat_nothing() {
    runs("C3-all", 1)
        .one_by_one(|_| async move {
            let plane = OwnPlane::new().await;
            let world = World::on(*plane).await;
            let resets = numbered("all", COUNT);
            world.rooms(&resets);
            let leader = world.operator(&SHORT_LEASE).await;
            until_leading(&leader, DEADLINE).await;
            world.app("  limits: { callsPerSecond: 10 }").await;
            world.app_is("Verified").await;
            let follower = world.operator(&SHORT_LEASE).await;
            world.many_resets(resets.clone()).await;
            until_calls(&world, COUNT / 5).await;
            world.vendor.go_down();
            world.plane.kill_apiserver();
            leader.kill9();
            // A process that cannot renew its lease while the API server is down exits and is restarted.
            follower.may_end();
            world.plane.restart_apiserver().await.expect("the API server");
            // The vendor is still down when the new leader starts.
            tokio::time::sleep(Duration::from_secs(5)).await;
            world.vendor.come_back();
            // Its circuit may be open; a probe closes it within a minute.
            world.until_all_final_with_restarts(follower, &SHORT_LEASE, 2 * AFTER_FAULTS).await;
            for (_, group) in &resets {
                assert_eq!(world.calls(group), 1, "{group}");
                assert_empty(&world, group);
            }
            world.finish().await;
            world.plane.shut_down();
        })
        .await;
}
