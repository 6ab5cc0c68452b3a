//! The attacker: a service account with the RBAC permissions of an ordinary user in one namespace.

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;
use testbed::ControlPlane;
use testbed::control_plane::{Kubectl, OperatorRights, Scope};

/// What ordinary users may do in their namespace: everything with resets and apps except their status.
const PEOPLE: &str = "
kind: ClusterRole
rules:
- apiGroups: [groupattr.dev]
  resources: [groupattributeresets, chatapps]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: ['']
  resources: [events]
  verbs: [get, list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [get, list]
";

/// Unintended permissions: `resources: ["*"]` includes the status subresources.
const EVERYTHING: &str = "
kind: ClusterRole
rules:
- apiGroups: [groupattr.dev]
  resources: ['*']
  verbs: ['*']
";

/// Additional permissions for users who manage the account's key.
const KEEPERS: &str = "
kind: ClusterRole
rules:
- apiGroups: ['']
  resources: [secrets]
  verbs: [get, list, create, update]
";

/// A user of one namespace.
pub(crate) struct Tenant {
    plane: &'static ControlPlane,
    namespace: String,
    kubeconfig: String,
    client: Client,
}

impl Tenant {
    /// With the permissions of an ordinary user in this namespace only.
    pub(crate) async fn of(plane: &'static ControlPlane, namespace: &str) -> Self {
        Self::with(plane, namespace, "developer", &format!("{PEOPLE}---{KEEPERS}")).await
    }

    /// The same without permissions for Secrets.
    pub(crate) async fn without_secrets(plane: &'static ControlPlane, namespace: &str) -> Self {
        Self::with(plane, namespace, "visitor", PEOPLE).await
    }

    /// With all permissions for the operator's kinds in this namespace, including their statuses.
    pub(crate) async fn with_stray_rights(plane: &'static ControlPlane, namespace: &str) -> Self {
        Self::with(plane, namespace, "stray", EVERYTHING).await
    }

    async fn with(plane: &'static ControlPlane, namespace: &str, name: &str, rights: &str) -> Self {
        let account = plane.service_account(namespace, name).await.unwrap();
        let rights = OperatorRights::from_yaml(rights).unwrap();
        plane.grant(&account, &rights, &Scope::Namespaces(vec![namespace.to_owned()])).await.unwrap();
        let kubeconfig = plane.kubeconfig(name, &account.token).unwrap().display().to_string();
        let client = plane.client(&account.token).await.unwrap();
        Self { plane, namespace: namespace.to_owned(), kubeconfig, client }
    }

    /// Overwrites a status by a merge patch.
    pub(crate) async fn forge(&self, kind: &str, name: &str, status: &Value) {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("groupattr.dev", "v1alpha1", kind));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let patch = serde_json::json!({ "status": status });
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    /// Runs kubectl as the tenant, in its namespace by default.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.kubectl_with(args, "").await
    }

    /// The same with standard input.
    pub(crate) async fn kubectl_with(&self, args: &[&str], input: &str) -> Kubectl {
        let mut all = vec!["--kubeconfig", &self.kubeconfig, "--namespace", &self.namespace];
        all.extend(args);
        self.plane.kubectl_with_input(&all, input).await.unwrap()
    }

    /// Creates objects and expects success; the server prunes unknown fields.
    pub(crate) async fn create(&self, yaml: &str) {
        let done = self.kubectl_with(&["create", "--validate=ignore", "-f", "-"], yaml).await;
        assert!(done.ok, "{yaml}\n{}", done.stderr);
    }

    /// Runs a command that must fail because a permission is missing.
    pub(crate) async fn is_forbidden(&self, args: &[&str]) {
        let done = self.kubectl(args).await;
        let is_forbidden = !done.ok && done.stderr.to_lowercase().contains("forbidden");
        assert!(is_forbidden, "{args:?}: {} {}", done.stdout, done.stderr);
    }
}
