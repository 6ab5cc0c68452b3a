//! The life of a release with each Helm, on API servers of their own: the CRDs belong to the release.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testbed::control_plane::ControlPlane;
use testbed::{Helm, until};

use crate::chart::machines::Machines;
use crate::chart::{CHART, NAMED, bare_plane, called};
use crate::world::{CRDS, DEADLINE};

const NAME: &str = "groupattr-operator";
const HOME: &str = "groupattr-system";

/// A cluster, and Helm with an administrator's rights.
struct Cluster {
    plane: ControlPlane,
    kubeconfig: PathBuf,
}

impl Cluster {
    async fn new() -> Self {
        let plane = bare_plane().await;
        let kubeconfig = plane.admin_kubeconfig();
        Self { plane, kubeconfig }
    }

    async fn helm(&self, helm: Helm, args: &[&str]) -> String {
        let args = [args, &["--namespace", HOME]].concat();
        let machines = Machines::new(&self.plane, HOME);
        machines.beside(helm.run(&self.kubeconfig, &args)).await.unwrap().unwrap()
    }

    /// Installs the chart the first time, upgrades it after that.
    async fn put(&self, helm: Helm, chart: &str, more: &[&str]) -> String {
        let args = [&["upgrade", "--install", NAME, chart, NAMED, "--create-namespace"], more].concat();
        self.helm(helm, &args).await
    }

    async fn get(&self, what: &[&str]) -> Value {
        let args = [&["get", "-o", "json"], what].concat();
        let got = self.plane.kubectl(&args).await.unwrap();
        assert!(got.ok, "{what:?}: {}", got.stderr);
        serde_json::from_str(&got.stdout).unwrap()
    }

    async fn exists(&self, what: &[&str]) -> bool {
        self.plane.kubectl(&[&["get"], what].concat()).await.unwrap().ok
    }

    async fn deployment(&self) -> Value {
        self.get(&["-n", HOME, "deployment", NAME]).await
    }

    async fn args(&self) -> Vec<String> {
        let args = self.deployment().await["spec"]["template"]["spec"]["containers"][0]["args"].clone();
        serde_json::from_value(args).unwrap()
    }

    /// Objects of the three kinds, which must survive whatever happens to the release.
    async fn make_objects(&self) {
        let app =
            json!({"sdkAppID": 7, "region": "Seoul", "credentials": {"secretKeyRef": {"name": "chat"}}});
        let mut all = Vec::new();
        for (kind, spec) in [
            ("GroupAttributeReset", json!({"groupID": "@TGS#kept"})),
            ("ChatApp", app.clone()),
            ("ClusterChatApp", app),
        ] {
            all.push(json!({"apiVersion": "groupattr.dev/v1alpha1", "kind": kind, "metadata": {"name": "kept"}, "spec": spec}));
        }
        let all: Vec<String> = all.iter().map(Value::to_string).collect();
        // A CRD is served a moment after it is there.
        until(DEADLINE, "the kinds to be served", || async {
            self.plane.apply(&all.join("\n---\n")).await.ok()
        })
        .await;
    }

    async fn uids(&self) -> Vec<Value> {
        let mut uids = Vec::new();
        for kind in ["gar", "chatapp", "clusterchatapp"] {
            uids.push(self.get(&[kind, "kept"]).await["metadata"]["uid"].clone());
        }
        uids
    }

    /// The names of the CRDs, and to which release they say they belong.
    async fn crds(&self) -> Vec<(Value, Value)> {
        let crds = self.get(&["crds"]).await;
        let crds = crds["items"].as_array().unwrap().iter();
        crds.map(|crd| {
            let metadata = &crd["metadata"];
            (metadata["name"].clone(), metadata["annotations"]["meta.helm.sh/release-name"].clone())
        })
        .collect()
    }
}

