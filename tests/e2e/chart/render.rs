//! What the chart renders, and what it refuses.

use std::fs;

use serde_json::{Value, json};
use testbed::Helm;

use crate::chart::{CHART, NAMED, called, objects, rendered, the, values_files};

#[tokio::test]
async fn lint_finds_nothing_in_any_of_the_values_files() {
    for helm in Helm::BOTH {
        for (about, file) in values_files() {
            let said =
                helm.offline(&["lint", "--strict", CHART, "--values", file.to_str().unwrap()]).await.unwrap();
            assert!(said.ok, "{helm:?} {about}: {}{}", said.stdout, said.stderr);
        }
    }
}

#[tokio::test]
async fn two_renders_are_equal_and_both_helms_render_the_same() {
    for (about, file) in values_files() {
        let file = format!("--values={}", file.display());
        let first = rendered(Helm::V4, &[&file]).await;
        assert_eq!(first, rendered(Helm::V4, &[&file]).await, "{about}");
        let sorted = |mut objects: Vec<Value>| {
            objects.sort_by_key(called);
            objects
        };
        let (three, four) = (objects(Helm::V3, &[&file]).await, objects(Helm::V4, &[&file]).await);
        assert_eq!(sorted(three), sorted(four), "{about}");
    }
}

#[test]
fn no_template_asks_for_the_time_for_chance_or_for_the_cluster() {
    let templates = fs::read_dir(format!("{CHART}/templates")).unwrap().map(|file| file.unwrap().path());
    let mut read = 0;
    for file in templates.filter(|path| path.is_file()) {
        let text = fs::read_to_string(&file).unwrap();
        read += 1;
        for action in text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            let words = action.split(|c: char| !c.is_alphanumeric() && c != '_');
            for word in words.filter(|word| !action.starts_with("- /*") && !word.is_empty()) {
                let forbidden = ["lookup", "now", "date", "genCA", "genSignedCert", "uuidv4", "env"];
                assert!(
                    !forbidden.contains(&word) && !word.starts_with("rand"),
                    "{}: {word}",
                    file.display()
                );
            }
        }
    }
    assert!(read >= 10, "only {read} templates");
}

#[tokio::test]
async fn neither_secrets_nor_objects_of_its_own_kinds_are_rendered() {
    for (about, file) in values_files() {
        for object in objects(Helm::V4, &[&format!("--values={}", file.display())]).await {
            assert_ne!(object["kind"], "Secret", "{about}");
            assert!(!object["apiVersion"].as_str().unwrap().starts_with("groupattr.dev/"), "{about}");
        }
    }
}

