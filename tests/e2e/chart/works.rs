//! What the chart installs works: the container of its Deployment, run as a process with the arguments, environment,
//! files and service account that Kubernetes would give it, and with no right too many.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Value, json};
use testbed::control_plane::{ControlPlane, ServiceAccount};
use testbed::ports::free_port;
use testbed::{Helm, OperatorProcess, Pod, until, until_ok};

use crate::chart::{CHART, NAMED, bare_plane, parse_all};
use crate::world::{APP_ID, CRDS, DEADLINE, KEY, OwnPlane, World, chat_app, install_loose_crds, reason_of};

pub(crate) const HOME: &str = "groupattr-system";
pub(crate) const NAME: &str = "groupattr-operator";

/// An operator as the chart installs it, and what it serves.
pub(crate) struct Installed {
    pub(crate) world: World,
    pub(crate) operator: OperatorProcess,
    /// The API group, resource and verb of every rule.
    granted: BTreeSet<String>,
}

/// Installs the chart for a new namespace and starts what its Deployment says.
pub(crate) async fn install(
    plane: &'static ControlPlane,
    helm: Helm,
    values: impl Fn(&World) -> String,
) -> Installed {
    let world = World::without_rights(plane).await;
    let more = values(&world);
    install_for(world, helm, &more).await
}

/// The same for the namespace of this world.
pub(crate) async fn install_for(mut world: World, helm: Helm, more: &str) -> Installed {
    let plane = world.plane;
    let port = free_port();
    let address = world.vendor.address();
    let own =
        format!("allowEndpoints={{{address}}},listen.address=127.0.0.1,listen.port={port},log.filter=trace");
    let kubeconfig = plane.admin_kubeconfig();
    let args = ["upgrade", "--install", NAME, CHART, NAMED, "--namespace", HOME, "--create-namespace"];
    let args = [&args[..], &["--take-ownership", "--set", &own, "--set", more]].concat();
    let _ = helm.run(&kubeconfig, &args).await.unwrap().unwrap();
    let manifest =
        helm.run(&kubeconfig, &["get", "manifest", NAME, "--namespace", HOME]).await.unwrap().unwrap();
    store_something_malformed(&world).await;

    let operator = run(&mut world, HOME, NAME, port, |_| ()).await;
    Installed { world, operator, granted: granted(&manifest) }
}

/// Runs the container of a Deployment, with its arguments changed so that it finds the world.
pub(crate) async fn run(
    world: &mut World,
    home: &str,
    deployment: &str,
    port: u16,
    change: impl Fn(&mut Vec<String>),
) -> OperatorProcess {
    let plane = world.plane;
    let got = plane.kubectl(&["-n", home, "get", "deployment", deployment, "-o", "json"]).await.unwrap();
    let mut deployment: Value = serde_json::from_str(&got.stdout).unwrap();
    let mut spec: PodSpec = serde_json::from_value(deployment["spec"]["template"]["spec"].take()).unwrap();
    change(spec.containers[0].args.as_mut().unwrap());
    let name = spec.service_account_name.clone().unwrap();
    world.account = ServiceAccount { namespace: home.to_owned(), name, token: String::new() };
    let pod = Pod::new(plane, home, "groupattr-operator-5d9c-x7k2p", spec).await.unwrap();
    let command = pod.command(env!("CARGO_BIN_EXE_groupattr-operator").as_ref()).unwrap();
    let operator = OperatorProcess::spawn(command, port).unwrap();
    // Its files have to be there as long as it runs.
    Box::leak(Box::new(pod));
    operator.ready(DEADLINE).await;
    operator
}

/// A reset that only an older CRD would have let pass.
async fn store_something_malformed(world: &World) {
    install_loose_crds(world.plane).await;
    let yaml = "apiVersion: groupattr.dev/v1alpha1\nkind: GroupAttributeReset\nmetadata: { name: malformed }\nspec: {}";
    until(DEADLINE, "a malformed object to be taken", || async {
        world.plane.apply_in(&world.namespace, yaml).await.ok()
    })
    .await;
    world.plane.install_crds(CRDS).await.unwrap();
}

