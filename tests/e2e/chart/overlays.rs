//! The kustomize base, and overlays of it: other namespaces, prefixes, images and restorers.

use std::fs;
use std::path::Path;

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};
use testbed::control_plane::ControlPlane;
use testbed::ports::free_port;
use testbed::{Helm, until, until_ok};

use crate::chart::admission::{FORGED, Somebody, app, apps, ok, reset, secret};
use crate::chart::works::{HOME, NAME, run};
use crate::chart::{bare_plane, check, objects, the};
use crate::world::{DEADLINE, OwnPlane, World};

const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/kustomize");
/// Where no image can be: who forgets to name one is told so by the kubelet.
const NO_REGISTRY: &str = "name-a-registry.invalid/groupattr-operator";

#[tokio::test]
async fn the_kustomize_base_installs_the_same() {
    let plane = bare_plane().await;
    let apply = async || plane.kubectl(&["apply", "--server-side", "-k", BASE]).await.unwrap();
    let done = apply().await;
    assert!(done.ok, "{}", done.stderr);
    assert_eq!(done.stdout.lines().filter(|line| line.contains("customresourcedefinition")).count(), 3);
    let got = plane.kubectl(&["-n", HOME, "get", "deployment", NAME, "-o", "json"]).await.unwrap();
    let deployment: Value = serde_json::from_str(&got.stdout).unwrap();
    let chart = objects(Helm::V4, &[]).await;
    let of_chart = &the("Deployment", &chart)["spec"]["template"]["spec"]["containers"][0];
    let of_base = &deployment["spec"]["template"]["spec"]["containers"][0];
    for field in ["resources", "securityContext"] {
        assert_eq!(of_base[field], of_chart[field], "{field}");
    }
    assert_eq!(of_base["image"], format!("{NO_REGISTRY}:{}", env!("CARGO_PKG_VERSION")));
    // The namespace is the pod's own.
    let mut args = of_chart["args"].clone();
    args.as_array_mut().unwrap().retain(|arg| arg != "--namespace=groupattr-system");
    assert_eq!(of_base["args"], args);
    let again = apply().await;
    assert!(again.ok, "{}", again.stderr);
    let generation =
        plane.kubectl(&["-n", HOME, "get", "deployment", NAME, "-o", "jsonpath={.metadata.generation}"]);
    assert_eq!(generation.await.unwrap().stdout, "1", "applied twice, changed once");
}

