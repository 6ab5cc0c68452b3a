//! The process as an administrator meets it: its command line, its pages, its log, and what it does when Kubernetes
//! is not as it should be.
//!
//! | question | file |
//! |---|---|
//! | what does it print, and with which code does it end? | `command_line` |
//! | what do its pages show? | `pages` |
//! | what can strangers do who reach its port? | `strangers` |
//! | what stands in its log? | `log` |
//! | what if the cluster is not as it should be? | `cluster` |
//! | what does it ask of its machine? | `host` |
//! | through which proxy does it reach the API server, and what does a check say of proxies? | `proxies` |

#![allow(clippy::cast_precision_loss, clippy::float_cmp)] // The numbers here are whole and small.

mod cluster;
mod command_line;
mod host;
mod log;
mod pages;
mod proxies;
mod strangers;

use std::process::Stdio;

use serde_json::Value;
use testbed::OperatorProcess;

use crate::world::SOON;

const OPERATOR: &str = env!("CARGO_BIN_EXE_groupattr-operator");

/// A run of the program to its end.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs it with nothing in its environment but `variables`.
async fn run(args: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = tokio::process::Command::new(OPERATOR);
    command.args(args).env_clear().envs(variables.iter().copied()).kill_on_drop(true).stdin(Stdio::null());
    let output = tokio::time::timeout(SOON, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{args:?} {variables:?} does not end")).unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The log lines as JSON.
fn log_of(operator: &OperatorProcess) -> Vec<Value> {
    let logs = operator.logs();
    logs.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}