#[tokio::test]
async fn values_that_cannot_work_are_refused_with_a_remedy() {
    for (values, text) in [
        ("replicas=2,leaderElection.enabled=false", "set leaderElection.enabled=true or replicas=1"),
        ("leaderElection.retrySeconds=10", "for example 2, 10 and 15"),
        ("leaderElection.leaseDurationSeconds=10", "for example 2, 10 and 15"),
        ("terminationGracePeriodSeconds=25", "must be more than shutdownGraceSeconds"),
        ("serviceAccount.create=false", "name the account"),
        ("service.enabled=false,serviceMonitor.enabled=true", "use podMonitor.enabled"),
        ("serviceMonitor.enabled=true,podMonitor.enabled=true", "every metric would be read twice"),
        (
            "serviceMonitor.interval=1m,serviceMonitor.scrapeTimeout=61s",
            "scrapeTimeout (61s) must be at most",
        ),
        (
            "serviceMonitor.extraEndpoint.interval=1m",
            "serviceMonitor.extraEndpoint has interval, which the chart sets",
        ),
        ("podMonitor.extraSpec.selector=x", "podMonitor.extraSpec has selector, which the chart sets"),
        ("extraVolumes[0].name=api-access", "extraVolumes has api-access, which the chart makes itself"),
        (
            "extraContainers[0].name=groupattr-operator",
            "extraContainers has groupattr-operator, which the chart makes",
        ),
        ("service.clusterIP=None,service.type=NodePort", "only a Service of type ClusterIP"),
        ("dnsPolicy=None", "dnsConfig.nameservers is empty"),
        // By the schema.
        ("replica=2", "additional properties 'replica' not allowed"),
        ("image.digest=abc", "/image/digest"),
        ("log.format=xml", "/log/format"),
        ("keyFormat=hex", "/keyFormat"),
        ("watchNamespaces={Shop}", "/watchNamespaces/0"),
        ("shutdownGraceSeconds=0", "/shutdownGraceSeconds"),
        ("replicas=many", "/replicas"),
        ("rbac.aggregate.admin=true", "'admin' not allowed"),
        ("podDisruptionBudget.maxUnavailable=many", "/podDisruptionBudget/maxUnavailable"),
        ("podDisruptionBudget.minAvailable=-1", "/podDisruptionBudget/minAvailable"),
        ("listen.address=localhost", "/listen/address"),
        ("allowEndpoints={proxy.example.com/path}", "/allowEndpoints/0"),
        ("allowEndpoints={http://proxy.example.com}", "/allowEndpoints/0"),
        ("allowEndpoints={proxy.example.com:70000}", "/allowEndpoints/0"),
        ("image.registry=https://registry.example.com", "/image/registry"),
        ("image.registry=registry.example.com/", "/image/registry"),
        ("image.repository=Operator", "/image/repository"),
        ("image.tag=a b", "/image/tag"),
        ("fullnameOverride=Rooms_Operator", "/fullnameOverride"),
        ("nameOverride=-rooms", "/nameOverride"),
        ("serviceAccount.name=the operator", "/serviceAccount/name"),
        ("priorityClassName=High", "/priorityClassName"),
        ("serviceMonitor.namespace=Monitoring", "/serviceMonitor/namespace"),
        ("serviceMonitor.interval=often", "/serviceMonitor/interval"),
        ("imagePullSecrets={Registry}", "/imagePullSecrets/0"),
        ("podLabels.team=a b", "/podLabels/team"),
        ("podLabels.a b=c", "/podLabels"),
        ("hostUsers=maybe", "/hostUsers"),
    ] {
        for helm in Helm::BOTH {
            let args = ["template", "x", CHART, NAMED, "--set", values];
            let said = helm.offline(&args).await.unwrap().unwrap_err();
            assert!(said.contains(text), "{helm:?} {values}: {said}");
        }
    }
}

#[tokio::test]
async fn a_kubernetes_that_is_too_old_is_refused() {
    for helm in Helm::BOTH {
        let template = ["template", "x", CHART, NAMED, "--kube-version"];
        let old = helm.offline(&[&template[..], &["1.32.9"]].concat()).await.unwrap().unwrap_err();
        assert!(old.contains(">=1.33.0-0"), "{old}");
        // Cloud providers append to the version.
        for version in ["1.33.0", "1.33.4-eks-1234567", "1.37.2+k3s1"] {
            let said = helm.offline(&[&template[..], &[version]].concat()).await.unwrap();
            assert!(said.ok, "{version}: {}", said.stderr);
        }
    }
}

#[tokio::test]
async fn updates_never_let_two_processes_work_at_once() {
    let deployment = |objects: &[Value]| the("Deployment", objects)["spec"].clone();
    let elected = deployment(&objects(Helm::V4, &[]).await);
    assert_eq!(elected["strategy"]["type"], "RollingUpdate");
    assert_eq!(elected["strategy"]["rollingUpdate"]["maxSurge"], 1);
    let alone = deployment(&objects(Helm::V4, &["--set=leaderElection.enabled=false"]).await);
    assert_eq!(alone["strategy"]["type"], "Recreate");
    let grace = |spec: &Value| spec["template"]["spec"]["terminationGracePeriodSeconds"].clone();
    assert_eq!(grace(&elected), 35);
    let slow = deployment(&objects(Helm::V4, &["--set=shutdownGraceSeconds=50"]).await);
    assert_eq!(grace(&slow), 60);
}

