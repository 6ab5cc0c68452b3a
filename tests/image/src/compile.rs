//! The program: static, so that it needs no other file, and free of anything that differs from build to build.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

/// The name of the program, inside the image too.
pub(crate) const PROGRAM: &str = "groupattr-operator";

/// What came of a build.
pub(crate) struct Built {
    /// The program itself.
    pub(crate) program: Vec<u8>,
    /// As the compiler calls what it was built for.
    pub(crate) target: String,
    /// As container tools call it.
    pub(crate) architecture: &'static str,
    /// The compiler's version.
    pub(crate) rust: String,
    /// The commit, where there is git to ask.
    pub(crate) revision: Option<String>,
}

/// Builds the operator for the machine that this runs on.
pub(crate) fn operator(workspace: &Path) -> Result<Built> {
    let about = said(Command::new("rustc").arg("-vV").current_dir(workspace))?;
    let line = |name: &str| {
        let line = about.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::to_owned).with_context(|| format!("`rustc -vV` says no {name}"))
    };
    let (target, rust, commit) = (line("host")?, line("release")?, line("commit-hash")?);
    let architecture = match target.as_str() {
        "x86_64-unknown-linux-gnu" => "amd64",
        "aarch64-unknown-linux-gnu" => "arm64",
        _ => bail!("images are built on Linux with glibc, x86_64 or aarch64; this is {target}"),
    };
    let sysroot = said(Command::new("rustc").args(["--print", "sysroot"]).current_dir(workspace))?;
    let places = [
        (workspace.to_owned(), "/groupattr-operator".to_owned()),
        (cargo_home()?, "/cargo".to_owned()),
        (Path::new(sysroot.trim()).join("lib/rustlib/src/rust"), format!("/rustc/{commit}")),
    ];
    let folder = workspace.join("target/image/build");
    let mut cargo = cargo(workspace);
    cargo.args(["build", "--release", "--locked", "--package", PROGRAM, "--bin", PROGRAM]);
    cargo.args(["--target", &target]).arg("--target-dir").arg(&folder);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rustc_flags(&places).join("\u{1f}"));
    cargo.env("CFLAGS", c_flags(&places));
    if !cargo.status().context("cannot start cargo")?.success() {
        bail!("the operator does not build; see above");
    }
    let file = folder.join(&target).join("release").join(PROGRAM);
    let program = fs::read(&file).with_context(|| format!("cargo did not make {}", file.display()))?;
    // A loader that is part of the program cannot ask for a newer one: it would just crash, in the cluster.
    said(Command::new(&file).arg("--version")).context(
        "the program does not start; it needs a static glibc of version 2.36 or newer to build with (Debian 12, \
         Ubuntu 24.04, Fedora with glibc-static)",
    )?;
    let revision = said(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(workspace)).ok();
    let revision = revision.map(|text| text.trim().to_owned());
    Ok(Built { program, target, architecture, rust, revision })
}

/// cargo for the workspace, without what the cargo that runs us has set: build scripts that look at it would see
/// another crate's name, and flags of the user would make another program.
pub(crate) fn cargo(workspace: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace);
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let is_ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_PROFILE_", "CARGO_BUILD_", "CARGO_ENCODED_"];
        if is_ours.iter().any(|start| text.starts_with(start)) || ["RUSTFLAGS", "CFLAGS"].contains(&text) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    Ok(Path::new(&env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?).join(".cargo"))
}

/// Everything in one file, and no folder of this machine in it.
fn rustc_flags(places: &[(PathBuf, String)]) -> Vec<String> {
    let mut flags = vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        // A static program that is loaded at a random place has a long list of places to adjust; this packs it.
        "-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned(),
    ];
    flags.extend(places.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())));
    flags
}

fn c_flags(places: &[(PathBuf, String)]) -> String {
    let flags = places.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display()));
    flags.collect::<Vec<_>>().join(" ")
}

/// What a program prints.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
