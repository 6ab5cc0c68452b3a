//! Each field at and beyond its bounds: what is accepted, and what is refused with a remedy.

use serde_json::{Value, json};

use crate::crds::{app, manifest, reset, with};
use crate::world::plane;

/// The error of `kubectl apply` about this object; `None` if it was created.
fn refusal(stderr: &str, name: &str) -> Option<String> {
    let marks =
        [format!("\"{name}\" is invalid"), format!("name: \"{name}\""), format!("\"{name}\" cannot be")];
    let at = marks.iter().find_map(|mark| stderr.find(mark.as_str()))?;
    let rest = &stderr[at..];
    let end = ["\nThe ", "\nError from", "\nerror"].iter().filter_map(|next| rest.find(next)).min();
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}

/// Applies one object per case in a single call and checks the result: `None` means created, a text must be
/// part of the error.
async fn check(namespace: &str, kind: &str, base: &Value, cases: &[(Value, Option<&str>)]) {
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

#[tokio::test]
async fn each_invalid_group_id_is_refused_with_the_remedy() {
    let namespace = plane().await.namespace().await.unwrap();
    let long = |prefix: &str, length: usize| format!("{prefix}{}", "x".repeat(length - prefix.len()));
    let ascii = Some("only printable ASCII characters; copy it from the chat console");
    let community = Some(
        "names a Community, and the vendor's clear command does not take Communities; use an audio-video",
    );
    let topic = Some(
        "names a topic of a Community, and the vendor's clear command does not take Communities; use an audio-video",
    );
    let wrapped = Some("around the vendor's id; write the id alone, as in");
    let pasted =
        Some("longer than 48 characters only if it starts with @TGS#; check whether it was pasted twice");
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
        (json!({"groupID": "team@TGS#1"}), None),
        (json!({"groupID": "@TGS#a/b+c=d-e:f"}), None),
        (json!({"groupID": "\"@TGS#aC5SZEAEF\""}), wrapped),
        (json!({"groupID": "'@TGS#aC5SZEAEF'"}), wrapped),
        (json!({"groupID": " @TGS#aC5SZEAEF"}), wrapped),
        (json!({"groupID": "@TGS#aC5SZEAEF "}), wrapped),
        (json!({"groupID": "@TGS#aC5SZEAEF,"}), wrapped),
        (json!({"groupID": "groupID: @TGS#aC5SZEAEF"}), wrapped),
        (json!({"groupID": "@TGS#_@TGS#cX"}), community),
        (json!({"groupID": "@TGS#_"}), community),
        (json!({"groupID": "room@TOPIC#_7"}), topic),
        (json!({"groupID": "@TOPIC#_"}), topic),
    ];
    check(&namespace, "GroupAttributeReset", &reset(), &cases).await;
}

#[tokio::test]
async fn each_invalid_field_of_a_reset_is_refused_exactly_at_its_bound() {
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
    check(&namespace, "GroupAttributeReset", &reset(), &cases).await;
}

/// Cases that apply to both kinds of app.
fn app_cases() -> Vec<(Value, Option<&'static str>)> {
    let one =
        Some("set exactly one of region and endpoint; region is the data centre shown in the chat console");
    let url = Some(
        "must be a URL with scheme and host only, like https://chat.example.com, without path, query or user",
    );
    let plain = Some(
        "identifier may contain only printable ASCII characters and no spaces; enter the administrator's UserID",
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
        (json!({"identifier": "!~"}), None),
        (json!({"identifier": "two words"}), plain),
        (json!({"identifier": "a\nTLS.sdkappid:1"}), plain),
        (json!({"identifier": "admin\n"}), plain),
        (json!({"identifier": "admin\u{200b}"}), plain),
        (json!({"identifier": "管理员"}), plain),
        (json!({"identifier": "a\u{7f}"}), plain),
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
async fn each_invalid_field_of_an_app_is_refused_with_the_remedy() {
    let namespace = plane().await.namespace().await.unwrap();
    check(&namespace, "ChatApp", &app(), &app_cases()).await;
    let regions = ["China", "Singapore", "Seoul", "Tokyo", "Frankfurt", "SiliconValley", "Jakarta", "Mumbai"];
    let regions: Vec<_> = regions.map(|region| (json!({"region": region}), None)).into();
    let elsewhere = plane().await.namespace().await.unwrap();
    check(&elsewhere, "ChatApp", &app(), &regions).await;
}

#[tokio::test]
async fn a_cluster_app_has_the_same_rules_and_three_ways_to_allow_namespaces() {
    let namespace = plane().await.namespace().await.unwrap();
    let pair = Some("selector must be set if from is Selector, and only then");
    let open = |allowed: Value| json!({"allowedNamespaces": allowed});
    let labels = json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}});
    let expressions = |of: &[Value]| open(json!({"from": "Selector", "selector": {"matchExpressions": of}}));
    let some = |operator: &str| expressions(&[json!({"key": "team", "operator": operator, "values": ["a"]})]);
    let none = |operator: &str| expressions(&[json!({"key": "team", "operator": operator})]);
    let selector = |selector: Value| open(json!({"from": "Selector", "selector": selector}));
    let nothing =
        Some("selector must contain matchLabels or matchExpressions; to admit all namespaces, set from: All");
    let values = Some("In and NotIn require values, Exists and DoesNotExist take none; add or remove values");
    let most: Vec<_> = (0..32)
        .map(|n| json!({"key": format!("team-{n}"), "operator": "In", "values": vec!["x".repeat(63); 64]}))
        .collect();
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
        (selector(json!({})), nothing),
        (selector(json!({"matchLabels": {}})), nothing),
        (selector(json!({"matchExpressions": []})), nothing),
        (selector(json!({"matchLabels": {}, "matchExpressions": []})), nothing),
        (open(json!({"from": "All", "selector": {}})), pair),
        (selector(json!({"matchLabels": {"a b": "c"}})), None),
        (selector(json!({"matchLabels": {"a": "b c"}})), Some("allowedNamespaces.selector.matchLabels")),
        (some("In"), None),
        (some("NotIn"), None),
        (some("Exists"), values),
        (some("DoesNotExist"), values),
        (none("In"), values),
        (none("NotIn"), values),
        (none("Exists"), None),
        (none("DoesNotExist"), None),
        (expressions(&most), None),
        (expressions(&[json!({"key": "a b", "operator": "DoesNotExist"})]), Some("matchExpressions[0].key")),
        (some("Equals"), Some("Unsupported value: \"Equals\"")),
    ]);
    check(&namespace, "ClusterChatApp", &app(), &cases).await;
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

/// With Helm 3, Terraform and `--validate=warn` the unknown field is pruned, and the empty selector would
/// match everything.
#[tokio::test]
async fn a_selector_emptied_by_a_misspelt_field_is_refused_from_every_tool() {
    let namespace = plane().await.namespace().await.unwrap();
    let selector = json!({"from": "Selector", "selector": {"matchLables": {"team": "a"}}});
    let text = manifest(
        "ClusterChatApp",
        &format!("typo-{namespace}"),
        &with(&app(), &json!({"allowedNamespaces": selector})),
    );
    for validate in ["--validate=ignore", "--validate=warn"] {
        let done = plane().await.kubectl_with_input(&["apply", validate, "-f", "-"], &text).await.unwrap();
        let is_refused =
            !done.ok && done.stderr.contains("selector must contain matchLabels or matchExpressions");
        assert!(is_refused, "{validate}: {}{}", done.stdout, done.stderr);
    }
}
