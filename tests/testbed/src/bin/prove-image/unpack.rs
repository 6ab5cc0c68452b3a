//! An OCI layout in an archive: every digest is checked, and the layers are unpacked into a folder.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// An image, taken apart.
pub(crate) struct Image {
    /// Its configuration, as <https://github.com/opencontainers/image-spec/blob/main/config.md> describes it.
    pub(crate) config: Value,
    /// All files, sorted by path.
    pub(crate) files: Vec<Unpacked>,
    /// Where they were unpacked to.
    pub(crate) root: TempDir,
}

/// A file of the image.
pub(crate) struct Unpacked {
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) size: u64,
}

impl Image {
    /// Takes an archive apart.
    pub(crate) fn unpack(archive: &Path) -> Result<Self> {
        let file = File::open(archive).with_context(|| format!("cannot open {}", archive.display()))?;
        let blobs = read(file)?;
        let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).context("not JSON");
        let index = json(blobs.get("index.json").context("no index.json: not an OCI layout")?)?;
        let manifest = json(named(&blobs, &index["manifests"][0])?)?;
        let config = json(named(&blobs, &manifest["config"])?)?;
        let root = tempfile::Builder::new().prefix("image-").tempdir()?;
        // The mount point of a container's root is open to its user.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
        let mut files = Vec::new();
        for (number, layer) in manifest["layers"].as_array().into_iter().flatten().enumerate() {
            let mut plain = Vec::new();
            GzDecoder::new(named(&blobs, layer)?).read_to_end(&mut plain)?;
            ensure!(
                config["rootfs"]["diff_ids"][number] == sha256(&plain),
                "a layer is not what the image says"
            );
            files.extend(unpack_layer(&plain, root.path())?);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { config, files, root })
    }
}

/// The files of the archive by their names.
fn read(archive: File) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut blobs = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        blobs.insert(path, bytes);
    }
    Ok(blobs)
}

/// What a descriptor names, if it is what it names.
fn named<'a>(blobs: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Result<&'a [u8]> {
    let digest = descriptor["digest"].as_str().context("a descriptor without a digest")?;
    let bytes = blobs.get(&format!("blobs/{}", digest.replace(':', "/"))).context(digest.to_owned())?;
    ensure!(sha256(bytes) == digest && descriptor["size"] == bytes.len(), "{digest} is something else");
    Ok(bytes)
}

fn sha256(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("sha256:{digits}")
}

fn unpack_layer(layer: &[u8], root: &Path) -> Result<Vec<Unpacked>> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(layer).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        ensure!(entry.unpack_in(root)?, "{} leads out of the image", path.display());
        let header = entry.header();
        if header.entry_type().is_dir() {
            continue;
        }
        ensure!(header.entry_type().is_file(), "{} is no file", path.display());
        fs::set_permissions(root.join(&path), fs::Permissions::from_mode(header.mode()?))?;
        files.push(Unpacked {
            path: path.display().to_string(),
            mode: header.mode()?,
            owner: (header.uid()?, header.gid()?),
            size: header.size()?,
        });
    }
    Ok(files)
}