/// Every right in the roles of a manifest that are the operator's own.
pub(crate) fn granted(manifest: &str) -> BTreeSet<String> {
    let texts = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).unwrap_or_default() };
    let mut granted = BTreeSet::new();
    for role in parse_all(manifest) {
        let is_role = matches!(role["kind"].as_str(), Some("Role" | "ClusterRole"));
        let labels = role["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        if !is_role || labels.keys().any(|label| label.contains("aggregate-to")) {
            continue;
        }
        for rule in role["rules"].as_array().unwrap() {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    granted.extend(
                        texts(&rule["verbs"]).iter().map(|verb| format!("{verb} {group}/{resource}")),
                    );
                }
            }
        }
    }
    granted
}

/// Every right that this account made use of.
pub(crate) fn used(plane: &ControlPlane, user: &str) -> BTreeSet<String> {
    let all = plane.audit_of(user).unwrap();
    let requests = all.iter().filter(|event| !event.resource.is_empty());
    requests
        .map(|event| {
            assert_ne!(event.code, 403, "refused: {} {}", event.verb, event.request_uri);
            let below = if event.subresource.is_empty() { "" } else { "/" };
            format!("{} {}/{}{below}{}", event.verb, event.group, event.resource, event.subresource)
        })
        .collect()
}

/// Has the operator do everything that it ever does at the API server.
async fn exercise(installed: &Installed) {
    let Installed { world, operator, .. } = installed;
    world.room("@TGS#a");
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    // Deleted after its end.
    world.room("@TGS#b");
    world.reset("b", "@TGS#b", "  ttlSecondsAfterFinished: 0").await;
    until(DEADLINE, "its deletion", || async { world.object("gar", "b").await.is_none().then_some(()) })
        .await;
    // The second event of the same kind joins the first.
    for request in ["one", "two"] {
        let more = format!("  requestID: {request}");
        world.reset("missing", "@TGS#missing", &more).await;
        until(DEADLINE, "its end", || async {
            let reset = world.object("gar", "missing").await?;
            let ended = reason_of(&reset, "Succeeded") == "GroupNotFound";
            (ended && reset["status"]["requestID"] == request).then_some(())
        })
        .await;
    }
    world.check(&[operator]).await;
}

/// Waits until everything that is granted was used, and nothing else.
async fn granted_is_used(installed: &Installed) {
    until_ok(DEADLINE, "every right to be used", || async {
        installed.world.plane.audit_marker().await.unwrap();
        let world = &installed.world;
        let used = used(world.plane, &world.account.user());
        if used == installed.granted { Ok(()) } else { Err((used, installed.granted.clone())) }
    })
    .await;
}

#[tokio::test]
async fn in_the_whole_cluster_it_works_and_uses_exactly_what_it_is_granted() {
    let plane = OwnPlane::of(bare_plane().await);
    let installed = install(*plane, Helm::V4, |_| "replicas=1".to_owned()).await;
    exercise(&installed).await;
    // The platform team's account, with its key where the operator is.
    let world = &installed.world;
    let vendor = &world.vendor;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "chat"}, "stringData": {"secretKey": KEY}});
    plane.apply_in(HOME, &secret.to_string()).await.unwrap();
    let open = "  allowedNamespaces: { from: All }";
    world
        .apply(
            &chat_app("shared", APP_ID, &vendor.url(), open).replace("kind: ChatApp", "kind: ClusterChatApp"),
        )
        .await;
    world.room("@TGS#shared");
    world.reset("shared", "@TGS#shared", "  appRef: { kind: ClusterChatApp, name: shared }").await;
    world.reset_is("shared", "Cleared").await;
    granted_is_used(&installed).await;
    assert!(installed.granted.contains("watch /namespaces"), "{:?}", installed.granted);
}

#[tokio::test]
async fn in_chosen_namespaces_it_works_and_uses_exactly_what_it_is_granted() {
    let plane = OwnPlane::of(bare_plane().await);
    let values = |world: &World| format!("watchNamespaces={{{}}}", world.namespace);
    let installed = install(*plane, Helm::V3, values).await;
    exercise(&installed).await;
    granted_is_used(&installed).await;
    let world = &installed.world;
    for event in
        plane.audit_of(&world.account.user()).unwrap().iter().filter(|event| !event.resource.is_empty())
    {
        assert!([HOME, &world.namespace].contains(&event.namespace.as_str()), "{}", event.request_uri);
    }
    let roles = plane.kubectl(&["get", "clusterroles", "-o", "name"]).await.unwrap().stdout;
    assert!(!roles.contains("groupattr"), "{roles}");
}
