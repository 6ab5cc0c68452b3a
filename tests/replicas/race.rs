//! Two candidates and one lease that has run out.

use std::sync::atomic::{AtomicUsize, Ordering};

use testbed::runs::runs;
use testbed::{OperatorProcess, until, until_ok};

use crate::world::replicas::leads;
use crate::world::{SOON, World};

/// As the leader of yesterday left it: not released, and not renewed any more.
const ABANDONED: &str = "apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: { name: groupattr-operator }
spec:
  holderIdentity: somebody-who-is-gone
  leaseDurationSeconds: 2
  leaseTransitions: 7
  acquireTime: 2026-01-01T00:00:00.000000Z
  renewTime: 2026-01-01T00:00:00.000000Z
";

/// Which of the two leads; `None` while neither does.
async fn winner(candidates: &[OperatorProcess; 2]) -> Option<usize> {
    match [leads(&candidates[0]).await, leads(&candidates[1]).await] {
        [true, true] => panic!("both lead"),
        [true, false] => Some(0),
        [false, true] => Some(1),
        [false, false] => None,
    }
}

/// Only who waits for the lease reads it; who holds it writes.
async fn looks_at_the_lease(world: &World) -> usize {
    let requests = world.requests("leases", "groupattr-operator").await;
    requests.iter().filter(|event| event.verb == "get").count()
}

/// One race. Returns how many of its writes the API server refused because the other one was faster.
async fn race() -> usize {
    let world = World::new().await;
    world.room("@TGS#prize");
    world.app("").await;
    world.reset("prize", "@TGS#prize", "").await;
    world.apply(ABANDONED).await;
    let args = ["--lease-retry-seconds=1"];
    let candidates = [0, 1].map(|_| world.start(world.launch(&args)));
    let first = until(SOON, "one of them to lead", || winner(&candidates)).await;
    // The winner works, and the other one goes on looking at the lease without taking it.
    world.reset_is("prize", "Cleared").await;
    let looks = looks_at_the_lease(&world).await;
    until_ok(SOON, "the other to look again", || async {
        let more = looks_at_the_lease(&world).await;
        if more >= looks + 3 { Ok(()) } else { Err(more) }
    })
    .await;
    assert_eq!(winner(&candidates).await, Some(first), "another one leads by now");
    let won = candidates.each_ref().map(|candidate| candidate.logs().matches("\"leading\"").count());
    assert_eq!(won.iter().sum::<usize>(), 1, "how often each of them began to lead: {won:?}");
    assert_eq!(world.calls("@TGS#prize"), 1);

    let writes = world.requests("leases", "groupattr-operator").await;
    let writes = writes.iter().filter(|event| event.verb == "update");
    let lease = world.object("lease", "groupattr-operator").await.expect("the lease");
    assert_eq!(lease["spec"]["leaseTransitions"], 8, "it changed hands once: {lease:#}");
    let refused = writes.filter(|event| event.code == 409).count();
    world.finish().await;
    refused
}

#[tokio::test]
async fn of_two_that_race_for_a_lease_that_has_run_out_one_wins() {
    let lost = AtomicUsize::new(0);
    runs("D2", 20)
        .side_by_side(5, |_| async {
            lost.fetch_add(race().await, Ordering::Relaxed);
        })
        .await;
    println!(
        "{} times both wrote at the same moment, and the API server refused the slower one",
        lost.into_inner()
    );
}
