use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::conditions::{Condition, Reason};
use super::schema::{date_time, never_observed, required_date_time};

/// The progress and the result of a reset.
// Atomic, because it has a single writer: managedFields for its thirty fields would make up a quarter of the object,
// and a fifth of the cost of each write on the API server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ResetStatus {
    /// Generation of the spec that the conditions refer to; -1 until the operator has processed the object.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// Succeeded, Ready and Finished, plus Reconciling or Stalled while they apply.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The request this status is about.
    #[serde(rename = "requestID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub request_id: Option<String>,
    /// When the request started; activeDeadlineSeconds counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub start_time: Option<Timestamp>,
    /// When the request finished.
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
    /// The next attempt does not start before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub next_attempt_time: Option<Timestamp>,
    /// The attempt that is in flight, or whose outcome is not settled yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_attempt: Option<PendingAttempt>,
    /// The most recent attempt with a recorded outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<Attempt>,
    /// Earlier requests of this object, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<PastRequest>,
}

/// The stored intent of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingAttempt {
    /// Unique ID of the attempt.
    #[schemars(length(max = 64))]
    pub id: String,
    /// 1 for the first call of the request.
    #[schemars(range(min = 1))]
    pub number: i32,
    /// When the attempt was planned.
    #[schemars(schema_with = "required_date_time")]
    pub start_time: Timestamp,
    /// When the process stops waiting for an answer.
    #[schemars(schema_with = "required_date_time")]
    pub deadline: Timestamp,
    /// The process that makes the call.
    #[schemars(length(max = 320))]
    pub holder: String,
    /// SDKAppID of the vendor account.
    #[serde(rename = "sdkAppID")]
    pub sdk_app_id: i64,
    /// Host and port that the call goes to.
    #[schemars(length(max = 300))]
    pub host: String,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// The vendor executed the call.
    Succeeded,
    /// The vendor reported that it did not execute the call.
    Rejected,
    /// The call was never sent.
    NotSent,
    /// It is unknown whether the call was executed.
    Unknown,
}

/// An attempt with its recorded outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Unique ID of the attempt.
    #[schemars(length(max = 64))]
    pub id: String,
    /// 1 for the first call of the request.
    #[schemars(range(min = 1))]
    pub number: i32,
    /// When the attempt was planned.
    #[schemars(schema_with = "required_date_time")]
    pub start_time: Timestamp,
    /// When the outcome became known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub completion_time: Option<Timestamp>,
    /// How the attempt ended. Outcomes that only a later version knows are read as Unknown, so that the object stays
    /// readable after a rollback.
    #[serde(deserialize_with = "known_outcome")]
    pub outcome: Outcome,
    /// HTTP status code of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i32>,
    /// The vendor's error code, 0 for success, if the answer had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<i64>,
    /// The vendor's error text, sanitized and truncated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub error_info: Option<String>,
    /// The vendor's RequestId of the call, which its support asks for.
    #[serde(rename = "vendorRequestID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub vendor_request_id: Option<String>,
    /// SDKAppID of the vendor account.
    #[serde(rename = "sdkAppID")]
    pub sdk_app_id: i64,
    /// Host and port that the call went to.
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
    /// requestID of the request; absent if the object itself was the request.
    #[serde(rename = "requestID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub request_id: Option<String>,
    /// Final reason of the request; Superseded if it had not finished. Free text, because a later version may know more
    /// reasons, and the object must stay readable after a rollback.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The vendor's last error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<i64>,
    /// Calls sent for the request.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempts: i32,
    /// When the request finished or was superseded.
    #[schemars(schema_with = "required_date_time")]
    pub completion_time: Timestamp,
}

/// A status that the operator has not written yet.
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
    /// Whether this status was ever written; the CRD's default has generation -1.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.observed_generation >= 0 || self.pending_attempt.is_some() || self.is_final()
    }

    /// Reason of the condition `Succeeded`; `Pending` if there is none.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.condition("Succeeded").and_then(|c| Reason::parse(&c.reason)).unwrap_or(Reason::Pending)
    }

    /// The condition of this type.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == type_)
    }

    /// Whether the request in this status is finished. A completion time counts too, because a later version of the
    /// operator may have used a reason that this version does not know.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.reason().is_final() || self.completion_time.is_some()
    }
}
