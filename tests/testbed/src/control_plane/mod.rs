//! A real API server with etcd: no containers, no fakes, one command.
//!
//! | file | what it holds |
//! |---|---|
//! | `binaries`, `sources` | the programs, and the order of the places that they come from |
//! | `envtest`, `go_build`, `progress`, `version` | how they are downloaded or built, and which versions fit |
//! | `servers` | the two processes: flags, files, start and restart |
//! | `access` | kubeconfigs, clients, kubectl |
//! | `objects` | applying manifests, namespaces, CRDs |
//! | `rights` | service accounts and what they may do |
//! | `audit` | who did what |

mod access;
mod audit;
pub(crate) mod binaries;
mod envtest;
pub(crate) mod go_build;
pub(crate) mod logs;
mod objects;
mod progress;
mod rights;
mod servers;
mod sources;
mod version;

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicU32,
    time::Duration,
};

use anyhow::Result;
use tempfile::TempDir;

pub(crate) use self::access::kubeconfig_text;
pub use self::{
    access::Kubectl,
    audit::AuditEvent,
    binaries::Binaries,
    rights::{OperatorRights, Scope, ServiceAccount},
    sources::Sources,
};
use self::{audit::AuditLog, servers::Servers};
use crate::scratch;

/// What can be chosen about a control plane.
#[derive(Debug, Clone)]
pub struct Options {
    /// Requests that the API server handles at once; generous, so that it never throttles by itself.
    pub max_requests_inflight: u32,
    /// Further flags of kube-apiserver; they come last and win.
    pub apiserver_flags: Vec<String>,
    /// How long the start may take, building not included.
    pub ready_within: Duration,
    /// The programs to run; looked for where [`Sources`] says if `None`.
    pub binaries: Option<Binaries>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_requests_inflight: 3000,
            apiserver_flags: Vec::new(),
            ready_within: Duration::from_mins(3),
            binaries: None,
        }
    }
}

/// A running kube-apiserver with its etcd. Both end with this object, or with this process however that ends, so it
/// may well live in a static.
pub struct ControlPlane {
    servers: Servers,
    audit: AuditLog,
    binaries: Binaries,
    names_given: AtomicU32,
    /// Last, because fields are dropped in this order: the files go when nobody writes them any more.
    folder: TempDir,
}

impl ControlPlane {
    /// Starts one; downloads or builds the programs first if need be, which takes minutes but happens once.
    ///
    /// # Errors
    /// When the programs cannot be had, or the API server is not ready in time; then with the end of its log.
    pub async fn start(mut options: Options) -> Result<Self> {
        let binaries = match options.binaries.take() {
            Some(chosen) => chosen,
            None => tokio::task::spawn_blocking(Binaries::of_process).await??,
        };
        let folder = scratch::folder("control-plane-")?;
        let ready_within = options.ready_within;
        let servers = Servers::start(&binaries, folder.path(), options)?;
        let control_plane = Self {
            audit: AuditLog::new(servers.audit_log()),
            servers,
            binaries,
            names_given: AtomicU32::new(0),
            folder,
        };
        control_plane.write_admin_kubeconfig()?;
        control_plane.wait_until_ready(ready_within).await?;
        Ok(control_plane)
    }

    /// Where the API server listens, `https://127.0.0.1:…`.
    #[must_use]
    pub fn url(&self) -> String {
        self.servers.url()
    }

    /// The certificate to trust, PEM.
    #[must_use]
    pub fn ca(&self) -> &str {
        self.servers.ca()
    }

    /// A folder that goes away with the control plane.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The programs in use.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// What kube-apiserver wrote.
    #[must_use]
    pub fn apiserver_log(&self) -> PathBuf {
        self.servers.apiserver_log()
    }

    /// Process ids of kube-apiserver and etcd, to see what they use; 0 for one that does not run.
    #[must_use]
    pub fn pids(&self) -> (i32, i32) {
        self.servers.pids()
    }

    /// Kills the API server (`kill -9`). Everything answers with "connection refused" until it is started again.
    pub fn kill_apiserver(&self) {
        self.servers.kill_apiserver();
    }

    /// How often the API server or etcd was ended so far: each time, answers may have been lost.
    #[must_use]
    pub fn interruptions(&self) -> u32 {
        self.servers.interruptions()
    }

    /// Ends both for good, when a test that has a control plane of its own is done with it.
    pub fn shut_down(&self) {
        self.servers.shut_down();
    }

    /// Ends the API server the polite way (SIGTERM) and waits until it is gone.
    pub async fn stop_apiserver(&self) {
        self.servers.stop_apiserver().await;
    }

    /// Starts the API server again, at the same port and with the same data, and waits until it is ready.
    ///
    /// # Errors
    /// As for [`ControlPlane::start`].
    pub async fn restart_apiserver(&self) -> Result<()> {
        self.servers.kill_apiserver();
        self.servers.start_apiserver()?;
        self.wait_until_ready(Duration::from_mins(3)).await
    }

    /// Kills etcd and starts it again with the same data. The API server reconnects by itself.
    ///
    /// # Errors
    /// As for [`ControlPlane::start`].
    pub async fn restart_etcd(&self) -> Result<()> {
        self.servers.restart_etcd()?;
        self.wait_until_ready(Duration::from_mins(3)).await
    }
}
