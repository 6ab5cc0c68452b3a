//! Builds the tests once, and finds out where they are.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program of the end-to-end tests.
pub(crate) fn tests() -> Result<PathBuf> {
    let mut found =
        cargo(&["test", "--no-run", "--test", "e2e"], |message| message["profile"]["test"] == true)?;
    found.remove("e2e").context("cargo built no tests")
}

/// The operator as it is released: what is measured must not be the debug build.
pub(crate) fn released_operator() -> Result<PathBuf> {
    let args = ["build", "--release", "--bin", "groupattr-operator"];
    let mut found = cargo(&args, |message| message["target"]["kind"][0] == "bin")?;
    found.remove("groupattr-operator").context("cargo built no operator")
}

/// The programs that a build made of the targets that are `wanted`, by name. Cargo shows its progress.
fn cargo(args: &[&str], wanted: impl Fn(&Value) -> bool) -> Result<BTreeMap<String, PathBuf>> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(args).arg("--message-format=json-render-diagnostics");
    // `cargo run` told us who we are. Build scripts that look at these variables would run again.
    for (name, _) in env::vars_os() {
        let is_ours = name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if is_ours {
            cargo.env_remove(name);
        }
    }
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo {} failed; see above", args.join(" "));
    }
    let built = String::from_utf8_lossy(&output.stdout);
    let messages = built.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = |message: Value| {
        let name = message["target"]["name"].as_str()?.to_owned();
        Some((name, PathBuf::from(message["executable"].as_str()?)))
    };
    Ok(messages.filter(wanted).filter_map(program).collect())
}
