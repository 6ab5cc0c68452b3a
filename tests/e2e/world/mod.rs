//! What the end-to-end tests share: one API server per test binary, and per test a namespace, a vendor and an operator,
//! which runs as a process with the RBAC permissions of its own service account.
//!
//! | question | file |
//! |---|---|
//! | how does a test create and change objects? | `objects` |
//! | how does it see what became of them, and wait for it? | `observe` |
//! | what if it needs its own API server? | `own_plane` |
//! | what if it needs other CRDs than the shipped ones? | `crds` |
//! | which of several replicas leads, and which one made a call? | `replicas` |
//! | how does it break the connection to the API server or the vendor? | `proxies` |
//! | what must hold in every test, and who checks it? | `oracles` |
//! | what is the evidence? | `evidence` |
//! | did everything finish, without a panic? (O1, O9) | `completion` |
//! | was each call allowed, and none too early? (O2, O3, O4, O5) | `calls` |
//! | were the statuses right at every step? (O6) | `history` |
//! | did a secret leak? (O7) | `secrets` |
//! | what did it cost? (O8) | `cost` |

mod calls;
mod completion;
mod cost;
mod crds;
mod evidence;
pub(crate) mod history;
mod objects;
mod observe;
mod oracles;
mod own_plane;
mod proxies;
pub(crate) mod replicas;
mod secrets;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use testbed::control_plane::{OperatorRights, Scope, ServiceAccount};
use testbed::operator_process::Trace;
use testbed::proxy::Victim;
use testbed::sightings::Sightings;
use testbed::{ControlPlane, FaultProxy, Launch, OperatorProcess, Vendor};
use tokio::sync::OnceCell;

pub(crate) use self::crds::{crd, install_loose_crds};
pub(crate) use self::objects::{chat_app, numbered};
pub(crate) use self::observe::{condition_of, message_of, reason_of, time};
pub(crate) use self::own_plane::OwnPlane;
pub(crate) use self::proxies::Leg;

/// The account's key in every test. It must never show up anywhere.
pub(crate) const KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
/// What a forward proxy asks for. Like the key, it must never show up anywhere.
pub(crate) const PROXY_PASSWORD: &str = "canary_in_the_way*0123456789";
/// The account of most tests.
pub(crate) const APP_ID: u64 = 1_400_000_000;
/// The group that a probe reads; it does not exist.
pub(crate) const PROBE_GROUP: &str = "groupattr-operator-probe";
/// How long a test waits for something before it fails: enough for a slow machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// The folder of the shipped CRDs.
pub(crate) const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");

static PLANE: OnceCell<OwnPlane> = OnceCell::const_new();

/// The API server of this test binary, with the CRDs installed.
pub(crate) async fn plane() -> &'static ControlPlane {
    PLANE.get_or_init(OwnPlane::new).await
}

/// A namespace with a vendor, and what it takes to start operators for it.
///
/// When dropped, it runs the oracles over everything that happened in it: a test fails if its world broke a rule, even
/// if its own assertions passed.
pub(crate) struct World {
    pub plane: &'static ControlPlane,
    pub namespace: String,
    pub vendor: Vendor,
    pub account: ServiceAccount,
    /// An administrator's client, on this test's runtime.
    pub client: Client,
    /// The fault proxy to the API server, in a `breakable` world.
    pub api: Option<FaultProxy>,
    /// The fault proxy to the vendor, in a `breakable` world.
    pub chat: Option<FaultProxy>,
    /// What an administrator's watch of the resets shows.
    pub sightings: Sightings,
    /// Every operator started for this world.
    operators: Arc<Mutex<Vec<Arc<Trace>>>>,
    /// Another world whose vendor and operators serve this one as well.
    host: Option<&'static World>,
    is_finished: AtomicBool,
    clocks_differ: AtomicBool,
}

impl World {
    /// A new namespace, with a vendor that knows the account.
    pub(crate) async fn new() -> Self {
        Self::on(plane().await).await
    }

    /// The same on another API server.
    pub(crate) async fn on(plane: &'static ControlPlane) -> Self {
        let world = Self::without_rights(plane).await;
        let scope = Scope::Namespaces(vec![world.namespace.clone()]);
        plane.grant(&world.account, &rights(), &scope).await.expect("rights");
        world
    }

    /// A second namespace, which this world's operators may watch as well.
    pub(crate) async fn neighbour(&self) -> Self {
        let mut neighbour = Self::without_rights(self.plane).await;
        neighbour.operators = Arc::clone(&self.operators);
        let both = Scope::Namespaces(vec![self.namespace.clone(), neighbour.namespace.clone()]);
        self.plane.grant(&self.account, &rights(), &both).await.expect("rights");
        neighbour
    }

    /// The same, with a service account that has no permissions yet.
    pub(crate) async fn without_rights(plane: &'static ControlPlane) -> Self {
        let namespace = plane.namespace().await.expect("namespace");
        let vendor = Vendor::start().expect("vendor");
        vendor.account(APP_ID, KEY, &["administrator"]);
        let account = plane.service_account(&namespace, "operator").await.expect("service account");
        let client = plane.admin().await;
        let sightings = Sightings::begin(plane, &namespace, "GroupAttributeReset", "groupattributeresets")
            .await
            .expect("watch");
        Self {
            plane,
            namespace,
            vendor,
            account,
            client,
            api: None,
            chat: None,
            sightings,
            operators: Arc::default(),
            host: None,
            is_finished: AtomicBool::new(false),
            clocks_differ: AtomicBool::new(false),
        }
    }

    /// The same namespace, served by the operators and the vendor of another world.
    pub(crate) fn hosted_by(self, host: &'static World) -> Self {
        let mut world = self;
        world.host = Some(host);
        world
    }

    /// The launch of an operator for this namespace, with trace logs.
    pub(crate) fn launch(&self, more: &[&str]) -> Launch {
        let mut args = vec![
            format!("--watch-namespace={}", self.namespace),
            format!("--namespace={}", self.namespace),
            format!("--allow-endpoint={}", self.vendor.address()),
            format!("--allow-endpoint={}", self.chat_url().trim_start_matches("http://")),
            "--log-filter=trace".to_owned(),
        ];
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        Launch {
            binary: env!("CARGO_BIN_EXE_groupattr-operator").into(),
            kubeconfig: self.kubeconfig(),
            args,
            env: Vec::new(),
        }
    }

    /// Starts an operator.
    pub(crate) fn start(&self, launch: Launch) -> OperatorProcess {
        let operator = OperatorProcess::start(launch).expect("operator");
        self.operators.lock().expect("no panic while holding this lock").push(operator.trace());
        operator
    }

    /// The operator started last, at the moment a planned fault happens.
    pub(crate) fn latest(&self) -> Victim {
        let operators = Arc::clone(&self.operators);
        Arc::new(move || {
            let operators = operators.lock().expect("no panic while holding this lock");
            Arc::clone(operators.last().expect("an operator"))
        })
    }

    /// Starts an operator and waits until it is ready.
    pub(crate) async fn operator(&self, more: &[&str]) -> OperatorProcess {
        let operator = self.start(self.launch(more));
        operator.ready(DEADLINE).await;
        operator
    }
}

/// The RBAC permissions of the manual installation.
pub(crate) fn rights() -> OperatorRights {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/kustomize/rights.yaml");
    OperatorRights::from_file(&file).expect("rights")
}
