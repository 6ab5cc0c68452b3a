//! How the API server handles the CRDs: validation, defaults, and the output of `kubectl get`.
//!
//! | question | file |
//! |---|---|
//! | are the files in `crds/` up to date and complete? | `files` |
//! | what is refused, and with which message? | `validation` |
//! | which fields can be changed? | `updates` |
//! | what are the defaults? | `defaults` |
//! | what do `kubectl get` and its selectors show? | `kubectl` |

mod defaults;
mod files;
mod kubectl;
mod updates;
mod validation;

use serde_json::{Value, json};

fn parse(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap()
}

/// A manifest with this spec, as JSON, which is also YAML.
fn manifest(kind: &str, name: &str, spec: &Value) -> String {
    let metadata = json!({"name": name});
    let object =
        json!({"apiVersion": "groupattr.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
    // Valid in JSON, but not in YAML.
    object.to_string().replace('\u{7f}', "\\u007f")
}

/// Applies `changes` to `base`; null removes a field.
fn with(base: &Value, changes: &Value) -> Value {
    let mut spec = base.clone();
    for (field, value) in changes.as_object().unwrap() {
        if value.is_null() {
            spec.as_object_mut().unwrap().remove(field);
        } else {
            spec[field] = value.clone();
        }
    }
    spec
}

fn reset() -> Value {
    json!({"groupID": "@TGS#room"})
}

fn app() -> Value {
    json!({"sdkAppID": 1_400_000_000, "region": "Singapore", "credentials": {"secretKeyRef": {"name": "chat"}}})
}
