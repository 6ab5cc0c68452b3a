//! The two processes: their files, their flags, start and restart.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::{Binaries, Options};
use crate::{
    certificates::{Authority, SigningKey},
    children::{self, Guarded},
    ports::free_port,
};

/// The administrator's bearer token. Not a secret: the server listens on loopback and lives as long as the tests.
pub(super) const ADMIN_TOKEN: &str = "testbed-administrator";

/// Metadata of everything; whole bodies of what the operator writes, so that tests can read the history of a status.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: RequestResponse
  resources:
  - { group: groupattr.dev, resources: ['*/status'] }
- level: Metadata
";

pub(super) struct Servers {
    folder: PathBuf,
    etcd: Server,
    apiserver: Server,
    port: u16,
    ca: String,
    interruptions: AtomicU32,
}

/// A program with its flags, and the process that runs it now.
struct Server {
    program: PathBuf,
    flags: Vec<String>,
    log: PathBuf,
    running: Mutex<Option<Guarded>>,
}

impl Servers {
    /// Starts both; they are not ready yet.
    pub(super) fn start(binaries: &Binaries, folder: &Path, options: Options) -> Result<Self> {
        let authority = Authority::new("testbed control plane")?;
        write_files(folder, &authority)?;
        let (client_port, peer_port, port) = (free_port(), free_port(), free_port());
        let servers = Self {
            folder: folder.to_path_buf(),
            etcd: Server::new(
                binaries.etcd(),
                etcd_flags(folder, client_port, peer_port),
                folder.join("etcd.log"),
            ),
            apiserver: Server::new(
                binaries.kube_apiserver(),
                apiserver_flags(folder, client_port, port, options),
                folder.join("apiserver.log"),
            ),
            port,
            ca: authority.pem(),
            interruptions: AtomicU32::new(0),
        };
        servers.etcd.start()?;
        servers.apiserver.start()?;
        Ok(servers)
    }

    pub(super) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub(super) fn ca(&self) -> &str {
        &self.ca
    }

    pub(super) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    pub(super) fn apiserver_log(&self) -> PathBuf {
        self.apiserver.log.clone()
    }

    pub(super) fn etcd_log(&self) -> PathBuf {
        self.etcd.log.clone()
    }

    /// Whether both still run.
    pub(super) fn alive(&self) -> bool {
        self.etcd.alive() && self.apiserver.alive()
    }

    /// Process ids of kube-apiserver and etcd; 0 for one that does not run.
    pub(super) fn pids(&self) -> (i32, i32) {
        (self.apiserver.pid(), self.etcd.pid())
    }

    /// How often either was ended so far.
    pub(super) fn interruptions(&self) -> u32 {
        self.interruptions.load(Ordering::Relaxed)
    }

    fn interrupted(&self) {
        self.interruptions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn kill_apiserver(&self) {
        self.interrupted();
        self.apiserver.kill();
    }

    pub(super) fn shut_down(&self) {
        self.apiserver.kill();
        self.etcd.kill();
    }

    pub(super) async fn stop_apiserver(&self) {
        self.interrupted();
        self.apiserver.terminate().await;
    }

    pub(super) fn start_apiserver(&self) -> Result<()> {
        self.apiserver.start()
    }

    pub(super) fn restart_etcd(&self) -> Result<()> {
        self.interrupted();
        self.etcd.kill();
        self.etcd.start()
    }
}

impl Server {
    fn new(program: PathBuf, flags: Vec<String>, log: PathBuf) -> Self {
        Self { program, flags, log, running: Mutex::new(None) }
    }

    fn start(&self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = children::command(&self.program);
        // Memory for processor time: these tests have more of the one.
        command.args(&self.flags).env("GOGC", "400");
        command.stdout(log.try_clone()?).stderr(log);
        let child =
            children::start(command).with_context(|| format!("cannot start {}", self.program.display()))?;
        *self.running.lock().expect("no panic while holding this lock") = Some(child);
        Ok(())
    }

    fn alive(&self) -> bool {
        let running = self.running.lock().expect("no panic while holding this lock");
        running.as_ref().is_some_and(|child| child.exit_status().is_none())
    }

    fn pid(&self) -> i32 {
        let running = self.running.lock().expect("no panic while holding this lock");
        running.as_ref().map_or(0, Guarded::pid)
    }

    fn kill(&self) {
        self.take();
    }

    /// Dropping a child kills it, so this is enough for `kill` too.
    fn take(&self) -> Option<Guarded> {
        self.running.lock().expect("no panic while holding this lock").take()
    }

    async fn terminate(&self) {
        if let Some(child) = self.take() {
            child.signal(Signal::TERM);
            child.wait_exit(Duration::from_secs(20)).await;
        }
    }
}

fn write_files(folder: &Path, authority: &Authority) -> Result<()> {
    let server = authority.server(&["127.0.0.1", "localhost", "kubernetes.default.svc"])?;
    let service_accounts = SigningKey::generate()?;
    let write = |name: &str, text: &str| fs::write(folder.join(name), text);
    write("ca.crt", &authority.pem())?;
    write("server.crt", &server.certificate)?;
    write("server.key", &server.key)?;
    write("sa.key", &service_accounts.private)?;
    write("sa.pub", &service_accounts.public)?;
    write("tokens.csv", &format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n"))?;
    write("audit-policy.yaml", AUDIT_POLICY)?;
    Ok(())
}

fn etcd_flags(folder: &Path, client_port: u16, peer_port: u16) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{client_port}"), format!("http://127.0.0.1:{peer_port}"));
    vec![
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        // The data need not survive this machine, and a slow disk must not slow the tests.
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ]
}

fn apiserver_flags(folder: &Path, etcd_port: u16, port: u16, options: Options) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut flags = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", file("certs")),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        "--authorization-mode=RBAC".into(),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--service-cluster-ip-range=10.0.0.0/24".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", file("sa.pub")),
        format!("--service-account-signing-key-file={}", file("sa.key")),
        // Without a kube-controller-manager nobody makes the default service accounts that it asks for.
        "--disable-admission-plugins=ServiceAccount".into(),
        "--allow-privileged=true".into(),
        format!("--max-requests-inflight={}", options.max_requests_inflight),
        format!("--max-mutating-requests-inflight={}", options.max_requests_inflight),
        format!("--audit-policy-file={}", file("audit-policy.yaml")),
        format!("--audit-log-path={}", file("audit.log")),
        // By default the log is rotated at 100 MB, and events would be missing from it.
        "--audit-log-maxsize=100000".into(),
    ];
    flags.extend(options.apiserver_flags);
    flags
}
