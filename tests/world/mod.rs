//! What the end-to-end tests share: one API server for each test binary, and for each test a namespace, a vendor and
//! an operator of its own, which runs as a process with the rights of its own service account.

#![allow(dead_code, unreachable_pub)] // Each test binary uses its part of it.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testbed::control_plane::{OperatorRights, Scope, ServiceAccount};
use testbed::vendor::When;
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
}

impl World {
    /// A namespace of its own, with a vendor that knows the account.
    pub async fn new() -> Self {
        let plane = plane().await;
        let namespace = plane.namespace().await.expect("namespace");
        let vendor = Vendor::start().expect("vendor");
        vendor.account(APP_ID, KEY, &["administrator"]);
        let account = plane.service_account(&namespace, "operator").await.expect("service account");
        let scope = Scope::Namespaces(vec![namespace.clone()]);
        plane.grant(&account, &rights(), &scope).await.expect("rights");
        Self { plane, namespace, vendor, account }
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
        self.apply(&format!(
            "apiVersion: groupattr.dev/v1alpha1
kind: ChatApp
metadata: {{ name: default }}
spec:
  sdkAppID: {APP_ID}
  endpoint: {}
  credentials: {{ secretKeyRef: {{ name: chat }} }}
{more}",
            self.vendor.url()
        ))
        .await;
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

    /// All clears of this group.
    pub fn clears(&self, group: &str) -> When {
        When::clear().of(group)
    }
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
