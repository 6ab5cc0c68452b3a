//! An empty list never means "everything", and nothing sets behind a value's back what the value sets.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use testbed::Helm;

use crate::chart::{CHART, NAMED, job, objects, the, values_files};

async fn refusal(helm: Helm, values: &str) -> String {
    let args = ["template", "x", CHART, NAMED, "--set-json", values];
    helm.offline(&args).await.unwrap().unwrap_err()
}

#[tokio::test]
async fn an_empty_element_or_an_empty_list_is_refused_where_it_could_mean_everything() {
    for (values, text) in [
        ("watchNamespaces=[\"\"]", "/watchNamespaces/0"),
        ("watchNamespaces=[\"shop\",null]", "/watchNamespaces/1"),
        ("watchNamespaces=\"\"", "/watchNamespaces"),
        ("allowEndpoints=[\"\"]", "/allowEndpoints/0"),
        ("allowEndpoints=[null]", "/allowEndpoints/0"),
        ("allowEndpoints=[\"*.example.com\"]", "/allowEndpoints/0"),
        ("allowEndpoints=[\"a.example.com,b.example.com\"]", "/allowEndpoints/0"),
        ("imagePullSecrets=[\"\"]", "/imagePullSecrets/0"),
        ("imagePullSecrets=[null]", "/imagePullSecrets/0"),
        ("imagePullSecrets=[{}]", "/imagePullSecrets/0"),
        ("global={\"imagePullSecrets\":[\"\"]}", "/global/imagePullSecrets/0"),
        ("rbac.secrets=\"Named\"", "rbac.secrets is Named and rbac.secretNames is empty: list the Secrets"),
        ("rbac={\"secrets\":\"Named\",\"secretNames\":[\"\"]}", "/rbac/secretNames/0"),
        ("rbac={\"secrets\":\"Named\",\"secretNames\":[null]}", "/rbac/secretNames/0"),
        ("rbac.secretNames=[\"chat\"]", "rbac.secrets is All: set rbac.secrets=Named"),
        (
            "rbac={\"secrets\":\"None\",\"secretNames\":[\"chat\"]}",
            "rbac.secrets is None: set rbac.secrets=Named",
        ),
        ("rbac.secrets=\"all\"", "/rbac/secrets"),
        ("statusPolicy.alsoAllowed=[\"\"]", "/statusPolicy/alsoAllowed/0"),
        ("statusPolicy.alsoAllowed=[\"group:\"]", "/statusPolicy/alsoAllowed/0"),
        ("statusPolicy.alsoAllowed=[null]", "/statusPolicy/alsoAllowed/0"),
        ("statusPolicy.validationActions=[]", "/statusPolicy/validationActions"),
        ("secretPolicy.validationActions=[\"Deny\",\"Warn\"]", "/secretPolicy/validationActions"),
        ("usePolicy.validationActions=[\"Warn\",\"Deny\"]", "/usePolicy/validationActions"),
        ("networkPolicy.apiServerPorts=[]", "/networkPolicy/apiServerPorts"),
        ("networkPolicy.vendorPorts=[]", "/networkPolicy/vendorPorts"),
        ("networkPolicy.dnsPorts=[]", "/networkPolicy/dnsPorts"),
        ("networkPolicy.dnsPorts=[null]", "/networkPolicy/dnsPorts/0"),
        ("networkPolicy.metricsFrom=[{}]", "/networkPolicy/metricsFrom/0"),
        (
            "networkPolicy.metricsFrom=[{\"podSelector\":{\"matchLables\":{\"a\":\"b\"}}}]",
            "/networkPolicy/metricsFrom/0/podSelector",
        ),
        ("networkPolicy.extraIngress=[{}]", "/networkPolicy/extraIngress/0"),
        ("networkPolicy.extraIngress=[{\"from\":[]}]", "/networkPolicy/extraIngress/0/from"),
        ("networkPolicy.extraEgress=[{\"ports\":[]}]", "/networkPolicy/extraEgress/0/ports"),
    ] {
        for helm in Helm::BOTH {
            let said = refusal(helm, values).await;
            assert!(said.contains(text), "{helm:?} {values}: {said}");
        }
    }
}

