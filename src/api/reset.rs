// The schema derive repeats each struct inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reset_status::ResetStatus;

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
