//! Downloads a prebuilt control plane: the archives that the Kubernetes project publishes for `envtest`.
//!
//! `setup-envtest` does the same. It is a Go program, though, and a prebuilt control plane is there so that nobody
//! needs Go to see the operator work.

use std::{
    collections::BTreeMap,
    env::consts,
    fmt::Write as _,
    fs::{self, File, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, anyhow, bail};
use flate2::read::GzDecoder;
use reqwest::{Client, Response};
use semver::Version;
use serde::Deserialize;
use sha2::{Digest as _, Sha512};
use tokio::runtime;

use super::{progress::Progress, version};

/// The index that `setup-envtest` uses too.
pub(super) const INDEX: &str =
    "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml";

/// kube-apiserver last: a folder that has it has the others too.
const PROGRAMS: [&str; 3] = ["kubectl", "etcd", "kube-apiserver"];

/// How long a failure counts.
const REMEMBERED_FOR: Duration = Duration::from_hours(24);

/// A failure that comes sooner costs nothing, and may be over in a minute.
const WORTH_REMEMBERING: Duration = Duration::from_secs(1);

/// What to download, and where to.
pub(super) struct Download<'a> {
    pub(super) index: &'a str,
    /// How long a server may stay silent.
    pub(super) patience: Duration,
    /// Preferred; else the newest release that is not of a newer minor version.
    pub(super) pinned: &'a Version,
    pub(super) folder: &'a Path,
}

/// By version and by the name of the archive.
#[derive(Deserialize)]
struct Index {
    releases: BTreeMap<String, BTreeMap<String, Archive>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Archive {
    /// SHA-512, hexadecimal.
    hash: String,
    self_link: String,
}

impl Download<'_> {
    /// Puts the programs into the folder and returns their version. Each appears by renaming, after the checksum of
    /// its archive was found right. A failure that took time is not repeated for a day.
    pub(super) fn fetch_unless_it_failed_lately(&self) -> Result<Version> {
        if let Some(reason) = self.remembered_failure() {
            bail!("{reason}; remove {} to try again today", self.memory().display());
        }
        let since = Instant::now();
        let fetched = self.fetch();
        if let Err(error) = &fetched
            && since.elapsed() >= WORTH_REMEMBERING
        {
            let _ = fs::write(self.memory(), format!("{}\n{error:#}", self.index));
        }
        fetched
    }

    fn memory(&self) -> PathBuf {
        self.folder.join("download-failed")
    }

    fn remembered_failure(&self) -> Option<String> {
        let written = fs::metadata(self.memory()).ok()?.modified().ok()?;
        let age = SystemTime::now().duration_since(written).unwrap_or_default();
        let memory = fs::read_to_string(self.memory()).ok()?;
        let (index, reason) = memory.split_once('\n')?;
        (age < REMEMBERED_FOR && index == self.index).then(|| reason.to_owned())
    }

    fn fetch(&self) -> Result<Version> {
        let aside = self.folder.join(".being-downloaded");
        let _ = fs::remove_dir_all(&aside);
        fs::create_dir_all(&aside)?;
        // On a thread of its own: the caller may be inside of a runtime, where another one cannot block.
        let fetched = thread::scope(|scope| {
            let fetching = scope.spawn(|| {
                let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
                let fetched = runtime.block_on(self.fetch_to(&aside));
                // Does not wait for a name server that gives no answer either.
                runtime.shutdown_background();
                fetched
            });
            fetching.join().map_err(|_| anyhow!("the download panicked"))?
        });
        let _ = fs::remove_dir_all(&aside);
        fetched
    }

    async fn fetch_to(&self, aside: &Path) -> Result<Version> {
        let client = Client::builder().connect_timeout(self.patience).read_timeout(self.patience).build()?;
        eprintln!("testbed: looking for a prebuilt control plane in {}", self.index);
        let index = read_index(client.get(self.index).timeout(self.patience).send().await).await;
        let index = index.with_context(|| format!("cannot read {}", self.index))?;
        let platform = format!("linux-{}", go_architecture());
        let Some((version, archive)) = index.best_for(self.pinned, &platform) else {
            bail!("{} has no archive for {platform} and Kubernetes {}", self.index, self.pinned);
        };

        let file = aside.join("archive.tar.gz");
        let mut progress = Progress::start(format!("downloading Kubernetes {version} for {platform}"));
        let response = client.get(&archive.self_link).send().await;
        let digest = receive(response, &file, &mut progress).await;
        progress.end();
        let digest = digest.with_context(|| format!("cannot read {}", archive.self_link))?;
        if !digest.eq_ignore_ascii_case(&archive.hash) {
            bail!("{} has the checksum {digest}, and the index says {}", archive.self_link, archive.hash);
        }
        unpack(&file, aside).with_context(|| format!("cannot unpack {}", archive.self_link))?;
        for program in PROGRAMS {
            fs::rename(aside.join(program), self.folder.join(program))
                .with_context(|| format!("{} holds no {program}", archive.self_link))?;
        }
        Ok(version)
    }
}

