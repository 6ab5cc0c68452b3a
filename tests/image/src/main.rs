//! `cargo image`: the operator's container image, built without a daemon and from nothing but this repository.
//!
//! | question | file |
//! |---|---|
//! | how is the program compiled, so that it runs alone and is the same each time? | `compile` |
//! | which files are in the image? | `root` |
//! | how do they become an image that container tools take? | `oci` |
//! | what is it made of? | `sbom` |

mod compile;
mod oci;
mod root;
mod sbom;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Parser;

use compile::Built;
use root::File;

/// Builds the operator's container image: one static program and the certificate authorities, user 65532, no shell.
#[derive(Debug, Parser)]
#[command(name = "cargo image", bin_name = "cargo image", after_help = AFTER_HELP)]
struct Args {
    /// Write the image's files into this folder instead, as the Dockerfile does.
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Writes into target/image an archive for `docker load`, `podman load` and `skopeo copy oci-archive:…`, and beside it the
list of everything that is in it (CycloneDX). It takes some minutes the first time. The same sources, compiler and C
library give the same bytes, in whichever folder.";

/// The version of the operator, which all crates of the workspace share.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    // The alias of `cargo image` ends with `--`, and who is used to cargo types another.
    let done = match Args::parse_from(env::args_os().filter(|arg| arg != "--")).root {
        None => image(),
        Some(folder) => contents().and_then(|(files, _)| root::write(&files, &folder)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The image's files, and how the program among them was built.
fn contents() -> Result<(Vec<File>, Built)> {
    let built = compile::operator(&workspace())?;
    let sbom = sbom::sbom(&workspace(), &built)?;
    let license = fs::read(workspace().join("LICENSE"))?;
    Ok((root::files(&built.program, sbom, license), built))
}

fn image() -> Result<()> {
    let (files, built) = contents()?;
    let image = oci::image(&files, built.architecture, built.revision.as_deref())?;
    let folder = workspace().join("target/image");
    let name = format!("groupattr-operator-{VERSION}-{}", built.architecture);
    let write = |end: &str, bytes: &[u8]| {
        let path = folder.join(format!("{name}{end}"));
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok::<_, anyhow::Error>(path.strip_prefix(workspace()).unwrap_or(&path).display().to_string())
    };
    println!("image    {}, {}", write(".tar", &image.archive)?, megabytes(image.archive.len()));
    for list in files.iter().filter(|file| file.path.ends_with(root::SBOM)) {
        println!("made of  {}", write(root::SBOM, &list.bytes)?);
    }
    println!("program  {}", megabytes(built.program.len()));
    println!("unpacked {}", megabytes(files.iter().map(|file| file.bytes.len()).sum()));
    println!("digest   {}", image.digest);
    Ok(())
}

fn workspace() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.ancestors().nth(2).unwrap_or(folder).to_owned()
}

/// In millions of bytes, rounded up.
fn megabytes(bytes: usize) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_never_rounded_down() {
        assert_eq!(megabytes(15_000_001), "15.1 MB");
        assert_eq!(megabytes(99_999), "0.1 MB");
    }
}
