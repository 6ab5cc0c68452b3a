//! Schema fragments that the derive macro cannot express.

use schemars::{Schema, SchemaGenerator, json_schema};

/// An optional time in the format of Kubernetes.
pub(super) fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "maxLength": 64 })
}

/// A required time in the format of Kubernetes.
pub(super) fn required_date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "maxLength": 64 })
}

/// Observed generation of a status that the operator has not written yet.
pub(super) fn never_observed() -> i64 {
    -1
}
