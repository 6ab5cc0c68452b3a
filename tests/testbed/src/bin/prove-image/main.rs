//! `cargo prove-image ARCHIVE`: takes an image apart, checks what is in it, and runs it as a container runtime would,
//! without one: in a root of its own that nobody can write to, as user 65532. There it resets a room.
//!
//! | question | file |
//! |---|---|
//! | is it an image, and what is in it? | `unpack` |
//! | how does it run without a container runtime? | `container` |

mod container;
mod unpack;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use container::Container;
use serde_json::Value;
use testbed::{
    ControlPlane, OperatorProcess, Options, Vendor,
    control_plane::{OperatorRights, Scope},
    until,
};
use unpack::Image;

const APP_ID: u64 = 1_400_000_000;
const KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
const SOON: Duration = Duration::from_secs(60);
/// What the image and the program in it may be at most, in bytes.
const IMAGE: u64 = 25_000_000;
const PROGRAM: u64 = 15_000_000;
/// The files of the image, all of them: no shell, no package manager, nothing to write to.
const FILES: [&str; 4] = [
    "etc/ssl/certs/ca-certificates.crt",
    "groupattr-operator",
    "usr/share/doc/groupattr-operator/LICENSE",
    "usr/share/sbom/groupattr-operator.cdx.json",
];

/// Takes an image apart, checks what is in it, and runs it without a container runtime. Needs to be root.
#[derive(Debug, Parser)]
#[command(name = "cargo prove-image", bin_name = "cargo prove-image")]
struct Args {
    /// What `cargo image` made.
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match prove(&Args::parse().archive).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn prove(archive: &Path) -> Result<()> {
    ensure!(rustix::process::getuid().is_root(), "only root can give a process another root: run it as root");
    let image = Image::unpack(archive)?;
    contents(&image)?;
    let container = Container::of(&image)?;
    prints(&container).await?;
    resets(&container).await
}

fn contents(image: &Image) -> Result<()> {
    let config = &image.config["config"];
    ensure!(config["User"] == "65532:65532", "it runs as {}", config["User"]);
    ensure!(config["Entrypoint"] == serde_json::json!(["/groupattr-operator"]), "{config}");
    ensure!(config["Cmd"] == serde_json::json!(["run"]), "{config}");
    let names: Vec<&str> = image.files.iter().map(|file| file.path.as_str()).collect();
    ensure!(names == FILES, "it holds {names:?}");
    for file in &image.files {
        ensure!(file.owner == (0, 0) && file.mode & 0o6022 == 0, "{} can be changed", file.path);
    }
    let all: u64 = image.files.iter().map(|file| file.size).sum();
    let program = image.files[1].size;
    ensure!(all <= IMAGE && program <= PROGRAM, "{all} bytes, {program} of them the program");
    names_no_folder(&std::fs::read(image.root.path().join(FILES[1]))?)?;
    let list: Value = serde_json::from_slice(&std::fs::read(image.root.path().join(FILES[3]))?)?;
    let crates = list["components"].as_array().map_or(0, Vec::len);
    ensure!(list["bomFormat"] == "CycloneDX" && crates > 100, "the list of contents has {crates} entries");
    println!(
        "ok  {} files, {all} bytes, of which the program {program}; made of {crates} components",
        names.len()
    );
    Ok(())
}

/// A folder of the machine that built it would make the program another one in another folder.
fn names_no_folder(program: &[u8]) -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let home = std::env::var_os("CARGO_HOME").or_else(|| std::env::var_os("HOME")).context("no HOME")?;
    for folder in [workspace, home.into()] {
        let text = format!("{}/", folder.display());
        let found = program.windows(text.len()).any(|window| window == text.as_bytes());
        ensure!(!found, "the program names {text}");
    }
    Ok(())
}

/// What needs no cluster.
async fn prints(container: &Container) -> Result<()> {
    let version = container.run(&["--version"]).await?;
    ensure!(version.status.success(), "--version: {version:?}");
    ensure!(version.stdout.starts_with(b"groupattr-operator "), "--version: {version:?}");
    let crds = container.run(&["crd"]).await?;
    ensure!(crds.status.success() && crds.stdout.len() > 10_000, "crd: {:?}", crds.status);
    println!("ok  --version and crd, as user 65532 in a root of its own");
    Ok(())
}

