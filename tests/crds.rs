//! What the API server makes of the kinds: what it takes and refuses, and what `kubectl get` shows.

mod world;

use std::path::Path;
use std::process::Command;

use futures::future::join_all;
use serde_json::{Value, json};
use testbed::kstatus::{Status, kstatus};
use world::plane;

const FILES: [&str; 3] = ["groupattributeresets.yaml", "chatapps.yaml", "clusterchatapps.yaml"];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/crds"))
}

/// What the program prints, one text for each kind, with the name of its file.
fn printed() -> Vec<(String, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_groupattr-operator")).arg("crd").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let documents = text.split("---\n").filter(|document| !document.trim().is_empty());
    documents
        .map(|document| (format!("{}.yaml", plural(&parse(document))), format!("---\n{document}")))
        .collect()
}

fn parse(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap()
}

fn plural(crd: &Value) -> String {
    crd["spec"]["names"]["plural"].as_str().unwrap().to_owned()
}

fn schema(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

#[test]
fn the_files_are_what_the_program_prints() {
    let printed = printed();
    let mut names: Vec<&str> = printed.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let mut expected = FILES;
    expected.sort_unstable();
    assert_eq!(names, expected);
    for (name, text) in &printed {
        let file = folder().join(name);
        if std::env::var_os("WRITE_CRDS").is_some() {
            std::fs::write(&file, text).unwrap();
        }
        let stored = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            stored.trim_end() == text.trim_end(),
            "crds/{name} is not what `groupattr-operator crd` prints. \
             Regenerate with: WRITE_CRDS=1 cargo test -p groupattr-operator --test crds the_files"
        );
    }
    let others = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    for other in others.filter_map(|name| name.into_string().ok()) {
        assert!(FILES.contains(&other.as_str()), "crds/{other} is none of the program's CRDs; remove it");
    }
}

#[test]
fn every_text_list_and_map_has_a_maximum() {
    fn walk(path: &str, schema: &Value, unbounded: &mut Vec<String>) {
        let bound = |field: &str| schema[field].as_u64().is_some_and(|most| most < 10_000);
        let is_bounded = match schema["type"].as_str() {
            Some("string") => bound("maxLength") || schema["enum"].is_array(),
            Some("array") => bound("maxItems"),
            Some("object") => schema["additionalProperties"].is_null() || bound("maxProperties"),
            Some("integer" | "boolean") => true,
            other => panic!("{path} has the type {other:?}"),
        };
        if !is_bounded {
            unbounded.push(path.to_owned());
        }
        if schema["items"].is_object() {
            walk(&format!("{path}[]"), &schema["items"], unbounded);
        }
        if schema["additionalProperties"].is_object() {
            walk(&format!("{path}{{}}"), &schema["additionalProperties"], unbounded);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property, unbounded);
        }
    }
    for (name, text) in printed() {
        let mut unbounded = Vec::new();
        walk(&name, schema(&parse(&text)), &mut unbounded);
        assert!(unbounded.is_empty(), "without a maximum: {unbounded:?}");
    }
}

#[test]
fn every_rule_says_what_to_do_instead() {
    fn rules(schema: &Value, found: &mut Vec<Value>) {
        found.extend(schema["x-kubernetes-validations"].as_array().into_iter().flatten().cloned());
        for part in ["properties", "items", "additionalProperties"] {
            match (&schema[part], part) {
                (Value::Object(all), "properties") => all.values().for_each(|one| rules(one, found)),
                (one @ Value::Object(_), _) => rules(one, found),
                _ => {}
            }
        }
    }
    let mut all = Vec::new();
    for (_, text) in printed() {
        rules(schema(&parse(&text)), &mut all);
    }
    assert!(all.len() >= 12, "{all:?}");
    for rule in &all {
        let message = rule["message"].as_str().unwrap_or_default();
        assert!(message.len() > 30 && !message.contains('\n'), "{rule}");
    }
}