/// The chart as an older release could have been: a column of a CRD had another name, and a value was not known yet.
fn older_chart(cluster: &Cluster) -> String {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let folder = cluster.plane.folder().join("older");
    copy(Path::new(CHART), &folder);
    let crd = folder.join("files/crds/chatapps.yaml");
    let text = fs::read_to_string(&crd).unwrap();
    assert!(text.contains("name: Age\n"));
    fs::write(crd, text.replace("name: Age\n", "name: Years\n")).unwrap();
    for values in ["values.yaml", "files/defaults.yaml"] {
        let values = folder.join(values);
        let text = fs::read_to_string(&values).unwrap();
        assert!(text.contains("\nrevisionHistoryLimit: 3\n"));
        fs::write(values, text.replace("\nrevisionHistoryLimit: 3\n", "\n")).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

async fn column(cluster: &Cluster) -> Value {
    let crd = cluster.get(&["crd", "chatapps.groupattr.dev"]).await;
    let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap().clone();
    columns.into_iter().find(|column| column["jsonPath"] == ".metadata.creationTimestamp").unwrap()["name"]
        .take()
}

/// The notes tell the next commands, and what stands in them can be pasted as it is.
async fn check_notes(cluster: &Cluster, said: &str) {
    for text in [
        "kubectl -n groupattr-system rollout status deployment/groupattr-operator",
        "kubectl -n default wait chatapp/default --for=condition=Ready",
        "kubectl -n default wait gar/room-42-after-show --for=condition=Finished",
        "helm test groupattr-operator --namespace groupattr-system",
    ] {
        assert!(said.contains(text), "{said}");
    }
    let manifests = said.split("<<EOF\n").skip(1).map(|rest| rest.split("\nEOF\n").next().unwrap());
    let mut kinds = Vec::new();
    for manifest in manifests {
        // A CRD is served a moment after it is there.
        let applied =
            until(DEADLINE, "the kinds to be served", || async { cluster.plane.apply(manifest).await.ok() });
        kinds.push(applied.await[0].types.clone().unwrap().kind);
    }
    assert_eq!(kinds, ["ChatApp", "GroupAttributeReset"]);
}

/// Installed, upgraded, rolled back, uninstalled, installed again.
async fn lives(first: Helm, then: Helm) {
    let cluster = Cluster::new().await;
    let older = older_chart(&cluster);
    let said = cluster.put(first, &older, &["--set=deploymentLabels.kept=yes"]).await;
    check_notes(&cluster, &said).await;
    assert!(cluster.args().await.contains(&"--log-filter=info".to_owned()));
    assert_eq!(column(&cluster).await, "Years");
    let crds = cluster.crds().await;
    assert_eq!(crds.len(), 3);
    cluster.make_objects().await;
    let uids = cluster.uids().await;

    let keep = "--reset-then-reuse-values";
    cluster.put(then, CHART, &[keep, "--set=log.filter=debug,replicas=2"]).await;
    let upgraded = cluster.deployment().await;
    assert_eq!(upgraded["metadata"]["labels"]["kept"], "yes", "values that were set stay");
    assert_eq!(upgraded["spec"]["revisionHistoryLimit"], 3, "values that are new come with their defaults");
    assert!(cluster.args().await.contains(&"--log-filter=debug".to_owned()));
    assert_eq!(column(&cluster).await, "Age", "an upgrade upgrades the CRDs");
    assert_eq!(cluster.deployment().await["spec"]["replicas"], 2);
    assert!(cluster.exists(&["-n", HOME, "pdb", NAME]).await);
    // One process alone, and back.
    for (values, strategy) in [("leaderElection.enabled=false", "Recreate"), ("replicas=2", "RollingUpdate")]
    {
        cluster.put(then, CHART, &["--set=log.filter=debug", "--set", values]).await;
        assert_eq!(cluster.deployment().await["spec"]["strategy"]["type"], strategy);
    }
    // The same again changes nothing.
    let generation = cluster.deployment().await["metadata"]["generation"].clone();
    cluster.put(then, CHART, &["--set=log.filter=debug,replicas=2"]).await;
    assert_eq!(cluster.deployment().await["metadata"]["generation"], generation);

    cluster.helm(then, &["rollback", NAME, "1"]).await;
    assert!(cluster.args().await.contains(&"--log-filter=info".to_owned()));
    assert_eq!(cluster.deployment().await["spec"]["replicas"], 1);
    assert!(!cluster.exists(&["-n", HOME, "pdb", NAME]).await, "a rollback takes away what came later");
    assert_eq!(cluster.uids().await, uids);

    let said = cluster.helm(then, &["uninstall", NAME]).await;
    for kind in ["deployments", "serviceaccounts", "services", "roles", "rolebindings", "leases", "jobs"] {
        let left = cluster.get(&["-n", HOME, kind]).await;
        let left: Vec<String> = left["items"].as_array().unwrap().iter().map(called).collect();
        assert!(left.iter().all(|one| !one.contains(NAME)), "{left:?} is left: {said}");
    }
    let clusterroles = cluster.get(&["clusterroles"]).await;
    let mut clusterroles = clusterroles["items"].as_array().unwrap().iter().map(called);
    assert!(clusterroles.all(|one| !one.contains(NAME)));
    assert_eq!(cluster.crds().await, crds, "the CRDs stay");
    assert_eq!(cluster.uids().await, uids, "and with them the objects");

    // The same name takes over what it left; another name has to be told to.
    cluster.put(then, CHART, &[]).await;
    assert_eq!(cluster.crds().await, crds);
    assert_eq!(cluster.uids().await, uids);
    cluster.helm(then, &["uninstall", NAME]).await;
    let other = ["install", "rooms", CHART, NAMED, "--namespace", HOME];
    let refused = then.run(&cluster.kubeconfig, &other).await.unwrap().unwrap_err();
    assert!(refused.contains("invalid ownership metadata"), "{refused}");
    cluster.helm(then, &["install", "rooms", CHART, NAMED, "--take-ownership"]).await;
    assert!(cluster.crds().await.iter().all(|(_, owner)| owner == "rooms"));
    assert_eq!(cluster.uids().await, uids);

    // Whoever wants everything gone says so.
    cluster.helm(then, &["upgrade", "rooms", CHART, NAMED, "--set=crds.keep=false"]).await;
    cluster.helm(then, &["uninstall", "rooms"]).await;
    until(DEADLINE, "the CRDs to go", || async { cluster.crds().await.is_empty().then_some(()) }).await;
}

#[tokio::test]
async fn a_release_of_helm_3_lives() {
    lives(Helm::V3, Helm::V3).await;
}

#[tokio::test]
async fn a_release_of_helm_4_lives() {
    lives(Helm::V4, Helm::V4).await;
}

#[tokio::test]
async fn a_release_made_by_helm_3_lives_on_with_helm_4() {
    lives(Helm::V3, Helm::V4).await;
}

#[tokio::test]
async fn crds_that_were_applied_by_hand_can_be_taken_over_or_left_alone() {
    let cluster = Cluster::new().await;
    for helm in Helm::BOTH {
        cluster.plane.install_crds(CRDS).await.unwrap();
        cluster.make_objects().await;
        let uids = cluster.uids().await;
        cluster.put(helm, CHART, &["--set=crds.enabled=false"]).await;
        assert!(cluster.crds().await.iter().all(|(_, owner)| owner.is_null()));
        cluster.helm(helm, &["uninstall", NAME]).await;
        let mut more = vec!["--take-ownership"];
        if helm == Helm::V4 {
            // Of server-side apply: who applied by hand owns the fields too.
            more.push("--force-conflicts");
        }
        cluster.put(helm, CHART, &more).await;
        assert!(cluster.crds().await.iter().all(|(_, owner)| owner == NAME));
        assert_eq!(cluster.uids().await, uids);
        // For the other Helm, all over again.
        cluster.helm(helm, &["uninstall", NAME]).await;
        let gone = cluster.plane.kubectl(&["delete", "crds", "--all"]).await.unwrap();
        assert!(gone.ok, "{}", gone.stderr);
    }
}

#[tokio::test]
async fn a_packaged_archive_and_an_umbrella_chart_install_it() {
    let cluster = Cluster::new().await;
    let folder = cluster.plane.folder().join("umbrella");
    for helm in Helm::BOTH {
        let packages = folder.join(format!("{helm:?}"));
        let packages = packages.to_str().unwrap();
        let _ = helm.offline(&["package", CHART, "--destination", packages]).await.unwrap().unwrap();
        let archive = format!("{packages}/{NAME}-{}.tgz", env!("CARGO_PKG_VERSION"));
        let from =
            async |chart: &str| helm.offline(&["template", NAME, chart, NAMED]).await.unwrap().unwrap();
        assert_eq!(from(&archive).await, from(CHART).await, "{helm:?}");
        let shown = helm.offline(&["show", "readme", &archive]).await.unwrap().unwrap();
        assert!(shown.contains("groupattr-operator"), "{shown}");
        cluster.put(helm, &archive, &["--take-ownership"]).await;
        cluster.helm(helm, &["uninstall", NAME]).await;

        // A chart of a platform team that brings the operator along.
        let umbrella = format!("{packages}/platform");
        fs::create_dir_all(format!("{umbrella}/charts")).unwrap();
        fs::copy(&archive, format!("{umbrella}/charts/{NAME}.tgz")).unwrap();
        let chart = "apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies:\n- name: groupattr-operator\n  \
                     version: '*'\n  condition: groupattr-operator.enabled\n";
        fs::write(format!("{umbrella}/Chart.yaml"), chart).unwrap();
        let values = "global:\n  imageRegistry: registry.example.com\n  somethingOfOthers: { deep: [1] }\n\
                      groupattr-operator:\n  log: { filter: warn }\n";
        fs::write(format!("{umbrella}/values.yaml"), values).unwrap();
        cluster.helm(helm, &["install", "platform", &umbrella, "--take-ownership"]).await;
        let deployment = cluster.get(&["-n", HOME, "deployment", "platform-groupattr-operator"]).await;
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert!(container["image"].as_str().unwrap().starts_with("registry.example.com/groupattr-operator:"));
        assert!(container["args"].as_array().unwrap().contains(&json!("--log-filter=warn")));
        cluster
            .helm(helm, &["upgrade", "platform", &umbrella, "--set=groupattr-operator.enabled=false"])
            .await;
        assert!(!cluster.exists(&["-n", HOME, "deployment", "platform-groupattr-operator"]).await);
        cluster.helm(helm, &["uninstall", "platform"]).await;
    }
    // Nothing of the release is left but what must stay.
    let left = cluster.get(&["-n", HOME, "deployments,services,serviceaccounts,roles,rolebindings"]).await;
    let left: Vec<String> = left["items"].as_array().unwrap().iter().map(called).collect();
    assert!(left.is_empty(), "{left:?}");
}
