//! Helm 3 and Helm 4, built from their Go modules when a test first needs one of them.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    control_plane::{
        binaries::target_folder,
        go_build::{self, Recipe},
    },
    scratch,
};

/// The module files are the only place that defines the versions.
const MODULE_3: &str = include_str!("../modules/helm3/go.mod");
const MODULE_4: &str = include_str!("../modules/helm4/go.mod");

/// A major version of Helm. Each has its own home directory for the lifetime of the process, so the machine's
/// Helm configuration has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helm {
    /// Client-side merges, its own readiness rules.
    V3,
    /// Server-side apply, readiness by kstatus.
    V4,
}

/// The result of a Helm command.
#[derive(Debug, Clone)]
pub struct HelmSays {
    /// Whether the exit code was 0.
    pub ok: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl HelmSays {
    /// Standard output of a command that must have succeeded.
    ///
    /// # Panics
    /// If it failed; the message contains its output.
    #[must_use]
    #[track_caller]
    pub fn unwrap(self) -> String {
        assert!(self.ok, "helm failed:\n{}\n{}", self.stderr, self.stdout);
        self.stdout
    }

    /// Standard error of a command that must have failed.
    ///
    /// # Panics
    /// If it succeeded.
    #[must_use]
    #[track_caller]
    pub fn unwrap_err(self) -> String {
        assert!(!self.ok, "helm did not fail:\n{}", self.stdout);
        self.stderr
    }
}

impl Helm {
    /// Both versions, for tests that apply to either.
    pub const BOTH: [Self; 2] = [Self::V3, Self::V4];

    /// Runs a command against a cluster, with this kubeconfig.
    ///
    /// # Errors
    /// If Helm cannot be built or started; a failed command is not an error.
    pub async fn run(self, kubeconfig: &Path, args: &[&str]) -> Result<HelmSays> {
        let program = self.program().await?;
        let home = home(self)?;
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", &home).env("KUBECONFIG", kubeconfig).kill_on_drop(true);
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, home.join(folder));
        }
        command.stdin(Stdio::null());
        let output = command.output().await.context("cannot start helm")?;
        Ok(HelmSays {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that needs no cluster, such as `template`, `lint` or `package`.
    ///
    /// # Errors
    /// As for [`Helm::run`].
    pub async fn offline(self, args: &[&str]) -> Result<HelmSays> {
        self.run(Path::new("/dev/null"), args).await
    }

    /// The path of the program, which is built first if necessary; that takes minutes, but happens once.
    ///
    /// # Errors
    /// If it cannot be built; the message says what to do.
    pub async fn program(self) -> Result<PathBuf> {
        let folder = tokio::task::spawn_blocking(build).await??;
        Ok(folder.join(match self {
            Self::V3 => "helm3",
            Self::V4 => "helm4",
        }))
    }
}

/// Builds both versions together, because they share most packages.
fn build() -> Result<PathBuf> {
    let (three, four) = (version(MODULE_3, "helm.sh/helm/v3")?, version(MODULE_4, "helm.sh/helm/v4")?);
    let folder = target_folder().join("testbed").join(format!("bin-helm-{three}-{four}"));
    // Linker flags set the Kubernetes version for Helm 3's offline commands; Helm 4 reads it from its build
    // info.
    let kubernetes = version(MODULE_3, "k8s.io/client-go")?;
    let minor = kubernetes.split('.').nth(1).unwrap_or_default();
    let assumed = ["pkg/lint/rules", "pkg/chartutil"].map(|package| {
        let package = format!("helm.sh/helm/v3/{package}");
        format!("-X {package}.k8sVersionMajor=1 -X {package}.k8sVersionMinor={minor}")
    });
    let recipe = |module, programs, ldflags| Recipe {
        module,
        programs,
        ldflags,
        estimate: "1 to 3 minutes",
        otherwise: String::new(),
    };
    go_build::build_missing(
        &folder,
        &[
            recipe(
                "helm4",
                &[("helm.sh/helm/v4/cmd/helm", "helm4")],
                format!("-s -w -X helm.sh/helm/v4/internal/version.version=v{four}"),
            ),
            recipe(
                "helm3",
                &[("helm.sh/helm/v3/cmd/helm", "helm3")],
                format!("-s -w -X helm.sh/helm/v3/internal/version.version=v{three} {}", assumed.join(" ")),
            ),
        ],
    )?;
    Ok(folder)
}

fn version(module: &'static str, package: &str) -> Result<&'static str> {
    module
        .lines()
        .find_map(|line| line.trim().strip_prefix(package)?.strip_prefix(" v"))
        .and_then(|rest| rest.split_whitespace().next())
        .with_context(|| format!("the module file names no version of {package}"))
}

fn home(helm: Helm) -> Result<PathBuf> {
    static HOMES: Mutex<[Option<TempDir>; 2]> = Mutex::new([None, None]);
    let mut homes = HOMES.lock().unwrap_or_else(PoisonError::into_inner);
    let home = &mut homes[usize::from(helm == Helm::V4)];
    if home.is_none() {
        *home = Some(scratch::folder("helm-")?);
    }
    home.as_ref().map(|home| home.path().to_owned()).context("a folder that was made just now")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_files_name_the_versions() {
        assert!(version(MODULE_3, "helm.sh/helm/v3").unwrap().starts_with("3."));
        assert!(version(MODULE_4, "helm.sh/helm/v4").unwrap().starts_with("4."));
        assert!(version(MODULE_3, "k8s.io/client-go").unwrap().starts_with("0."));
        assert!(version(MODULE_4, "helm.sh/helm/v3").is_err());
    }
}
