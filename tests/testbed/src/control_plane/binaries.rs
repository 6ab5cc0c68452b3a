//! The three programs of a control plane. Where they come from is in `sources`.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Result;

use super::sources::Sources;

/// The programs of a control plane.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// With etcd and kube-apiserver.
    pub(super) folder: PathBuf,
    pub(super) kubectl: PathBuf,
    pub(super) origin: String,
}

impl Binaries {
    /// Finds the programs, or downloads or builds them if that has not been done yet. Building takes minutes and
    /// blocks.
    ///
    /// # Errors
    /// As for [`Sources::find_or_build`].
    pub fn find_or_build() -> Result<Self> {
        Sources::from_env()?.find_or_build()
    }

    /// The same, once for this process, and says on stderr where they come from.
    pub(super) fn of_process() -> Result<Self> {
        static FOUND: Mutex<Option<Binaries>> = Mutex::new(None);
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = &*found {
            return Ok(found.clone());
        }
        let new = Self::find_or_build()?;
        eprintln!("testbed: etcd, kube-apiserver and kubectl: {}", new.origin());
        Ok(found.insert(new).clone())
    }

    /// Where the programs come from, for people.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
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
        self.kubectl.clone()
    }
}

/// Cargo's target folder: where this program itself was built, which also holds with `CARGO_TARGET_DIR`.
pub(crate) fn target_folder() -> PathBuf {
    let here = env::current_exe().unwrap_or_default();
    here.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map_or_else(|| workspace().join("target"), Path::to_path_buf)
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this crate is in tests/testbed")
}