async fn resets(container: &Container) -> Result<()> {
    let plane = ControlPlane::start(Options::default()).await?;
    plane.install_crds(concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds")).await?;
    let namespace = plane.namespace().await?;
    let account = plane.service_account(&namespace, "operator").await?;
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/kustomize/rights.yaml");
    plane.grant(&account, &OperatorRights::from_file(&manifest)?, &Scope::Cluster).await?;
    let vendor = Vendor::start()?;
    vendor.account(APP_ID, KEY, &["administrator"]);
    vendor.room(APP_ID, "@TGS#room", &[("seat1", "ann")]);
    // By name, so that it has to be resolved by what is in the program.
    let port = vendor.address().port();
    container.mount_service_account(&account, plane.ca())?;

    without_authorities(container, &plane).await?;

    let arguments = [format!("--namespace={namespace}"), format!("--allow-endpoint=localhost:{port}")];
    let operator = OperatorProcess::start(container.launch(&plane, &arguments)?)?;
    operator.ready(SOON).await;
    confined(operator.pid())?;
    plane
        .apply_in(
            &namespace,
            &format!(
                "
apiVersion: v1
kind: Secret
metadata: {{ name: chat }}
stringData: {{ secretKey: {KEY} }}
---
apiVersion: groupattr.dev/v1alpha1
kind: ChatApp
metadata: {{ name: default }}
spec: {{ sdkAppID: {APP_ID}, endpoint: 'http://localhost:{port}', credentials: {{ secretKeyRef: {{ name: chat }} }} }}
---
apiVersion: groupattr.dev/v1alpha1
kind: GroupAttributeReset
metadata: {{ name: room }}
spec: {{ groupID: '@TGS#room' }}
"
            ),
        )
        .await?;
    let seen = [
        "get",
        "gar",
        "room",
        "-n",
        &namespace,
        "-o",
        "jsonpath={.status.conditions[?(@.type=='Succeeded')].reason}",
    ];
    until(SOON, "the reset to be done", || async {
        let reason = plane.kubectl(&seen).await.ok()?.stdout;
        (reason == "Cleared").then_some(())
    })
    .await;
    ensure!(
        vendor.attributes(APP_ID, "@TGS#room").is_some_and(|left| left.is_empty()),
        "the room is not empty"
    );
    operator.terminate();
    let code = operator.wait_exit(SOON).await.code();
    ensure!(code == Some(0), "after SIGTERM: {code:?}, {}", operator.logs());
    println!("ok  a reset against a real API server, and a clean end after SIGTERM");
    Ok(())
}

/// A clear word and an exit code, for whoever mounts something over the certificate authorities.
async fn without_authorities(container: &Container, plane: &ControlPlane) -> Result<()> {
    let _restored = container.without_authorities()?;
    let operator = OperatorProcess::start(container.launch(plane, &[])?)?;
    let code = operator.wait_exit(SOON).await.code();
    let said = operator.logs();
    ensure!(code == Some(1) && said.lines().count() == 1, "without authorities: {code:?}, {said}");
    ensure!(said.contains("no CA certificates") && said.contains("SSL_CERT_FILE"), "{said}");
    println!("ok  without certificate authorities it ends with code 1: {}", said.trim());
    Ok(())
}

/// The kernel's word for it: the user, the root that cannot be written to, no core dumps, nothing to gain by exec.
fn confined(pid: i32) -> Result<()> {
    let told =
        |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).context("the process is gone");
    let status = told("status")?;
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    ensure!(line("Uid:").split_whitespace().all(|id| id == "65532"), "Uid: {}", line("Uid:"));
    ensure!(line("Gid:").split_whitespace().all(|id| id == "65532"), "Gid: {}", line("Gid:"));
    ensure!(line("Groups:").is_empty() && line("CapEff:").trim_matches('0').is_empty(), "{status}");
    let mounts = told("mountinfo")?;
    let root =
        mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).context("no root is mounted")?;
    ensure!(root.split(' ').nth(5).is_some_and(|options| options.starts_with("ro")), "{root}");
    let limits = told("limits")?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
    let fields: Vec<_> = core.split_whitespace().collect();
    ensure!(fields[4..6] == ["0", "0"], "{core}");
    println!("ok  user and group 65532, no capability, a root that is read-only, no core dumps");
    Ok(())
}
