//! Temporary folders that are removed after the process, however it ends.
//!
//! A control plane in a static is never dropped, and a killed test drops nothing. So a shell waits for the
//! end of a pipe that only this process holds open. When the kernel closes it, the shell removes everything.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::{ChildStdin, Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context as _, Result, anyhow};
use tempfile::TempDir;

/// Waits for the end of its input. Processes that still write into the folder are being killed at the same
/// moment, hence the second try.
const SWEEP: &str = r#"cat; sleep 0.2; rm -rf -- "$0" || { sleep 1; rm -rf -- "$0"; }"#;

struct Root {
    folder: TempDir,
    _held_open: Option<ChildStdin>,
}

/// Creates a folder that is removed when dropped, or at the latest after this process.
pub(crate) fn folder(prefix: &str) -> Result<TempDir> {
    static ROOT: OnceLock<io::Result<Root>> = OnceLock::new();
    let root = ROOT
        .get_or_init(root)
        .as_ref()
        .map_err(|error| anyhow!("cannot make a temporary folder: {error}"))?;
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(root.folder.path())
        .context("cannot make a temporary folder")
}

fn root() -> io::Result<Root> {
    let folder = tempfile::Builder::new().prefix("testbed-").tempdir()?;
    let mut sweeper = Command::new("/bin/sh")
        .args(["-c", SWEEP])
        .arg(folder.path())
        .stdin(Stdio::piped())
        // Readers of this process's output must not wait for the sweeper.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own process group, so that Ctrl-C does not end it.
        .process_group(0)
        .spawn()?;
    Ok(Root { folder, _held_open: sweeper.stdin.take() })
}
