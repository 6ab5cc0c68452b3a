//! Why there are no CA certificates, if the variables that name them are at fault.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;

use super::ClientError;
use crate::text::one_line;

/// What is wrong when no CA certificate was found while `SSL_CERT_FILE` and `SSL_CERT_DIR` had these values.
pub(super) fn no_certificates(file: Option<&OsStr>, folder: Option<&OsStr>) -> ClientError {
    let file = file.map(|file| ("SSL_CERT_FILE", file, File::open(file).err()));
    // Its value is a list.
    let first = folder.and_then(|list| std::env::split_paths(list).next());
    let folder = first.as_deref().map(Path::as_os_str);
    let folder = folder.map(|folder| ("SSL_CERT_DIR", folder, fs::read_dir(folder).err()));
    let Some((variable, path, error)) = file.or(folder) else { return ClientError::NoCertificates };
    let cause = match error {
        Some(error) => format!("cannot be read: {error}"),
        None => "holds no certificate in PEM format".to_owned(),
    };
    ClientError::NamedCertificates { variable, path: one_line(&path.to_string_lossy(), 200), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(file: Option<&str>, folder: Option<&str>) -> String {
        no_certificates(file.map(OsStr::new), folder.map(OsStr::new)).to_string()
    }

    #[test]
    fn the_variable_that_is_at_fault_is_named_with_its_path_and_the_cause() {
        let missing = said(Some("/nowhere/ca.pem"), Some("/nowhere"));
        for part in ["no CA certificates", "SSL_CERT_FILE", "/nowhere/ca.pem", "No such file"] {
            assert!(missing.contains(part), "{missing}");
        }
        let folder = said(None, Some("/nowhere:/elsewhere"));
        assert!(folder.contains("SSL_CERT_DIR names /nowhere, which cannot be read: No such"), "{folder}");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let other = said(Some(source), None);
        assert!(other.contains(&format!("{source}, which holds no certificate")), "{other}");
        assert_eq!(no_certificates(None, None), ClientError::NoCertificates);
    }
}
