//! How a process is told things, watched and ended; with shell scripts in the operator's place.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use testbed::{Launch, OperatorProcess, until};

const SOON: Duration = Duration::from_secs(5);

/// Starts a script as if it were the operator.
fn script(text: &str) -> OperatorProcess {
    // One program for all scripts: a file that is still open for writing anywhere cannot be executed.
    static SHELL: OnceLock<PathBuf> = OnceLock::new();
    let shell = SHELL.get_or_init(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("script-{}", std::process::id()));
        fs::write(&program, "#!/bin/sh\neval \"$SCRIPT\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        program
    });
    OperatorProcess::start(Launch {
        binary: shell.clone(),
        kubeconfig: "/nowhere".into(),
        args: Vec::new(),
        env: vec![("SCRIPT".into(), text.into())],
    })
    .unwrap()
}

#[tokio::test]
async fn it_is_told_where_to_listen_and_where_the_cluster_is() {
    let process = script("echo $KUBECONFIG \"$@\"; env >&2");
    process.wait_for_log("/nowhere run --listen 127.0.0.1:", SOON).await;
    assert!(process.wait_exit(SOON).await.success());
    assert!(process.logs().contains("--log-format json"));
    assert!(
        !process.logs().contains("CARGO_"),
        "the environment of the test is not inherited: {}",
        process.logs()
    );
}

#[tokio::test]
async fn a_frozen_process_does_not_end_before_it_may_go_on() {
    let process = script("trap 'exit 7' TERM; echo set; while :; do sleep 0.05; done");
    process.wait_for_log("set", SOON).await;
    process.stop();
    process.terminate();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(process.exit_status(), None);
    process.cont();
    assert_eq!(process.wait_exit(SOON).await.code(), Some(7));
}

#[tokio::test]
async fn kill9_leaves_no_time_to_say_goodbye() {
    let process = script("trap 'exit 7' TERM; echo set; while :; do sleep 0.05; done");
    process.wait_for_log("set", SOON).await;
    assert!(process.rss_kib().unwrap() > 0);
    assert_eq!(process.kill9().signal(), Some(9));
    assert_eq!(process.rss_kib(), None);
}

/// Set in the inner run of this test program, which plays the parent.
const INNER: &str = "TESTBED_PLAY_THE_PARENT";

#[tokio::test]
async fn a_child_dies_with_its_parent_but_not_with_the_thread_that_asked_for_it() {
    if std::env::var_os(INNER).is_some() {
        return play_the_parent();
    }
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_child_dies_with_its_parent_but_not_with_the_thread_that_asked_for_it",
            "--nocapture",
        ])
        .env(INNER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut told = |what| lines.find_map(|line| line.strip_prefix(what).map(str::to_owned)).unwrap();
    let (child, log) = (format!("/proc/{}", told("child ")), told("log "));

    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(Path::new(&log).exists());
    assert!(alive(&child), "the thread that asked for the child has ended; the child has not");
    parent.kill().unwrap();
    parent.wait().unwrap();
    until(SOON, "the child to end", || async { (!alive(&child)).then_some(()) }).await;
    until(SOON, "its files to be gone", || async { (!Path::new(&log).exists()).then_some(()) }).await;
}

/// A zombie counts as dead: in a container nobody may be there to collect it.
fn alive(process: &str) -> bool {
    let stat = fs::read_to_string(format!("{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

/// Asks for a child from a thread that ends at once, and then stays, never dropping the child.
fn play_the_parent() {
    let child = std::thread::spawn(|| script("rm \"$0\"; exec sleep 60")).join().unwrap();
    println!("\nchild {}\nlog {}", child.pid(), child.log_file().display());
    std::mem::forget(child);
    std::thread::sleep(Duration::from_secs(60));
}
