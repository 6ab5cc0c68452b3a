//! What the process needs from its host or image, and what it leaves there.

use std::process::Command;

use testbed::OperatorProcess;
use testbed::ports::free_port;

use super::command_line::assert_fails;
use super::run;
use crate::world::{DEADLINE, World};

#[tokio::test]
async fn core_dumps_are_disabled() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", operator.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let numbers: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(numbers, ["0", "0"], "both the soft and the hard limit must be 0: {core}");
}

/// Shells and container runtimes start it with a low soft limit, and each call in flight needs a connection.
#[tokio::test]
async fn the_open_file_limit_is_raised_to_its_maximum() {
    let world = World::new().await;
    let (launch, port) = (world.launch(&[]), free_port());
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 256 && exec \"$0\" \"$@\""]).arg(&launch.binary).arg("run");
    command
        .arg(format!("--listen=127.0.0.1:{port}"))
        .args(&launch.args)
        .env("KUBECONFIG", &launch.kubeconfig);
    let operator = OperatorProcess::spawn(command, port).unwrap();
    operator.ready(DEADLINE).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", operator.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<_> = files.split_whitespace().skip(3).take(2).collect();
    assert!(numbers[0] == numbers[1] && numbers[0] != "256", "{files}");
}

#[tokio::test]
async fn without_ca_certificates_it_exits_with_one_line_that_says_what_to_install() {
    let world = World::new().await;
    let kubeconfig = world.launch(&[]).kubeconfig.display().to_string();
    let nowhere = [("SSL_CERT_FILE", "/nonexistent/ca.pem"), ("SSL_CERT_DIR", "/nonexistent")];
    let variables = [("KUBECONFIG", kubeconfig.as_str()), nowhere[0], nowhere[1]];
    let output = run(&["run", "--listen=127.0.0.1:0"], &variables).await;
    assert_fails(
        "no CA certificates",
        &output,
        1,
        &["no CA certificates", "SSL_CERT_FILE", "/nonexistent/ca.pem", "No such file or directory"],
    );
}
