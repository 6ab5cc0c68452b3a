//! The scripts for Argo CD: what its users can do to a reset, and the ConfigMap that brings the scripts there.

use std::fmt::Write as _;

use serde_json::{Value, json};
use testbed::until;
use testbed::vendor::{Misbehaviour, When};

use crate::world::{APP_ID, SOON, World};
use crate::{file, tools};

/// Where the scripts are, laid out as Argo CD's own are.
pub(crate) const SCRIPTS: &str = "examples/argocd/resource_customizations/groupattr.dev";
const CONFIG_MAP: &str = "examples/argocd/argocd-cm.yaml";
const ACTIONS: [&str; 3] = ["rerun", "suspend", "resume"];

/// `examples/argocd/argocd-cm.yaml` is written by this test when `UPDATE_DOCS` is set, and compared otherwise.
#[tokio::test]
async fn the_config_map_holds_the_scripts_and_leaves_other_settings_alone() {
    let wanted = config_map();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(CONFIG_MAP), &wanted).unwrap();
    }
    assert!(
        file(CONFIG_MAP) == wanted,
        "{CONFIG_MAP} is out of date: UPDATE_DOCS=1 cargo test --test gitops config_map"
    );

    let world = World::new().await;
    let own = "{ apiVersion: v1, kind: ConfigMap, metadata: { name: argocd-cm }, data: { url: 'https://argo.example' } }";
    world.apply(own).await;
    let path = format!("{}/{CONFIG_MAP}", env!("CARGO_MANIFEST_DIR"));
    let apply = ["apply", "--server-side", "--field-manager=groupattr-operator", "-f", &path];
    let applied = world.kubectl(&apply).await;
    assert!(applied.ok, "{}", applied.stderr);
    let stored = world.object("configmap", "argocd-cm").await.unwrap();
    let data = stored["data"].as_object().unwrap();
    assert_eq!(data["url"], "https://argo.example");
    assert_eq!(data.len(), 5, "{:?}", data.keys().collect::<Vec<_>>());

    // As Argo CD takes it apart.
    let text = |key: &str| data[&format!("resource.customizations.{key}")].as_str().unwrap().to_owned();
    for kind in ["GroupAttributeReset", "ChatApp", "ClusterChatApp"] {
        assert_eq!(
            text(&format!("health.groupattr.dev_{kind}")),
            file(&format!("{SCRIPTS}/{kind}/health.lua"))
        );
    }
    let actions = text("actions.groupattr.dev_GroupAttributeReset");
    let actions: Value = serde_saphyr::from_str(&actions).unwrap();
    assert_eq!(
        actions["discovery.lua"],
        file(&format!("{SCRIPTS}/GroupAttributeReset/actions/discovery.lua"))
    );
    for (action, name) in actions["definitions"].as_array().unwrap().iter().zip(ACTIONS) {
        assert_eq!(action["name"], name);
        assert_eq!(action["action.lua"], action_script(name));
    }
}

fn config_map() -> String {
    let mut text = String::from(
        "# What Argo CD has to know of the operator's kinds: their health, and actions for resets. Made from the scripts in\n\
         # resource_customizations. This adds to the settings of an Argo CD and leaves its other ones alone:\n\
         #   kubectl apply -n argocd --server-side --field-manager=groupattr-operator -f argocd-cm.yaml\n\
         # If your argocd-cm is made by the Helm chart of Argo CD, or kept in Git, take the entries of data over there.\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\n  labels:\n    app.kubernetes.io/name: argocd-cm\n    \
         app.kubernetes.io/part-of: argocd\ndata:\n",
    );
    let mut block = |key: &str, indent: usize, script: &str| {
        let pad = " ".repeat(indent);
        writeln!(text, "{pad}{key}: |").unwrap();
        for line in script.lines() {
            writeln!(text, "{}", format!("{pad}  {line}").trim_end()).unwrap();
        }
    };
    for kind in ["ChatApp", "ClusterChatApp", "GroupAttributeReset"] {
        let key = format!("resource.customizations.health.groupattr.dev_{kind}");
        block(&key, 2, &file(&format!("{SCRIPTS}/{kind}/health.lua")));
    }
    block("resource.customizations.actions.groupattr.dev_GroupAttributeReset", 2, "");
    block("discovery.lua", 4, &file(&format!("{SCRIPTS}/GroupAttributeReset/actions/discovery.lua")));
    text.push_str("    definitions:\n");
    for name in ACTIONS {
        writeln!(text, "      - name: {name}").unwrap();
        let mut block = String::new();
        for line in action_script(name).lines() {
            writeln!(block, "{}", format!("          {line}").trim_end()).unwrap();
        }
        write!(text, "        action.lua: |\n{block}").unwrap();
    }
    text
}

