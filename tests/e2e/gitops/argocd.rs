//! The actions that Argo CD offers for a reset.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::until;
use testbed::vendor::{Misbehaviour, When};

use crate::gitops::{file, tools};
use crate::world::{APP_ID, DEADLINE, World};

/// The scripts, in the directory layout of Argo CD's own.
pub(crate) const SCRIPTS: &str = "examples/argocd/resource_customizations/groupattr.dev";
pub(crate) const ACTIONS: [&str; 3] = ["rerun", "suspend", "resume"];

pub(crate) fn action_script(name: &str) -> String {
    file(&format!("{SCRIPTS}/GroupAttributeReset/actions/{name}/action.lua"))
}

/// The actions that Argo CD currently offers for a reset.
async fn offered(object: &Value) -> Vec<&'static str> {
    let script = file(&format!("{SCRIPTS}/GroupAttributeReset/actions/discovery.lua"));
    let actions = tools().await.lua(&script, object).unwrap();
    assert_eq!(actions.as_object().unwrap().len(), ACTIONS.len(), "{actions}");
    ACTIONS.into_iter().filter(|name| actions[name]["disabled"] == false).collect()
}

/// Runs an action as Argo CD does: the script's changes become a merge patch.
async fn run_action(world: &World, name: &str, action: &str) -> Value {
    let before = world.object("gar", name).await.unwrap();
    let mut after = tools().await.lua(&action_script(action), &before).unwrap();
    let (mut spec, mut old) = (after["spec"].take(), before.clone());
    old["spec"].take();
    assert_eq!(after, old, "an action may change only the spec");
    spec.as_object_mut().unwrap().retain(|field, value| before["spec"][field] != *value);
    world.patch("gar", name, &spec.to_string()).await;
    spec
}

#[tokio::test]
async fn the_rerun_action_requests_exactly_one_more_reset() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    world.app_is("Verified").await;
    world.room("@TGS#again");
    world.reset("again", "@TGS#again", "").await;
    let first = world.reset_is("again", "Cleared").await;
    assert_eq!(offered(&first).await, ["rerun"]);

    let mut requests = vec![];
    for calls in 2..=3 {
        world.room("@TGS#again");
        let change = run_action(&world, "again", "rerun").await;
        let request = change["requestID"].as_str().unwrap().to_owned();
        assert_eq!(change, json!({"requestID": request}));
        world.reset_where("again", "rerun", |object| object["status"]["requestID"] == request.as_str()).await;
        world.reset_is("again", "Cleared").await;
        assert_eq!(world.calls("@TGS#again"), calls);
        requests.push(request);
    }
    assert_ne!(requests[0], requests[1]);
    assert_eq!(world.vendor.attributes(APP_ID, "@TGS#again").map(|attributes| attributes.len()), Some(0));

    // A second click before the operator has seen the first one, and while its call is in flight.
    world
        .vendor
        .script(When::clear().of("@TGS#again").times(1), Misbehaviour::DelayBefore(Duration::from_secs(6)));
    run_action(&world, "again", "rerun").await;
    let unseen = world.object("gar", "again").await.unwrap();
    let mut refused = vec![unseen];
    until(DEADLINE, "the call", || async { (world.calls("@TGS#again") == 4).then_some(()) }).await;
    refused.push(world.object("gar", "again").await.unwrap());
    for object in refused {
        assert_eq!(offered(&object).await, ["suspend"], "{object:#}");
        let refusal = tools().await.lua(&action_script("rerun"), &object).unwrap_err();
        assert!(refusal.contains("has not ended yet"), "{refusal}");
    }
    world.reset_is("again", "Cleared").await;
    world.marker("after").await;
    assert_eq!(world.calls("@TGS#again"), 4);
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn the_suspend_and_resume_actions_pause_and_resume_a_reset() {
    let world = World::new().await;
    world.room("@TGS#held");
    world.reset("held", "@TGS#held", "").await;
    assert_eq!(offered(&world.object("gar", "held").await.unwrap()).await, ["suspend"]);
    assert_eq!(run_action(&world, "held", "suspend").await, json!({"suspend": true}));

    let operator = world.operator(&[]).await;
    world.app("").await;
    let held = world.reset_is("held", "Suspended").await;
    world.marker("others-go").await;
    assert_eq!((offered(&held).await, world.calls("@TGS#held")), (vec!["resume"], 0));
    assert_eq!(run_action(&world, "held", "resume").await, json!({"suspend": false}));
    world.reset_is("held", "Cleared").await;
    assert_eq!(world.calls("@TGS#held"), 1);
    world.check(&[&operator]).await;
}
