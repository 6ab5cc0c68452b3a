// The schema derive repeats each struct inside a function, where `pub` items are unreachable.
#![allow(unreachable_pub)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reset_status::ResetStatus;

/// A request to clear all custom attributes of one group, once.
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
    doc = "Clears all custom attributes of one Tencent Cloud Chat group, once. The result is in status.",
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
    .message("requestID cannot be removed once set; set a new value to request another reset"))]
pub struct ResetSpec {
    /// The group to clear. Quote it in YAML, where a plain scalar cannot start with @.
    #[serde(rename = "groupID")]
    #[schemars(length(min = 1, max = 96))]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("groupID is immutable; create another GroupAttributeReset for another group"),
        validation = Rule::new("self.matches('^[ -~]+$')").message("groupID may contain only printable ASCII characters; copy it from the chat console"),
        validation = Rule::new("self.matches('^@TGS#[!#-&*+./0-9:=?@A-Z^_a-z|~-]*$') || !self.matches('(^|[^A-Za-z0-9_.-])@TGS#')").message("groupID has quotes, blanks or something else around the vendor's id; write the id alone, as in \"@TGS#aC5SZEAEF\""),
        validation = Rule::new("size(self) <= 48 || self.startsWith('@TGS#')").message("groupID may be longer than 48 characters only if it starts with @TGS#; check whether it was pasted twice"),
        validation = Rule::new("!self.startsWith('@TGS#_')").message("groupID names a Community, and the vendor's clear command does not take Communities; use an audio-video group or another group type"),
        validation = Rule::new("!self.contains('@TOPIC#_')").message("groupID names a topic of a Community, and the vendor's clear command does not take Communities; use an audio-video group or another group type")
    )]
    pub group_id: String,

    /// The account to use.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("appRef is immutable; create another GroupAttributeReset to use another app"))]
    pub app_ref: AppRef,

    /// Identifies the request: one request, one reset. A new value requests another reset of the same group. Without a
    /// requestID, the object itself is the only request.
    #[serde(rename = "requestID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9._:/-]*$')").message("requestID must start with a letter or digit, followed by letters, digits and . _ : / -; for example show-2026-11-23"))]
    pub request_id: Option<String>,

    /// While true, no attempt starts. An attempt in flight ends normally.
    #[serde(default)]
    pub suspend: bool,

    /// No attempt starts after this time, e.g. "2026-12-31T23:00:00Z". As part of the spec, it still applies after a
    /// restore from backup or a re-creation of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time", "maxLength" = 40, "pattern" = NOT_AFTER))]
    pub not_after: Option<String>,

    /// Seconds after status.startTime within which attempts may start, including all waiting.
    #[serde(default = "default_active_deadline")]
    #[schemars(range(min = 1, max = 604_800))]
    pub active_deadline_seconds: i64,

    /// How many failed attempts are retried. Waiting for rate limits or for a broken account does not count.
    #[serde(default = "default_backoff_limit")]
    #[schemars(range(min = 0, max = 20))]
    pub backoff_limit: i32,

    /// What to do when the outcome of a call is unknown and the read-back finds that the group still has attributes:
    /// Retry sends again, Stop ends the request as OutcomeUnknown.
    #[serde(default)]
    pub on_unknown_outcome: OnUnknownOutcome,

    /// Whether a group that does not exist counts as cleared.
    #[serde(default)]
    pub on_group_not_found: OnGroupNotFound,

    /// Delete the object this many seconds after it finished. Ignored for objects that a GitOps tool or Helm would
    /// create again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i32>,
}

/// RFC 3339 with seconds, and `Z` or an offset of up to 14 hours. The API server itself accepts even `+99:99`.
const NOT_AFTER: &str =
    r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00)$";

fn default_active_deadline() -> i64 {
    3600
}

fn default_backoff_limit() -> i32 {
    6
}

/// Reference to the app whose account is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppRef {
    /// ChatApp: in this object's namespace. ClusterChatApp: cluster-scoped, managed by the platform team.
    #[serde(default)]
    pub kind: AppKind,
    /// Name of the app.
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

/// The two kinds of app.
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

/// What to do when the outcome of a call is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnUnknownOutcome {
    /// Send again if the read-back finds that the group is not empty.
    #[default]
    Retry,
    /// End the request as `OutcomeUnknown`.
    Stop,
}

/// What to do when the group does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnGroupNotFound {
    /// The request fails.
    #[default]
    Fail,
    /// The group counts as cleared.
    Succeed,
}
