//! What remains of an operator process after a test has dropped it: log, exit status and last metrics.

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

/// Timeout for the last fetch of the metrics.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);

/// An operator process, running or not.
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

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// The log so far: standard output and standard error, interleaved.
    #[must_use]
    pub fn logs(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The command line at the start.
    #[must_use]
    pub fn command_line(&self) -> &str {
        &self.command_line
    }

    /// The current metrics, or those at the end of the test if it ran until then.
    #[must_use]
    pub fn metrics(&self) -> String {
        if self.exit_status().is_none() {
            self.store_metrics();
        }
        self.metrics.lock().expect("no panic while holding this lock").clone()
    }

    /// The exit status; `None` while it runs.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child.exit_status()
    }

    /// The exit status of an unexpected exit.
    #[must_use]
    pub fn unplanned_end(&self) -> Option<ExitStatus> {
        self.exit_status().filter(|_| !self.end_is_expected.load(Ordering::Relaxed))
    }

    /// Sends SIGKILL and waits for the exit.
    pub fn kill9(&self) -> ExitStatus {
        self.expect_end();
        self.child.kill()
    }

    /// Sends a signal. An exit afterwards is expected, for example of a process that resumes and finds its
    /// lease lost.
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

    /// Called when the test drops the process: fetches the metrics and kills it if it still runs.
    pub(super) fn retire(&self) {
        if self.exit_status().is_none() {
            self.store_metrics();
            self.kill9();
        }
    }

    fn store_metrics(&self) {
        if let Ok(text) = self.fetch_metrics() {
            *self.metrics.lock().expect("no panic while holding this lock") = text;
        }
    }

    /// Blocking I/O, because `drop` calls it and cannot await.
    fn fetch_metrics(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, self.port).into(), FETCH_TIMEOUT)?;
        stream.set_read_timeout(Some(FETCH_TIMEOUT))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}
