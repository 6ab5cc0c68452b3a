//! The files in the image.

use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::compile::PROGRAM;

/// How the name of the list of contents ends.
pub(crate) const SBOM: &str = ".cdx.json";

/// A file in the image; root's, and writable by nobody else.
pub(crate) struct File {
    /// Without a slash at the beginning.
    pub(crate) path: String,
    /// Permission bits.
    pub(crate) mode: u32,
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
}

/// All of them, sorted by path.
pub(crate) fn files(program: &[u8], sbom: Vec<u8>, license: Vec<u8>) -> Vec<File> {
    let file = |path: &str, mode, bytes| File { path: path.to_owned(), mode, bytes };
    let mut files = vec![
        file(PROGRAM, 0o755, program.to_vec()),
        // Where rustls-native-certs and everybody else looks first.
        file("etc/ssl/certs/ca-certificates.crt", 0o644, authorities().into_bytes()),
        file(&format!("usr/share/doc/{PROGRAM}/LICENSE"), 0o644, license),
        file(&format!("usr/share/sbom/{PROGRAM}{SBOM}"), 0o644, sbom),
    ];
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The folders that these files are in, each before what is in it.
pub(crate) fn folders(files: &[File]) -> Vec<String> {
    let mut folders: Vec<String> = Vec::new();
    for file in files {
        for (at, _) in file.path.match_indices('/') {
            folders.push(file.path[..=at].to_owned());
        }
    }
    folders.sort();
    folders.dedup();
    folders
}

/// Mozilla's list of certificate authorities as PEM, sorted so that only a change of the list changes the file.
fn authorities() -> String {
    let mut all: Vec<String> = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| pem(der)).collect();
    all.sort();
    all.concat()
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        // base64 is ASCII, and a String takes every write.
        let _ = writeln!(pem, "{}", String::from_utf8_lossy(line));
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// Writes them into a folder.
pub(crate) fn write(files: &[File], folder: &Path) -> Result<()> {
    for file in files {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        fs::write(&path, &file.bytes).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authorities_are_whole_pem_certificates() {
        let all = authorities();
        let count = |text: &str| all.matches(text).count();
        assert!(count("-----BEGIN CERTIFICATE-----\n") > 100);
        assert_eq!(count("-----BEGIN CERTIFICATE-----\n"), count("-----END CERTIFICATE-----\n"));
        assert!(all.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let files = files(&[], Vec::new(), Vec::new());
        let folders = folders(&files);
        assert_eq!(folders[..3], ["etc/", "etc/ssl/", "etc/ssl/certs/"]);
        assert!(folders.iter().all(|folder| folder.ends_with('/')));
    }
}
