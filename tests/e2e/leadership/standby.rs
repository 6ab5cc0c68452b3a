//! `/readyz` of a standby: it is ready only if it could take over.

use testbed::control_plane::{OperatorRights, Scope};
use testbed::{OperatorProcess, until_ok};

use crate::world::replicas::{SHORT_LEASE, until_leading};
use crate::world::{DEADLINE, World, rights};

/// Waits until `/readyz` is 503 with one line that contains this.
async fn until_not_ready(operator: &OperatorProcess, text: &str) {
    until_ok(DEADLINE, &format!("/readyz to say {text:?}"), || async {
        match operator.get("/readyz").await {
            Ok((503, body)) if body.contains(text) && body.lines().count() == 1 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn in_a_missing_namespace_the_operator_is_not_ready_and_says_why() {
    let world = World::new().await;
    let home = format!("{}-home", world.namespace);
    let mut launch = world.launch(&[&format!("--namespace={home}")]);
    // As cluster administrator, so that only the namespace is missing.
    launch.kubeconfig = world.plane.admin_kubeconfig();
    let operator = world.start(launch);
    until_not_ready(&operator, &format!("check that the namespace {home} exists")).await;
    let namespace = format!("{{ apiVersion: v1, kind: Namespace, metadata: {{ name: {home} }} }}");
    world.plane.apply(&namespace).await.expect("a namespace");
    operator.ready(DEADLINE).await;
    until_leading(&operator, DEADLINE).await;
}

#[tokio::test]
async fn a_standby_that_cannot_take_over_is_not_ready_until_it_can() {
    let world = World::new().await;
    world
        .apply(
            "apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: { name: groupattr-operator }
spec: { holderIdentity: somebody, leaseDurationSeconds: 3600 }",
        )
        .await;
    let operator = world.operator(&SHORT_LEASE).await;
    let scope = Scope::Namespaces(vec![world.namespace.clone()]);
    let none = OperatorRights { at_home: Vec::new(), ..rights() };
    world.plane.grant(&world.account, &none, &scope).await.expect("rights");
    operator.wait_for_log("the lease groupattr-operator cannot be taken", DEADLINE).await;
    assert!(operator.is_ready().await, "a single failure must not make it unready");
    until_not_ready(&operator, "allow this account to create leases.coordination.k8s.io").await;
    assert_eq!(operator.get("/livez").await.unwrap().0, 200, "a waiting process must not be restarted");
    world.plane.grant(&world.account, &rights(), &scope).await.expect("rights");
    operator.ready(DEADLINE).await;
    assert_eq!(world.lease_holder().await, "somebody");
}
