//! One operator for all namespaces, shared by the tests.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use testbed::control_plane::Scope;
use testbed::{OperatorProcess, until};
use tokio::sync::OnceCell;

use crate::world::replicas::NO_ELECTION;
use crate::world::{DEADLINE, KEY, OwnPlane, World, chat_app, message_of, rights};

/// An API server with one operator for all namespaces. Each test has its own account, app and tenants.
pub(crate) struct Platform {
    /// The operator's own namespace, and the vendor.
    pub(crate) home: World,
    pub(crate) operator: OperatorProcess,
    _plane: OwnPlane,
}

static PLATFORM: OnceCell<Platform> = OnceCell::const_new();

async fn platform() -> &'static Platform {
    PLATFORM
        .get_or_init(|| async {
            let plane = OwnPlane::new().await;
            let home = World::without_rights(*plane).await;
            let operator = operator_of_all_namespaces(&home).await;
            Platform { home, operator, _plane: plane }
        })
        .await
}

/// Grants this world's operator its permissions in all namespaces, and starts it.
pub(crate) async fn operator_of_all_namespaces(home: &World) -> OperatorProcess {
    home.plane.grant(&home.account, &rights(), &Scope::Cluster).await.expect("rights");
    let mut launch = home.launch(&NO_ELECTION);
    launch.args.retain(|arg| !arg.starts_with("--watch-namespace"));
    let operator = home.start(launch);
    operator.ready(DEADLINE).await;
    operator
}

/// Waits until the operator denies this tenant access; `reset` creates a reset of the given name. Labels and
/// resets have different watches, so a reset created after a label change may still be sent.
pub(crate) async fn until_shut_out(tenant: &World, name: &str, reset: impl AsyncFn(&str)) {
    let number = AtomicU64::new(0);
    until(DEADLINE, "access to be denied", || async {
        let name = format!("{name}-{}", number.fetch_add(1, Ordering::Relaxed));
        reset(&name).await;
        let reason = until(DEADLINE, "a reset to be sent or denied", || async {
            let reason = tenant.reason(&name).await;
            ["Cleared", "AppNotAllowed"].contains(&reason.as_str()).then_some(reason)
        });
        (reason.await == "AppNotAllowed").then_some(())
    })
    .await;
}

/// The part of the platform that belongs to one test: an account with its Secret, and a tenant.
pub(crate) struct Tenancy {
    pub(crate) platform: &'static Platform,
    pub(crate) account: u64,
    /// The name of the `ClusterChatApp` and of its Secret.
    pub(crate) app: String,
    /// The tenant's namespace, with a client of this test's runtime.
    pub(crate) tenant: World,
}

impl Tenancy {
    /// Creates an app whose `allowedNamespaces` is `from`.
    pub(crate) async fn new(from: &str) -> Self {
        static ACCOUNTS: AtomicU64 = AtomicU64::new(1);
        let platform = platform().await;
        let account = ACCOUNTS.fetch_add(1, Ordering::Relaxed);
        let tenant = World::without_rights(platform.home.plane).await.hosted_by(&platform.home);
        let tenancy = Self { platform, account, app: format!("shared-{account}"), tenant };
        platform.home.vendor.account(account, KEY, &["administrator"]);
        tenancy.secret(&platform.home.namespace, KEY).await;
        tenancy.open(from).await;
        tenancy
    }

    pub(crate) async fn secret(&self, namespace: &str, key: &str) {
        let yaml = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: {} }}\nstringData: {{ secretKey: {key:?} }}",
            self.app
        );
        self.tenant.plane.apply_in(namespace, &yaml).await.expect("Secret");
    }

    /// Applies the app with `from` as its `allowedNamespaces`.
    pub(crate) async fn open(&self, from: &str) {
        let app = chat_app(&self.app, self.account, &self.platform.home.vendor.url(), "")
            .replace("kind: ChatApp", "kind: ClusterChatApp")
            .replace("name: chat }", &format!("name: {} }}", self.app));
        self.tenant.apply(&format!("{app}  allowedNamespaces: {from}\n")).await;
    }

    pub(crate) async fn app_is(&self, reason: &str) -> Value {
        self.tenant.until_reason("clusterchatapp", &self.app, "Ready", reason).await
    }

    /// Creates a room of this account, and a reset of it in the tenant's namespace.
    pub(crate) async fn reset(&self, name: &str) {
        self.room(name);
        let app = format!("  appRef: {{ kind: ClusterChatApp, name: {} }}", self.app);
        self.tenant.reset(name, &self.group(name), &app).await;
    }

    pub(crate) fn group(&self, name: &str) -> String {
        format!("@TGS#{name}-{}", self.account)
    }

    pub(crate) fn room(&self, name: &str) {
        self.platform.home.vendor.room(self.account, &self.group(name), &[("seat1", "ann")]);
    }

    /// The message of a reset that may not use its app.
    pub(crate) async fn not_allowed(&self, reset: &str) -> String {
        message_of(&self.tenant.reset_is(reset, "AppNotAllowed").await, "Succeeded")
    }

    /// Waits until the operator denies this tenant access.
    pub(crate) async fn shuts(&self, name: &str) {
        until_shut_out(&self.tenant, name, async |name: &str| self.reset(name).await).await;
    }

    /// The number of clears and reads of this account.
    pub(crate) fn calls(&self) -> usize {
        self.platform.home.vendor.entries(|entry| entry.sdkappid == Some(self.account)).len()
    }

    pub(crate) async fn label(&self, label: &str) {
        let done = self
            .tenant
            .plane
            .kubectl(&["label", "--overwrite", "namespace", &self.tenant.namespace, label])
            .await
            .unwrap();
        assert!(done.ok, "{}", done.stderr);
    }
}
