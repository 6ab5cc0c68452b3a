//! What the end-to-end tests share: one API server for each test binary, and for each test a namespace, a vendor and
//! an operator of its own, which runs as a process with the rights of its own service account.

#![allow(dead_code, unreachable_pub)] // Each test binary uses its part of it.

pub mod history;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use testbed::control_plane::{OperatorRights, Scope, ServiceAccount};
use testbed::{ControlPlane, Launch, OperatorProcess, Options, Vendor, until};
use tokio::sync::OnceCell;

/// The account's key in every test, and a canary: it must never show up anywhere.
pub const KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
/// The account in every test.
pub const APP_ID: u64 = 1_400_000_000;
/// Long enough for a slow machine; nobody waits that long when all is well.
pub const SOON: Duration = Duration::from_secs(40);

static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();

/// The API server of this test binary, with the CRDs installed.
pub async fn plane() -> &'static ControlPlane {
    PLANE
        .get_or_init(|| async {
            let plane = ControlPlane::start(Options::default()).await.expect("control plane");
            plane.install_crds(concat!(env!("CARGO_MANIFEST_DIR"), "/crds")).await.expect("CRDs");
            plane
        })
        .await
}

/// A namespace with a vendor, and what is needed to start operators for it.
pub struct World {
    pub plane: &'static ControlPlane,
    pub namespace: String,
    pub vendor: Vendor,
    pub account: ServiceAccount,
    /// An administrator's client, of the runtime of this test.
    pub client: Client,
}

impl World {
    /// A namespace of its own, with a vendor that knows the account.
    pub async fn new() -> Self {
        Self::on(plane().await).await
    }

    /// The same on another API server.
    pub async fn on(plane: &'static ControlPlane) -> Self {
        let world = Self::without_rights(plane).await;
        let scope = Scope::Namespaces(vec![world.namespace.clone()]);
        plane.grant(&world.account, &rights(), &scope).await.expect("rights");
        world
    }

    /// The same with a service account that may do nothing yet.
    pub async fn without_rights(plane: &'static ControlPlane) -> Self {
        let namespace = plane.namespace().await.expect("namespace");
        let vendor = Vendor::start().expect("vendor");
        vendor.account(APP_ID, KEY, &["administrator"]);
        let account = plane.service_account(&namespace, "operator").await.expect("service account");
        let client = plane.admin().await;
        Self { plane, namespace, vendor, account, client }
    }

    /// How an operator for this namespace is started, logging at the most talkative level.
    pub fn launch(&self, more: &[&str]) -> Launch {
        let mut args = vec![
            format!("--watch-namespace={}", self.namespace),
            format!("--namespace={}", self.namespace),
            format!("--allow-endpoint={}", self.vendor.address()),
            "--log-filter=trace".to_owned(),
        ];
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        Launch {
            binary: env!("CARGO_BIN_EXE_groupattr-operator").into(),
            kubeconfig: self.plane.kubeconfig("operator", &self.account.token).expect("kubeconfig"),
            args,
            env: Vec::new(),
        }
    }

    /// An operator that is ready.
    pub async fn operator(&self, more: &[&str]) -> OperatorProcess {
        let operator = OperatorProcess::start(self.launch(more)).expect("operator");
        operator.ready(SOON).await;
        operator
    }

    /// The Secret and the `ChatApp` named `default`, for this vendor; `more` are further lines of the spec.
    pub async fn app(&self, more: &str) {
        self.secret("chat", KEY).await;
        self.apply(&chat_app("default", APP_ID, &self.vendor.url(), more)).await;
    }

    /// A Secret with a key.
    pub async fn secret(&self, name: &str, key: &str) {
        self.apply(&format!(
            "apiVersion: v1
kind: Secret
metadata: {{ name: {name} }}
stringData: {{ secretKey: {key:?} }}"
        ))
        .await;
    }

    /// A room with two seats taken.
    pub fn room(&self, group: &str) {
        self.vendor.room(APP_ID, group, &[("seat1", "ann"), ("seat2", "bob")]);
    }

    /// Such a room for each of these, as [`numbered`] gives them.
    pub fn rooms(&self, all: &[(String, String)]) {
        for (_, group) in all {
            self.room(group);
        }
    }

    /// A reset of `group`; `more` are further lines of the spec.
    pub async fn reset(&self, name: &str, group: &str, more: &str) {
        self.apply(&format!(
            "apiVersion: groupattr.dev/v1alpha1
kind: GroupAttributeReset
metadata: {{ name: {name} }}
spec:
  groupID: {group:?}
{more}"
        ))
        .await;
    }