#[tokio::test]
async fn a_drain_has_time_for_a_silent_leader_and_for_pods_that_end_and_asks_for_no_right_in_the_cluster() {
    let hooks = async |helm: Helm, values: &str| {
        let mut objects = objects(helm, &["--set", values]).await;
        objects.retain(|object| object["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete");
        objects
    };
    for (values, seconds, limit) in [
        ("replicas=1", 60, 85),
        ("shutdownGraceSeconds=50", 85, 135),
        ("terminationGracePeriodSeconds=90", 115, 140),
        ("drain.timeoutSeconds=300", 300, 325),
    ] {
        let all = hooks(Helm::V4, values).await;
        let job = the("Job", &all);
        let args = &job["spec"]["template"]["spec"]["containers"][0]["args"];
        let has = |arg: &str| args.as_array().unwrap().iter().any(|one| one == arg);
        assert!(has("drain") && has("--deployment=groupattr-operator"), "{args}");
        assert!(has(&format!("--timeout-seconds={seconds}")), "{values}: {args}");
        assert_eq!(job["spec"]["activeDeadlineSeconds"], limit, "{values}");
        let kinds: Vec<&Value> = all.iter().map(|object| &object["kind"]).collect();
        assert_eq!(kinds.len(), 4, "{kinds:?}");
        let weight = |kind: &str| {
            let weight = &the(kind, &all)["metadata"]["annotations"]["helm.sh/hook-weight"];
            weight.as_str().unwrap().parse::<i32>().unwrap()
        };
        let weights = ["ServiceAccount", "Role", "RoleBinding", "Job"].map(weight);
        assert!(weights.is_sorted(), "{weights:?}");
        let account = &the("ServiceAccount", &all)["metadata"]["name"];
        assert_eq!(&job["spec"]["template"]["spec"]["serviceAccountName"], account);
    }
    // An account that the chart does not make, without roles, alone without them, and not at all.
    let kinds = async |values: &str| {
        let all = hooks(Helm::V3, values).await;
        all.iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let own = kinds("serviceAccount.create=false,serviceAccount.name=own").await;
    assert_eq!(own, ["Role", "RoleBinding", "Job"]);
    assert_eq!(kinds("rbac.create=false").await, ["Job"]);
    assert!(kinds("rbac.create=false,leaderElection.enabled=false").await.is_empty());
    assert!(kinds("drain.enabled=false").await.is_empty());
}

#[tokio::test]
async fn values_that_work_are_taken_as_they_are_usually_written() {
    let args = async |values: &str| {
        let objects = objects(Helm::V4, &["--set", values]).await;
        the("Deployment", &objects)["spec"]["template"]["spec"]["containers"][0]["args"].to_string()
    };
    for (address, flag) in [("::", "[::]:8080"), ("[::1]", "[::1]:8080"), ("10.0.0.1", "10.0.0.1:8080")] {
        let said = args(&format!("listen.address={address}")).await;
        assert!(said.contains(&format!("--listen={flag}\"")), "{said}");
    }
    for host in
        ["proxy.example.com", "https://proxy.example.com/", "[2001:db8::1]:8443", "http://127.0.0.1:80"]
    {
        let said = args(&format!("allowEndpoints={{{host}}}")).await;
        assert!(said.contains(&format!("--allow-endpoint={host}\"")), "{said}");
    }
    let monitor = async |values: &str| {
        let objects = objects(Helm::V4, &["--set=serviceMonitor.enabled=true", "--set", values]).await;
        let endpoint = &the("ServiceMonitor", &objects)["spec"]["endpoints"][0];
        (endpoint["interval"].clone(), endpoint["scrapeTimeout"].clone())
    };
    let long = monitor("serviceMonitor.interval=1m30s,serviceMonitor.scrapeTimeout=90s").await;
    assert_eq!(long, (json!("1m30s"), json!("90s")));
    // As the Prometheus has it.
    let theirs = monitor("serviceMonitor.interval=,serviceMonitor.scrapeTimeout=").await;
    assert_eq!(theirs, (Value::Null, Value::Null));
}

#[tokio::test]
async fn monitors_take_further_fields_beside_those_of_the_chart() {
    let values = "serviceMonitor.enabled=true,serviceMonitor.extraEndpoint.scheme=https,serviceMonitor.extraSpec.jobLabel=app";
    let objects = objects(Helm::V4, &["--set", values]).await;
    let spec = &the("ServiceMonitor", &objects)["spec"];
    assert_eq!((&spec["jobLabel"], &spec["endpoints"][0]["scheme"]), (&json!("app"), &json!("https")));
    assert_eq!(spec["endpoints"][0]["port"], "http");
}

#[tokio::test]
async fn dns_is_allowed_where_clusters_have_it() {
    let ports = async |values: &str| {
        let objects = objects(Helm::V4, &["--set=networkPolicy.enabled=true", "--set", values]).await;
        let egress = &the("NetworkPolicy", &objects)["spec"]["egress"][0]["ports"];
        let ports = egress.as_array().unwrap().iter();
        ports
            .map(|port| format!("{} {}", port["protocol"].as_str().unwrap(), port["port"]))
            .collect::<Vec<_>>()
    };
    // The second is that of OpenShift.
    assert_eq!(ports("replicas=1").await, ["UDP 53", "TCP 53", "UDP 5353", "TCP 5353"]);
    assert_eq!(ports("networkPolicy.dnsPorts={53}").await, ["UDP 53", "TCP 53"]);
}

#[tokio::test]
async fn a_disruption_budget_comes_with_the_second_replica() {
    let budgets = async |args: &[&str]| {
        let objects = objects(Helm::V4, args).await;
        objects.into_iter().filter(|object| object["kind"] == "PodDisruptionBudget").collect::<Vec<_>>()
    };
    assert!(budgets(&[]).await.is_empty());
    assert!(budgets(&["--set=replicas=2,podDisruptionBudget.enabled=false"]).await.is_empty());
    let two = budgets(&["--set=replicas=2"]).await;
    assert_eq!(two[0]["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    assert_eq!(
        (&two[0]["spec"]["maxUnavailable"], &two[0]["spec"]["minAvailable"]),
        (&json!(1), &Value::Null)
    );
    let half = budgets(&["--set=replicas=2,podDisruptionBudget.minAvailable=50%"]).await;
    let spec = &half[0]["spec"];
    assert_eq!((&spec["maxUnavailable"], &spec["minAvailable"]), (&Value::Null, &json!("50%")));
}

#[tokio::test]
async fn with_watched_namespaces_there_is_no_right_in_the_cluster() {
    let objects = objects(Helm::V4, &["--set=watchNamespaces={shop,stage}"]).await;
    assert!(objects.iter().all(|object| !object["kind"].as_str().unwrap().starts_with("ClusterRole")));
    let mut places: Vec<_> = objects.iter().filter(|object| object["kind"] == "Role").map(called).collect();
    places.sort();
    assert_eq!(
        places,
        [
            // Of the drain, for the time of an uninstall.
            "Role groupattr-system/groupattr-operator-drain",
            "Role groupattr-system/groupattr-operator-lease",
            "Role shop/groupattr-operator",
            "Role stage/groupattr-operator"
        ]
    );
}

/// So that nothing changes for those who do not ask for it.
#[tokio::test]
async fn the_key_format_is_said_only_where_it_is_another_than_the_programs_own() {
    let said = async |values: &[&str]| rendered(Helm::V4, values).await.matches("--key-format=").count();
    assert_eq!(said(&[]).await, 0);
    assert_eq!(said(&["--set=keyFormat=hex64"]).await, 0);
    let of = "to the operator, to the check of `helm test`, and to the drain";
    assert_eq!(said(&["--set=keyFormat=any"]).await, 3, "{of}");
}
