//! Changes of a spec: which are accepted, and which are refused.

use serde_json::json;

use crate::crds::{app, manifest, reset, with};
use crate::world::plane;

#[tokio::test]
async fn immutable_fields_cannot_change_and_the_error_names_the_remedy() {
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
    let removed = Some("requestID cannot be removed once set; set a new value to request another reset");
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
    // A requestID can be added later, to request another reset.
    let given =
        ["-n", &namespace, "patch", "gar", "plain", "--type=merge", "-p", "{\"spec\":{\"requestID\":\"x\"}}"];
    assert!(plane.kubectl(&given).await.unwrap().ok);
}
