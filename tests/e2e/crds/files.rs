//! The files in `crds/` match the program's output, bound every field, name a remedy in every rule, and are
//! accepted by the API server.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::crds::parse;
use crate::world::plane;

const FILES: [&str; 3] = ["groupattributeresets.yaml", "chatapps.yaml", "clusterchatapps.yaml"];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/crds"))
}

/// The program's output: file name and text for each kind.
fn printed() -> Vec<(String, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_groupattr-operator")).arg("crd").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let documents = text.split("---\n").filter(|document| !document.trim().is_empty());
    documents
        .map(|document| (format!("{}.yaml", plural(&parse(document))), format!("---\n{document}")))
        .collect()
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
             Regenerate with: WRITE_CRDS=1 cargo test -p groupattr-operator --test e2e crds::files"
        );
    }
    let others = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    for other in others.filter_map(|name| name.into_string().ok()) {
        assert!(FILES.contains(&other.as_str()), "crds/{other} is not a CRD of the program; remove it");
    }
}

#[test]
fn every_string_list_and_map_has_a_maximum() {
    fn walk(path: &str, schema: &Value, unbounded: &mut Vec<String>) {
        let bound = |field: &str| schema[field].as_u64().is_some_and(|most| most < 10_000);
        let is_bounded = match schema["type"].as_str() {
            Some("string") => bound("maxLength") || schema["enum"].is_array(),
            Some("array") => bound("maxItems"),
            Some("object") => schema["additionalProperties"].is_null() || bound("maxProperties"),
            Some("integer" | "boolean") => true,
            other => panic!("{path} has type {other:?}"),
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
fn every_validation_rule_names_the_remedy() {
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
async fn the_api_server_accepts_the_crds() {
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