#[tokio::test]
async fn nobody_reads_the_metrics_unless_somebody_is_named() {
    let ingress = async |values: &str| {
        let objects = objects(Helm::V4, &["--set=networkPolicy.enabled=true", "--set-json", values]).await;
        let policy = the("NetworkPolicy", &objects)["spec"].clone();
        assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
        policy["ingress"].clone()
    };
    assert_eq!(ingress("networkPolicy.metricsFrom=[]").await, json!([]));
    let peer = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}});
    let named = ingress(&format!("networkPolicy.metricsFrom=[{peer}]")).await;
    assert_eq!(named, json!([{"from": [peer], "ports": [{"port": "http", "protocol": "TCP"}]}]));
    let other = json!({"from": [{"podSelector": {}}]});
    assert_eq!(ingress(&format!("networkPolicy.extraIngress=[{other}]")).await, json!([other]));
}

#[tokio::test]
async fn the_operator_reads_all_secrets_some_or_none() {
    let secrets = async |values: &str| {
        let objects = objects(Helm::V4, &["--set", values]).await;
        let is_role = |object: &&Value| object["kind"].as_str().unwrap().ends_with("Role");
        let rules: Vec<Value> = objects
            .iter()
            .filter(is_role)
            .flat_map(|role| role["rules"].as_array().unwrap().clone())
            .filter(|rule| rule["resources"].as_array().unwrap().contains(&json!("secrets")))
            .collect();
        let check = &job("check", &objects)["spec"]["template"]["spec"]["containers"][0]["args"];
        let check = check.as_array().unwrap().clone();
        let about: Vec<Value> =
            check.into_iter().filter(|arg| arg.as_str().unwrap().contains("secret")).collect();
        (rules, about)
    };
    let rule = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
    assert_eq!(secrets("replicas=1").await, (vec![rule.clone()], vec![]));
    assert_eq!(secrets("rbac.secrets=None").await, (vec![], vec![json!("--no-secrets")]));
    let mut named = rule;
    named["resourceNames"] = json!(["chat", "live"]);
    let flags = vec![json!("--secret-name=chat"), json!("--secret-name=live")];
    let values = "rbac.secrets=Named,rbac.secretNames={chat,live}";
    assert_eq!(secrets(values).await, (vec![named.clone()], flags.clone()));
    let values = format!("{values},watchNamespaces={{shop,stage}}");
    assert_eq!(secrets(&values).await, (vec![named.clone(), named], flags));
}

/// The policies by the end of their names, and the namespaces that they are for.
async fn policies(values: &str) -> Vec<(String, Value)> {
    let objects = objects(Helm::V4, &["--set", values]).await;
    let all =
        |kind: &str| objects.iter().filter(|object| object["kind"] == kind).cloned().collect::<Vec<_>>();
    let bindings = all("ValidatingAdmissionPolicyBinding");
    let found = all("ValidatingAdmissionPolicy").into_iter().map(|policy| {
        assert_eq!(policy["spec"]["failurePolicy"], "Fail");
        let name = policy["metadata"]["name"].as_str().unwrap().to_owned();
        let binding = bindings.iter().find(|binding| binding["spec"]["policyName"] == name).unwrap();
        assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
        let places = &binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0]["values"];
        (name.rsplit_once('-').unwrap().1.to_owned(), places.clone())
    });
    let mut found: Vec<_> = found.collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[tokio::test]
async fn policies_come_with_objects_of_the_cluster_and_can_be_had_without_them() {
    let named = |all: &[&str], places: &Value| -> Vec<(String, Value)> {
        all.iter().map(|name| ((*name).to_owned(), places.clone())).collect()
    };
    let everywhere = Value::Null;
    assert_eq!(policies("replicas=1").await, named(&["secret", "status"], &everywhere));
    let off = "statusPolicy.enabled=false,secretPolicy.enabled=false";
    assert_eq!(policies(off).await, []);
    assert_eq!(policies("watchNamespaces={shop}").await, []);
    let on = "statusPolicy.enabled=true,secretPolicy.enabled=true,usePolicy.enabled=true";
    let watched = format!("watchNamespaces={{shop,stage,shop}},{on}");
    assert_eq!(policies(&watched).await, named(&["secret", "status", "use"], &json!(["shop", "stage"])));
}

