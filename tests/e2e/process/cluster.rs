//! A cluster not as it should be: without the CRDs, with malformed objects, with a restart in between.

use std::time::Duration;

use serde_json::Value;
use testbed::{ControlPlane, Options, until, until_ok};

use super::{log_of, run};
use crate::world::{
    CRDS, DEADLINE, OwnPlane, World, crd, install_loose_crds, message_of, numbered, reason_of,
};

/// What installs the CRDs, as it is said to whoever has not.
const REMEDY: &str = "groupattr-operator crd | kubectl apply --server-side -f -";

#[tokio::test]
async fn without_its_crds_it_says_what_to_do_and_begins_once_they_are_there() {
    let plane = OwnPlane::of(ControlPlane::start(Options::default()).await.unwrap());
    let world = World::on(*plane).await;
    let operator = world.start(world.launch(&[]));
    operator.wait_for_log(REMEDY, DEADLINE).await;
    until_ok(DEADLINE, "/readyz to say what is missing", || async {
        match operator.get("/readyz").await {
            Ok((503, said)) if said.contains(REMEDY) && said.contains("groupattributeresets") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(operator.get("/livez").await.unwrap().0, 200, "it waits, which is no reason to restart it");
    assert_eq!(operator.get("/metrics").await.unwrap().0, 200);
    let warned = log_of(&operator);
    assert!(
        warned
            .iter()
            .any(|line| line["level"] == "WARN" && line["message"].as_str().unwrap().contains(REMEDY))
    );

    // Two of the three, and one of them without its status: still not enough.
    let without_status = crd("chatapps").replace("    subresources:\n      status: {}\n", "");
    assert_ne!(without_status, crd("chatapps"), "the subresource was taken out");
    plane.install_crds(&crd("groupattributeresets")).await.unwrap();
    plane.install_crds(&without_status).await.unwrap();
    until_ok(DEADLINE, "/readyz to say that the status is missing", || async {
        match operator.get("/readyz").await {
            Ok((503, said)) if said.contains("chatapps/status") && !said.contains("groupattributeresets") => {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    // The command that it names, word for word.
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
async fn a_malformed_object_disturbs_nobody_and_is_told_in_metric_log_and_condition() {
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
        // The loose CRDs are in force a moment later.
        until_ok(DEADLINE, "it to be taken", || plane.apply_in(&world.namespace, &object)).await;
    }
    world.apply("apiVersion: groupattr.dev/v1alpha1\nkind: ChatApp\nmetadata: { name: odd }\nspec: { sdkAppID: many }").await;
    // Well-formed, and yet no CRD of ours would have let it pass.
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
        let told: Vec<_> = log_of(&operator).into_iter().filter(|line| line["name"] == name).collect();
        let is_error = |line: &Value| {
            line["level"] == "ERROR" && line["message"].as_str().unwrap().contains("cannot be decoded")
        };
        assert_eq!(told.iter().filter(|line| is_error(line)).count(), 1, "{name}: {told:?}");
    }
    // Where Kubernetes lets a status be stored beside such a spec, the object says it itself.
    for name in ["words", "nothing"] {
        let reset = until_ok(DEADLINE, &format!("{name} to say what is wrong with it"), || async {
            let reset = world.object("gar", name).await.unwrap_or_default();
            let said = message_of(&reset, "Succeeded");
            if said.contains("cannot be decoded") { Ok(reset) } else { Err(reset["status"].clone()) }
        })
        .await;
        assert_eq!(reason_of(&reset, "Succeeded"), "Pending", "{reset:#}");
    }
    assert_eq!(world.vendor.clears().len(), 1, "only the good one was sent");

    // Mended in place, or made anew: it counts as any other.
    world.room("@TGS#words");
    let mend = r#"{"activeDeadlineSeconds":600}"#;
    world.patch("gar", "words", mend).await;
    world.reset_is("words", "Cleared").await;
    for name in ["number", "nothing", "list"] {
        world.kubectl(&["delete", "gar", name]).await;
    }
    until(DEADLINE, "the metric to go back to none", || async {
        let left = operator.metric("groupattr_malformed_objects", &[("kind", "GroupAttributeReset")]).await?;
        (left == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_restart_of_the_api_server_under_load_loses_and_repeats_nothing() {
    const RESETS: usize = 80;
    let plane = OwnPlane::new().await;
    let world = World::on(*plane).await;
    let rooms = numbered("load", RESETS);
    world.rooms(&rooms);
    // However long the restart takes, it need not give up its lease.
    let patient = ["--lease-duration-seconds=300", "--lease-renew-deadline-seconds=240"];
    let operator = world.operator(&patient).await;
    world.app("  limits: { callsPerSecond: 20 }").await;
    world.app_is("Verified").await;
    world.many_resets(rooms.clone()).await;
    until(DEADLINE, "calls under way", || async { (world.vendor.clears().len() >= 20).then_some(()) }).await;
    plane.restart_apiserver().await.unwrap();
    world.until_cleared(RESETS, Duration::from_mins(1)).await;
    assert!(operator.exit_status().is_none());
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
}
