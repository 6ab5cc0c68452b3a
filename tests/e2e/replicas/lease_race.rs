//! Two candidates compete for one expired lease.

use testbed::proxy::{Boundary, Fault, Position};
use testbed::runs::runs;
use testbed::until_ok;

use crate::world::replicas::{leader_of, until_one_leads};
use crate::world::{DEADLINE, Leg, World};

/// A lease whose holder is gone: neither released nor renewed.
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

/// Acquiring the lease is held up by the proxy; these flags keep the candidate from giving up.
const PATIENT: [&str; 2] = ["--lease-duration-seconds=90", "--lease-renew-deadline-seconds=60"];

/// How often the lease was read: candidates read it, the holder only writes.
async fn lease_reads(world: &World) -> usize {
    let requests = world.requests("leases", "groupattr-operator").await;
    requests.iter().filter(|event| event.verb == "get").count()
}

async fn race() {
    let world = World::breakable().await;
    world.room("@TGS#prize");
    world.app("").await;
    world.reset("prize", "@TGS#prize", "").await;
    world.apply(ABANDONED).await;
    // Both candidates have seen it expire, and both writes are in flight before either arrives.
    let writes = Boundary::of("update", "leases").times(2);
    let plan = world.plan(Leg::Api, writes, Position::Before, Fault::Hold);
    let args = ["--lease-retry-seconds=1", PATIENT[0], PATIENT[1]];
    let candidates = [0, 1].map(|_| world.start(world.launch(&args)));
    plan.has_fired_times(2, DEADLINE).await;
    plan.release();
    let first = until_one_leads(&candidates, DEADLINE).await;
    // The winner works; the other one keeps reading the lease without taking it.
    world.reset_is("prize", "Cleared").await;
    let reads = lease_reads(&world).await;
    until_ok(DEADLINE, "the other candidate to read the lease again", || async {
        let more = lease_reads(&world).await;
        if more >= reads + 3 { Ok(()) } else { Err(more) }
    })
    .await;
    assert_eq!(leader_of(&candidates).await, Some(first), "the leader has changed");
    let won = candidates.each_ref().map(|candidate| candidate.logs().matches("\"leading\"").count());
    assert_eq!(won.iter().sum::<usize>(), 1, "how often each candidate became leader: {won:?}");
    assert_eq!(world.calls("@TGS#prize"), 1);

    let requests = world.requests("leases", "groupattr-operator").await;
    let refused = requests.iter().filter(|event| event.verb == "update" && event.code == 409).count();
    assert_eq!(refused, 1, "both wrote, and one write was refused");
    let lease = world.object("lease", "groupattr-operator").await.expect("the lease");
    assert_eq!(lease["spec"]["leaseTransitions"], 8, "the lease changed hands once: {lease:#}");
    world.finish().await;
}

#[tokio::test]
async fn one_of_two_candidates_wins_an_expired_lease() {
    runs("D2", 20).side_by_side(5, |_| race()).await;
}

/// Otherwise nobody would release the lease, and the others would wait for it to expire.
#[tokio::test]
async fn sigterm_during_lease_acquisition_releases_the_lease() {
    let world = World::breakable().await;
    let taking = Boundary::of("create", "leases");
    let plan = world.plan(Leg::Api, taking, Position::LostAnswer, Fault::Hold);
    let operator = world.start(world.launch(&PATIENT));
    plan.has_fired(DEADLINE).await;
    operator.terminate();
    operator.wait_for_log("received SIGTERM, shutting down", DEADLINE).await;
    plan.release();
    assert!(operator.wait_exit(DEADLINE).await.success(), "{}", operator.logs());
    assert_eq!(world.lease_holder().await, "");
}