/// Writes an overlay of the kustomize base, which lets somebody restore statuses.
fn overlay(plane: &ControlPlane, namespace: &str, prefix: &str, restorer: &str) -> String {
    let folder = plane.folder().join("overlay");
    fs::create_dir_all(&folder).unwrap();
    // Kustomize takes no absolute path to a base.
    let folder = folder.canonicalize().unwrap();
    let up = "../".repeat(folder.components().count() - 1);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
    let base = root.join("charts/kustomize").strip_prefix("/").unwrap().display().to_string();
    let users = "/spec/variables/1/expression";
    let patch = json!([{"op": "replace", "path": users, "value": json!([restorer]).to_string()}]);
    let text = json!({
        "resources": [up + &base],
        "namespace": namespace,
        "namePrefix": prefix,
        "images": [{"name": NO_REGISTRY, "newName": "registry.example.com/groupattr-operator"}],
        "patches": [{
            "target": {"kind": "ValidatingAdmissionPolicy", "name": "groupattr-operator-status"},
            "patch": patch.to_string(),
        }],
    });
    fs::write(folder.join("kustomization.yaml"), text.to_string()).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_overlay_of_the_kustomize_base_takes_its_policies_to_another_namespace() {
    let plane = &bare_plane().await;
    let team = plane.namespace().await.unwrap();
    let folder = overlay(plane, "rooms", "live-", &format!("system:serviceaccount:{team}:velero"));
    ok(plane, &["apply", "--server-side", "-k", &folder]).await;
    for object in [reset("parked"), app("ClusterChatApp", "shared", "chat")] {
        until(DEADLINE, "the kinds to be served", || async {
            plane.apply_in(&team, &object.to_string()).await.ok()
        })
        .await;
    }
    let args = ["-n", "rooms", "get", "deployment", "live-groupattr-operator", "-o", "json"];
    let deployment: Value = serde_json::from_str(&plane.kubectl(&args).await.unwrap().stdout).unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "live-groupattr-operator");
    assert!(!pod["containers"][0]["args"].to_string().contains("groupattr-system"), "{pod:#}");

    // Somebody with every right in a namespace, who also takes the operator's name.
    let status = ["gar", "parked", "--subresource=status"];
    for name in ["mallory", "live-groupattr-operator"] {
        let attacker = Somebody::new(plane, &team, name).await.bound_to("cluster-admin", &team).await;
        let text = "only system:serviceaccount:rooms:live-groupattr-operator writes this status";
        attacker.is_refused(&status, FORGED, text).await;
    }
    let operator = plane.service_account("rooms", "live-groupattr-operator").await.unwrap();
    let (good, said) = check::check(plane, &operator, &["--namespace=rooms"]).await;
    assert!(good, "{said}");
    // Not by kubectl, which would read the status first: the operator has no right to that.
    let kind =
        ApiResource::from_gvk(&GroupVersionKind::gvk("groupattr.dev", "v1alpha1", "GroupAttributeReset"));
    let client = plane.client(&operator.token).await.unwrap();
    let resets: Api<DynamicObject> = Api::namespaced_with(client, &team, &kind);
    let patch = Patch::Merge(serde_json::from_str::<Value>(FORGED).unwrap());
    let _ = resets.patch_status("parked", &PatchParams::default(), &patch).await.unwrap();

    let restorer = Somebody::new(plane, &team, "velero").await.bound_to("cluster-admin", &team).await;
    until_ok(DEADLINE, "the restorer of the overlay to be let in", || async {
        let done = restorer.patch(&status, FORGED).await;
        if done.ok { Ok(()) } else { Err(done.stderr) }
    })
    .await;

    // The Secrets of the platform are where the operator went.
    let platform = Somebody::new(plane, &team, "platform").await.with(None, "apps", apps()).await;
    let moved = r#"{"spec":{"region":"Tokyo"}}"#;
    let text = "you may not get the Secret \"chat\" in namespace \"rooms\"";
    platform.is_refused(&["clusterchatapp", "shared"], moved, text).await;
    let platform = platform.with(Some("rooms"), "chat", secret("chat")).await;
    until_ok(DEADLINE, "the right to read it to be enough", || async {
        let done = platform.patch(&["clusterchatapp", "shared"], moved).await;
        if done.ok { Ok(()) } else { Err(done.stderr) }
    })
    .await;
}

/// Nothing in the pod holds on to the namespace of the base: it leads, and clears, in that of the overlay.
#[tokio::test]
async fn an_overlay_with_another_namespace_leads_and_clears_there() {
    let plane = OwnPlane::of(bare_plane().await);
    let mut world = World::without_rights(*plane).await;
    let folder = overlay(*plane, "chat-ops", "", "nobody");
    ok(*plane, &["apply", "--server-side", "-k", &folder]).await;
    until(DEADLINE, "the kinds to be served", || async {
        plane.apply_in(&world.namespace, &reset("parked").to_string()).await.ok()
    })
    .await;
    // A moment after it is there, the policy knows from the binding who the operator is.
    let forged = ["-n", &world.namespace, "patch", "gar", "parked", "--subresource=status", "--type=merge"];
    let forged = [&forged[..], &["--dry-run=server", "-p", FORGED]].concat();
    until(DEADLINE, "the policy to be in force", || async {
        let said = plane.kubectl(&forged).await.unwrap().stderr;
        said.contains("only system:serviceaccount:chat-ops:groupattr-operator writes").then_some(())
    })
    .await;

    let (port, vendor) = (free_port(), world.vendor.address());
    let operator = run(&mut world, "chat-ops", NAME, port, |args| {
        args.retain(|arg| !arg.starts_with("--listen=") && !arg.starts_with("--log-filter="));
        args.extend([format!("--listen=127.0.0.1:{port}"), "--log-filter=trace".to_owned()]);
        args.push(format!("--allow-endpoint={vendor}"));
    })
    .await;
    world.room("@TGS#a");
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    world.check(&[&operator]).await;
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    let image = plane.kubectl(&["-n", "chat-ops", "get", "deployment", NAME, "-o", image]).await.unwrap();
    let expected = format!("registry.example.com/groupattr-operator:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(image.stdout, expected);
    let leases = ["get", "leases", "-A", "-o", "jsonpath={.items[*].metadata.namespace}"];
    let leases = plane.kubectl(&leases).await.unwrap().stdout;
    let homes: Vec<&str> = leases.split(' ').filter(|home| !home.starts_with("kube-")).collect();
    assert_eq!(homes, ["chat-ops"]);
    let left = plane.kubectl(&["get", "namespace", HOME]).await.unwrap();
    assert!(!left.ok, "the namespace of the base is there too");
}
