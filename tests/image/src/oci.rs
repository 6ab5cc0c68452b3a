//! The image as container tools take it: an OCI layout in one archive, with the `manifest.json` of older Dockers.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use std::io::Write as _;

use anyhow::Result;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::{
    VERSION,
    compile::PROGRAM,
    root::{File, folders},
};

/// Nobody, by the number that distroless images and Kubernetes examples use.
pub(crate) const USER: &str = "65532:65532";

/// An image.
pub(crate) struct Image {
    /// The whole archive.
    pub(crate) archive: Vec<u8>,
    /// Of the manifest: what registries and `image@sha256:…` call it.
    pub(crate) digest: String,
}

/// Makes an image with one layer. Equal arguments give equal bytes: nothing in it tells when or where it was made.
pub(crate) fn image(files: &[File], architecture: &str, revision: Option<&str>) -> Result<Image> {
    let layer = layer(files)?;
    let packed = gzip(&layer)?;
    let labels = labels(revision);
    let config = serde_json::to_vec(&json!({
        "architecture": architecture,
        "os": "linux",
        "created": EPOCH,
        "config": {
            "User": USER,
            "Entrypoint": [format!("/{PROGRAM}")],
            "Cmd": ["run"],
            "ExposedPorts": { "8080/tcp": {} },
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": { "type": "layers", "diff_ids": [sha256(&layer)] },
        "history": [{ "created": EPOCH, "created_by": "cargo image" }],
    }))?;
    let described = |kind: &str, bytes: &[u8]| {
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": sha256(bytes),
            "size": bytes.len(),
        })
    };
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("config.v1+json", &config),
        "layers": [described("layer.v1.tar+gzip", &packed)],
        "annotations": labels,
    }))?;
    let name = format!("{PROGRAM}:{VERSION}");
    let mut entry = described("manifest.v1+json", &manifest);
    entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
    entry["annotations"] = json!({
        "org.opencontainers.image.ref.name": VERSION,
        // By this name containerd and Docker know it after loading.
        "io.containerd.image.name": format!("docker.io/library/{name}"),
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });
    let for_docker = json!([{ "Config": blob(&config), "RepoTags": [name], "Layers": [blob(&packed)] }]);
    let mut archive = Archive::new();
    archive.folder("blobs/")?;
    archive.folder("blobs/sha256/")?;
    let mut blobs = [&config, &manifest, &packed];
    blobs.sort_by_key(|bytes| blob(bytes));
    for bytes in blobs {
        archive.file(&blob(bytes), 0o644, bytes)?;
    }
    archive.file("index.json", 0o644, &serde_json::to_vec(&index)?)?;
    archive.file("manifest.json", 0o644, &serde_json::to_vec(&for_docker)?)?;
    archive.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(Image { archive: archive.end()?, digest: sha256(&manifest) })
}

/// Every time in the image.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// What tools show of an image: <https://github.com/opencontainers/image-spec/blob/main/annotations.md>.
fn labels(revision: Option<&str>) -> Value {
    let mut labels = json!({
        "org.opencontainers.image.title": PROGRAM,
        "org.opencontainers.image.description":
            "Kubernetes operator that clears the attributes of Tencent Cloud Chat groups",
        "org.opencontainers.image.version": VERSION,
        "org.opencontainers.image.licenses": "Apache-2.0",
    });
    if let Some(revision) = revision {
        labels["org.opencontainers.image.revision"] = json!(revision);
    }
    labels
}

fn layer(files: &[File]) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    for folder in folders(files) {
        archive.folder(&folder)?;
    }
    for file in files {
        archive.file(&file.path, file.mode, &file.bytes)?;
    }
    archive.end()
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    packed.write_all(bytes)?;
    Ok(packed.finish()?)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // A String takes every write.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// `sha256:…`
fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/{}", sha256(bytes).replace(':', "/"))
}

/// A tar archive in which everything is root's and of no time.
struct Archive(Builder<Vec<u8>>);

