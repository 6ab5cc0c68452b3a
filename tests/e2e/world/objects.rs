//! Creates and changes objects, at the API server and at the vendor.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;

use super::{APP_ID, KEY, World};

impl World {
    /// The Secret and the `ChatApp` named `default` for this vendor; `more` adds lines to the spec.
    pub(crate) async fn app(&self, more: &str) {
        self.secret("chat", KEY).await;
        self.apply(&chat_app("default", APP_ID, &self.chat_url(), more)).await;
    }

    /// A Secret with a key.
    pub(crate) async fn secret(&self, name: &str, key: &str) {
        self.apply(&format!(
            "apiVersion: v1
kind: Secret
metadata: {{ name: {name} }}
stringData: {{ secretKey: {key:?} }}"
        ))
        .await;
    }

    /// A room with two attributes.
    pub(crate) fn room(&self, group: &str) {
        self.vendor.room(APP_ID, group, &[("seat1", "ann"), ("seat2", "bob")]);
    }

    /// A room for each of these, as returned by [`numbered`].
    pub(crate) fn rooms(&self, all: &[(String, String)]) {
        for (_, group) in all {
            self.room(group);
        }
    }

    /// A reset of `group`; `more` adds lines to the spec.
    pub(crate) async fn reset(&self, name: &str, group: &str, more: &str) {
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

    pub(crate) async fn apply(&self, yaml: &str) {
        self.plane.apply_in(&self.namespace, yaml).await.expect("apply");
    }

    /// Runs kubectl in this namespace, as an administrator.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> testbed::control_plane::Kubectl {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend(args);
        self.plane.kubectl(&all).await.expect("kubectl")
    }

    /// Changes a spec by a merge patch.
    pub(crate) async fn patch(&self, kind: &str, name: &str, spec: &str) {
        let patch = format!("{{\"spec\":{spec}}}");
        let done = self.kubectl(&["patch", kind, name, "--type=merge", "-p", &patch]).await;
        assert!(done.ok, "{}", done.stderr);
    }

    /// Patches the status of a reset, as an administrator.
    pub(crate) async fn put_status(&self, name: &str, status: &serde_json::Value) {
        let patch = json!({"status": status}).to_string();
        let patch = ["patch", "gar", name, "--subresource=status", "--type=merge", "-p", &patch];
        let done = self.kubectl(&patch).await;
        assert!(done.ok, "{name}: {}", done.stderr);
    }

    /// Applies a merge patch to any part of one of our objects.
    pub(crate) async fn merge(&self, kind: &str, name: &str, patch: &serde_json::Value) {
        let api = self.api(kind).expect("a kind of ours");
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("patched");
    }

    /// Creates resets of these names and groups, as fast as the API server takes them.
    pub(crate) async fn many_resets(&self, all: impl IntoIterator<Item = (String, String)>) {
        self.many_resets_with(all, &json!({})).await;
    }

    /// The same, with more fields in the spec.
    pub(crate) async fn many_resets_with(
        &self,
        all: impl IntoIterator<Item = (String, String)>,
        more: &serde_json::Value,
    ) {
        let api = self.api("gar").expect("a kind of ours");
        let (api, done) = (&api, PostParams::default());
        let creations = all.into_iter().map(|(name, group)| {
            let mut object = json!({
                "apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset",
                "metadata": {"name": name}, "spec": more,
            });
            object["spec"]["groupID"] = group.into();
            let (object, done) = (serde_json::from_value(object).expect("an object"), &done);
            async move { api.create(done, &object).await }
        });
        stream::iter(creations)
            .buffer_unordered(16)
            .try_for_each(|_| async { Ok(()) })
            .await
            .expect("created");
    }

    /// A separate account, with an app and a room of this name.
    pub(crate) async fn app_with_room(&self, name: &str, account: u64, more: &str) {
        self.vendor.account(account, KEY, &["administrator"]);
        self.vendor.room(account, &format!("@TGS#{name}"), &[("seat1", "ann"), ("seat2", "bob")]);
        self.apply(&chat_app(name, account, &self.vendor.url(), more)).await;
    }

    /// A reset of that app's room, named like the app.
    pub(crate) async fn reset_of_app(&self, name: &str, more: &str) {
        self.reset(name, &format!("@TGS#{name}"), &format!("  appRef: {{ name: {name} }}\n{more}")).await;
    }

    /// The API of one of the operator's kinds, by any name that kubectl accepts for it.
    pub(crate) fn api(&self, kind: &str) -> Option<Api<DynamicObject>> {
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

/// A `ChatApp` that uses the Secret `chat`; `more` adds lines to the spec.
pub(crate) fn chat_app(name: &str, account: u64, endpoint: &str, more: &str) -> String {
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
pub(crate) fn numbered(name: &str, count: usize) -> Vec<(String, String)> {
    (0..count).map(|i| (format!("{name}-{i}"), format!("@TGS#{name}-{i}"))).collect()
}
