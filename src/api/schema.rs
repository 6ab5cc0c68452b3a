//! Pieces of schema that derive cannot say.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A moment as Kubernetes writes it.
pub(super) fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "maxLength": 64 })
}

/// A moment that must be there.
pub(super) fn required_date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "maxLength": 64 })
}

/// Generation in a status that nobody has written.
pub(super) fn never_observed() -> i64 {
    -1
}