fn action_script(name: &str) -> String {
    file(&format!("{SCRIPTS}/GroupAttributeReset/actions/{name}/action.lua"))
}

/// The actions that Argo CD offers for a reset now.
async fn offered(object: &Value) -> Vec<&'static str> {
    let script = file(&format!("{SCRIPTS}/GroupAttributeReset/actions/discovery.lua"));
    let actions = tools().await.lua(&script, object).unwrap();
    assert_eq!(actions.as_object().unwrap().len(), ACTIONS.len(), "{actions}");
    ACTIONS.into_iter().filter(|name| actions[name]["disabled"] == false).collect()
}

/// Does an action as Argo CD does: the difference of what the script returns becomes a merge patch.
async fn act(world: &World, name: &str, action: &str) -> Value {
    let before = world.object("gar", name).await.unwrap();
    let mut after = tools().await.lua(&action_script(action), &before).unwrap();
    let (mut spec, mut old) = (after["spec"].take(), before.clone());
    old["spec"].take();
    assert_eq!(after, old, "an action changes the spec only");
    spec.as_object_mut().unwrap().retain(|field, value| before["spec"][field] != *value);
    world.patch("gar", name, &spec.to_string()).await;
    spec
}

#[tokio::test]
async fn the_action_rerun_asks_for_exactly_one_more_reset() {
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
        let change = act(&world, "again", "rerun").await;
        let request = change["requestID"].as_str().unwrap().to_owned();
        assert_eq!(change, json!({"requestID": request}));
        world.reset_where("again", "rerun", |object| object["status"]["requestID"] == request.as_str()).await;
        world.reset_is("again", "Cleared").await;
        assert_eq!(world.calls("@TGS#again"), calls);
        requests.push(request);
    }
    assert_ne!(requests[0], requests[1]);
    assert_eq!(world.vendor.attributes(APP_ID, "@TGS#again").map(|attributes| attributes.len()), Some(0));

    // A second click while the first one's call is under way, and before the operator has even seen it.
    world.vendor.script(
        When::clear().of("@TGS#again").times(1),
        Misbehaviour::DelayBefore(std::time::Duration::from_secs(2)),
    );
    act(&world, "again", "rerun").await;
    let unseen = world.object("gar", "again").await.unwrap();
    let mut refused = vec![unseen];
    until(SOON, "the call", || async { (world.calls("@TGS#again") == 4).then_some(()) }).await;
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
async fn the_actions_suspend_and_resume_hold_a_reset_and_let_it_go() {
    let world = World::new().await;
    world.room("@TGS#held");
    world.reset("held", "@TGS#held", "").await;
    assert_eq!(offered(&world.object("gar", "held").await.unwrap()).await, ["suspend"]);
    assert_eq!(act(&world, "held", "suspend").await, json!({"suspend": true}));

    let operator = world.operator(&[]).await;
    world.app("").await;
    let held = world.reset_is("held", "Suspended").await;
    world.marker("others-go").await;
    assert_eq!((offered(&held).await, world.calls("@TGS#held")), (vec!["resume"], 0));
    assert_eq!(act(&world, "held", "resume").await, json!({"suspend": false}));
    world.reset_is("held", "Cleared").await;
    assert_eq!(world.calls("@TGS#held"), 1);
    world.check(&[&operator]).await;
}
