//! Trouble in the cluster: missing CRDs, malformed objects, and a restart of the API server.

use std::time::Duration;

use serde_json::Value;
use testbed::{ControlPlane, Options, until, until_ok};

use super::{log_of, run};
use crate::world::{
    CRDS, DEADLINE, OwnPlane, World, crd, install_loose_crds, message_of, numbered, reason_of,
};

/// The command that installs the CRDs, as the operator's messages quote it.
const REMEDY: &str = "groupattr-operator crd | kubectl apply --server-side -f -";

#[tokio::test]
async fn missing_crds_are_reported_with_the_fix_and_work_starts_once_they_exist() {
    let plane = OwnPlane::of(ControlPlane::start(Options::default()).await.unwrap());
    let world = World::on(*plane).await;
    let operator = world.start(world.launch(&[]));
    operator.wait_for_log(REMEDY, DEADLINE).await;
    until_ok(DEADLINE, "/readyz to name the missing CRDs", || async {
        match operator.get("/readyz").await {
            Ok((503, body)) if body.contains(REMEDY) && body.contains("groupattributeresets") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(operator.get("/livez").await.unwrap().0, 200, "a waiting process must not be restarted");
    assert_eq!(operator.get("/metrics").await.unwrap().0, 200);
    let warned = log_of(&operator);
    assert!(
        warned
            .iter()
            .any(|line| line["level"] == "WARN" && line["message"].as_str().unwrap().contains(REMEDY))
    );

    // Two of the three, one of them without its status subresource: still not enough.
    let without_status = crd("chatapps").replace("    subresources:\n      status: {}\n", "");
    assert_ne!(without_status, crd("chatapps"), "the subresource must be removed");
    plane.install_crds(&crd("groupattributeresets")).await.unwrap();
    plane.install_crds(&without_status).await.unwrap();
    until_ok(DEADLINE, "/readyz to name the missing status subresource", || async {
        match operator.get("/readyz").await {
            Ok((503, body)) if body.contains("chatapps/status") && !body.contains("groupattributeresets") => {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    // The command from the message.
    let crds = run(&["crd"], &[]).await.stdout;
    let force = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let applied = plane.kubectl_with_input(&force, &crds).await.unwrap();
    assert!(applied.ok, "{}", applied.stderr);
    operator.ready(DEADLINE).await;
    world.room("@TGS#a");
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    assert!(operator.exit_status().is_none());
}

#[tokio::test]
async fn a_malformed_object_blocks_nothing_and_is_reported_in_metric_log_and_condition() {
    let plane = OwnPlane::new().await;
    install_loose_crds(*plane).await;
    let world = World::on(*plane).await;
    for (name, spec) in [
        ("number", "{ groupID: 7 }"),
        ("nothing", "{}"),
        ("words", "{ groupID: '@TGS#words', activeDeadlineSeconds: soon }"),
        ("list", "[]"),
    ] {
        let yaml = "apiVersion: groupattr.dev/v1alpha1\nkind: GroupAttributeReset";
        let object = format!("{yaml}\nmetadata: {{ name: {name} }}\nspec: {spec}");
        // The loose CRDs take effect a moment later.
        until_ok(DEADLINE, "the object to be accepted", || plane.apply_in(&world.namespace, &object)).await;
    }
    let app = "apiVersion: groupattr.dev/v1alpha1\nkind: ChatApp";
    world.apply(&format!("{app}\nmetadata: {{ name: odd }}\nspec: {{ sdkAppID: many }}")).await;
    // Well-formed, but our CRD would have rejected it.
    world.reset("community", "@TGS#_abc", "").await;
    plane.install_crds(CRDS).await.unwrap();

    let operator = world.operator(&[]).await;
    world.room("@TGS#good");
    world.app("").await;
    world.reset("good", "@TGS#good", "").await;
    world.reset_is("good", "Cleared").await;
    let invalid = world.reset_is("community", "InvalidRequest").await;
    assert!(message_of(&invalid, "Succeeded").contains("Community"), "{invalid:#}");

    for (kind, count) in [("GroupAttributeReset", 4.0), ("ChatApp", 1.0)] {
        until_ok(DEADLINE, &format!("the metric of malformed objects of kind {kind}"), || async {
            match operator.metric("groupattr_malformed_objects", &[("kind", kind)]).await {
                found if found == Some(count) => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }
    for name in ["number", "nothing", "words", "list"] {
        let lines: Vec<_> = log_of(&operator).into_iter().filter(|line| line["name"] == name).collect();
        let is_error = |line: &Value| {
            line["level"] == "ERROR" && line["message"].as_str().unwrap().contains("cannot be decoded")
        };
        assert_eq!(lines.iter().filter(|line| is_error(line)).count(), 1, "{name}: {lines:?}");
    }
    // Where Kubernetes accepts a status beside such a spec, the object reports it, too.
    for name in ["words", "nothing"] {
        let reset = until_ok(DEADLINE, &format!("{name} to report what is wrong with it"), || async {
            let reset = world.object("gar", name).await.unwrap_or_default();
            let message = message_of(&reset, "Succeeded");
            if message.contains("cannot be decoded") { Ok(reset) } else { Err(reset["status"].clone()) }
        })
        .await;
        assert_eq!(reason_of(&reset, "Succeeded"), "Pending", "{reset:#}");
    }
    assert_eq!(world.vendor.clears().len(), 1, "only the good reset was sent");

    // A corrected reset is like any other, and deleted ones are no longer counted.
    world.room("@TGS#words");
    let fix = r#"{"activeDeadlineSeconds":600}"#;
    world.patch("gar", "words", fix).await;
    world.reset_is("words", "Cleared").await;
    for name in ["number", "nothing", "list"] {
        world.kubectl(&["delete", "gar", name]).await;
    }
    until(DEADLINE, "the metric to return to 0", || async {
        let left = operator.metric("groupattr_malformed_objects", &[("kind", "GroupAttributeReset")]).await?;
        (left == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_api_server_restart_under_load_loses_and_repeats_nothing() {
    const RESETS: usize = 80;
    let plane = OwnPlane::new().await;
    let world = World::on(*plane).await;
    let rooms = numbered("load", RESETS);
    world.rooms(&rooms);
    // Long enough to keep its lease, however long the restart takes.
    let patient = ["--lease-duration-seconds=300", "--lease-renew-deadline-seconds=240"];
    let operator = world.operator(&patient).await;
    world.app("  limits: { callsPerSecond: 20 }").await;
    world.app_is("Verified").await;
    world.many_resets(rooms.clone()).await;
    until(DEADLINE, "calls to arrive", || async { (world.vendor.clears().len() >= 20).then_some(()) }).await;
    plane.restart_apiserver().await.unwrap();
    world.until_cleared(RESETS, Duration::from_mins(1)).await;
    assert!(operator.exit_status().is_none());
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
}
