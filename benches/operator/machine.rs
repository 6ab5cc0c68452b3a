//! What it was measured on.

use std::path::Path;
use std::process::Command;

use procfs::{CpuInfo, Current as _, Meminfo};
use serde::{Deserialize, Serialize};
use testbed::ControlPlane;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) system: String,
    /// What `--version` says.
    pub(crate) operator: String,
    pub(crate) kube_apiserver: String,
    pub(crate) etcd: String,
    /// The commit, with `-dirty` if there were changes; empty outside a git checkout.
    pub(crate) commit: String,
}

impl Machine {
    pub(crate) fn here(plane: &ControlPlane, operator: &Path) -> Self {
        let cpus = CpuInfo::current().ok();
        let processor = cpus.as_ref().and_then(|cpus| cpus.model_name(0)).unwrap_or("unknown processor");
        Self {
            processor: processor.to_owned(),
            cores: cores(),
            memory_gib: Meminfo::current().map_or(0, |memory| memory.mem_total.div_ceil(1 << 30)),
            system: first_line(Command::new("uname").args(["-sr"])),
            operator: first_line(Command::new(operator).arg("--version")),
            kube_apiserver: first_line(Command::new(plane.binaries().kube_apiserver()).arg("--version")),
            etcd: first_line(Command::new(plane.binaries().etcd()).arg("--version")),
            commit: first_line(
                Command::new("git")
                    .args(["describe", "--always", "--dirty"])
                    .current_dir(env!("CARGO_MANIFEST_DIR")),
            ),
        }
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn first_line(command: &mut Command) -> String {
    let said = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned()
}
