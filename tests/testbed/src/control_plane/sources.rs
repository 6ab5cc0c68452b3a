//! Where kube-apiserver, etcd and kubectl come from: prebuilt where they can be had, else built from Go modules.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use semver::Version;

use super::{
    Binaries,
    binaries::target_folder,
    envtest::{self, Download},
    go_build::{self, Recipe},
    version,
};

/// A folder to name in `KUBEBUILDER_ASSETS`.
const ASSETS: &str =
    "a folder with etcd, kube-apiserver and kubectl (`setup-envtest use -p path` prints one)";

/// The places in which the programs are looked for, in this order. Public so that a test can choose its own.
#[derive(Debug, Clone)]
pub struct Sources {
    /// What `KUBEBUILDER_ASSETS` says. Nothing else is looked at if it is set.
    pub assets: Option<PathBuf>,
    /// Where downloaded and built programs are kept.
    pub cache: PathBuf,
    /// Where the Kubebuilder book says to install them.
    pub installed: PathBuf,
    /// The address of an index of envtest archives; `None`: nothing is downloaded.
    pub index: Option<String>,
    /// How long a server of the index may stay silent.
    pub patience: Duration,
    /// Where else a kubectl may be, in the form of `PATH`.
    pub path: OsString,
}

impl Sources {
    /// What the environment says: `KUBEBUILDER_ASSETS`, `TESTBED_ENVTEST_INDEX` (an address, or `off`) and `PATH`.
    ///
    /// # Errors
    /// When the module file of Kubernetes names no version.
    pub fn from_env() -> Result<Self> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let index = match set("TESTBED_ENVTEST_INDEX") {
            Some(off) if off == "off" => None,
            Some(address) => Some(address.to_string_lossy().into_owned()),
            None => Some(envtest::INDEX.to_owned()),
        };
        Ok(Self {
            assets: set("KUBEBUILDER_ASSETS").map(PathBuf::from),
            cache: target_folder().join("testbed").join(format!("bin-k8s-{}", version::pinned()?)),
            installed: "/usr/local/kubebuilder/bin".into(),
            index,
            patience: Duration::from_secs(20),
            path: env::var_os("PATH").unwrap_or_default(),
        })
    }

    /// Finds the programs, or builds them.
    ///
    /// # Errors
    /// When `KUBEBUILDER_ASSETS` cannot be used, or there are no prebuilt programs and the build is not possible; the
    /// text says what to do.
    pub fn find_or_build(&self) -> Result<Binaries> {
        if let Some(assets) = &self.assets {
            let found = self.checked(assets, format!("from KUBEBUILDER_ASSETS, {}", assets.display()));
            return found.map_err(|error| {
                anyhow!("KUBEBUILDER_ASSETS cannot be used: {error:#}; set it to {ASSETS}, or unset it")
            });
        }
        self.find().or_else(|why_not| {
            eprintln!("testbed: {why_not:#}");
            self.build().map_err(|error| anyhow!("{error:#}\nWhy it has to be built: {why_not:#}"))
        })
    }

    /// Finds them in the cache, as an installation, or as a download. The cache comes first: it costs nothing.
    ///
    /// # Errors
    /// When there are none; with all reasons.
    pub fn find(&self) -> Result<Binaries> {
        if let Ok(found) = self.cached() {
            return Ok(found);
        }
        let mut reasons = Vec::new();
        if self.installed.is_dir() {
            match self.checked(&self.installed, format!("from {}", self.installed.display())) {
                Ok(found) => return Ok(found),
                Err(error) => reasons.push(format!("{} is not used: {error:#}", self.installed.display())),
            }
        }
        match self.download() {
            Ok(found) => return Ok(found),
            Err(error) => reasons.push(format!("nothing was downloaded: {error:#}")),
        }
        bail!("no prebuilt control plane: {}", reasons.join("; "))
    }

    fn cached(&self) -> Result<Binaries> {
        self.complete(&self.cache, format!("downloaded or built before, in {}", self.cache.display()))
    }

    fn download(&self) -> Result<Binaries> {
        let index = self.index.as_deref().context("TESTBED_ENVTEST_INDEX is off")?;
        let _lock = go_build::lock(&self.cache)?;
        if let Ok(found) = self.cached() {
            return Ok(found);
        }
        let pinned = version::pinned()?;
        let download = Download { index, patience: self.patience, pinned: &pinned, folder: &self.cache };
        let version = download.fetch_unless_it_failed_lately()?;
        let origin = format!("downloaded, Kubernetes {version}, to {}", self.cache.display());
        self.complete(&self.cache, origin)
    }

    fn build(&self) -> Result<Binaries> {
        const BOTH: &[(&str, &str)] = &[
            ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
            ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
        ];
        let pinned = version::pinned()?;
        let otherwise = format!(", or set KUBEBUILDER_ASSETS to {ASSETS}");
        let recipes = [
            Recipe {
                module: "etcd",
                programs: &[("go.etcd.io/etcd/server/v3", "etcd")],
                ldflags: "-s -w".into(),
                estimate: "about 20 seconds",
                otherwise: otherwise.clone(),
            },
            Recipe {
                module: "kubernetes",
                programs: if self.kubectl_for(&pinned).is_ok() { &BOTH[..1] } else { BOTH },
                ldflags: version_stamp(&pinned),
                estimate: "4 to 8 minutes",
                otherwise,
            },
        ];
        go_build::build_missing(&self.cache, &recipes)?;
        self.complete(&self.cache, format!("built from source, in {}", self.cache.display()))
    }

    /// The programs in `folder` if they can be used at all and the operator supports their version.
    fn checked(&self, folder: &Path, origin: String) -> Result<Binaries> {
        let found = self.complete(folder, origin)?;
        let version = version::printed_by(&found.kube_apiserver(), &["--version"])?;
        version::check_supported(&version).with_context(|| found.kube_apiserver().display().to_string())?;
        Ok(found)
    }

    /// The programs in `folder`, if it has all of them. Only kubectl may come from elsewhere.
    fn complete(&self, folder: &Path, origin: String) -> Result<Binaries> {
        let mut found = Binaries { folder: folder.to_owned(), kubectl: folder.join("kubectl"), origin };
        for program in [found.etcd(), found.kube_apiserver()] {
            if !program.is_file() {
                return Err(missing(&program));
            }
        }
        if !found.kubectl.is_file() {
            let version = version::printed_by(&found.kube_apiserver(), &["--version"])?;
            let elsewhere = self.kubectl_for(&version);
            found.kubectl = elsewhere.with_context(|| missing(&found.kubectl))?;
            found.origin += &format!("; kubectl is {}", found.kubectl.display());
        }
        Ok(found)
    }

    /// The first kubectl in the path, if it is close enough to an API server of this version.
    fn kubectl_for(&self, server: &Version) -> Result<PathBuf> {
        let mut candidates = env::split_paths(&self.path).map(|folder| folder.join("kubectl"));
        let kubectl = candidates.find(|file| file.is_file()).context("PATH has no kubectl")?;
        let version = version::printed_by(&kubectl, &["version", "--client"])?;
        if !version::within_one_minor(&version, server) {
            bail!("{} {version} is more than one minor version from API server {server}", kubectl.display());
        }
        Ok(kubectl)
    }
}

fn missing(program: &Path) -> Error {
    anyhow!("{} does not exist", program.display())
}

/// Without the stamp the server calls itself v0.0.0 and Helm refuses to talk to it.
fn version_stamp(version: &Version) -> String {
    let package = "k8s.io/component-base/version";
    let Version { major, minor, .. } = version;
    format!(
        "-s -w -X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stamp_is_that_of_the_module() {
        let stamp = version_stamp(&Version::new(1, 37, 2));
        assert!(stamp.contains("gitVersion=v1.37.2 ") && stamp.contains("gitMinor=37 "), "{stamp}");
    }
}
