use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use super::{ChatApp, ClusterChatApp, GroupAttributeReset};

/// The CRDs of all kinds, as they are installed. They are JSON because the types cannot express two things: the default
/// of a status, and that null means absent.
#[must_use]
pub fn crds() -> Vec<Value> {
    vec![
        finish(&ChatApp::crd(), "Ready"),
        finish(&ClusterChatApp::crd(), "Ready"),
        finish(&GroupAttributeReset::crd(), "Succeeded"),
    ]
}

/// The CRDs as one YAML stream.
///
/// # Errors
/// A value cannot be written as YAML.
pub fn crds_yaml() -> Result<String, serde_saphyr::ser::Error> {
    let mut text = String::new();
    for crd in crds() {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&crd)?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

/// `condition` is the type of the condition that a new object has by default, so that tools see it as in progress
/// before the operator has processed it.
fn finish(crd: &CustomResourceDefinition, condition: &str) -> Value {
    let mut crd = serde_json::to_value(crd).unwrap_or_default();
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    tidy(schema);
    schema["properties"]["status"]["default"] = json!({
        "observedGeneration": -1,
        "conditions": [{
            "type": condition,
            "status": "Unknown",
            "reason": "Pending",
            "message": "Waiting for groupattr-operator. If this persists, check that the operator is running.",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }],
    });
    if let Some(crd) = crd.as_object_mut() {
        crd.remove("status");
    }
    crd
}

/// Removes `nullable`, so that the API server drops nulls and `requestID: null` means no requestID. Writes bounds that
/// are whole numbers as integers.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("nullable");
            fields.values_mut().for_each(tidy);
        }
        Value::Array(all) => {
            all.retain(|value| !value.is_null());
            all.iter_mut().for_each(tidy);
        }
        Value::Number(number) =>
        {
            #[allow(clippy::cast_possible_truncation)]
            if let Some(whole) = number.as_f64().filter(|n| n.fract() == 0.0) {
                *number = (whole as i64).into();
            }
        }
        _ => {}
    }
}
