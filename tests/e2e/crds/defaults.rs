//! What is stored for minimal manifests, and the status before an operator has seen them.

use futures::future::join_all;
use serde_json::json;
use testbed::kstatus::{Status, kstatus};

use crate::crds::{app, manifest, parse, reset, with};
use crate::world::plane;

#[tokio::test]
async fn minimal_manifests_show_their_defaults_and_are_in_progress() {
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
            condition["message"].as_str().unwrap().contains("check that the operator is running"),
            "{condition}"
        );
    }

    // A partly specified object gets defaults for its other fields.
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
