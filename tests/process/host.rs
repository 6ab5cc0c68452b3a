//! What it asks of the machine or the image that it runs in, and what it leaves there.

use crate::command_line::assert_refused;
use crate::run;
use crate::world::World;

#[tokio::test]
async fn the_process_leaves_no_core_dump() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", operator.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let numbers: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(numbers, ["0", "0"], "neither now nor raised later: {core}");
}

#[tokio::test]
async fn without_certificate_authorities_it_ends_with_one_line_that_says_what_to_install() {
    let world = World::new().await;
    let kubeconfig = world.launch(&[]).kubeconfig.display().to_string();
    let nowhere = [("SSL_CERT_FILE", "/nonexistent/ca.pem"), ("SSL_CERT_DIR", "/nonexistent")];
    let variables = [("KUBECONFIG", kubeconfig.as_str()), nowhere[0], nowhere[1]];
    let ended = run(&["run", "--listen=127.0.0.1:0"], &variables).await;
    assert_refused("no authorities", &ended, 1, &["no CA certificates", "ca-certificates", "SSL_CERT_FILE"]);
}