    pub async fn apply(&self, yaml: &str) {
        self.plane.apply_in(&self.namespace, yaml).await.expect("apply");
    }

    /// kubectl in this namespace, with an administrator's rights.
    pub async fn kubectl(&self, args: &[&str]) -> testbed::control_plane::Kubectl {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend(args);
        self.plane.kubectl(&all).await.expect("kubectl")
    }

    /// Changes a spec by a merge patch.
    pub async fn patch(&self, kind: &str, name: &str, spec: &str) {
        let patch = format!("{{\"spec\":{spec}}}");
        let done = self.kubectl(&["patch", kind, name, "--type=merge", "-p", &patch]).await;
        assert!(done.ok, "{}", done.stderr);
    }

    /// The object as it stands.
    pub async fn object(&self, kind: &str, name: &str) -> Option<Value> {
        // kubectl costs a tenth of a second of a processor, which many looks at once cannot afford.
        if let Some(api) = self.api(kind) {
            return api.get_opt(name).await.ok()?.map(|object| serde_json::to_value(object).expect("JSON"));
        }
        let got = self.kubectl(&["get", kind, name, "-o", "json"]).await;
        got.ok.then(|| serde_json::from_str(&got.stdout).expect("JSON"))
    }

    /// Waits until the condition of the object has this reason, for its present generation.
    pub async fn until_reason(&self, kind: &str, name: &str, condition: &str, reason: &str) -> Value {
        until(SOON, &format!("{kind} {name} {condition}/{reason}"), || async move {
            let object = self.object(kind, name).await?;
            let found = condition_of(&object, condition)?;
            (found["reason"] == reason && found["observedGeneration"] == object["metadata"]["generation"])
                .then_some(object)
        })
        .await
    }

    /// Waits until a reset has this reason.
    pub async fn reset_is(&self, name: &str, reason: &str) -> Value {
        self.until_reason("gar", name, "Succeeded", reason).await
    }

    /// Waits until the app named `default` has this reason.
    pub async fn app_is(&self, reason: &str) -> Value {
        self.until_reason("chatapp", "default", "Ready", reason).await
    }

    /// How many clears of this group arrived at the vendor.
    pub fn calls(&self, group: &str) -> usize {
        self.vendor.clears_of(group).len()
    }

    /// Resets of these names and groups, made as fast as the API server takes them.
    pub async fn many_resets(&self, all: impl IntoIterator<Item = (String, String)>) {
        let api = self.api("gar").expect("a kind of ours");
        let (api, done) = (&api, PostParams::default());
        let creations = all.into_iter().map(|(name, group)| {
            let object = json!({
                "apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset",
                "metadata": {"name": name}, "spec": {"groupID": group},
            });
            let (object, done) = (serde_json::from_value(object).expect("an object"), &done);
            async move { api.create(done, &object).await }
        });
        stream::iter(creations)
            .buffer_unordered(16)
            .try_for_each(|_| async { Ok(()) })
            .await
            .expect("created");
    }

    /// All resets of this namespace.
    pub async fn all_resets(&self) -> Vec<Value> {
        let list = self.api("gar").expect("a kind of ours").list(&ListParams::default()).await;
        let objects = list.map(|list| list.items).unwrap_or_default();
        objects.into_iter().map(|object| serde_json::to_value(object).expect("JSON")).collect()
    }

    /// How many resets of this namespace have which reason.
    pub async fn reasons(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for reset in self.all_resets().await {
            *reasons.entry(reason_of(&reset, "Succeeded")).or_default() += 1;
        }
        reasons
    }

    /// Waits until this many resets of this namespace have been cleared; `VerifiedEmpty` counts.
    pub async fn until_cleared(&self, wanted: usize, deadline: Duration) {
        testbed::until_ok(deadline, &format!("{wanted} cleared rooms"), || async {
            let reasons = self.reasons().await;
            let count = |reason| reasons.get(reason).copied().unwrap_or_default();
            if count("Cleared") + count("VerifiedEmpty") == wanted { Ok(()) } else { Err(reasons) }
        })
        .await;
    }

