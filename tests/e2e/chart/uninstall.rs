//! Uninstalling hands over: nothing that the operator knows is lost, and nothing is left behind.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::vendor::{Misbehaviour, When};
use testbed::{Helm, until};

use crate::chart::machines::{Machines, Running};
use crate::chart::works::{HOME, Installed, NAME, granted, install, used};
use crate::chart::{CHART, NAMED, bare_plane};
use crate::world::{DEADLINE, OwnPlane, World, numbered, reason_of};

/// The Pod that stands for the operator's process: the Deployment's template, with its labels.
async fn pod_of_the_deployment(world: &World) -> String {
    let got = world.plane.kubectl(&["-n", HOME, "get", "deployment", NAME, "-o", "json"]).await.unwrap();
    let mut deployment: Value = serde_json::from_str(&got.stdout).unwrap();
    let mut pod = deployment["spec"]["template"].take();
    let name = format!("{NAME}-5d9c-x7k2p");
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name);
    world.plane.apply_in(HOME, &pod.to_string()).await.unwrap();
    name
}

/// Helm, with machines that run what it waits for.
async fn uninstall(installed: &Installed, helm: Helm) -> String {
    let world = &installed.world;
    let mut machines = Machines::new(world.plane, HOME);
    let pod = pod_of_the_deployment(world).await;
    machines.running = Some(Running { deployment: NAME, pod, process: installed.operator.trace() });
    let kubeconfig = world.plane.admin_kubeconfig();
    let args = ["uninstall", NAME, "--namespace", HOME, "--timeout=90s"];
    let done = machines.beside(helm.run(&kubeconfig, &args)).await.unwrap();
    let said = machines.said.lock().unwrap().join("\n");
    assert!(done.ok, "{}{}\n{said}\n{}", done.stdout, done.stderr, installed.operator.logs());
    said
}

async fn hands_over(helm: Helm, values: &'static str) {
    let plane = OwnPlane::of(bare_plane().await);
    let installed = install(*plane, helm, |_| values.to_owned()).await;
    let Installed { world, operator, .. } = &installed;
    let rooms = numbered("room", 8);
    world.rooms(&rooms);
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(When::clear().times(8), Misbehaviour::DelayAfter(Duration::from_secs(3)));
    world.many_resets(rooms.clone()).await;
    world.until_calls(8).await;
    operator.may_end();
    let hooks = ["get", "hooks", NAME, "--namespace", HOME];
    let hooks = helm.run(&world.plane.admin_kubeconfig(), &hooks).await.unwrap().unwrap();
    let said = uninstall(&installed, helm).await;
    assert!(said.contains("drained: "), "{said}");
    // What it is granted it uses; a lease is made only where there is none.
    world.plane.audit_marker().await.unwrap();
    let mut granted = granted(&hooks);
    granted.remove("create coordination.k8s.io/leases");
    assert!(!granted.is_empty());
    assert_eq!(used(world.plane, &format!("system:serviceaccount:{HOME}:{NAME}-drain")), granted);

    for (name, _) in &rooms {
        let reset = world.object("gar", name).await.expect("the reset");
        assert_eq!(reason_of(&reset, "Succeeded"), "Cleared", "{reset:#}");
    }
    assert_eq!(operator.wait_exit(DEADLINE).await.code(), Some(0), "{}", operator.logs());
    for kind in ["deployment", "serviceaccount", "role", "rolebinding", "lease", "job", "pod"] {
        let args = ["-n", HOME, "get", kind, "-o", "name"];
        let left = world.plane.kubectl(&args).await.unwrap().stdout;
        assert!(!left.contains("groupattr"), "{left} is left");
    }
    let clusterroles = world.plane.kubectl(&["get", "clusterroles", "-o", "name"]).await.unwrap().stdout;
    assert!(!clusterroles.contains("groupattr"), "{clusterroles}");

    // People enter the rooms again, and somebody installs the operator again.
    world.rooms(&rooms);
    let calls = world.vendor.clears().len();
    let again = crate::chart::works::install_for(installed.world, helm, values).await;
    let world = &again.world;
    world.room("@TGS#new");
    world.reset("new", "@TGS#new", "").await;
    world.reset_is("new", "Cleared").await;
    assert_eq!(world.vendor.clears().len(), calls + 1, "a room was cleared a second time");
    world.assert_each_cleared_once(&rooms);
}

#[tokio::test]
async fn an_uninstall_in_the_middle_of_calls_records_them_and_the_next_installation_repeats_none() {
    hands_over(Helm::V4, "replicas=1").await;
}

#[tokio::test]
async fn an_uninstall_without_election_waits_for_the_only_pod() {
    hands_over(Helm::V3, "leaderElection.enabled=false").await;
}

/// What it waits for is in the log of the Job, which stays; and nothing that it would lose has been taken away.
#[tokio::test]
async fn an_uninstall_that_cannot_drain_fails_and_leaves_the_operator_its_rights() {
    let plane = bare_plane().await;
    let (kubeconfig, helm) = (plane.admin_kubeconfig(), Helm::V4);
    let args = ["install", NAME, CHART, NAMED, "--namespace", HOME, "--create-namespace"];
    let values = "drain.timeoutSeconds=3,leaderElection.leaseDurationSeconds=120";
    let _ = helm.run(&kubeconfig, &[&args[..], &["--set", values]].concat()).await.unwrap().unwrap();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": NAME },
        "spec": { "holderIdentity": "busy-leader", "leaseDurationSeconds": 120 },
    });
    plane.apply_in(HOME, &lease.to_string()).await.unwrap();
    let machines = Machines::new(&plane, HOME);
    let uninstall = ["uninstall", NAME, "--namespace", HOME, "--timeout=60s"];
    let failed = machines.beside(helm.run(&kubeconfig, &uninstall)).await.unwrap();
    let said = machines.said.lock().unwrap().join("\n");
    assert!(!failed.ok && said.contains("held by busy-leader"), "{} {said}", failed.stdout);
    for what in
        ["deployment", "serviceaccount", "role/groupattr-operator-lease", "job/groupattr-operator-drain"]
    {
        let args = ["-n", HOME, "get", what, "-o", "name"];
        let got = plane.kubectl(&args).await.unwrap().stdout;
        assert!(got.contains("groupattr-operator"), "{what} is gone");
    }
    // For whoever knows better.
    let without = [&uninstall[..], &["--no-hooks"]].concat();
    let _ = helm.run(&kubeconfig, &without).await.unwrap().unwrap();
    until(DEADLINE, "the Deployment to go", || async {
        (!plane.kubectl(&["-n", HOME, "get", "deployment", NAME]).await.unwrap().ok).then_some(())
    })
    .await;
}
