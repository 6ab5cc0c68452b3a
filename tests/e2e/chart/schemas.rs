//! What each version of Kubernetes knows: the fields of every kind, from the Go module of its client.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// The client of each version, with the checksum of its module.
pub(crate) const VERSIONS: [(&str, &str); 4] = [
    ("v0.33.0", "h1:UASR0sAYVUzs2kYuKn/ZakZlcs2bEHaizrrHUZg0G98="),
    ("v0.34.0", "h1:YoWv5r7bsBfb0Hs2jh8SOvFbKzzxyNo0nSb0zC19KZo="),
    ("v0.35.0", "h1:IAW0ifFbfQQwQmga0UdoH0yvdqrbwMdq9vIFEhRpxBE="),
    ("v0.36.0", "h1:pOYi7C4RHChYjMiHpZSpSbIM6ZxVbRXBy7CuiIwqA3c="),
];

/// Where a Go module is, downloaded if Go does not have it yet.
pub(crate) fn module(path: &str, version: &str, sum: &str) -> PathBuf {
    let module = format!("{path}@{version}");
    let mut command = Command::new("go");
    // Outside of any module, so that no go.mod plays a part.
    command.args(["mod", "download", "-json", &module]).current_dir(std::env::temp_dir());
    let output = command.output().expect("install Go 1.26 or newer");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("an answer of go");
    assert_eq!(answer["Sum"], sum, "{answer} {}", String::from_utf8_lossy(&output.stderr));
    answer["Dir"].as_str().expect("a folder").into()
}

/// The built-in kinds of one version of Kubernetes.
pub(crate) struct Schemas(HashMap<String, Value>);

impl Schemas {
    /// Reads them from the module of the version's client.
    pub(crate) fn of(version: &str, sum: &str) -> Self {
        let folder = module("k8s.io/client-go", version, sum);
        let file = folder.join("applyconfigurations/internal/internal.go");
        let text = fs::read_to_string(file).unwrap();
        let yaml =
            text.split_once("typed.YAMLObject(`").and_then(|(_, rest)| rest.split_once('`')).unwrap().0;
        let mut all: Value = serde_saphyr::from_str(yaml).unwrap();
        let types = all["types"].take();
        let types = types.as_array().unwrap().iter();
        Self(types.map(|one| (one["name"].as_str().unwrap().to_owned(), one.clone())).collect())
    }

    /// What of an object this version does not know; nothing if it is valid. `None`: it does not know the kind.
    pub(crate) fn objections(&self, object: &Value) -> Option<Vec<String>> {
        let (group, version) = object["apiVersion"]
            .as_str()?
            .split_once('/')
            .unwrap_or(("core", object["apiVersion"].as_str()?));
        let group = group.split('.').next()?;
        let name = format!("io.k8s.api.{group}.{version}.{}", object["kind"].as_str()?);
        let kind = self.0.get(&name)?;
        let mut objections = Vec::new();
        self.check("", kind, object, &mut objections);
        Some(objections)
    }

    fn check(&self, path: &str, schema: &Value, value: &Value, objections: &mut Vec<String>) {
        if let Some(name) = schema["namedType"].as_str() {
            return match self.0.get(name) {
                Some(schema) => self.check(path, schema, value, objections),
                None => objections.push(format!("{path}: there is no type {name}")),
            };
        }
        match value {
            Value::Object(fields) if schema["map"].is_object() => {
                let known = schema["map"]["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
                for (key, value) in fields {
                    let field = known.iter().find(|field| field["name"] == *key).map(|field| &field["type"]);
                    let path = format!("{path}.{key}");
                    match field.or_else(|| schema["map"].get("elementType")) {
                        Some(schema) => self.check(&path, schema, value, objections),
                        None => objections.push(format!("{path} is unknown")),
                    }
                }
            }
            Value::Array(items) if schema["list"].is_object() => {
                for (index, item) in items.iter().enumerate() {
                    self.check(&format!("{path}[{index}]"), &schema["list"]["elementType"], item, objections);
                }
            }
            scalar => {
                let fits = match schema["scalar"].as_str() {
                    Some("untyped") => !scalar.is_object() && !scalar.is_array(),
                    Some("string") => scalar.is_string(),
                    Some("boolean") => scalar.is_boolean(),
                    Some("numeric") => scalar.is_number(),
                    _ => false,
                };
                if !fits {
                    objections.push(format!("{path}: {scalar} does not fit {schema}"));
                }
            }
        }
    }
}
