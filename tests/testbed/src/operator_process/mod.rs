//! The operator as a real process that tests start, observe, freeze and kill, as in a cluster.

mod trace;

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

pub use self::trace::Trace;
use crate::{
    children,
    ports::free_port,
    proxy::Victim,
    scratch,
    until::{until, until_ok},
};

/// How to start the operator.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program, such as `env!("CARGO_BIN_EXE_groupattr-operator")`.
    pub binary: PathBuf,
    /// A kubeconfig with the token of its service account; see [`crate::ControlPlane::kubeconfig`].
    pub kubeconfig: PathBuf,
    /// Arguments after `run`. `--listen` is always added, and `--log-format json` unless given here.
    pub args: Vec<String>,
    /// Environment variables besides `PATH` and `KUBECONFIG`; nothing else is inherited.
    pub env: Vec<(String, String)>,
}

/// A running operator, killed when dropped and whenever this process ends.
pub struct OperatorProcess {
    trace: Arc<Trace>,
    http: reqwest::Client,
}

impl OperatorProcess {
    /// Starts the operator without waiting until it is ready.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start(launch: Launch) -> Result<Self> {
        let port = free_port();
        let mut command = children::command(&launch.binary);
        command.arg("run").args(["--listen", &format!("127.0.0.1:{port}")]).args(&launch.args);
        if !launch.args.iter().any(|arg| arg.starts_with("--log-format")) {
            command.args(["--log-format", "json"]);
        }
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("KUBECONFIG", &launch.kubeconfig).envs(launch.env);
        Self::spawn(command, port)
    }

    /// Starts the operator by a command that lacks only input and output, and makes it listen on `port`.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn(mut command: Command, port: u16) -> Result<Self> {
        let program = command.get_program().to_owned();
        let folder = scratch::folder("operator-")?;
        let log = folder.path().join("operator.log");
        let output = File::options().create(true).append(true).open(&log)?;
        // One file for both, mixed as by a container runtime. Not a pipe, so that a frozen test never blocks
        // it.
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // Built before the start, so that an error leaves no orphan process. One connection per request, like
        // a kubelet's probes.
        let http = reqwest::Client::builder();
        let http = http.no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(5)).build()?;
        let child =
            children::start(command).with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { trace: Arc::new(Trace::new(child, port, log, folder)), http })
    }

    /// A handle that outlives this object, to send signals from elsewhere or to examine the process
    /// afterwards.
    #[must_use]
    pub fn trace(&self) -> Arc<Trace> {
        Arc::clone(&self.trace)
    }

    /// This process as the victim of a planned fault.
    #[must_use]
    pub fn victim(&self) -> Victim {
        let trace = self.trace();
        Arc::new(move || Arc::clone(&trace))
    }

    /// Allows the process to exit by itself from now on.
    pub fn may_end(&self) {
        self.trace.expect_end();
    }

    /// The log so far: standard output and standard error, interleaved.
    #[must_use]
    pub fn logs(&self) -> String {
        self.trace.logs()
    }

    /// The file of [`OperatorProcess::logs`]; it is removed with the trace.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        self.trace.log_file()
    }

    /// Waits until the log contains a text.
    ///
    /// # Panics
    /// If the deadline passes; the message contains the end of the log.
    pub async fn wait_for_log(&self, text: &str, deadline: Duration) {
        until_ok(deadline, &format!("the operator to log {text:?}"), || async {
            let logs = self.logs();
            if logs.contains(text) { Ok(()) } else { Err(self.last_words()) }
        })
        .await;
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Panics
    /// If the deadline passes; the message contains the end of the log.
    pub async fn ready(&self, deadline: Duration) {
        until_ok(deadline, "the operator to be ready", || async {
            match self.get("/readyz").await {
                Ok((200, _)) => Ok(()),
                other => {
                    let said = other
                        .map_or_else(|error| format!("{error:#}"), |(code, text)| format!("{code} {text}"));
                    Err(format!("{said}; exit: {:?}; log: {}", self.exit_status(), self.last_words()))
                }
            }
        })
        .await;
    }

    /// Whether `/readyz` answers 200 now.
    pub async fn is_ready(&self) -> bool {
        matches!(self.get("/readyz").await, Ok((200, _)))
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// If there is no response within 5 seconds.
    pub async fn metrics(&self) -> Result<String> {
        Ok(self.get("/metrics").await?.1)
    }

    /// The same as OpenMetrics.
    ///
    /// # Errors
    /// When it does not answer within 5 seconds.
    pub async fn open_metrics(&self) -> Result<String> {
        let asked = self.http.get(format!("http://{}/metrics", self.address()));
        Ok(asked.header("accept", "application/openmetrics-text").send().await?.text().await?)
    }

    /// The sum of all series of a metric with at least these labels; `None` if there is none, or no response.
    /// Counters are found with and without the suffix `_total`.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        metric_in(&self.metrics().await.ok()?, name, labels)
    }

    /// The address of its HTTP port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.trace.port()).into()
    }

    /// Sends a GET to its HTTP port; returns status and body.
    ///
    /// # Errors
    /// If there is no response within 5 seconds.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let answer = self.http.get(format!("http://127.0.0.1:{}{path}", self.trace.port())).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Sends SIGKILL and waits for the exit.
    pub fn kill9(&self) -> ExitStatus {
        self.trace.kill9()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.trace.signal(Signal::TERM);
    }

    /// Freezes the process (SIGSTOP).
    pub fn stop(&self) {
        self.trace.signal(Signal::STOP);
    }

    /// Resumes the process (SIGCONT).
    pub fn cont(&self) {
        self.trace.signal(Signal::CONT);
    }

    /// Waits until the process has exited by itself; its exit then counts as expected.
    ///
    /// # Panics
    /// If the deadline passes.
    pub async fn wait_exit(&self, deadline: Duration) -> ExitStatus {
        self.trace.expect_end();
        until(deadline, "the operator to exit", || async { self.exit_status() }).await
    }

    /// The exit status; `None` while it runs.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.trace.exit_status()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.trace.pid()
    }

    /// The command line, to check that it contains no secrets.
    ///
    /// # Errors
    /// If the process has exited.
    pub fn command_line(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(format!("/proc/{}/cmdline", self.pid()))?).replace('\0', " "))
    }

    /// Resident memory in KiB; `None` after the exit.
    #[must_use]
    pub fn rss_kib(&self) -> Option<u64> {
        self.memory_kib("VmRSS:")
    }

    /// Peak resident memory in KiB.
    #[must_use]
    pub fn peak_rss_kib(&self) -> Option<u64> {
        self.memory_kib("VmHWM:")
    }

    fn memory_kib(&self, field: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().next()?.parse().ok()
    }

    fn last_words(&self) -> String {
        crate::control_plane::logs::last_lines(self.log_file(), 8)
    }
}

