//! What the program is made of, as a `CycloneDX` list: the crates that are linked into it, as `Cargo.lock` pins them, and
//! what else is in the image.
//!
//! <https://cyclonedx.org/docs/1.5/json/>

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    VERSION,
    compile::{Built, PROGRAM, cargo, said},
    oci::hex,
};

/// The list as JSON.
pub(crate) fn sbom(workspace: &Path, built: &Built) -> Result<Vec<u8>> {
    let mut tree = cargo(workspace);
    tree.args(["tree", "--locked", "--package", PROGRAM, "--edges", "normal", "--target", &built.target]);
    tree.args(["--prefix", "depth", "--format", "|{p}|{l}"]);
    let graph = Graph::read(&said(&mut tree)?)?;
    let lock = fs::read_to_string(workspace.join("Cargo.lock"))?;
    let mut document = document(&graph, &checksums(&lock));
    let roots = version_of("webpki-root-certs", &lock).context("Cargo.lock has no webpki-root-certs")?;
    let libc = said(Command::new("ldd").arg("--version"))?;
    let libc = libc.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned();
    let others = [
        other("library", "rust-std", &built.rust, "MIT OR Apache-2.0"),
        other("library", "glibc", &libc, "LGPL-2.1-or-later"),
        other("data", "mozilla-certificate-authorities", &roots, "CDLA-Permissive-2.0"),
    ];
    document["components"].as_array_mut().context("no components")?.extend(others);
    let digest = Sha256::digest(serde_json::to_vec(&document)?);
    document["serialNumber"] = json!(format!("urn:uuid:{}", uuid(&digest)));
    Ok(serde_json::to_vec_pretty(&document)?)
}

/// A crate as `cargo tree` names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Package {
    name: String,
    version: String,
}

impl Package {
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// Who needs whom.
#[derive(Default)]
struct Graph {
    licenses: BTreeMap<Package, String>,
    needs: BTreeMap<Package, BTreeSet<Package>>,
}

impl Graph {
    /// From lines like `2|serde v1.0.228|MIT OR Apache-2.0`; the number is the depth.
    fn read(tree: &str) -> Result<Self> {
        let mut graph = Self::default();
        let mut above: Vec<Package> = Vec::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let wrong = || format!("cargo tree said {line:?}");
            let mut parts = line.split('|');
            let depth: usize = parts.next().unwrap_or_default().parse().with_context(wrong)?;
            let mut words = parts.next().with_context(wrong)?.split(' ');
            let (name, version) = (words.next().with_context(wrong)?, words.next().with_context(wrong)?);
            let package =
                Package { name: name.to_owned(), version: version.trim_start_matches('v').to_owned() };
            let license = parts.next().with_context(wrong)?.trim_end_matches(" (*)");
            graph.licenses.insert(package.clone(), license.replace('/', " OR "));
            graph.needs.entry(package.clone()).or_default();
            above.truncate(depth);
            if let Some(parent) = above.last() {
                graph.needs.entry(parent.clone()).or_default().insert(package.clone());
            }
            above.push(package);
        }
        Ok(graph)
    }
}

fn document(graph: &Graph, checksums: &BTreeMap<Package, String>) -> Value {
    let itself = Package { name: PROGRAM.to_owned(), version: VERSION.to_owned() };
    let component = |package: &Package, license: &str| {
        let mut component = json!({
            "type": "library",
            "bom-ref": package.purl(),
            "name": package.name,
            "version": package.version,
            "purl": package.purl(),
        });
        if !license.is_empty() {
            component["licenses"] = json!([{ "expression": license }]);
        }
        if let Some(checksum) = checksums.get(package) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    };
    let crates = graph.licenses.iter().filter(|(package, _)| **package != itself);
    let components: Vec<Value> = crates.map(|(package, license)| component(package, license)).collect();
    let dependencies = graph.needs.iter().map(|(package, needed)| {
        let needed: Vec<String> = needed.iter().map(Package::purl).collect();
        json!({ "ref": package.purl(), "dependsOn": needed })
    });
    let mut about = component(&itself, "Apache-2.0");
    about["type"] = json!("application");
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": about },
        "components": components,
        "dependencies": dependencies.collect::<Vec<_>>(),
    })
}

fn other(kind: &str, name: &str, version: &str, license: &str) -> Value {
    json!({
        "type": kind,
        "bom-ref": format!("{name}@{version}"),
        "name": name,
        "version": version,
        "licenses": [{ "expression": license }],
    })
}

/// The fields of the packages in `Cargo.lock`, in their order.
fn packages(lock: &str) -> impl Iterator<Item = BTreeMap<&str, &str>> {
    lock.split("[[package]]").skip(1).map(|package| {
        let fields = package.lines().filter_map(|line| line.split_once(" = "));
        fields.map(|(key, value)| (key, value.trim_matches('"'))).collect()
    })
}

fn checksums(lock: &str) -> BTreeMap<Package, String> {
    let known = packages(lock).filter_map(|fields| {
        let package =
            Package { name: (*fields.get("name")?).into(), version: (*fields.get("version")?).into() };
        Some((package, (*fields.get("checksum")?).to_owned()))
    });
    known.collect()
}

fn version_of(name: &str, lock: &str) -> Option<String> {
    packages(lock)
        .find(|fields| fields.get("name") == Some(&name))?
        .get("version")
        .map(|&text| text.to_owned())
}

/// A number that is the same for the same list, in the form of a UUID (version 8: made in a way of one's own).
fn uuid(digest: &[u8]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
0|groupattr-operator v0.1.0 (/somewhere)|Apache-2.0
1|axum v0.8.9|MIT
2|bytes v1.12.1|MIT
2|serde v1.0.228|MIT/Apache-2.0
1|serde v1.0.228|MIT/Apache-2.0 (*)
1|clap_derive v4.5.1 (proc-macro)|
";
    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"bytes\"\nversion = \"1.12.1\"\n\
                        source = \"registry\"\nchecksum = \"abc\"\n";

    #[test]
    fn the_list_has_each_crate_once_with_its_license_its_checksum_and_its_needs() {
        let list = document(&Graph::read(TREE).unwrap(), &checksums(LOCK));
        let names: Vec<_> = list["components"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["axum", "bytes", "clap_derive", "serde"]);
        assert_eq!(list["components"][1]["hashes"][0]["content"], "abc");
        assert_eq!(list["components"][3]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert!(list["components"][2]["licenses"].is_null());
        assert_eq!(list["metadata"]["component"]["name"], PROGRAM);
        let needs = list["dependencies"].as_array().unwrap();
        let axum = needs.iter().find(|one| one["ref"] == "pkg:cargo/axum@0.8.9").unwrap();
        assert_eq!(axum["dependsOn"], json!(["pkg:cargo/bytes@1.12.1", "pkg:cargo/serde@1.0.228"]));
        assert!(!list.to_string().contains("/somewhere"), "no folder of this machine");
    }

    #[test]
    fn what_cargo_says_otherwise_is_an_error() {
        assert!(Graph::read("error: no such package").is_err());
        assert_eq!(version_of("bytes", LOCK).as_deref(), Some("1.12.1"));
        assert_eq!(version_of("webpki-root-certs", LOCK), None);
    }

    #[test]
    fn a_uuid_has_its_form() {
        assert_eq!(uuid(&[0xff; 32]), "ffffffff-ffff-8fff-bfff-ffffffffffff");
    }
}