#[tokio::test]
async fn what_a_value_sets_cannot_be_set_behind_its_back() {
    let program = env!("CARGO_BIN_EXE_groupattr-operator");
    let help =
        String::from_utf8(Command::new(program).args(["run", "--help"]).output().unwrap().stdout).unwrap();
    let words = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
    let known = words.map(|word| word.split(['[', '=']).next().unwrap().to_owned());
    let known: BTreeSet<String> = known.filter(|flag| flag != "help").collect();
    let mut rendered = BTreeSet::new();
    for file in values_files().values() {
        for object in objects(Helm::V4, &[&format!("--values={}", file.display())]).await {
            let container = &object["spec"]["template"]["spec"]["containers"][0];
            let args = container["args"].as_array().cloned().unwrap_or_default();
            let flags = args.into_iter().filter_map(|arg| Some(arg.as_str()?.strip_prefix("--")?.to_owned()));
            rendered.extend(flags.map(|flag| flag.split('=').next().unwrap().to_owned()));
        }
    }
    assert!(known.is_subset(&rendered), "{known:?} {rendered:?}");
    for flag in &rendered {
        let variable = format!("GROUPATTR_{}", flag.to_uppercase().replace('-', "_"));
        for values in [
            format!("extraArgs=[\"--{flag}=x\"]"),
            format!("extraArgs=[\"--other\",\"--{flag}\",\"x\"]"),
            format!("extraEnv=[{{\"name\":\"{variable}\",\"value\":\"x\"}}]"),
        ] {
            let said = refusal(Helm::V4, &values).await;
            assert!(
                said.contains("which a value sets: set ") && said.contains(" instead"),
                "{values}: {said}"
            );
        }
        // Nobody can shorten a flag.
        let short = Command::new(program).args(["run", &format!("--{}", &flag[..flag.len() - 1])]).output();
        assert_eq!(short.unwrap().status.code(), Some(2), "{flag} can be shortened");
    }
    for helm in Helm::BOTH {
        let said = refusal(helm, "extraArgs=[\"--leader-elect=false\"]").await;
        assert!(
            said.contains("extraArgs has --leader-elect, which a value sets: set leaderElection.enabled"),
            "{said}"
        );
    }
    // What no value knows goes through, behind the rest.
    let more = [
        "--set-json",
        "extraArgs=[\"--flag-of-a-newer-image=1\"]",
        "--set-json",
        "extraEnv=[{\"name\":\"TZ\",\"value\":\"UTC\"}]",
    ];
    let objects = objects(Helm::V4, &more).await;
    let container = &the("Deployment", &objects)["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"].as_array().unwrap().last().unwrap(), "--flag-of-a-newer-image=1");
    assert_eq!(container["env"][0]["name"], "TZ");
}

#[tokio::test]
async fn without_election_no_value_leads_to_two_processes() {
    for values in [
        "replicas=2,leaderElection.enabled=false",
        "leaderElection.enabled=false,strategy.type=RollingUpdate",
        "leaderElection.enabled=false,strategy.rollingUpdate.maxSurge=1",
    ] {
        for helm in Helm::BOTH {
            let args = ["template", "x", CHART, NAMED, "--set", values];
            let said = helm.offline(&args).await.unwrap().unwrap_err();
            assert!(said.contains("leaderElection.enabled=true"), "{helm:?} {values}: {said}");
        }
    }
    let objects = objects(Helm::V4, &["--set=leaderElection.enabled=false,strategy.type=Recreate"]).await;
    assert_eq!(the("Deployment", &objects)["spec"]["strategy"], json!({"type": "Recreate"}));
}
