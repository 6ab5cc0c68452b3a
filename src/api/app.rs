// The schema derive repeats each struct inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::conditions::{AppReason, Condition};
use super::schema::{date_time, never_observed};

/// A vendor account for the resets of its own namespace.
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
    doc = "A Tencent Cloud Chat account for the resets of its own namespace. The operator signs with its key.",
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
    /// The vendor account.
    #[serde(rename = "sdkAppID")]
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("sdkAppID is immutable; create another app for another account"))]
    pub sdk_app_id: i64,
    /// Data centre of the account. There is no default: a wrong region gives strange errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// https URL without path, query or user, instead of a region. Used only if the operator was started with
    /// --allow-endpoint for its host; http is accepted for loopback hosts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[!\"$-.0->A-~]+/?$')").message("endpoint must be a URL of scheme and host only, like https://chat.example.com, without path, query or user"))]
    pub endpoint: Option<String>,
    /// An administrator of the account, in whose name the operator signs.
    #[serde(default = "administrator")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^[!-~]+$')").message("identifier may hold printable ASCII characters without blanks only; write the administrator's UserID as the chat console shows it"))]
    pub identifier: String,
    /// Where the account's key is.
    pub credentials: AppCredentials,
    /// The account's budget.
    #[serde(default)]
    pub limits: AppLimits,
    /// Stop switch: no calls for this object.
    #[serde(default)]
    pub suspend: bool,
}

/// A vendor account that a platform team opens to chosen namespaces.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "groupattr.dev",
    version = "v1alpha1",
    kind = "ClusterChatApp",
    plural = "clusterchatapps",
    category = "chat",
    status = "AppStatus",
    derive = "PartialEq",
    doc = "A Tencent Cloud Chat account that a platform team opens to chosen namespaces. Its key stays with the operator.",
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
    /// The account, with the fields of a ChatApp. Its Secret is in the operator's namespace.
    #[serde(flatten)]
    pub app: ChatAppSpec,
    /// Which namespaces may refer to it. Closed until somebody opens it.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
}

impl ChatAppSpec {
    /// Whether [`identifier`](Self::identifier) is one that the CRD takes. It goes into the signed text, where a line break
    /// would begin another field; an older CRD let it pass.
    #[must_use]
    pub fn has_valid_identifier(&self) -> bool {
        (1..=32).contains(&self.identifier.len()) && self.identifier.bytes().all(|b| b.is_ascii_graphic())
    }
}

fn administrator() -> String {
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

/// Where the account's key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppCredentials {
    /// The Secret with the key.
    pub secret_key_ref: SecretKeyRef,
}

/// One entry of a Secret: of the ChatApp's own namespace, or of the operator's for a ClusterChatApp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key in it. The value is 64 hexadecimal digits; white space around it is ignored.
    #[serde(default = "secret_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

fn secret_key() -> String {
    "secretKey".to_owned()
}

/// The account's budget at the vendor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppLimits {
    /// Calls a second, for clears and for reads each. Apps that name one account share one limit, the lowest.
    #[serde(default = "two_hundred")]
    #[schemars(range(min = 1, max = 200))]
    pub calls_per_second: i32,
    /// Least time between two writes to one group. The people in the room share the vendor's limit of 5 a second.
    #[serde(default = "a_second")]
    #[schemars(range(min = 200, max = 60_000))]
    pub group_interval_milliseconds: i32,
}

fn two_hundred() -> i32 {
    200
}

fn a_second() -> i32 {
    1000
}

impl Default for AppLimits {
    fn default() -> Self {
        Self { calls_per_second: two_hundred(), group_interval_milliseconds: a_second() }
    }
}

/// Which namespaces may refer to a ClusterChatApp.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("selector goes with from: Selector, and only with it"))]
pub struct AllowedNamespaces {
    /// None, All, or those whose labels match the selector.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of the namespaces. Who may label a namespace may admit it: prefer kubernetes.io/metadata.name. NotIn and
    /// DoesNotExist alone admit every namespace without the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label_selector")]
    pub selector: Option<LabelSelector>,
}

/// The three ways to open a ClusterChatApp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// No namespace.
    #[default]
    None,
    /// Every namespace.
    All,
    /// Namespaces whose labels match.
    Selector,
}

/// A selector selects something: an empty one would be read as all namespaces, and a misspelt field leaves an empty one.
const SELECTS: &str = "(has(self.matchLabels) && size(self.matchLabels) > 0) || \
                       (has(self.matchExpressions) && size(self.matchExpressions) > 0)";
const LABEL_KEY: &str = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";

fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "description": "A label selector over namespaces. An empty one is refused, and selects nothing.",
        "x-kubernetes-validations": [{
            "rule": SELECTS,
            "message": "selector must hold matchLabels or matchExpressions; name labels of the namespaces, or write from: All without a selector for all of them"
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
                        "message": "In and NotIn need values, Exists and DoesNotExist take none; add or remove values"
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

/// Whether the account works, proved by a harmless read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppStatus {
    /// Generation of the spec that the conditions speak about; -1 before anybody looked.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// Ready.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The vendor's code that made it not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error_code: Option<i64>,
    /// When the vendor last accepted a probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub last_verified_time: Option<Timestamp>,
}

/// A status that nobody has written.
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
    /// Reason of the condition `Ready`; `Pending` where there is none.
    #[must_use]
    pub fn reason(&self) -> AppReason {
        let ready = self.conditions.iter().find(|c| c.type_ == "Ready");
        ready.and_then(|c| AppReason::parse(&c.reason)).unwrap_or(AppReason::Pending)
    }
}
