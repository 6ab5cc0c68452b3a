//! Whether Kubernetes takes what is rendered: strictly, in each version, and in a namespace for restricted pods.

use serde_json::{Value, json};
use testbed::Helm;

use crate::chart::schemas::{Schemas, VERSIONS, module};
use crate::chart::{called, objects, the, values_files};
use crate::world::plane;

/// The Prometheus operator, whose kinds a ServiceMonitor and a PodMonitor are.
const MONITORING: (&str, &str, &str) = (
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
);
const MONITORING_GROUP: &str = "monitoring.coreos.com/v1";

/// What every values file leads to.
async fn all_rendered() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (about, file) in values_files() {
        for object in objects(Helm::V4, &[&format!("--values={}", file.display())]).await {
            all.push((about.clone(), object));
        }
    }
    assert!(all.len() > 40, "{}", all.len());
    all
}

#[tokio::test]
async fn the_api_server_takes_every_object_strictly() {
    let plane = plane().await;
    let (path, version, sum) = MONITORING;
    let crds = tokio::task::spawn_blocking(move || module(path, version, sum)).await.unwrap();
    for kind in ["servicemonitors", "podmonitors"] {
        let file = crds.join(format!("example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"));
        plane.install_crds(file.to_str().unwrap()).await.unwrap();
    }
    // Dry runs need the namespaces.
    for namespace in ["rooms-system", "groupattr-system", "shop", "stage", "monitoring"] {
        let yaml = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        plane.apply(&yaml.to_string()).await.unwrap();
    }
    let list =
        |objects: Vec<Value>| json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let all: Vec<Value> = all_rendered().await.into_iter().map(|(_, object)| object).collect();
    let args =
        ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "-f", "-"];
    let done = plane.kubectl_with_input(&args, &list(all.clone())).await.unwrap();
    assert!(done.ok, "{}", done.stderr);
    assert_eq!(done.stdout.lines().count(), all.len());

    let monitored = all.iter().filter(|object| object["apiVersion"] == MONITORING_GROUP).count();
    assert!(monitored >= 2, "{monitored}");

    let mut wrong = the("Deployment", &objects(Helm::V4, &[]).await).clone();
    wrong["spec"]["template"]["spec"]["containerss"] = json!([]);
    let done = plane.kubectl_with_input(&args, &list(vec![wrong])).await.unwrap();
    assert!(done.stderr.contains("containerss"), "a mistake passes: {}", done.stderr);
}

#[tokio::test]
async fn every_version_from_1_33_on_knows_every_field() {
    let all = all_rendered().await;
    for (version, sum) in VERSIONS {
        let schemas = tokio::task::spawn_blocking(move || Schemas::of(version, sum)).await.unwrap();
        let mut checked = 0;
        for (about, object) in &all {
            match schemas.objections(object) {
                Some(objections) => {
                    checked += 1;
                    assert!(objections.is_empty(), "{version} {about} {}: {objections:?}", called(object));
                }
                // Known to APIs of their own.
                None if object["apiVersion"] == MONITORING_GROUP => {}
                None => assert_eq!(object["kind"], "CustomResourceDefinition", "{version} does not know it"),
            }
        }
        assert!(checked > 30, "{version}: {checked}");

        let mut wrong = the("Deployment", &objects(Helm::V4, &[]).await).clone();
        wrong["spec"]["replicas"] = json!("one");
        wrong["spec"]["template"]["spec"]["containers"][0]["nickname"] = json!("x");
        assert_eq!(schemas.objections(&wrong).unwrap().len(), 2, "mistakes pass {version}");
    }
}

#[tokio::test]
async fn pod_security_restricted_takes_the_pods() {
    let plane = plane().await;
    let namespace = plane.namespace().await.unwrap();
    let level = "pod-security.kubernetes.io/enforce=restricted";
    let labelled = plane.kubectl(&["label", "namespace", &namespace, level]).await.unwrap();
    assert!(labelled.ok, "{}", labelled.stderr);
    let try_out = async |mut pod: Value, name: &str| {
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"] = json!({"name": name});
        // The API server has neither.
        for field in ["runtimeClassName", "priorityClassName"] {
            pod["spec"].as_object_mut().unwrap().remove(field);
        }
        let args = ["-n", namespace.as_str(), "create", "--dry-run=server", "-f", "-"];
        plane.kubectl_with_input(&args, &pod.to_string()).await.unwrap()
    };
    let mut tried = 0;
    for (about, file) in values_files() {
        for object in objects(Helm::V4, &[&format!("--values={}", file.display())]).await {
            if !["Deployment", "Job"].iter().any(|kind| object["kind"] == *kind) {
                continue;
            }
            let done = try_out(object["spec"]["template"].clone(), "taken").await;
            assert!(done.ok, "{about} {}: {}", called(&object), done.stderr);
            tried += 1;
        }
    }
    assert!(tried >= 6, "{tried}");

    let mut loose = the("Deployment", &objects(Helm::V4, &[]).await)["spec"]["template"].clone();
    loose["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    let refused = try_out(loose, "loose").await;
    assert!(refused.stderr.contains("violates PodSecurity"), "a loose pod passes: {}", refused.stderr);
}