impl Archive {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn folder(&mut self, path: &str) -> Result<()> {
        self.entry(path, EntryType::Directory, 0o755, &[])
    }

    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        self.entry(path, EntryType::Regular, mode, bytes)
    }

    fn entry(&mut self, path: &str, kind: EntryType, mode: u32, bytes: &[u8]) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        self.0.append_data(&mut header, path, bytes)?;
        Ok(())
    }

    fn end(self) -> Result<Vec<u8>> {
        Ok(self.0.into_inner()?)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use flate2::read::GzDecoder;

    use super::*;
    use crate::root;

    fn sample() -> Vec<File> {
        root::files(b"\x7fELF", b"{}".to_vec(), b"free".to_vec())
    }

    fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let (uid, mtime) = (entry.header().uid().unwrap(), entry.header().mtime().unwrap());
            assert_eq!((uid, mtime), (0, 0), "{path}");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(path, bytes);
        }
        files
    }

    #[test]
    fn every_digest_in_the_archive_is_that_of_what_it_names() {
        let image = image(&sample(), "amd64", None).unwrap();
        let files = unpacked(&image.archive);
        let json = |path: &str| -> Value { serde_json::from_slice(&files[path]).unwrap() };
        let named = |entry: &Value| {
            let digest = entry["digest"].as_str().unwrap();
            let bytes = &files[&format!("blobs/{}", digest.replace(':', "/"))];
            assert_eq!(digest, sha256(bytes));
            assert_eq!(entry["size"], bytes.len());
            bytes.clone()
        };
        let entry = &json("index.json")["manifests"][0];
        assert_eq!(entry["digest"], image.digest);
        let manifest: Value = serde_json::from_slice(&named(entry)).unwrap();
        let config: Value = serde_json::from_slice(&named(&manifest["config"])).unwrap();
        let mut layer = Vec::new();
        GzDecoder::new(&*named(&manifest["layers"][0])).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], sha256(&layer));
        assert_eq!(unpacked(&layer)[PROGRAM], b"\x7fELF");
        let docker = &json("manifest.json")[0];
        assert_eq!(docker["Layers"][0], blob(&named(&manifest["layers"][0])));
        assert_eq!(docker["Config"], blob(&named(&manifest["config"])));
    }

    #[test]
    fn equal_files_make_equal_images_and_one_byte_makes_another() {
        let first = image(&sample(), "amd64", Some("abc")).unwrap();
        let again = image(&sample(), "amd64", Some("abc")).unwrap();
        assert!(first.digest == again.digest && first.archive == again.archive);
        let mut other = sample();
        other[0].bytes.push(0);
        assert_ne!(image(&other, "amd64", Some("abc")).unwrap().digest, first.digest);
    }

    /// Those with a Docker daemon must get the same image from the Dockerfile.
    #[test]
    fn the_dockerfile_says_what_the_image_says() {
        let dockerfile = include_str!("../../../Dockerfile");
        let image = image(&sample(), "amd64", None).unwrap();
        let files = unpacked(&image.archive);
        let mut documents = files.values().filter_map(|bytes| serde_json::from_slice::<Value>(bytes).ok());
        let config = documents.find(|file| file["config"]["User"].is_string()).unwrap();
        let last = dockerfile.rsplit("\nFROM ").next().unwrap();
        let line = |word: &str| last.lines().find_map(|line| line.strip_prefix(word)).map(str::trim);
        assert!(last.starts_with("scratch"), "{last}");
        assert_eq!(line("USER"), Some(USER));
        let words = |word: &str| serde_json::from_str::<Value>(line(word).unwrap()).unwrap();
        assert_eq!(words("ENTRYPOINT"), config["config"]["Entrypoint"]);
        assert_eq!(words("CMD"), config["config"]["Cmd"]);
        assert_eq!(line("EXPOSE"), Some("8080"));
        for (label, text) in labels(None).as_object().unwrap() {
            assert!(last.contains(&format!("{label}={text}")), "{label}={text} is not in the Dockerfile");
        }
        let toolchain = include_str!("../../../rust-toolchain.toml");
        let version = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap();
        assert!(dockerfile.contains(&format!("FROM rust:{}-", version.trim_matches('"'))), "{version}");
    }
}
