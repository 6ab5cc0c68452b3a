//! Everything that one measurement needs, made anew for it: an API server, a vendor, and the operator as it is
//! installed, with the rights of its own service account.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::json;
use testbed::control_plane::ServiceAccount;
use testbed::{ControlPlane, Launch, OperatorProcess, Options, Vendor};

use super::cpu::Parts;
use super::load::is_true;
use super::stats;

/// The account of everything that does not need two.
pub(crate) const ACCOUNT: u64 = 1_400_000_000;

const KEY: &str = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";
const HOME: &str = "groupattr-system";
const PATIENCE: Duration = Duration::from_mins(2);

/// Metadata of what service accounts ask, as clusters record it; nothing of what the bench itself asks, except for the
/// marker by which it finds the log's end.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ['system:serviceaccounts']
- level: Metadata
  resources: [{ group: '', resources: [configmaps] }]
- level: None
";

/// So many lines of the operator's log say why it ended.
const LAST_LINES: usize = 5;

/// Fails if the operator has ended.
pub(crate) fn is_alive(operator: &OperatorProcess) -> Result<()> {
    let Some(status) = operator.exit_status() else { return Ok(()) };
    let logs = operator.logs();
    let mut last: Vec<&str> = logs.lines().rev().take(LAST_LINES).collect();
    last.reverse();
    bail!("the operator has ended ({status}); its last words:\n{}", last.join("\n"))
}

/// Ends it the polite way, so that it gives its lease back and the next one need not wait.
pub(crate) async fn stop(operator: OperatorProcess) {
    operator.terminate();
    operator.wait_exit(PATIENCE).await;
}

/// Dropped in this order: the API server last.
pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) vendor: Vendor,
    pub(crate) account: ServiceAccount,
    operator: PathBuf,
    pub(crate) plane: ControlPlane,
}

impl Stage {
    /// For this operator program, with a vendor that takes `latency` for each call.
    pub(crate) async fn set(operator: &Path, latency: Duration) -> Result<Self> {
        let policy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-audit-policy.yaml");
        fs::write(&policy, AUDIT_POLICY)?;
        let flags = vec![format!("--audit-policy-file={}", policy.display())];
        let plane = ControlPlane::start(Options { apiserver_flags: flags, ..Options::default() }).await?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        plane.install_crds(root.join("crds").to_string_lossy()).await.context("the CRDs are not accepted")?;
        plane.apply(&fs::read_to_string(root.join("charts/kustomize/rights.yaml"))?).await?;
        let account = plane.service_account(HOME, "groupattr-operator").await?;
        let vendor = Vendor::start()?;
        vendor.set_latency(latency, latency);
        vendor.account(ACCOUNT, KEY, &["administrator"]);
        Ok(Self { client: plane.admin().await, vendor, account, operator: operator.to_owned(), plane })
    }

    /// Another vendor with an account of its own, for what must not disturb the first.
    pub(crate) fn second_vendor(account: u64) -> Result<Vendor> {
        let vendor = Vendor::start()?;
        vendor.account(account, KEY, &["administrator"]);
        Ok(vendor)
    }

    /// A namespace with the account's key and an app named `default`; `limits` are fields of `spec.limits`.
    pub(crate) async fn namespace(&self, name: &str, limits: &str) -> Result<()> {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        Api::all(self.client.clone()).create(&PostParams::default(), &namespace).await?;
        self.app(name, "default", ACCOUNT, &self.vendor.url(), limits).await
    }

    /// An app and its Secret.
    pub(crate) async fn app(
        &self,
        namespace: &str,
        name: &str,
        account: u64,
        url: &str,
        limits: &str,
    ) -> Result<()> {
        let yaml = format!(
            "apiVersion: v1
kind: Secret
metadata: {{ name: chat-{name} }}
stringData: {{ secretKey: {KEY} }}
---
apiVersion: groupattr.dev/v1alpha1
kind: ChatApp
metadata: {{ name: {name} }}
spec:
  sdkAppID: {account}
  endpoint: {url}
  credentials: {{ secretKeyRef: {{ name: chat-{name} }} }}
  limits: {{ {limits} }}"
        );
        self.plane.apply_in(namespace, &yaml).await.map(drop)
    }

    /// Adds an account to the vendor.
    pub(crate) fn vendor_account(&self, account: u64) {
        self.vendor.account(account, KEY, &["administrator"]);
    }

    /// Waits until all apps of a namespace are verified.
    pub(crate) async fn verified(&self, namespace: &str, count: usize) -> Result<()> {
        let kind = GroupVersionKind::gvk("groupattr.dev", "v1alpha1", "ChatApp");
        let kind = ApiResource::from_gvk_with_plural(&kind, "chatapps");
        let apps: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        let end = Instant::now() + PATIENCE;
        loop {
            let verified = apps
                .list(&ListParams::default())
                .await?
                .items
                .iter()
                .filter(|app| is_true(app, "Ready"))
                .count();
            if verified == count {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("only {verified} of {count} apps are verified");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The resets of a namespace.
    pub(crate) fn resets(&self, namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("groupattr.dev", "v1alpha1", "GroupAttributeReset");
        let kind = ApiResource::from_gvk_with_plural(&kind, "groupattributeresets");
        Api::namespaced_with(self.client.clone(), namespace, &kind)
    }

    /// Starts the operator; it may talk to these vendors too. `server` replaces the API server's address.
    pub(crate) fn start(&self, more: &[&Vendor], server: Option<&str>) -> Result<OperatorProcess> {
        let kubeconfig = self.plane.kubeconfig("operator", &self.account.token)?;
        if let Some(server) = server {
            let text = fs::read_to_string(&kubeconfig)?.replace(&self.plane.url(), server);
            fs::write(&kubeconfig, text)?;
        }
        let mut args = vec![format!("--namespace={HOME}")];
        let vendors = more.iter().copied().chain([&self.vendor]);
        args.extend(vendors.map(|vendor| format!("--allow-endpoint={}", vendor.address())));
        OperatorProcess::start(Launch { binary: self.operator.clone(), kubeconfig, args, env: Vec::new() })
    }

    /// The same, and how long it took until it led and said that it was ready: followers are ready, too, but have
    /// listed nothing.
    pub(crate) async fn start_ready(&self, more: &[&Vendor]) -> Result<(OperatorProcess, Duration)> {
        let since = Instant::now();
        let operator = self.start(more, None)?;
        let mut leads = false;
        loop {
            leads = leads || operator.metric("groupattr_leader", &[]).await == Some(1.0);
            if leads && operator.is_ready().await {
                return Ok((operator, since.elapsed()));
            }
            is_alive(&operator)?;
            if since.elapsed() > PATIENCE {
                bail!("the operator is not ready after {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The processes whose use of the processors counts.
    pub(crate) fn parts(&self, operator: &OperatorProcess) -> Parts {
        let (apiserver, etcd) = self.plane.pids();
        Parts { operator: operator.pid(), apiserver, etcd }
    }

    /// How long a call to the vendor takes when nobody else calls, in seconds: what it was set to, and what the network
    /// and the timers of this machine add.
    pub(crate) async fn round_trip(&self) -> Result<f64> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut times = Vec::new();
        for _ in 0..21 {
            let since = Instant::now();
            // Any path will do: the vendor is as slow with what it does not know.
            http.post(self.vendor.url()).body("{}").send().await?.bytes().await?;
            times.push(since.elapsed().as_secs_f64());
        }
        Ok(stats::median(&times[1..]))
    }
}
