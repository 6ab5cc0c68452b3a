//! What is left of an operator when the test has let go of it: its log, how it ended, its last metrics.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::children::Guarded;

/// How long the last look at the metrics may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// One process of the operator, running or not.
#[derive(Debug)]
pub struct Trace {
    child: Guarded,
    port: u16,
    log: PathBuf,
    end_is_expected: AtomicBool,
    command_line: String,
    metrics: Mutex<String>,
    _folder: TempDir,
}

impl Trace {
    pub(super) fn new(child: Guarded, port: u16, log: PathBuf, folder: TempDir) -> Self {
        let command_line = fs::read(format!("/proc/{}/cmdline", child.pid())).unwrap_or_default();
        Self {
            child,
            port,
            log,
            end_is_expected: AtomicBool::new(false),
            command_line: String::from_utf8_lossy(&command_line).replace('\0', " "),
            metrics: Mutex::default(),
            _folder: folder,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// Everything it wrote so far, standard output and standard error in their order.
    #[must_use]
    pub fn logs(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its command line, as it was at the start.
    #[must_use]
    pub fn command_line(&self) -> &str {
        &self.command_line
    }

    /// Its metrics: as they are, or as they were at the end of the test if it ran until then.
    #[must_use]
    pub fn metrics(&self) -> String {
        if self.exit_status().is_none() {
            self.look_at_metrics();
        }
        self.metrics.lock().expect("no panic while holding this lock").clone()
    }

    /// How it ended, `None` while it runs.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child.exit_status()
    }

    /// How it ended, if it did so unasked and nobody waited for it.
    #[must_use]
    pub fn unplanned_end(&self) -> Option<ExitStatus> {
        self.exit_status().filter(|_| !self.end_is_expected.load(Ordering::Relaxed))
    }

    /// Ends it with SIGKILL and waits until it is gone.
    pub fn kill9(&self) -> ExitStatus {
        self.expect_end();
        self.child.kill()
    }

    /// Sends it a signal. Whatever comes of that is expected, also of a process that wakes up and finds its lease lost.
    pub fn signal(&self, signal: Signal) {
        if signal != Signal::STOP {
            self.expect_end();
        }
        self.child.signal(signal);
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn log_file(&self) -> &Path {
        &self.log
    }

    pub(super) fn expect_end(&self) {
        if self.exit_status().is_none() {
            self.end_is_expected.store(true, Ordering::Relaxed);
        }
    }

    /// The test lets go of it: it is ended, if it has not ended by itself.
    pub(super) fn retire(&self) {
        if self.exit_status().is_none() {
            self.look_at_metrics();
            self.kill9();
        }
    }

    fn look_at_metrics(&self) {
        if let Ok(text) = self.fetch_metrics() {
            *self.metrics.lock().expect("no panic while holding this lock") = text;
        }
    }

    /// By hand, because it happens where nobody can wait for a future.
    fn fetch_metrics(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, self.port).into(), FAREWELL)?;
        stream.set_read_timeout(Some(FAREWELL))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}
