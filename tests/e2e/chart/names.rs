//! How things are called: the image, objects of the cluster, and names that look like something else.

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::Helm;

use crate::chart::{CHART, NAMED, called, objects, the};

#[tokio::test]
async fn nothing_is_rendered_until_a_registry_is_named() {
    for helm in Helm::BOTH {
        for values in ["replicas=1", "image.repository=team/operator", "image.tag=1.2.3"] {
            let said = helm.offline(&["template", "x", CHART, "--set", values]).await.unwrap().unwrap_err();
            let told = said.lines().filter(|line| line.contains("no registry is named")).count();
            assert_eq!(told, 1, "{helm:?} {values}: {said}");
            assert!(said.contains("--set image.registry=registry.example.com"), "{said}");
        }
    }
}

#[tokio::test]
async fn the_image_is_named_by_registry_tag_and_digest() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let version = env!("CARGO_PKG_VERSION");
    for (values, image) in [
        ("image.registry=a.example".to_owned(), format!("a.example/groupattr-operator:{version}")),
        (
            "image.registry=localhost:5000/a,image.tag=nightly".to_owned(),
            "localhost:5000/a/groupattr-operator:nightly".to_owned(),
        ),
        (
            "image.registry=,global.imageRegistry=a.example".to_owned(),
            format!("a.example/groupattr-operator:{version}"),
        ),
        (
            "image.registry=,image.repository=a.example/tools/operator".to_owned(),
            format!("a.example/tools/operator:{version}"),
        ),
        (
            format!(
                "global.imageRegistry=a.example,image.registry=b.example/x,image.digest={digest},image.tag=t"
            ),
            format!("b.example/x/groupattr-operator@{digest}"),
        ),
    ] {
        let objects = objects(Helm::V4, &["--set", &values]).await;
        assert_eq!(
            the("Deployment", &objects)["spec"]["template"]["spec"]["containers"][0]["image"],
            image,
            "{values}"
        );
    }
}

#[tokio::test]
async fn a_pull_secret_that_is_named_twice_is_listed_once() {
    let values = r#"--set-json=imagePullSecrets=["one",{"name":"shared"},{"name":"one"}]"#;
    let objects = objects(Helm::V4, &["--set=global.imagePullSecrets={shared,other}", values]).await;
    let secrets = &the("Deployment", &objects)["spec"]["template"]["spec"]["imagePullSecrets"];
    let names = secrets.as_array().unwrap().iter().map(|secret| secret["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["shared", "other", "one"]);
}

/// Two teams may both call their release by the chart's name.
#[tokio::test]
async fn releases_of_the_same_name_in_two_namespaces_share_no_object_of_the_cluster() {
    let values = "crds.enabled=false,rbac.aggregate.edit=true,usePolicy.enabled=true";
    let mut sets = Vec::new();
    for namespace in ["one", "two"] {
        let args = ["template", "op", CHART, NAMED, "--namespace", namespace, "--set", values];
        let all = crate::chart::parse_all(&Helm::V4.offline(&args).await.unwrap().unwrap());
        let of_the_cluster = all.iter().filter(|object| object["metadata"]["namespace"].is_null());
        sets.push(of_the_cluster.map(called).collect::<BTreeSet<String>>());
    }
    assert!(sets[0].len() >= 8, "{sets:?}");
    assert!(sets[0].is_disjoint(&sets[1]), "{sets:?}");
}

#[tokio::test]
async fn names_that_look_like_numbers_stay_names() {
    let args = [
        "template",
        "y",
        CHART,
        NAMED,
        "--namespace=1e3",
        "--set-string=fullnameOverride=123,nameOverride=true,serviceAccount.name=0x10",
        "--set-string=watchNamespaces={123,72},imagePullSecrets={5},rbac.secrets=Named,rbac.secretNames={7},priorityClassName=9",
        "--set=crds.enabled=false,networkPolicy.enabled=true,replicas=2",
    ];
    let mut all = Vec::new();
    for monitor in ["podMonitor.enabled=true", "serviceMonitor.enabled=true"] {
        let args = [&args[..], &["--set", monitor]].concat();
        all.push(crate::chart::parse_all(&Helm::V4.offline(&args).await.unwrap().unwrap()));
    }
    for object in all.iter().flatten() {
        let mut found = Vec::new();
        names(object, &mut found);
        assert!(!found.is_empty());
        for (key, value) in found {
            assert!(value.is_string(), "{} {key}: {value}", called(object));
        }
    }
    assert_eq!(the("Deployment", &all[0])["metadata"]["namespace"], "1e3");
}

/// Every value that Kubernetes takes for a name, a label or one of a list of names.
fn names(value: &Value, found: &mut Vec<(String, Value)>) {
    for (key, below) in value.as_object().into_iter().flatten() {
        match (key.as_str(), below) {
            ("name" | "namespace" | "serviceAccountName" | "priorityClassName" | "policyName", _) => {
                found.push((key.clone(), below.clone()));
            }
            ("labels" | "matchLabels" | "selector", Value::Object(labels)) => {
                let texts = labels.iter().filter(|(_, value)| !value.is_object());
                found.extend(texts.map(|(key, value)| (key.clone(), value.clone())));
                names(below, found);
            }
            ("resourceNames" | "matchNames" | "args", Value::Array(items)) => {
                found.extend(items.iter().map(|item| (key.clone(), item.clone())));
            }
            _ => names(below, found),
        }
    }
    for item in value.as_array().into_iter().flatten() {
        names(item, found);
    }
}
