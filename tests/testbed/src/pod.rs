//! Runs a pod's container as a process, with the arguments, environment, projected files and service account
//! of its spec, at the paths that the kubelet would use.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Container, EnvVar, PodSpec, ServiceAccount, Volume, VolumeProjection},
};
use kube::{Api, api::PostParams};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::{control_plane::ControlPlane, scratch};

/// Runs in its own mount namespace: bind-mounts folders where the container expects them, then executes the
/// program. Arguments are pairs of a mount path and a folder, then `--` and the command.
const MOUNT: &str = r#"
set -e
mount -t tmpfs none /run
while [ "$1" != -- ]; do
  mkdir -p "$(dirname "$1")"
  ln -s "$2" "$1"
  shift 2
done
shift
exec "$@"
"#;

/// A pod that is ready to start.
#[derive(Debug)]
pub struct Pod {
    spec: PodSpec,
    namespace: String,
    name: String,
    /// The mounts; their sources are below `folder`.
    mounts: Vec<(String, PathBuf)>,
    /// The address of the API server.
    server: (String, String),
    folder: TempDir,
}

impl Pod {
    /// Creates the files of a pod's volumes, including a service account token as the spec requests it.
    ///
    /// # Errors
    /// If the service account does not exist, or the spec contains anything unsupported. Supported are
    /// projected volumes with a token, the cluster's CA certificate and the namespace, and missing optional
    /// objects.
    pub async fn new(plane: &ControlPlane, namespace: &str, name: &str, spec: PodSpec) -> Result<Self> {
        let folder = scratch::folder("pod-")?;
        let account = spec.service_account_name.clone().context("a pod without a serviceAccountName")?;
        for volume in spec.volumes.iter().flatten() {
            let place = folder.path().join(&volume.name);
            fs::create_dir(&place)?;
            for source in sources(volume)? {
                project(plane, namespace, &account, source, &place).await?;
            }
        }
        let container = only_container(&spec)?;
        let mounts = container.volume_mounts.iter().flatten();
        let mounts =
            mounts.map(|mount| (mount.mount_path.clone(), folder.path().join(&mount.name))).collect();
        let url = plane.url();
        let address = url.trim_start_matches("https://").split_once(':').context("a URL with a port")?;
        let server = (address.0.to_owned(), address.1.to_owned());
        Ok(Self { spec, namespace: namespace.to_owned(), name: name.to_owned(), mounts, server, folder })
    }

    /// The command that runs `program` in place of the container's image, with its arguments, environment and
    /// files.
    ///
    /// # Errors
    /// If the environment refers to something unsupported.
    pub fn command(&self, program: &Path) -> Result<Command> {
        let container = only_container(&self.spec)?;
        // Root needs no user namespace for a mount namespace; others do.
        let mut command = Command::new("unshare");
        if !geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "/bin/sh", "-c", MOUNT, "sh"]);
        for (path, folder) in &self.mounts {
            command.arg(path).arg(folder);
        }
        command.arg("--").arg(program).args(container.args.iter().flatten());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOSTNAME", &self.name);
        command.env("KUBERNETES_SERVICE_HOST", &self.server.0).env("KUBERNETES_SERVICE_PORT", &self.server.1);
        for variable in container.env.iter().flatten() {
            command.env(&variable.name, self.value(variable)?);
        }
        Ok(command)
    }

    /// The folder that is mounted at this path of the container.
    #[must_use]
    pub fn files_at(&self, mount_path: &str) -> Option<&Path> {
        self.mounts.iter().find(|(path, _)| path == mount_path).map(|(_, folder)| folder.as_path())
    }

    /// A folder that is removed with the pod.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn value(&self, variable: &EnvVar) -> Result<String> {
        let Some(source) = &variable.value_from else {
            return Ok(variable.value.clone().unwrap_or_default());
        };
        match source.field_ref.as_ref().map(|field| field.field_path.as_str()) {
            Some("metadata.namespace") => Ok(self.namespace.clone()),
            Some("metadata.name") => Ok(self.name.clone()),
            _ => bail!("the variable {} has an unsupported source", variable.name),
        }
    }
}

fn only_container(spec: &PodSpec) -> Result<&Container> {
    match spec.containers.as_slice() {
        [one] => Ok(one),
        other => bail!("{} containers", other.len()),
    }
}

/// The sources of a projected volume; empty for an optional object.
fn sources(volume: &Volume) -> Result<&[VolumeProjection]> {
    if let Some(projected) = &volume.projected {
        return Ok(projected.sources.as_deref().unwrap_or_default());
    }
    let optional = volume.config_map.as_ref().and_then(|source| source.optional);
    if optional == Some(true) {
        Ok(&[])
    } else {
        bail!("the type of the volume {} is not supported", volume.name)
    }
}

async fn project(
    plane: &ControlPlane,
    namespace: &str,
    account: &str,
    source: &VolumeProjection,
    place: &Path,
) -> Result<()> {
    if let Some(token) = &source.service_account_token {
        let accounts: Api<ServiceAccount> = Api::namespaced(plane.admin().await, namespace);
        let spec = TokenRequestSpec {
            audiences: token.audience.clone().map(|audience| vec![audience]),
            expiration_seconds: token.expiration_seconds,
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer = accounts.create_token_request(account, &PostParams::default(), &request).await?;
        let status = answer.status.context("a token request without a status")?;
        fs::write(place.join(&token.path), status.token.unwrap_or_default())?;
    }
    if let Some(config_map) = &source.config_map {
        // kube-controller-manager would create it in every namespace.
        if config_map.name != "kube-root-ca.crt" {
            bail!("the ConfigMap {} is unknown", config_map.name);
        }
        for item in config_map.items.iter().flatten().filter(|item| item.key == "ca.crt") {
            fs::write(place.join(&item.path), plane.ca())?;
        }
    }
    for item in source.downward_api.iter().flat_map(|source| source.items.iter().flatten()) {
        let field = item.field_ref.as_ref().map(|field| field.field_path.as_str());
        if field != Some("metadata.namespace") {
            bail!("the field {field:?} is unknown");
        }
        fs::write(place.join(&item.path), namespace)?;
    }
    Ok(())
}
