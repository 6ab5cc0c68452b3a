use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::conditions::{Condition, Reason};
use super::schema::{date_time, never_observed, required_date_time};

/// What came of it.
// Atomic, since it has one writer: a record of who set which of its thirty fields would be a quarter of the object, and a
// fifth of what each write costs the API server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ResetStatus {
    /// Generation of the spec that the conditions speak about; -1 before anybody looked.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// Succeeded, Ready, Finished, and while they hold Reconciling or Stalled.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The request this status is about.
    #[serde(rename = "requestID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub request_id: Option<String>,
    /// Start of the request's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub start_time: Option<Timestamp>,
    /// When the request ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub completion_time: Option<Timestamp>,
    /// Calls sent for this request.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempts: i32,
    /// Attempts that counted against backoffLimit.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub failures: i32,
    /// The earliest moment of the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub next_attempt_time: Option<Timestamp>,
    /// The attempt that is under way, or whose outcome is not settled yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_attempt: Option<PendingAttempt>,
    /// The last attempt whose outcome is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<Attempt>,
    /// Earlier requests of this object, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<PastRequest>,
}

/// The committed intent of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingAttempt {
    /// Identity of the attempt.
    #[schemars(length(max = 64))]
    pub id: String,
    /// 1 for the first call of the request.
    #[schemars(range(min = 1))]
    pub number: i32,
    /// When it was planned.
    #[schemars(schema_with = "required_date_time")]
    pub start_time: Timestamp,
    /// When the process stops waiting for an answer.
    #[schemars(schema_with = "required_date_time")]
    pub deadline: Timestamp,
    /// The process that makes it.
    #[schemars(length(max = 320))]
    pub holder: String,
    /// The vendor account.
    #[serde(rename = "sdkAppID")]
    pub sdk_app_id: i64,
    /// Host and port it goes to.
    #[schemars(length(max = 300))]
    pub host: String,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// The vendor executed it.
    Succeeded,
    /// The vendor said that it did not execute it.
    Rejected,
    /// The call never left.
    NotSent,
    /// Nobody saw what came of it.
    Unknown,
}

/// An attempt as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Identity of the attempt.
    #[schemars(length(max = 64))]
    pub id: String,
    /// 1 for the first call of the request.
    #[schemars(range(min = 1))]
    pub number: i32,
    /// When it was planned.
    #[schemars(schema_with = "required_date_time")]
    pub start_time: Timestamp,
    /// When its outcome was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub completion_time: Option<Timestamp>,
    /// How it ended. One that only a later version knows is read as Unknown: the object must stay readable.
    #[serde(deserialize_with = "known_outcome")]
    pub outcome: Outcome,
    /// Status of the HTTP answer, if one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i32>,
    /// The vendor's error code, 0 for success, if one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<i64>,
    /// The vendor's text, filtered and cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub error_info: Option<String>,
    /// The vendor account.
    #[serde(rename = "sdkAppID")]
    pub sdk_app_id: i64,
    /// Host and port it went to.
    #[schemars(length(max = 300))]
    pub host: String,
}

fn known_outcome<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Outcome, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(serde_json::from_value(text.into()).unwrap_or(Outcome::Unknown))
}

/// An earlier request of the same object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastRequest {
    /// Its requestID; empty for the request that the object itself was.
    #[serde(rename = "requestID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub request_id: Option<String>,
    /// Its final reason; Superseded if it had not ended. A text, since a later version may know reasons that this one does
    /// not, and the object must stay readable.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The vendor's last error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<i64>,
    /// Calls sent for it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempts: i32,
    /// When it ended or was replaced.
    #[schemars(schema_with = "required_date_time")]
    pub completion_time: Timestamp,
}

/// A status that nobody has written.
impl Default for ResetStatus {
    fn default() -> Self {
        Self {
            observed_generation: never_observed(),
            conditions: Vec::new(),
            request_id: None,
            start_time: None,
            completion_time: None,
            attempts: 0,
            failures: 0,
            next_attempt_time: None,
            pending_attempt: None,
            last_attempt: None,
            history: Vec::new(),
        }
    }
}

impl ResetStatus {
    /// Whether anybody ever wrote this status; the CRD's default carries generation -1.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.observed_generation >= 0 || self.pending_attempt.is_some() || self.is_final()
    }

    /// Reason of the condition `Succeeded`; `Pending` where there is none.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.condition("Succeeded").and_then(|c| Reason::parse(&c.reason)).unwrap_or(Reason::Pending)
    }

    /// The condition of this type.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == type_)
    }

    /// Whether the request this status is about has ended. The time of the end counts too: a later version of the
    /// operator may have ended it for a reason that this one does not know.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.reason().is_final() || self.completion_time.is_some()
    }
}
