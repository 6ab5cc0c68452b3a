//! `ttlSecondsAfterFinished`.

use serde_json::{Value, json};
use testbed::{until, until_ok};

use super::{seconds_between, time};
use crate::world::replicas::NO_ELECTION;
use crate::world::{DEADLINE, World, numbered};

#[tokio::test]
async fn finished_resets_are_deleted_after_their_ttl_unless_a_tool_would_recreate_them() {
    let world = World::new().await;
    let operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    let reset_with = |name: &str, marks: Value, ttl: i32| {
        let mut metadata = json!({"name": name});
        metadata.as_object_mut().unwrap().extend(marks.as_object().unwrap().clone());
        let spec = json!({"groupID": format!("@TGS#{name}"), "ttlSecondsAfterFinished": ttl});
        json!({
            "apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset",
            "metadata": metadata, "spec": spec,
        })
    };
    let kept = [
        ("annotations", "argocd.argoproj.io/tracking-id"),
        ("annotations", "meta.helm.sh/release-name"),
        ("labels", "argocd.argoproj.io/instance"),
        ("labels", "kustomize.toolkit.fluxcd.io/name"),
        ("labels", "helm.toolkit.fluxcd.io/name"),
    ];
    let mut objects: Vec<Value> = kept
        .iter()
        .enumerate()
        .map(|(n, (place, mark))| reset_with(&format!("kept-{n}"), json!({*place: {*mark: "show"}}), 0))
        .collect();
    objects.push(reset_with("two-seconds", json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), 2));
    objects.push(reset_with("at-once", json!({}), 0));
    objects.push(reset_with("failed", json!({}), 1));
    objects.push(reset_with("after-restart", json!({}), 30));
    for object in &objects {
        let group = object["spec"]["groupID"].as_str().unwrap();
        if group != "@TGS#failed" {
            world.room(group);
        }
        world.apply(&object.to_string()).await;
    }
    let gone = async |name: &str| {
        until(DEADLINE, &format!("{name} to be deleted"), || async {
            world.object("gar", name).await.is_none().then_some(())
        })
        .await;
    };
    gone("two-seconds").await;
    gone("at-once").await;
    gone("failed").await;
    for (n, (_, mark)) in kept.iter().enumerate() {
        let name = format!("kept-{n}");
        world.reset_is(&name, "Cleared").await;
        let note = world.event("GroupAttributeReset", &name, "TTLSkipped").await;
        assert!(note.contains(mark), "{note}");
    }
    // From completionTime to the deletion, as the API server saw it.
    let lived = async |name: &str| {
        let deleted = until(DEADLINE, "its deletion in the audit log", || async {
            let requests = world.requests("groupattributeresets", name).await;
            requests.iter().find(|event| event.verb == "delete").map(|event| event.received)
        });
        let deleted = deleted.await;
        let stored = world.stored().await;
        let last = stored.iter().rfind(|stored| stored.object["metadata"]["name"] == name).unwrap();
        seconds_between(time(&last.object["status"]["completionTime"]), deleted)
    };
    let two = lived("two-seconds").await;
    assert!((2.0..=6.0).contains(&two), "deleted after {two} s");
    assert_eq!(world.reasons_of("failed").await.last().map(String::as_str), Some("GroupNotFound"));

    // The next process deletes what this one would have deleted.
    world.reset_is("after-restart", "Cleared").await;
    operator.terminate();
    operator.wait_exit(DEADLINE).await;
    let next = world.operator(&NO_ELECTION).await;
    gone("after-restart").await;
    let thirty = lived("after-restart").await;
    assert!((30.0..=40.0).contains(&thirty), "deleted after {thirty} s");
    world.marker("marker").await;
    for n in 0..kept.len() {
        let name = format!("kept-{n}");
        assert!(world.object("gar", &name).await.is_some(), "{name} was deleted");
        let events = world.events("GroupAttributeReset", &name).await;
        assert_eq!(events.iter().filter(|(reason, _)| reason == "TTLSkipped").count(), 1, "{events:?}");
        assert_eq!(world.calls(&format!("@TGS#{name}")), 1);
    }
    // Once its mark is removed, or a TTL is added later.
    assert!(world.kubectl(&["label", "gar", "kept-4", "helm.toolkit.fluxcd.io/name-"]).await.ok);
    gone("kept-4").await;
    world.patch("gar", "marker", "{\"ttlSecondsAfterFinished\":0}").await;
    gone("marker").await;
    let verbs: Vec<_> = world
        .requests("groupattributeresets", "two-seconds")
        .await
        .iter()
        .map(|event| event.verb.clone())
        .collect();
    assert_eq!(verbs, ["update", "update", "delete"]);
    world.check(&[&operator, &next]).await;
}

/// Either the tool's label or the TTL may come last, and both after the reset finished.
#[tokio::test]
async fn a_reset_kept_past_its_ttl_reports_it_even_if_labelled_after_it_finished() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    for (name, ttl) in [("mark-last", "  ttlSecondsAfterFinished: 3600"), ("time-last", "")] {
        world.room(&format!("@TGS#{name}"));
        world.reset(name, &format!("@TGS#{name}"), ttl).await;
        world.reset_is(name, "Cleared").await;
    }
    let mark = "kustomize.toolkit.fluxcd.io/name";
    for name in ["mark-last", "time-last"] {
        assert!(world.kubectl(&["label", "gar", name, &format!("{mark}=show")]).await.ok);
    }
    world.patch("gar", "time-last", "{\"ttlSecondsAfterFinished\":0}").await;
    for name in ["mark-last", "time-last"] {
        let note = world.event("GroupAttributeReset", name, "TTLSkipped").await;
        assert!(note.contains(mark), "{name}: {note}");
    }
    world.marker("marker").await;
    for name in ["mark-last", "time-last"] {
        assert!(world.object("gar", name).await.is_some(), "{name} was deleted");
        let events = world.events("GroupAttributeReset", name).await;
        assert_eq!(
            events.iter().filter(|(reason, _)| reason == "TTLSkipped").count(),
            1,
            "{name}: {events:?}"
        );
        assert_eq!(world.calls(&format!("@TGS#{name}")), 1);
    }
    world.check(&[&operator]).await;
}

/// Status writes and deletions share a bounded number of concurrent writes.
#[tokio::test]
async fn deletions_do_not_use_up_the_writers() {
    const RESETS: usize = 40;
    let world = World::new().await;
    let rooms = numbered("short-lived", RESETS);
    world.rooms(&rooms);
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.many_resets_with(rooms.clone(), &json!({"ttlSecondsAfterFinished": 0})).await;
    until_ok(DEADLINE, "all resets to be deleted", || async {
        let left = world.all_resets().await.len();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    world.assert_each_cleared_once(&rooms);
    world.reset("asleep", "@TGS#asleep", "  suspend: true").await;
    world.reset_is("asleep", "Suspended").await;
}
