//! A container without a container runtime: a mount namespace, a root that is mounted read-only, another user. The
//! kernel does for it what it does for a pod; only the network is the machine's own, as with `hostNetwork`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use testbed::{ControlPlane, Launch, control_plane::ServiceAccount};
use tokio::process::Command;

use crate::unpack::Image;

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// An image that can be run.
pub(crate) struct Container {
    root: PathBuf,
    /// The script that does what a runtime does.
    script: PathBuf,
    _folder: TempDir,
}

impl Container {
    pub(crate) fn of(image: &Image) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("container");
        let root = image.root.path();
        // The arguments of the script are those of the program. The kubeconfig of the tests is not for it: it is to
        // find the service account of its pod.
        let text = format!(
            "#!/bin/sh
unset KUBECONFIG
exec unshare --mount --propagation private -- sh -c '
  root=$0
  # Each container has sources of random numbers, whatever its image holds.
  mount --bind \"$root\" \"$root\" && mkdir -p \"$root/dev\" || exit 99
  for source in random urandom; do
    touch \"$root/dev/$source\" && mount --bind /dev/$source \"$root/dev/$source\" || exit 99
  done
  mount -o remount,bind,ro,nosuid,nodev \"$root\" || exit 99
  cd \"$root\"
  # A runtime makes this the root of the process, so that the one before cannot be reached.
  mount --move . / || exit 99
  exec chroot --userspec=65532:65532 --groups= . /groupattr-operator \"$@\"
' '{}' \"$@\"
",
            root.display()
        );
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(Self { root: root.to_owned(), script, _folder: folder })
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.script);
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.kill_on_drop(true).output().await.context("cannot run unshare, mount and chroot")
    }

    /// What the kubelet puts into each pod.
    pub(crate) fn mount_service_account(&self, account: &ServiceAccount, authority: &str) -> Result<()> {
        let folder = self.root.join(SERVICE_ACCOUNT);
        fs::create_dir_all(&folder)?;
        for (name, text) in
            [("token", account.token.as_str()), ("ca.crt", authority), ("namespace", &account.namespace)]
        {
            fs::write(folder.join(name), text)?;
        }
        fs::write(self.root.join("etc/hosts"), "127.0.0.1 localhost\n")?;
        Ok(())
    }

    /// How the operator is started in it.
    pub(crate) fn launch(&self, plane: &ControlPlane, arguments: &[String]) -> Result<Launch> {
        let server = plane.url();
        let (host, port) =
            server.trim_start_matches("https://").rsplit_once(':').context("the API server has no port")?;
        let env =
            [("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port), ("HOSTNAME", "image")];
        Ok(Launch {
            binary: self.script.clone(),
            kubeconfig: Path::new("/nonexistent").to_owned(),
            args: arguments.to_vec(),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        })
    }

    /// Takes the certificate authorities away, until what is returned is dropped.
    pub(crate) fn without_authorities(&self) -> Result<Restored> {
        let (from, to) = (self.root.join(AUTHORITIES), self.root.join("authorities"));
        fs::rename(&from, &to)?;
        Ok(Restored { from, to })
    }
}

/// Puts the certificate authorities back when it is dropped.
pub(crate) struct Restored {
    from: PathBuf,
    to: PathBuf,
}

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = fs::rename(&self.to, &self.from);
    }
}
