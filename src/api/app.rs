// The schema derive repeats each struct inside a function, where `pub` items are unreachable.
#![allow(unreachable_pub)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::app_status::AppStatus;

/// A vendor account for the resets in its own namespace.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "groupattr.dev",
    version = "v1alpha1",
    kind = "ChatApp",
    plural = "chatapps",
    shortname = "chatapp",
    category = "chat",
    namespaced,
    status = "AppStatus",
    derive = "PartialEq",
    doc = "A Tencent Cloud Chat account for the resets in its own namespace. The operator signs calls with its key.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "SDKAppID", type_ = "integer", json_path = ".spec.sdkAppID"),
    printcolumn(name = "Code", type_ = "integer", json_path = ".status.lastErrorCode"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.region", priority = 1),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.endpoint", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.region) != has(self.endpoint)")
    .message("set exactly one of region and endpoint; region is the data centre shown in the chat console"))]
pub struct ChatAppSpec {
    /// The vendor account: its SDKAppID.
    #[serde(rename = "sdkAppID")]
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("sdkAppID is immutable; create another app for another account"))]
    pub sdk_app_id: i64,
    /// Data centre of the account. There is no default, because a wrong region produces misleading errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// An https URL without path, query or user, used instead of a region. It works only if the operator was started
    /// with --allow-endpoint for its host. http is accepted for loopback hosts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[!\"$-.0->A-~]+/?$')").message("endpoint must be a URL with scheme and host only, like https://chat.example.com, without path, query or user"))]
    pub endpoint: Option<String>,
    /// UserID of an administrator of the account. The operator signs calls as this user.
    #[serde(default = "default_identifier")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^[!-~]+$')").message("identifier may contain only printable ASCII characters and no spaces; enter the administrator's UserID as shown in the chat console"))]
    pub identifier: String,
    /// Where the account's key is stored.
    pub credentials: AppCredentials,
    /// Rate limits of the account.
    #[serde(default)]
    pub limits: AppLimits,
    /// Stop switch: while true, the operator makes no calls for this object.
    #[serde(default)]
    pub suspend: bool,
}

/// A vendor account that a platform team opens to selected namespaces.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "groupattr.dev",
    version = "v1alpha1",
    kind = "ClusterChatApp",
    plural = "clusterchatapps",
    category = "chat",
    status = "AppStatus",
    derive = "PartialEq",
    doc = "A Tencent Cloud Chat account that a platform team opens to selected namespaces. Its key stays in the operator's namespace.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "SDKAppID", type_ = "integer", json_path = ".spec.sdkAppID"),
    printcolumn(name = "Open", type_ = "string", json_path = ".spec.allowedNamespaces.from"),
    printcolumn(name = "Code", type_ = "integer", json_path = ".status.lastErrorCode"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterChatAppSpec {
    /// The account, with the same fields as a ChatApp. Its Secret is in the operator's namespace.
    #[serde(flatten)]
    pub app: ChatAppSpec,
    /// Which namespaces may use this app. Default: none.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
}

impl ChatAppSpec {
    /// Whether [`identifier`](Self::identifier) passes the rules of the current CRD: 1 to 32 printable ASCII characters
    /// without spaces. An older CRD accepted line breaks, which would start another field in the signed text.
    #[must_use]
    pub fn has_valid_identifier(&self) -> bool {
        (1..=32).contains(&self.identifier.len()) && self.identifier.bytes().all(|b| b.is_ascii_graphic())
    }
}

fn default_identifier() -> String {
    "administrator".to_owned()
}

/// The vendor's data centres.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Region {
    China,
    Singapore,
    Seoul,
    Tokyo,
    Frankfurt,
    SiliconValley,
    Jakarta,
    Mumbai,
}

impl Region {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::China,
        Self::Singapore,
        Self::Seoul,
        Self::Tokyo,
        Self::Frankfurt,
        Self::SiliconValley,
        Self::Jakarta,
        Self::Mumbai,
    ];
}

/// Where the account's key is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppCredentials {
    /// The Secret that contains the key.
    pub secret_key_ref: SecretKeyRef,
}

/// One entry of a Secret. The Secret is in the ChatApp's namespace, or in the operator's for a ClusterChatApp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key within the Secret. Its value is 64 hexadecimal digits; surrounding white space is ignored.
    #[serde(default = "default_secret_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

fn default_secret_key() -> String {
    "secretKey".to_owned()
}

/// Rate limits of the account at the vendor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppLimits {
    /// Calls per second, separately for clears and for reads. Apps that use the same account share the lowest limit.
    #[serde(default = "default_calls_per_second")]
    #[schemars(range(min = 1, max = 200))]
    pub calls_per_second: i32,
    /// Minimum time between two writes to one group. The members of the group share the vendor's limit of 5 writes per
    /// second.
    #[serde(default = "default_group_interval")]
    #[schemars(range(min = 200, max = 60_000))]
    pub group_interval_milliseconds: i32,
}

fn default_calls_per_second() -> i32 {
    200
}

fn default_group_interval() -> i32 {
    1000
}

impl Default for AppLimits {
    fn default() -> Self {
        Self {
            calls_per_second: default_calls_per_second(),
            group_interval_milliseconds: default_group_interval(),
        }
    }
}

/// Which namespaces may use a ClusterChatApp.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("selector must be set if from is Selector, and only then"))]
pub struct AllowedNamespaces {
    /// None, All, or Selector for the namespaces whose labels match the selector.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of the namespaces. Anyone who may label a namespace can admit it, so prefer kubernetes.io/metadata.name.
    /// NotIn and DoesNotExist alone admit every namespace without the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label_selector")]
    pub selector: Option<LabelSelector>,
}

/// How a ClusterChatApp is opened to namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// No namespace.
    #[default]
    None,
    /// Every namespace.
    All,
    /// Namespaces whose labels match the selector.
    Selector,
}

/// A selector must not be empty: an empty one would match all namespaces, and a misspelled field leaves an empty one.
const SELECTOR_NOT_EMPTY: &str = "(has(self.matchLabels) && size(self.matchLabels) > 0) || \
                                  (has(self.matchExpressions) && size(self.matchExpressions) > 0)";
const LABEL_KEY: &str = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";

fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "description": "A label selector for namespaces. An empty selector is rejected, and matches nothing.",
        "x-kubernetes-validations": [{
            "rule": SELECTOR_NOT_EMPTY,
            "message": "selector must contain matchLabels or matchExpressions; to admit all namespaces, set from: All and omit the selector"
        }],
        "properties": {
            "matchLabels": {
                "type": "object",
                "maxProperties": 32,
                "additionalProperties": { "type": "string", "maxLength": 63, "pattern": LABEL_VALUE }
            },
            "matchExpressions": {
                "type": "array",
                "maxItems": 32,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                        "message": "In and NotIn require values, Exists and DoesNotExist take none; add or remove values"
                    }],
                    "properties": {
                        "key": { "type": "string", "minLength": 1, "maxLength": 317, "pattern": LABEL_KEY },
                        "operator": { "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"] },
                        "values": {
                            "type": "array",
                            "maxItems": 64,
                            "x-kubernetes-list-type": "atomic",
                            "items": { "type": "string", "maxLength": 63, "pattern": LABEL_VALUE }
                        }
                    }
                }
            }
        }
    })
}