#[tokio::test]
async fn the_api_server_takes_them_without_complaint() {
    let plane = plane().await;
    for file in FILES {
        let name = format!("{}.groupattr.dev", file.trim_end_matches(".yaml"));
        let got = plane.kubectl(&["get", "crd", &name, "-o", "json"]).await.unwrap();
        let crd: Value = serde_json::from_str(&got.stdout).unwrap();
        let conditions = crd["status"]["conditions"].as_array().unwrap();
        for (type_, expected) in
            [("Established", true), ("NamesAccepted", true), ("NonStructuralSchema", false)]
        {
            let found = conditions.iter().find(|condition| condition["type"] == type_);
            assert_eq!(
                found.is_some_and(|condition| condition["status"] == "True"),
                expected,
                "{conditions:?}"
            );
        }
        let version = &crd["spec"]["versions"][0];
        assert_eq!((&version["name"], &crd["spec"]["group"]), (&json!("v1alpha1"), &json!("groupattr.dev")));
        assert_eq!(version["subresources"]["status"], json!({}));
    }
}

/// A manifest with this spec, in JSON, which is YAML too.
fn manifest(kind: &str, name: &str, spec: &Value) -> String {
    let metadata = json!({"name": name});
    let object =
        json!({"apiVersion": "groupattr.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
    // Legal in JSON, but not in YAML.
    object.to_string().replace('\u{7f}', "\\u007f")
}

/// `base` with `changes` in it; null removes a field.
fn with(base: &Value, changes: &Value) -> Value {
    let mut spec = base.clone();
    for (field, value) in changes.as_object().unwrap() {
        if value.is_null() {
            spec.as_object_mut().unwrap().remove(field);
        } else {
            spec[field] = value.clone();
        }
    }
    spec
}

/// What `kubectl apply` says about this object: nothing if it was created.
fn refusal(stderr: &str, name: &str) -> Option<String> {
    let marks =
        [format!("\"{name}\" is invalid"), format!("name: \"{name}\""), format!("\"{name}\" cannot be")];
    let at = marks.iter().find_map(|mark| stderr.find(mark.as_str()))?;
    let rest = &stderr[at..];
    let end = ["\nThe ", "\nError from", "\nerror"].iter().filter_map(|next| rest.find(next)).min();
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}

/// Applies one object for each case, all at once, and compares what became of them with what should: `None` means
/// created, a text must be in the refusal.
async fn judge(namespace: &str, kind: &str, base: &Value, cases: &[(Value, Option<&str>)]) {
    let name = |number: usize| format!("{}-{number}-{namespace}", kind.to_lowercase());
    let documents =
        cases.iter().enumerate().map(|(n, (changes, _))| manifest(kind, &name(n), &with(base, changes)));
    let all = documents.collect::<Vec<_>>().join("\n---\n");
    let done = plane().await.kubectl_with_input(&["apply", "-n", namespace, "-f", "-"], &all).await.unwrap();
    let mut wrong = Vec::new();
    for (number, (changes, expected)) in cases.iter().enumerate() {
        let created = done.stdout.contains(&format!("/{} created", name(number)));
        let said = refusal(&done.stderr, &name(number));
        let fits = match (expected, &said) {
            (None, None) => created,
            (Some(expected), Some(said)) => !created && said.contains(expected),
            _ => false,
        };
        if !fits {
            wrong.push(format!("{changes}: expected {expected:?}, created: {created}, said: {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{kind}:\n{}\n\n{}", wrong.join("\n"), done.stderr);
}

fn reset() -> Value {
    json!({"groupID": "@TGS#room"})
}

fn app() -> Value {
    json!({"sdkAppID": 1_400_000_000, "region": "Singapore", "credentials": {"secretKeyRef": {"name": "chat"}}})
}

#[tokio::test]
async fn each_wrong_group_id_is_refused_with_the_remedy() {
    let namespace = plane().await.namespace().await.unwrap();
    let long = |prefix: &str, length: usize| format!("{prefix}{}", "x".repeat(length - prefix.len()));
    let ascii = Some("printable ASCII characters only; copy it from the chat console");
    let community = Some("names a Community, which has no group attributes; name an audio-video room");
    let topic = Some("names a topic of a Community, which has no group attributes; name an audio-video room");
    let pasted = Some("longer than 48 characters only if it starts with @TGS#; check for text pasted twice");
    let cases = [
        (json!({"groupID": null}), Some("spec.groupID: Required value")),
        (json!({"groupID": ""}), Some("spec.groupID in body should be at least 1 chars long")),
        (json!({"groupID": "x"}), None),
        (json!({"groupID": " ~"}), None),
        (json!({"groupID": long("", 48)}), None),
        (json!({"groupID": long("", 49)}), pasted),
        (json!({"groupID": long("@TGS", 49)}), pasted),
        (json!({"groupID": long("@TGS#", 96)}), None),
        (json!({"groupID": long("@TGS#", 97)}), Some("Too long: may not be more than 96")),
        (json!({"groupID": "房间"}), ascii),
        (json!({"groupID": "a\tb"}), ascii),
        (json!({"groupID": "room\n"}), ascii),
        (json!({"groupID": "room\u{7f}"}), ascii),
        (json!({"groupID": "@TGS#_@TGS#cX"}), community),
        (json!({"groupID": "@TGS#_"}), community),
        (json!({"groupID": "room@TOPIC#_7"}), topic),
        (json!({"groupID": "@TOPIC#_"}), topic),
    ];
    judge(&namespace, "GroupAttributeReset", &reset(), &cases).await;
}

#[tokio::test]
async fn each_wrong_field_of_a_reset_is_refused_and_each_bound_is_where_it_should_be() {
    let namespace = plane().await.namespace().await.unwrap();
    let form = Some(
        "requestID must start with a letter or digit, followed by letters, digits and . _ : / -; for example",
    );
    let moment = Some("spec.notAfter");
    let name = Some("spec.appRef.name");
    let cases = [
        (json!({"requestID": "show-1:2/3.4_5"}), None),
        (json!({"requestID": "0"}), None),
        (json!({"requestID": "x".repeat(128)}), None),
        (json!({"requestID": "x".repeat(129)}), Some("Too long: may not be more than 128")),
        (json!({"requestID": ""}), Some("at least 1 chars long")),
        (json!({"requestID": "-a"}), form),
        (json!({"requestID": "a b"}), form),
        (json!({"requestID": "a\n"}), form),
        (json!({"requestID": "é"}), form),
        (json!({"appRef": {}}), None),
        (json!({"appRef": {"kind": "ClusterChatApp"}}), None),
        (json!({"appRef": {"name": "x".repeat(63)}}), None),
        (json!({"appRef": {"name": "x".repeat(64)}}), Some("may not be more than 63")),
        (json!({"appRef": {"name": ""}}), name),
        (json!({"appRef": {"name": "Upper"}}), name),
        (json!({"appRef": {"name": "a.b"}}), name),
        (json!({"appRef": {"name": "a-"}}), name),
        (json!({"appRef": {"kind": "Secret"}}), Some("supported values: \"ChatApp\", \"ClusterChatApp\"")),
        (json!({"notAfter": "2026-12-31T23:00:00Z"}), None),
        (json!({"notAfter": "2026-12-31T23:00:00+14:00"}), None),
        (json!({"notAfter": "2026-12-31T23:00:00-13:59"}), None),
        (json!({"notAfter": "2026-12-31T23:00:00.123456789Z"}), None),
        (json!({"notAfter": "2026-12-31T23:00:00+99:99"}), moment),
        (json!({"notAfter": "2026-12-31T23:00:00+14:01"}), moment),
        (json!({"notAfter": "2026-12-31T23:00:00+05:60"}), moment),
        (json!({"notAfter": "2026-12-31T23:00:00"}), moment),
        (json!({"notAfter": "2026-12-31T23:00Z"}), moment),
        (json!({"notAfter": "2026-12-31"}), moment),
        (json!({"notAfter": "2026-12-31T25:00:00Z"}), moment),
        (json!({"notAfter": "tomorrow"}), moment),
        (json!({"activeDeadlineSeconds": 0}), Some("should be greater than or equal to 1")),
        (json!({"activeDeadlineSeconds": 1}), None),
        (json!({"activeDeadlineSeconds": 604_800}), None),
        (json!({"activeDeadlineSeconds": 604_801}), Some("should be less than or equal to 604800")),
        (json!({"backoffLimit": -1}), Some("should be greater than or equal to 0")),
        (json!({"backoffLimit": 0}), None),
        (json!({"backoffLimit": 20}), None),
        (json!({"backoffLimit": 21}), Some("should be less than or equal to 20")),
        (json!({"onUnknownOutcome": "Stop"}), None),
        (json!({"onUnknownOutcome": "Maybe"}), Some("supported values: \"Retry\", \"Stop\"")),
        (json!({"onGroupNotFound": "Succeed"}), None),
        (json!({"onGroupNotFound": "Ignore"}), Some("supported values: \"Fail\", \"Succeed\"")),
        (json!({"ttlSecondsAfterFinished": 0}), None),
        (json!({"ttlSecondsAfterFinished": -1}), Some("should be greater than or equal to 0")),
        (json!({"suspend": "yes"}), Some("must be of type boolean")),
    ];
    judge(&namespace, "GroupAttributeReset", &reset(), &cases).await;
}

/// What both kinds of app have in common.
fn app_cases() -> Vec<(Value, Option<&'static str>)> {
    let one =
        Some("set exactly one of region and endpoint; region is the data centre shown in the chat console");
    let url = Some(
        "must be a URL of scheme and host only, like https://chat.example.com, without path, query or user",
    );
    let at = |endpoint: &str| json!({"region": null, "endpoint": endpoint});
    let calls = |calls: i32| json!({"limits": {"callsPerSecond": calls}});
    let interval = |interval: i32| json!({"limits": {"groupIntervalMilliseconds": interval}});
    let secret = |reference: Value| json!({"credentials": {"secretKeyRef": reference}});
    vec![
        (json!({}), None),
        (json!({"region": null}), one),
        (json!({"endpoint": "https://chat.example.com"}), one),
        (json!({"region": "Mars"}), Some("spec.region: Unsupported value")),
        (at("https://chat.example.com"), None),
        (at("https://chat.example.com:8443"), None),
        (at("https://[::1]:8443"), None),
        (at("https://chat.example.com/v4"), url),
        (at("https://chat.example.com?x=1"), url),
        (at("https://chat.example.com#x"), url),
        (at("https://ann@chat.example.com"), url),
        (at("https://ann:pw@chat.example.com"), url),
        (at("https://"), url),
        (at("ftp://chat.example.com"), url),
        (at("chat.example.com"), url),
        (at("https://chat.example.com\n"), url),
        (at(&format!("https://{}", "x".repeat(293))), Some("may not be more than 300")),
        (json!({"sdkAppID": null}), Some("spec.sdkAppID: Required value")),
        (json!({"sdkAppID": 0}), Some("should be greater than or equal to 1")),
        (json!({"sdkAppID": 1}), None),
        (json!({"sdkAppID": 4_294_967_295_u64}), None),
        (json!({"sdkAppID": 4_294_967_296_u64}), Some("should be less than or equal to 4294967295")),
        (json!({"sdkAppID": "1400000000"}), Some("must be of type integer")),
        (json!({"identifier": "x".repeat(32)}), None),
        (json!({"identifier": "x".repeat(33)}), Some("may not be more than 32")),
        (json!({"identifier": ""}), Some("at least 1 chars long")),
        (json!({"credentials": null}), Some("spec.credentials: Required value")),
        (json!({"credentials": {}}), Some("spec.credentials.secretKeyRef: Required value")),
        (secret(json!({"key": "k"})), Some("secretKeyRef.name: Required value")),
        (secret(json!({"name": "Upper"})), Some("secretKeyRef.name")),
        (secret(json!({"name": "chat", "key": "a/b"})), Some("secretKeyRef.key")),
        (secret(json!({"name": "chat", "key": "a.b_C-d"})), None),
        (calls(0), Some("should be greater than or equal to 1")),
        (calls(1), None),
        (calls(200), None),
        (calls(201), Some("should be less than or equal to 200")),
        (interval(199), Some("should be greater than or equal to 200")),
        (interval(200), None),
        (interval(60_000), None),
        (interval(60_001), Some("should be less than or equal to 60000")),
        (json!({"suspend": "yes"}), Some("must be of type boolean")),
    ]
}

#[tokio::test]
async fn each_wrong_field_of_an_app_is_refused_with_the_remedy() {
    let namespace = plane().await.namespace().await.unwrap();
    judge(&namespace, "ChatApp", &app(), &app_cases()).await;
    let regions = ["China", "Singapore", "Seoul", "Tokyo", "Frankfurt", "SiliconValley", "Jakarta", "Mumbai"];
    let regions: Vec<_> = regions.map(|region| (json!({"region": region}), None)).into();
    let elsewhere = plane().await.namespace().await.unwrap();
    judge(&elsewhere, "ChatApp", &app(), &regions).await;
}

#[tokio::test]
async fn a_cluster_app_takes_the_same_and_opens_itself_only_as_one_of_three_words_says() {
    let namespace = plane().await.namespace().await.unwrap();
    let pair = Some("selector goes with from: Selector, and only with it");
    let open = |allowed: Value| json!({"allowedNamespaces": allowed});
    let labels = json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}});
    let expression = |operator: &str| json!({"matchExpressions": [{"key": "team", "operator": operator, "values": ["a"]}]});
    let mut cases = app_cases();
    cases.extend([
        (open(json!({})), None),
        (open(json!({"from": "None"})), None),
        (open(json!({"from": "All"})), None),
        (open(json!({"from": "Some"})), Some("supported values: \"None\", \"All\", \"Selector\"")),
        (open(json!({"from": "Selector"})), pair),
        (open(json!({"from": "All", "selector": labels})), pair),
        (open(json!({"selector": labels})), pair),
        (open(json!({"from": "Selector", "selector": labels})), None),
        (open(json!({"from": "Selector", "selector": expression("In")})), None),
        (
            open(json!({"from": "Selector", "selector": expression("Equals")})),
            Some("Unsupported value: \"Equals\""),
        ),
    ]);
    judge(&namespace, "ClusterChatApp", &app(), &cases).await;
}

#[tokio::test]
async fn a_misspelt_field_is_refused_by_name() {
    let namespace = plane().await.namespace().await.unwrap();
    let spec = json!({"groupID": "@TGS#a", "groupId": "@TGS#b"});
    let text = manifest("GroupAttributeReset", "misspelt", &spec);
    let done =
        plane().await.kubectl_with_input(&["apply", "-n", &namespace, "-f", "-"], &text).await.unwrap();
    assert!(!done.ok && done.stderr.contains("unknown field \"spec.groupId\""), "{}", done.stderr);
}

#[tokio::test]
async fn what_must_not_change_cannot_be_changed_and_the_refusal_says_what_to_do() {
    let plane = plane().await;
    let namespace = plane.namespace().await.unwrap();
    let cluster_app = format!("cluster-{namespace}");
    let objects = [
        manifest("GroupAttributeReset", "plain", &reset()),
        manifest("GroupAttributeReset", "asked", &with(&reset(), &json!({"requestID": "first"}))),
        manifest("ChatApp", "default", &app()),
        manifest("ClusterChatApp", &cluster_app, &app()),
    ];
    plane.apply_in(&namespace, &objects.join("\n---\n")).await.unwrap();

    let group = Some("groupID is immutable; create another GroupAttributeReset for another group");
    let reference = Some("appRef is immutable; create another GroupAttributeReset to use another app");
    let removed = Some("requestID cannot be removed once set; give it a new value to ask for a new reset");
    let account = Some("sdkAppID is immutable; create another app for another account");
    let cases = [
        ("gar", "plain", json!({"groupID": "@TGS#other"}), group),
        ("gar", "plain", json!({"appRef": {"name": "other"}}), reference),
        ("gar", "plain", json!({"appRef": {"kind": "ClusterChatApp"}}), reference),
        ("gar", "plain", json!({"appRef": {"name": "default"}}), None),
        ("gar", "plain", json!({"appRef": null}), None),
        ("gar", "plain", json!({"suspend": true, "backoffLimit": 1, "ttlSecondsAfterFinished": 9}), None),
        ("gar", "plain", json!({"ttlSecondsAfterFinished": null}), None),
        ("gar", "asked", json!({"requestID": null}), removed),
        ("gar", "asked", json!({"requestID": "second"}), None),
        ("chatapp", "default", json!({"sdkAppID": 1_400_000_001}), account),
        ("chatapp", "default", json!({"identifier": "root", "region": "Tokyo"}), None),
        ("chatapp", "default", json!({"region": null, "endpoint": "https://chat.example.com"}), None),
        ("clusterchatapp", &cluster_app, json!({"sdkAppID": 1_400_000_001}), account),
        ("clusterchatapp", &cluster_app, json!({"allowedNamespaces": {"from": "All"}}), None),
    ];
    for (kind, name, spec, expected) in cases {
        let patch = json!({"spec": spec}).to_string();
        let done = plane
            .kubectl(&["-n", &namespace, "patch", kind, name, "--type=merge", "-p", &patch])
            .await
            .unwrap();
        match expected {
            None => assert!(done.ok, "{kind} {name} {spec}: {}", done.stderr),
            Some(text) => {
                assert!(!done.ok && done.stderr.contains(text), "{kind} {name} {spec}: {}", done.stderr);
            }
        }
    }
    // A requestID can be given later: that is how an object is asked to do it once more.
    let given =
        ["-n", &namespace, "patch", "gar", "plain", "--type=merge", "-p", "{\"spec\":{\"requestID\":\"x\"}}"];
    assert!(plane.kubectl(&given).await.unwrap().ok);
}

#[tokio::test]
async fn the_shortest_manifests_show_the_policy_in_force_and_read_as_in_progress() {
    let plane = plane().await;
    let namespace = plane.namespace().await.unwrap();
    let cluster_app = format!("cluster-{namespace}");
    let objects = [
        manifest("GroupAttributeReset", "short", &reset()),
        manifest("ChatApp", "default", &app()),
        manifest("ClusterChatApp", &cluster_app, &app()),
    ];
    plane.apply_in(&namespace, &objects.join("\n---\n")).await.unwrap();
    let got = |kind: &'static str, name: String| {
        let namespace = namespace.clone();
        async move {
            let got = plane.kubectl(&["-n", &namespace, "get", kind, &name, "-o", "yaml"]).await.unwrap();
            assert!(got.ok, "{}", got.stderr);
            parse(&got.stdout)
        }
    };
    let objects = join_all([
        got("gar", "short".to_owned()),
        got("chatapp", "default".to_owned()),
        got("clusterchatapp", cluster_app.clone()),
    ])
    .await;

    assert_eq!(
        objects[0]["spec"],
        json!({
            "groupID": "@TGS#room",
            "appRef": {"kind": "ChatApp", "name": "default"},
            "suspend": false,
            "activeDeadlineSeconds": 3600,
            "backoffLimit": 6,
            "onUnknownOutcome": "Retry",
            "onGroupNotFound": "Fail",
        })
    );
    let mut account = json!({
        "sdkAppID": 1_400_000_000,
        "region": "Singapore",
        "identifier": "administrator",
        "credentials": {"secretKeyRef": {"name": "chat", "key": "secretKey"}},
        "limits": {"callsPerSecond": 200, "groupIntervalMilliseconds": 1000},
        "suspend": false,
    });
    assert_eq!(objects[1]["spec"], account);
    account["allowedNamespaces"] = json!({"from": "None"});
    assert_eq!(objects[2]["spec"], account);

    for (object, type_) in objects.iter().zip(["Succeeded", "Ready", "Ready"]) {
        let status = &object["status"];
        assert_eq!(status["observedGeneration"], -1, "{status:#}");
        assert_eq!(kstatus(object), Status::InProgress, "{status:#}");
        let conditions = status["conditions"].as_array().unwrap();
        assert_eq!(conditions.len(), 1);
        let condition = &conditions[0];
        assert_eq!(
            (&condition["type"], &condition["status"], &condition["reason"]),
            (&json!(type_), &json!("Unknown"), &json!("Pending"))
        );
        assert!(
            condition["message"].as_str().unwrap().contains("check that the operator runs"),
            "{condition}"
        );
    }

    // Only the beginning of a part given: the rest of it is filled in.
    let limits = with(&app(), &json!({"limits": {"callsPerSecond": 5}}));
    let part = manifest("ChatApp", "part", &limits);
    let cluster = manifest(
        "GroupAttributeReset",
        "cluster",
        &with(&reset(), &json!({"appRef": {"kind": "ClusterChatApp"}})),
    );
    let stored = plane.apply_in(&namespace, &format!("{part}\n---\n{cluster}")).await.unwrap();
    assert_eq!(
        stored[0].data["spec"]["limits"],
        json!({"callsPerSecond": 5, "groupIntervalMilliseconds": 1000})
    );
    assert_eq!(stored[1].data["spec"]["appRef"], json!({"kind": "ClusterChatApp", "name": "default"}));
}

#[tokio::test]
async fn kubectl_finds_and_shows_them_as_documented() {
    let plane = plane().await;
    let namespace = plane.namespace().await.unwrap();
    let other = with(&reset(), &json!({"groupID": "@TGS#other", "appRef": {"name": "second"}}));
    let objects = [
        manifest("GroupAttributeReset", "one", &reset()),
        manifest("GroupAttributeReset", "two", &other),
        manifest("ChatApp", "default", &app()),
        manifest("ClusterChatApp", &format!("cluster-{namespace}"), &app()),
    ];
    plane.apply_in(&namespace, &objects.join("\n---\n")).await.unwrap();
    let get = |args: &'static [&'static str]| {
        let namespace = namespace.clone();
        async move {
            let all = [&["-n", namespace.as_str(), "get"][..], args].concat();
            let got = plane.kubectl(&all).await.unwrap();
            assert!(got.ok, "{args:?}: {}", got.stderr);
            got.stdout
        }
    };
    let header =
        |text: &str| text.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");

    let narrow = get(&["gar"]).await;
    assert_eq!(header(&narrow), "NAME APP GROUP SUCCEEDED REASON CODE ATTEMPTS AGE");
    let row: Vec<&str> =
        narrow.lines().find(|line| line.starts_with("one ")).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], ["one", "default", "@TGS#room", "Unknown", "Pending"]);
    let wide = get(&["gar", "-o", "wide"]).await;
    assert_eq!(
        header(&wide),
        "NAME APP GROUP SUCCEEDED REASON CODE ATTEMPTS AGE REQUEST NEXT FINISHED MESSAGE"
    );

    for (args, expected) in [
        (&["gar", "-o", "name"][..], &["one", "two"][..]),
        (&["groupattributereset", "-o", "name"], &["one", "two"]),
        (&["groupattributeresets.groupattr.dev", "-o", "name"], &["one", "two"]),
        (&["gar", "-o", "name", "--field-selector=spec.groupID=@TGS#other"], &["two"]),
        (&["gar", "-o", "name", "--field-selector=spec.appRef.name=default"], &["one"]),
        (&["gar", "-o", "name", "--field-selector=spec.appRef.name!=default"], &["two"]),
    ] {
        let shown = get(args).await;
        let expected: Vec<_> =
            expected.iter().map(|name| format!("groupattributereset.groupattr.dev/{name}")).collect();
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "{args:?}");
    }
    assert_eq!(get(&["chatapp", "-o", "name"]).await.trim(), "chatapp.groupattr.dev/default");

    let category = get(&["chat", "-o", "name"]).await;
    for one in [
        "groupattributereset.groupattr.dev/one",
        "chatapp.groupattr.dev/default",
        "clusterchatapp.groupattr.dev/",
    ] {
        assert!(category.contains(one), "{category}");
    }
    let all = plane.kubectl(&["-n", &namespace, "get", "all", "-o", "name"]).await.unwrap();
    assert!(!all.stdout.contains("groupattr.dev"), "{}", all.stdout);
}
