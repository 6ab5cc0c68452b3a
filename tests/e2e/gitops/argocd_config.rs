//! The ConfigMap with the scripts for Argo CD. With `UPDATE_DOCS` set, these tests write the files; otherwise
//! they compare them.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use testbed::Helm;

use crate::gitops::argocd::{ACTIONS, SCRIPTS, action_script};
use crate::gitops::file;
use crate::world::{World, plane};

const CONFIG_MAP: &str = "examples/argocd/argocd-cm.yaml";
const OPERATOR_CHART: &str = "charts/groupattr-operator";

fn assert_up_to_date(path: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), text).unwrap();
    }
    assert!(
        file(path) == text,
        "{path} is out of date: UPDATE_DOCS=1 cargo test --test e2e gitops::argocd_config"
    );
}

/// Asserts that the entries of `argocd-cm` contain the scripts of the files.
fn check_entries(data: &Value) {
    let text = |key: &str| data[&format!("resource.customizations.{key}")].as_str().unwrap().to_owned();
    for kind in ["GroupAttributeReset", "ChatApp", "ClusterChatApp"] {
        let health = text(&format!("health.groupattr.dev_{kind}"));
        assert_eq!(health, file(&format!("{SCRIPTS}/{kind}/health.lua")));
    }
    let actions: Value = serde_saphyr::from_str(&text("actions.groupattr.dev_GroupAttributeReset")).unwrap();
    let discovery = file(&format!("{SCRIPTS}/GroupAttributeReset/actions/discovery.lua"));
    assert_eq!(actions["discovery.lua"], discovery);
    let definitions = actions["definitions"].as_array().unwrap();
    assert_eq!(definitions.len(), ACTIONS.len());
    for (action, name) in definitions.iter().zip(ACTIONS) {
        assert_eq!(action, &json!({"name": name, "action.lua": action_script(name)}));
    }
}

#[tokio::test]
async fn the_config_map_holds_the_scripts_and_leaves_other_settings_alone() {
    let wanted = config_map();
    assert_up_to_date(CONFIG_MAP, &wanted);

    let world = World::without_rights(plane().await).await;
    let own = "{ apiVersion: v1, kind: ConfigMap, metadata: { name: argocd-cm }, data: { url: 'https://argo.example' } }";
    world.apply(own).await;
    let path = format!("{}/{CONFIG_MAP}", env!("CARGO_MANIFEST_DIR"));
    let apply = ["apply", "--server-side", "--field-manager=groupattr-operator", "-f", &path];
    let applied = world.kubectl(&apply).await;
    assert!(applied.ok, "{}", applied.stderr);
    let data = world.object("configmap", "argocd-cm").await.unwrap()["data"].take();
    assert_eq!((&data["url"], data.as_object().unwrap().len()), (&json!("https://argo.example"), 5));
    check_entries(&data);
}

#[tokio::test]
async fn the_chart_ships_the_same_config_map_and_the_command_that_adopts_it() {
    let entries = config_map().split_once("\ndata:\n").unwrap().1.replace("\n  ", "\n");
    assert_up_to_date(&format!("{OPERATOR_CHART}/files/argocd.yaml"), entries.trim_start());

    let world = World::without_rights(plane().await).await;
    world
        .apply("{ apiVersion: v1, kind: ConfigMap, metadata: { name: argocd-cm }, data: { url: here } }")
        .await;
    for helm in Helm::BOTH {
        let chart = format!("{}/{OPERATOR_CHART}", env!("CARGO_MANIFEST_DIR"));
        let namespace = format!("--namespace={}", world.namespace);
        let mut args = vec!["template", "op", &chart, &namespace, "--set=argocd.enabled=true"];
        args.extend(["--set=image.registry=registry.example.com", "--show-only=templates/argocd.yaml"]);
        let rendered = helm.offline(&args).await.unwrap().unwrap();
        let map: Value = serde_saphyr::from_str(&rendered).unwrap();
        assert_eq!(map["metadata"]["name"], "op-groupattr-operator-argocd");
        check_entries(&map["data"]);
        world.apply(&rendered).await;
    }
    // The command from NOTES.txt.
    let get = ["get", "configmap", "op-groupattr-operator-argocd", "-o", "jsonpath={.data}"];
    let patch = format!("{{\"data\": {}}}", world.kubectl(&get).await.stdout);
    let patched =
        world.kubectl(&["patch", "configmap", "argocd-cm", "--type=merge", "--patch", &patch]).await;
    assert!(patched.ok, "{}", patched.stderr);
    let data = world.object("configmap", "argocd-cm").await.unwrap()["data"].take();
    assert_eq!((&data["url"], data.as_object().unwrap().len()), (&json!("here"), 5));
    check_entries(&data);
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