    /// The events about an object: reason and note, oldest first.
    pub async fn events(&self, kind: &str, name: &str) -> Vec<(String, String)> {
        let api: Api<k8s_openapi::api::events::v1::Event> =
            Api::namespaced(self.client.clone(), &self.namespace);
        let mut events = api.list(&ListParams::default()).await.expect("events").items;
        events.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        let about = |event: &k8s_openapi::api::events::v1::Event| {
            let regarding = event.regarding.as_ref()?;
            (regarding.kind.as_deref() == Some(kind) && regarding.name.as_deref() == Some(name))
                .then(|| (event.reason.clone().unwrap_or_default(), event.note.clone().unwrap_or_default()))
        };
        events.iter().filter_map(about).collect()
    }

    /// Waits until there is an event with this reason about an object, and returns its note.
    pub async fn event(&self, kind: &str, name: &str, reason: &str) -> String {
        until(SOON, &format!("an event {reason} about {kind} {name}"), || async move {
            let events = self.events(kind, name).await;
            events.into_iter().find(|(found, _)| found == reason).map(|(_, note)| note)
        })
        .await
    }

    /// Waits until a reset looks as `looks` wants it.
    pub async fn reset_where(&self, name: &str, what: &str, looks: impl Fn(&Value) -> bool) -> Value {
        testbed::until_ok(SOON, &format!("reset {name} {what}"), || async {
            match self.object("gar", name).await {
                Some(object) if looks(&object) => Ok(object),
                other => Err(other.map(|object| object["status"].to_string())),
            }
        })
        .await
    }

    /// Waits until another reset of the app `default` has gone its whole way: whatever the operator had to do for
    /// the others by now, it has done.
    pub async fn marker(&self, name: &str) {
        let group = format!("@TGS#{name}");
        self.room(&group);
        self.reset(name, &group, "").await;
        self.reset_is(name, "Cleared").await;
    }

    /// An account of its own, with an app of this name and a room, which is named like the app.
    pub async fn app_with_room(&self, name: &str, account: u64, more: &str) {
        self.vendor.account(account, KEY, &["administrator"]);
        self.vendor.room(account, &format!("@TGS#{name}"), &[("seat1", "ann"), ("seat2", "bob")]);
        self.apply(&chat_app(name, account, &self.vendor.url(), more)).await;
    }

    /// A reset of the room of such an app, named like the app.
    pub async fn reset_of_app(&self, name: &str, more: &str) {
        self.reset(name, &format!("@TGS#{name}"), &format!("  appRef: {{ name: {name} }}\n{more}")).await;
    }

    /// Objects of one of the operator's kinds, by kubectl's names for it.
    fn api(&self, kind: &str) -> Option<Api<DynamicObject>> {
        let (kind, plural) = match kind {
            "gar" | "groupattributereset" | "groupattributeresets" => {
                ("GroupAttributeReset", "groupattributeresets")
            }
            "chatapp" | "chatapps" => ("ChatApp", "chatapps"),
            "clusterchatapp" | "clusterchatapps" => ("ClusterChatApp", "clusterchatapps"),
            _ => return None,
        };
        let resource = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("groupattr.dev", "v1alpha1", kind),
            plural,
        );
        Some(match kind {
            "ClusterChatApp" => Api::all_with(self.client.clone(), &resource),
            _ => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
        })
    }
}

/// A `ChatApp` for the Secret `chat`; `more` are further lines of the spec.
pub fn chat_app(name: &str, account: u64, endpoint: &str, more: &str) -> String {
    format!(
        "apiVersion: groupattr.dev/v1alpha1
kind: ChatApp
metadata: {{ name: {name} }}
spec:
  sdkAppID: {account}
  endpoint: {endpoint}
  credentials: {{ secretKeyRef: {{ name: chat }} }}
{more}"
    )
}

/// Numbered names and groups: `room-7` and `@TGS#room-7` for (`room`, 7).
pub fn numbered(name: &str, count: usize) -> Vec<(String, String)> {
    (0..count).map(|i| (format!("{name}-{i}"), format!("@TGS#{name}-{i}"))).collect()
}

/// The reason of a condition; empty if there is none.
pub fn reason_of(object: &Value, condition: &str) -> String {
    let found = condition_of(object, condition);
    found.and_then(|found| found["reason"].as_str()).unwrap_or_default().to_owned()
}

/// The message of a condition; empty if there is none.
pub fn message_of(object: &Value, condition: &str) -> String {
    let found = condition_of(object, condition);
    found.and_then(|found| found["message"].as_str()).unwrap_or_default().to_owned()
}

/// The condition of this type.
pub fn condition_of<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)
}

/// The rights of the manual installation.
pub fn rights() -> OperatorRights {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/install/rights.yaml");
    OperatorRights::from_file(&file).expect("rights")
}
