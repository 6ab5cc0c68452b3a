//! The pods: whose they are, where they run, as whom, and what runs beside the operator.

use serde_json::{Value, json};
use testbed::Helm;

use crate::chart::{CHART, NAMED, job, objects, the};

/// The specs of the pods of the operator, of the check and of the drain.
fn specs(objects: &[Value]) -> [&Value; 3] {
    let all = [the("Deployment", objects), job("check", objects), job("drain", objects)];
    all.map(|one| &one["spec"]["template"]["spec"])
}

#[tokio::test]
async fn the_pods_of_helm_test_and_of_the_drain_are_none_of_the_operators_pods() {
    let objects = objects(Helm::V4, &[]).await;
    let selectors = [
        &the("Deployment", &objects)["spec"]["selector"]["matchLabels"],
        &the("Service", &objects)["spec"]["selector"],
    ];
    let labels = ["check", "drain"].map(|one| &job(one, &objects)["spec"]["template"]["metadata"]["labels"]);
    for (selector, labels) in selectors.iter().flat_map(|one| labels.map(|labels| (one, labels))) {
        let selected = selector.as_object().unwrap().iter().all(|(key, value)| &labels[key] == value);
        assert!(!selected, "{selector} selects {labels}");
    }
}

/// OpenShift gives each namespace users of its own, and refuses pods that ask for another one.
#[tokio::test]
async fn no_pod_asks_for_a_user_or_a_group() {
    for (about, file) in crate::chart::values_files() {
        let objects = objects(Helm::V4, &[&format!("--values={}", file.display())]).await;
        let text = json!(objects).to_string();
        for field in ["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"] {
            assert!(!text.contains(field), "{about}: {field}");
        }
        let spec = &the("Deployment", &objects)["spec"]["template"]["spec"];
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{about}");
    }
}

#[tokio::test]
async fn every_container_asks_for_something_so_that_its_pod_is_not_the_first_to_be_evicted() {
    let objects = objects(Helm::V4, &[]).await;
    for spec in specs(&objects) {
        let resources = &spec["containers"][0]["resources"];
        assert_eq!(resources, &json!({ "requests": { "cpu": "20m", "memory": "64Mi" } }));
    }
}

#[tokio::test]
async fn a_spread_with_a_selector_of_its_own_stays_as_it_is() {
    let own = json!({ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "a": "b" } } });
    let bare = json!({ "maxSkew": 2, "topologyKey": "host", "whenUnsatisfiable": "ScheduleAnyway" });
    for order in [json!([own, bare]), json!([bare, own])] {
        let objects = objects(Helm::V4, &["--set-json", &format!("topologySpreadConstraints={order}")]).await;
        let spec = &the("Deployment", &objects)["spec"];
        let rendered = spec["template"]["spec"]["topologySpreadConstraints"].as_array().unwrap();
        let mut filled = bare.clone();
        filled["labelSelector"] = spec["selector"].clone();
        assert!(rendered.contains(&own) && rendered.contains(&filled), "{rendered:?}");
    }
}

#[tokio::test]
async fn an_umbrella_chart_says_where_pods_run_and_the_charts_own_values_win() {
    let global = r#"--set-json=global={"nodeSelector":{"pool":"infra","kubernetes.io/os":"other"},"tolerations":[{"key":"infra"}],"priorityClassName":"low"}"#;
    let all = objects(Helm::V4, &[global]).await;
    for spec in specs(&all) {
        assert_eq!(spec["nodeSelector"], json!({ "kubernetes.io/os": "linux", "pool": "infra" }));
        assert_eq!(spec["tolerations"], json!([{ "key": "infra" }]));
        assert_eq!(spec["priorityClassName"], "low");
    }
    let own = r#"--set-json=tolerations=[{"key":"own"},{"key":"infra"}]"#;
    let all = objects(Helm::V4, &[global, own, "--set=priorityClassName=high"]).await;
    for spec in specs(&all) {
        assert_eq!(spec["tolerations"], json!([{ "key": "own" }, { "key": "infra" }]));
        assert_eq!(spec["priorityClassName"], "high");
    }
}

/// One beside a drain or a check would keep its Job from ever ending.
#[tokio::test]
async fn further_containers_are_beside_the_operator_only_and_initial_ones_everywhere() {
    let values = "extraContainers[0].name=beside,initContainers[0].name=before,hostUsers=false";
    let objects = objects(Helm::V4, &["--set", values]).await;
    let names = |spec: &Value, field: &str| -> Vec<String> {
        let all = spec[field].as_array().into_iter().flatten();
        all.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let [operator, check, drain] = specs(&objects);
    assert_eq!(names(operator, "containers"), ["groupattr-operator", "beside"]);
    for spec in [check, drain] {
        assert_eq!(names(spec, "containers"), ["groupattr-operator"]);
    }
    for spec in [operator, check, drain] {
        assert_eq!(names(spec, "initContainers"), ["before"]);
        assert_eq!(spec["hostUsers"], false);
    }
}

/// A Job cannot be changed: what `helm template` renders can be applied after an upgrade only if it is another one then.
#[tokio::test]
async fn the_check_of_another_version_is_another_job_that_goes_away_by_itself() {
    let check = async |values: &str| {
        let objects = objects(Helm::V4, &["--set", values]).await;
        let job = job("check", &objects);
        assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 600);
        job["metadata"]["name"].as_str().unwrap().to_owned()
    };
    let first = check("replicas=1").await;
    assert_eq!(first, check("replicas=2").await);
    assert_ne!(first, check("image.tag=9.9.9").await);
    let long = check(&format!("fullnameOverride={}", "a".repeat(63))).await;
    assert!(long.len() <= 63, "{long}");
    // Who renders for another tool leaves the hooks out: it would run the drain at once.
    let template = ["template", "x", CHART, NAMED, "--no-hooks"];
    let text = Helm::V3.offline(&template).await.unwrap().unwrap();
    assert!(text.contains("kind: Deployment") && !text.contains("kind: Job"), "{text}");
}

/// Helm 3 has notes for a real installation only: `releases` reads those.
#[tokio::test]
async fn the_notes_name_the_namespace_in_every_command_and_the_role_for_the_verb_use() {
    let args = ["install", "op", CHART, NAMED, "--namespace=rooms", "--dry-run=client", "--set"];
    let values = "usePolicy.enabled=true,rbac.secrets=None,watchNamespaces={shop,stage},argocd.enabled=true";
    let said = Helm::V4.offline(&[&args[..], &[values]].concat()).await.unwrap().unwrap();
    let notes = said.split_once("\nNOTES:\n").unwrap().1;
    let commands: Vec<&str> = notes.lines().filter(|line| line.starts_with("kubectl ")).collect();
    assert!(commands.len() >= 9, "{notes}");
    for command in commands {
        assert!(command.starts_with("kubectl -n "), "{command}");
    }
    // Not by `kubectl create role`, which refuses verbs that it does not know.
    let role = "resources: [chatapps], resourceNames: [default], verbs: [use] }\nEOF\nkubectl -n shop create rolebinding use-default";
    assert!(notes.contains(role), "{notes}");
    assert!(notes.contains("--serviceaccount=rooms:op-groupattr-operator"), "{notes}");
}
