//! The process as an administrator sees it: command line, HTTP port and log, and how it reacts to a cluster or host
//! that is not set up as it should be.
//!
//! | question | file |
//! |---|---|
//! | what does it print, and what is its exit code? | `command_line` |
//! | what do `/metrics`, `/livez` and `/readyz` show? | `http` |
//! | what can hostile clients of that port do? | `hostile_clients` |
//! | what does it log? | `log` |
//! | what if CRDs are missing, objects malformed, or the API server restarts? | `cluster` |
//! | what does it need from the host or image? | `host` |
//! | which proxy does it use for the API server, and what does `check` say of proxies? | `proxies` |

#![allow(clippy::cast_precision_loss, clippy::float_cmp)] // The numbers here are whole and small.

mod cluster;
mod command_line;
mod host;
mod hostile_clients;
mod http;
mod log;
mod proxies;

use std::process::Stdio;

use serde_json::Value;
use testbed::OperatorProcess;

use crate::world::DEADLINE;

const OPERATOR: &str = env!("CARGO_BIN_EXE_groupattr-operator");

/// The output of a finished run.
struct Output {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the program to its end, with only these environment variables.
async fn run(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = tokio::process::Command::new(OPERATOR);
    command.args(args).env_clear().envs(variables.iter().copied()).kill_on_drop(true).stdin(Stdio::null());
    let output = tokio::time::timeout(DEADLINE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{args:?} {variables:?} does not exit")).unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The log lines as JSON.
fn log_of(operator: &OperatorProcess) -> Vec<Value> {
    let logs = operator.logs();
    logs.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect()
}
