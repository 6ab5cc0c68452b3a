//! How tests reach the API server: clients, kubeconfig files, kubectl.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::Ordering,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{ControlPlane, logs::last_lines, servers::ADMIN_TOKEN};
use crate::until::poll;

/// What kubectl said.
#[derive(Debug, Clone)]
pub struct Kubectl {
    /// Whether it ended with exit code 0.
    pub ok: bool,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl ControlPlane {
    /// A client that may do everything.
    ///
    /// Each call makes a new one: a client lives on the runtime that it was made on, and each test has its own.
    ///
    /// # Panics
    /// When the client cannot be made, which does not depend on the server.
    pub async fn admin(&self) -> Client {
        self.client(ADMIN_TOKEN).await.expect("the administrator's kubeconfig is well-formed")
    }

    /// A client with this bearer token.
    ///
    /// # Errors
    /// When the token is not fit for an HTTP header.
    pub async fn client(&self, token: &str) -> Result<Client> {
        Ok(Client::try_from(self.config(token).await?)?)
    }

    /// What a client needs that may do everything, for one that lives on another runtime.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read, which does not depend on the server.
    pub async fn admin_config(&self) -> Result<Config> {
        self.config(ADMIN_TOKEN).await
    }

    async fn config(&self, token: &str) -> Result<Config> {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig_text(token))?;
        Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }

    /// Writes a kubeconfig with this bearer token. The file lives as long as the control plane; `name` is for people
    /// who look at the file, and need not be unique.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig(&self, name: &str, token: &str) -> Result<PathBuf> {
        let number = self.names_given.fetch_add(1, Ordering::Relaxed);
        let file = self.folder().join(format!("{name}-{number}.kubeconfig"));
        fs::write(&file, self.kubeconfig_text(token))
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// A kubeconfig that may do everything.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.folder().join("admin.kubeconfig")
    }

    /// Writes it, once for all who use it at a time.
    pub(super) fn write_admin_kubeconfig(&self) -> Result<()> {
        Ok(fs::write(self.admin_kubeconfig(), self.kubeconfig_text(ADMIN_TOKEN))?)
    }

    fn kubeconfig_text(&self, token: &str) -> String {
        kubeconfig_text(&self.url(), &self.folder().join("ca.crt"), token)
    }

    /// Runs kubectl as administrator.
    ///
    /// # Errors
    /// When kubectl cannot be run; what it refuses is in the answer.
    pub async fn kubectl(&self, args: &[&str]) -> Result<Kubectl> {
        self.kubectl_with_input(args, "").await
    }

    /// Runs kubectl as administrator with `stdin` as its input.
    ///
    /// # Errors
    /// When kubectl cannot be run; what it refuses is in the answer.
    pub async fn kubectl_with_input(&self, args: &[&str], stdin: &str) -> Result<Kubectl> {
        let mut command = Command::new(self.binaries().kubectl());
        command.args(args).kill_on_drop(true);
        command
            .env("KUBECONFIG", self.admin_kubeconfig())
            .env("KUBECACHEDIR", self.folder().join("kubectl-cache"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start kubectl")?;
        let mut input = child.stdin.take().context("kubectl has no input")?;
        let text = stdin.to_owned();
        // Beside the reading, so that neither side waits for the other when both have much to say.
        let writing = tokio::spawn(async move { input.write_all(text.as_bytes()).await });
        let output = child.wait_with_output().await?;
        writing.abort();
        Ok(Kubectl {
            ok: output.status.success(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    pub(super) async fn wait_until_ready(&self, deadline: Duration) -> Result<()> {
        let client = self.client(ADMIN_TOKEN).await?;
        let ready = poll(deadline, || async {
            if !self.servers.alive() {
                return Ok(false);
            }
            let request = http::Request::get("/readyz").body(Vec::new()).map_err(|e| e.to_string())?;
            client.request_text(request).await.map(|_| true).map_err(|error| error.to_string())
        });
        let state = match ready.await {
            Ok(true) => return Ok(()),
            Ok(false) => "a process of the control plane ended".to_owned(),
            Err(last) => format!("the API server was not ready within {deadline:?} (last: {last:?})"),
        };
        let (apiserver, etcd) = (self.servers.apiserver_log(), self.servers.etcd_log());
        bail!(
            "{state}\n--- kube-apiserver:\n{}\n--- etcd:\n{}",
            last_lines(&apiserver, 12),
            last_lines(&etcd, 6)
        )
    }
}

/// JSON, which is YAML too.
pub(crate) fn kubeconfig_text(server: &str, ca: &Path, token: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "testbed",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "testbed", "user": {"token": token}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
    })
    .to_string()
}