impl Drop for OperatorProcess {
    fn drop(&mut self) {
        self.trace.retire();
    }
}

/// Like [`OperatorProcess::metric`], for metrics that were already fetched.
#[must_use]
pub fn metric_in(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let total = format!("{name}_total");
    let values = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let end = line.find(['{', ' '])?;
        let (series, rest) = line.split_at(end);
        if series != name && series != total {
            return None;
        }
        let (carried, value) =
            rest.strip_prefix('{').map_or(Some(("", rest)), |rest| rest.rsplit_once('}'))?;
        let carries = |(label, value): &(&str, &str)| {
            let pair = format!("{label}=\"{value}\"");
            carried.starts_with(&pair) || carried.contains(&format!(",{pair}"))
        };
        labels.iter().all(carries).then(|| value.split_whitespace().next()?.parse::<f64>().ok())?
    });
    values.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "\
# HELP calls Calls.
# TYPE calls counter
calls_total{class=\"Success\",app=\"a b\"} 3 1700000000
calls_total{class=\"Unknown\",app=\"a b\"} 2
calls_created{class=\"Success\",app=\"a b\"} 99
leader 1
# EOF
";

    #[test]
    fn a_metric_is_the_sum_of_the_series_that_carry_the_labels() {
        assert_eq!(metric_in(METRICS, "calls", &[]), Some(5.0));
        assert_eq!(metric_in(METRICS, "calls_total", &[("app", "a b"), ("class", "Success")]), Some(3.0));
        assert_eq!(metric_in(METRICS, "leader", &[]), Some(1.0));
        assert_eq!(metric_in(METRICS, "calls", &[("class", "Other")]), None);
    }
}
