//! Where kube-apiserver, etcd and kubectl come from: `KUBEBUILDER_ASSETS`, or built once from Go modules.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::go_build::{self, Recipe};

/// The module file says which Kubernetes is built; the version is stated nowhere else.
const KUBERNETES_MODULE: &str = include_str!("../../modules/kubernetes/go.mod");

const ASSETS: &str = ", or set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd and kubectl \
                      (`setup-envtest use -p path`)";

/// The folder that holds the three programs of a control plane.
#[derive(Debug, Clone)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Finds the programs, or builds them if that has not been done yet. Building takes minutes and blocks.
    ///
    /// # Errors
    /// When `KUBEBUILDER_ASSETS` lacks one of them, or the build is not possible; the text says what to do.
    pub fn find_or_build() -> Result<Self> {
        match env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()) {
            Some(folder) => Self::from_assets(folder),
            None => Self::built(),
        }
    }

    fn from_assets(folder: OsString) -> Result<Self> {
        let found = Self { folder: folder.into() };
        for program in [found.etcd(), found.kube_apiserver(), found.kubectl()] {
            if !program.is_file() {
                bail!(
                    "KUBEBUILDER_ASSETS is set, but {} does not exist; run `setup-envtest use -p path` and set it to \
                     what that prints, or unset it to build the programs from source",
                    program.display()
                );
            }
        }
        Ok(found)
    }

    fn built() -> Result<Self> {
        let version = kubernetes_version()?;
        let target = target_folder();
        let folder = target.join("testbed").join(format!("bin-k8s-{version}"));
        go_build::build_missing(
            &folder,
            &[
                Recipe {
                    module: "etcd",
                    programs: &[("go.etcd.io/etcd/server/v3", "etcd")],
                    ldflags: "-s -w".into(),
                    estimate: "about 20 seconds",
                    otherwise: ASSETS,
                },
                Recipe {
                    module: "kubernetes",
                    programs: &[
                        ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
                        ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
                    ],
                    ldflags: version_stamp(version),
                    estimate: "4 to 8 minutes",
                    otherwise: ASSETS,
                },
            ],
        )?;
        Ok(Self { folder })
    }

    /// The database.
    #[must_use]
    pub fn etcd(&self) -> PathBuf {
        self.folder.join("etcd")
    }

    /// The API server.
    #[must_use]
    pub fn kube_apiserver(&self) -> PathBuf {
        self.folder.join("kube-apiserver")
    }

    /// The command-line client.
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.folder.join("kubectl")
    }
}

fn kubernetes_version() -> Result<&'static str> {
    KUBERNETES_MODULE
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"))
        .and_then(|rest| rest.split_whitespace().next())
        .context("modules/kubernetes/go.mod names no version of k8s.io/kubernetes")
}

/// Without the stamp the server calls itself v0.0.0 and Helm refuses to talk to it.
fn version_stamp(version: &str) -> String {
    let package = "k8s.io/component-base/version";
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or("1"), parts.next().unwrap_or("0"));
    format!(
        "-s -w -X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean"
    )
}

/// Cargo's target folder: where this program itself was built, which also holds with `CARGO_TARGET_DIR`.
pub(crate) fn target_folder() -> PathBuf {
    let here = env::current_exe().unwrap_or_default();
    here.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_without_a_program_are_refused_by_name() {
        let empty = tempfile::tempdir().unwrap();
        let refusal = Binaries::from_assets(empty.path().into()).unwrap_err().to_string();
        assert!(refusal.contains("/etcd does not exist"), "{refusal}");
        assert!(refusal.contains("setup-envtest"), "{refusal}");
    }

    #[test]
    fn the_version_stamp_is_that_of_the_module() {
        let version = kubernetes_version().unwrap();
        assert!(version.starts_with("1."), "{version}");
        assert!(version_stamp(version).contains(&format!("gitVersion=v{version} ")));
    }
}
