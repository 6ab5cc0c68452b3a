//! What the end-to-end tests share: one API server for each test binary, and for each test a namespace, a vendor and
//! an operator of its own, which runs as a process with the rights of its own service account.
//!
//! | question | file |
//! |---|---|
//! | how does a test make and change objects? | `objects` |
//! | how does it see and wait for what became of them? | `seen` |
//! | what must hold in every test? | `history` |

#![allow(dead_code, unreachable_pub, unused_imports)] // Each test binary uses its part of it.

pub mod history;
mod objects;
mod seen;

use std::path::Path;
use std::time::Duration;

use kube::Client;
use testbed::control_plane::{OperatorRights, Scope, ServiceAccount};
use testbed::{ControlPlane, Launch, OperatorProcess, Options, Vendor};
use tokio::sync::OnceCell;

pub use self::objects::{chat_app, numbered};
pub use self::seen::{condition_of, message_of, reason_of};

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
}

/// The rights of the manual installation.
pub fn rights() -> OperatorRights {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/kustomize/rights.yaml");
    OperatorRights::from_file(&file).expect("rights")
}
