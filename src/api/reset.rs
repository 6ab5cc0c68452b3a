// The schema derive repeats each struct inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::{Condition, Reason};
use super::schema::{date_time, never_observed, required_date_time};

/// What is asked for: clear all custom attributes of one group, once.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "groupattr.dev",
    version = "v1alpha1",
    kind = "GroupAttributeReset",
    plural = "groupattributeresets",
    shortname = "gar",
    category = "chat",
    namespaced,
    status = "ResetStatus",
    derive = "PartialEq",
    doc = "Clears all custom attributes of one Tencent Cloud Chat group, once. The result stands in status.",
    selectable = ".spec.groupID",
    selectable = ".spec.appRef.name",
    printcolumn(name = "App", type_ = "string", json_path = ".spec.appRef.name"),
    printcolumn(name = "Group", type_ = "string", json_path = ".spec.groupID"),
    printcolumn(
        name = "Succeeded",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Succeeded\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Succeeded\")].reason"
    ),
    printcolumn(
        name = "Code",
        type_ = "integer",
        json_path = ".status.lastAttempt.errorCode",
        description = "the vendor's last error code, 0 for success"
    ),
    printcolumn(name = "Attempts", type_ = "integer", json_path = ".status.attempts"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Request", type_ = "string", json_path = ".status.requestID", priority = 1),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextAttemptTime", priority = 1),
    printcolumn(name = "Finished", type_ = "date", json_path = ".status.completionTime", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Succeeded\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(oldSelf.requestID) || has(self.requestID)")
    .message("requestID cannot be removed once set; give it a new value to ask for a new reset"))]
pub struct ResetSpec {
    /// The group to clear. Quote it in YAML: a plain scalar cannot start with @.
    #[serde(rename = "groupID")]
    #[schemars(length(min = 1, max = 96))]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("groupID is immutable; create another GroupAttributeReset for another group"),
        validation = Rule::new("self.matches('^[ -~]+$')").message("groupID may hold printable ASCII characters only; copy it from the chat console"),
        validation = Rule::new("size(self) <= 48 || self.startsWith('@TGS#')").message("groupID may be longer than 48 characters only if it starts with @TGS#; check for text pasted twice"),
        validation = Rule::new("!self.startsWith('@TGS#_')").message("groupID names a Community, which has no group attributes; name an audio-video room or another group type"),
        validation = Rule::new("!self.contains('@TOPIC#_')").message("groupID names a topic of a Community, which has no group attributes; name an audio-video room or another group type")
    )]
    pub group_id: String,

    /// The account to use.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("appRef is immutable; create another GroupAttributeReset to use another app"))]
    pub app_ref: AppRef,

    /// Identity of the request: one request, one reset. A new value asks for a new reset of the same object.
    /// Without it the object itself is the request, once and for ever.
    #[serde(rename = "requestID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9._:/-]*$')").message("requestID must start with a letter or digit, followed by letters, digits and . _ : / -; for example show-2026-11-23"))]
    pub request_id: Option<String>,

    /// While true no attempt starts; one in flight ends normally.
    #[serde(default)]
    pub suspend: bool,

    /// No attempt starts after this moment, e.g. "2026-12-31T23:00:00Z". It survives restore and re-creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time", "maxLength" = 40, "pattern" = NOT_AFTER))]
    pub not_after: Option<String>,

    /// Seconds from status.startTime within which attempts may start, waiting included.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 1, max = 604_800))]
    pub active_deadline_seconds: i64,

    /// Failed attempts that may be repeated. Waiting for limits or for a broken account does not count.
    #[serde(default = "six")]
    #[schemars(range(min = 0, max = 20))]
    pub backoff_limit: i32,

    /// What to do when a call's outcome was not seen and the group, read back, still has attributes:
    /// Retry sends again, Stop ends as OutcomeUnknown.
    #[serde(default)]
    pub on_unknown_outcome: OnUnknownOutcome,

    /// Whether a group that does not exist counts as cleared.
    #[serde(default)]
    pub on_group_not_found: OnGroupNotFound,

    /// Delete the object this many seconds after its end. Skipped for objects that a tool would create again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i32>,
}

/// RFC 3339 with seconds and `Z` or an offset up to 14 hours: the API server itself lets `+99:99` pass.
const NOT_AFTER: &str =
    r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00)$";

fn an_hour() -> i64 {
    3600
}

fn six() -> i32 {
    6
}

/// Names the account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppRef {
    /// ChatApp: in this object's namespace. ClusterChatApp: kept by the platform team.
    #[serde(default)]
    pub kind: AppKind,
    /// Its name.
    #[serde(default = "default_name")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}

fn default_name() -> String {
    "default".to_owned()
}

impl Default for AppRef {
    fn default() -> Self {
        Self { kind: AppKind::default(), name: default_name() }
    }
}

/// The two kinds of account.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum AppKind {
    /// In the namespace of the reset.
    #[default]
    ChatApp,
    /// Cluster-scoped.
    ClusterChatApp,
}

impl std::fmt::Display for AppKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// Policy for a call whose outcome nobody saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnUnknownOutcome {
    /// Send again if the group, read back, is not empty.
    #[default]
    Retry,
    /// End as `OutcomeUnknown`.
    Stop,
}

/// Policy for a group that does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnGroupNotFound {
    /// It is a failure.
    #[default]
    Fail,
    /// It counts as cleared.
    Succeed,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
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
    /// How it ended.
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

/// An earlier request of the same object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastRequest {
    /// Its requestID; empty for the request that the object itself was.
    #[serde(rename = "requestID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub request_id: Option<String>,
    /// Its final reason; Superseded if it had not ended.
    pub reason: Reason,
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

impl ResetStatus {
    /// Whether anybody ever wrote this status; the CRD's default carries generation -1.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.observed_generation >= 0 && !self.conditions.is_empty()
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

    /// Whether the request this status is about has ended.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.reason().is_final()
    }
}
