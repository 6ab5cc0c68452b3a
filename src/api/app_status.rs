use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::{AppReason, Condition};
use super::schema::{date_time, never_observed};

/// Whether the account works, verified by a harmless read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppStatus {
    /// Generation of the spec that the conditions refer to; -1 until the operator has processed the object.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// The condition Ready.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The vendor's error code that made the app not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error_code: Option<i64>,
    /// When the vendor last accepted a probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub last_verified_time: Option<Timestamp>,
}

/// A status that the operator has not written yet.
impl Default for AppStatus {
    fn default() -> Self {
        Self {
            observed_generation: never_observed(),
            conditions: Vec::new(),
            last_error_code: None,
            last_verified_time: None,
        }
    }
}

impl AppStatus {
    /// Reason of the condition `Ready`; `Pending` if there is none.
    #[must_use]
    pub fn reason(&self) -> AppReason {
        let ready = self.conditions.iter().find(|c| c.type_ == "Ready");
        ready.and_then(|c| AppReason::parse(&c.reason)).unwrap_or(AppReason::Pending)
    }
}