impl Index {
    fn best_for(self, pinned: &Version, platform: &str) -> Option<(Version, Archive)> {
        let releases = self.releases.into_iter().filter_map(|(name, mut archives)| {
            let archive = archives.remove(&format!("envtest-{name}-{platform}.tar.gz"))?;
            Some((version::in_text(&name)?, archive))
        });
        releases
            .filter(|(version, _)| version.pre.is_empty() && version::is_supported(version))
            .filter(|(version, _)| version.minor <= pinned.minor)
            .max_by_key(|(version, _)| (version == pinned, version.clone()))
    }
}

async fn read_index(response: reqwest::Result<Response>) -> Result<Index> {
    Ok(serde_saphyr::from_str(&body(response)?.text().await?)?)
}

/// The errors name no address: whoever reports them does.
fn body(response: reqwest::Result<Response>) -> Result<Response> {
    Ok(response.and_then(Response::error_for_status).map_err(reqwest::Error::without_url)?)
}

/// Writes the body to `file` and returns its checksum.
async fn receive(
    response: reqwest::Result<Response>,
    file: &Path,
    progress: &mut Progress,
) -> Result<String> {
    let mut response = body(response)?;
    let (mut file, mut digest, mut received) = (File::create(file)?, Sha512::new(), 0);
    while let Some(chunk) = response.chunk().await? {
        file.write_all(&chunk)?;
        digest.update(&chunk);
        received += chunk.len();
        progress.show(&format!("{} MB", received / 1_000_000));
    }
    let mut text = String::new();
    for byte in digest.finalize() {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

/// Puts the programs into `folder`, in whichever folder of the archive they are.
fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(archive)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let is_it = |program: &&str| path.file_name().is_some_and(|name| name == *program);
        if let Some(program) = PROGRAMS.iter().find(|program| is_it(program))
            && entry.header().entry_type().is_file()
        {
            entry.unpack(folder.join(program))?;
            fs::set_permissions(folder.join(program), Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// This machine's architecture by Go's name.
fn go_architecture() -> &'static str {
    match consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which release is taken of those that have an archive for `linux-amd64`.
    fn best(releases: &[&str]) -> Option<String> {
        let release = |name: &&str| {
            format!(
                "  {name}:\n    envtest-{name}-linux-amd64.tar.gz: {{ hash: ab, selfLink: 'http://{name}' }}\n"
            )
        };
        let yaml = format!("releases:\n{}", releases.iter().map(release).collect::<String>());
        let index: Index = serde_saphyr::from_str(&yaml).unwrap();
        let (version, archive) = index.best_for(&Version::new(1, 37, 2), "linux-amd64")?;
        assert_eq!(archive.self_link, format!("http://v{version}"));
        Some(version.to_string())
    }

    #[test]
    fn the_pinned_version_is_preferred_then_the_newest_that_is_not_of_a_newer_minor_version() {
        assert_eq!(best(&["v1.37.0", "v1.37.2", "v1.37.3", "v1.38.0"]).as_deref(), Some("1.37.2"));
        assert_eq!(best(&["v1.37.0", "v1.37.11", "v1.37.3", "v1.38.0"]).as_deref(), Some("1.37.11"));
        assert_eq!(best(&["v1.36.2", "v1.35.0", "v1.38.0"]).as_deref(), Some("1.36.2"));
    }

    #[test]
    fn neither_previews_nor_unsupported_versions_are_taken() {
        assert_eq!(best(&["v1.32.0", "v1.37.0-beta.0", "v1.38.0"]), None);
    }

    #[test]
    fn archives_for_other_platforms_are_not_taken() {
        let yaml = "releases: { v1.37.2: { envtest-v1.37.2-linux-arm64.tar.gz: { hash: ab, selfLink: 'http://x' } } }";
        let index: Index = serde_saphyr::from_str(yaml).unwrap();
        assert!(index.best_for(&Version::new(1, 37, 2), "linux-amd64").is_none());
    }
}
