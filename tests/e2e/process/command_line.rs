//! The command line: what is rejected with one line, and what is printed.

use serde_json::Value;

use super::{Output, run};
use crate::world::{CRDS, World};

/// An environment variable.
type Variable = (&'static str, &'static str);

/// The run exited with this code and one line that contains all of these texts.
pub(crate) fn assert_fails(what: &str, output: &Output, code: i32, texts: &[&str]) {
    let Output { stdout, stderr, .. } = output;
    assert_eq!(output.code, Some(code), "{what}: {stderr}");
    assert!(stdout.is_empty(), "{what}: {stdout}");
    assert!(stderr.ends_with('\n') && stderr.lines().count() == 1, "{what}: not one line: {stderr:?}");
    for text in texts {
        assert!(stderr.contains(text), "{what}: {text:?} is missing in {stderr:?}");
    }
}

#[tokio::test]
async fn invalid_arguments_exit_with_code_2_and_one_line_that_names_them() {
    let table: &[(&[&str], &[Variable], &str)] = &[
        (&[], &[], "groupattr-operator run"),
        (&["walk"], &[], "walk"),
        (&["run", "extra"], &[], "extra"),
        (&["run", "--no-such-flag"], &[], "--no-such-flag"),
        (&["run", "--watch-namespaces=a"], &[], "--watch-namespace"),
        (&["run", "--watch-namespace=Shop"], &[], "--watch-namespace"),
        (&["run", "--watch-namespace="], &[], "--watch-namespace"),
        (&["run", "--watch-namespace", ""], &[], "omit the flag to watch all namespaces"),
        (&["run", "--watch-namespace=a,,b"], &[], "--watch-namespace"),
        (&["run", "--allow-endpoint="], &[], "--allow-endpoint"),
        (&["run", "--key-format=hex"], &[], "--key-format"),
        (&["run", "--key-format="], &[], "--key-format"),
        (&["check", "--secret-name="], &[], "--secret-name"),
        (&["check", "--secret-name", "a,"], &[], "--secret-name"),
        (&["run"], &[("GROUPATTR_WATCH_NAMESPACE", ",")], "GROUPATTR_WATCH_NAMESPACE"),
        (&["run"], &[("GROUPATTR_WATCH_NAMESPACE", " ")], "GROUPATTR_WATCH_NAMESPACE"),
        (&["run"], &[("GROUPATTR_ALLOW_ENDPOINT", "a,,b")], "GROUPATTR_ALLOW_ENDPOINT"),
        (&["check"], &[("GROUPATTR_SECRET_NAME", ",")], "GROUPATTR_SECRET_NAME"),
        (&["run", "--watch-namespace", "a_b"], &[], "a_b"),
        (&["run", "--namespace=two words"], &[], "--namespace"),
        (&["run", "--allow-endpoint=https://chat.example.com/path"], &[], "--allow-endpoint"),
        (&["run", "--allow-endpoint=*.example.com"], &[], "--allow-endpoint"),
        (&["run", "--allow-endpoint=http://chat.example.com"], &[], "--allow-endpoint"),
        (&["run", "--allow-endpoint=host:99999"], &[], "--allow-endpoint"),
        (&["run", "--leader-elect=maybe"], &[], "--leader-elect"),
        (&["run", "--leader-elect", "false"], &[], "false"),
        (&["run", "--lease-duration-seconds=0"], &[], "--lease-duration-seconds"),
        (&["run", "--lease-duration-seconds=-5"], &[], "--lease-duration-seconds"),
        (&["run", "--lease-duration-seconds=1.5"], &[], "--lease-duration-seconds"),
        (&["run", "--lease-duration-seconds=99999999999999999999"], &[], "--lease-duration-seconds"),
        (&["run", "--lease-renew-deadline-seconds=15"], &[], "--lease-renew-deadline-seconds"),
        (&["run", "--lease-retry-seconds=10"], &[], "--lease-retry-seconds"),
        (&["run", "--lease-duration-seconds=8"], &[], "--lease-duration-seconds"),
        (&["run", "--listen=8080"], &[], "--listen"),
        (&["run", "--listen=0.0.0.0:port"], &[], "--listen"),
        (&["run", "--listen"], &[], "--listen"),
        (&["run", "--log-format=xml"], &[], "--log-format"),
        (&["run", "--log-filter=loud"], &[], "--log-filter"),
        (&["run", "--shutdown-grace-seconds=soon"], &[], "--shutdown-grace-seconds"),
        (&["crd", "--listen=1"], &[], "--listen"),
        (&["run"], &[("GROUPATTR_LISTEN", "nowhere")], "GROUPATTR_LISTEN"),
        (&["run"], &[("GROUPATTR_LEADER_ELECT", "perhaps")], "GROUPATTR_LEADER_ELECT"),
        (&["run"], &[("GROUPATTR_WATCH_NAMESPACE", "a,B")], "GROUPATTR_WATCH_NAMESPACE"),
        (&["run"], &[("GROUPATTR_LEASE_RETRY_SECONDS", "11")], "--lease-retry-seconds"),
        (&["run"], &[("GROUPATTR_LOG_FILTER", "a\nb")], "GROUPATTR_LOG_FILTER"),
        (
            &["run", "--lease-retry-seconds=4"],
            &[("GROUPATTR_LEASE_RENEW_DEADLINE_SECONDS", "3")],
            "--lease-retry-seconds 4",
        ),
    ];
    for (args, variables, named) in table {
        // Arguments are checked first: this kubeconfig would fail with code 1.
        let mut all = vec![("KUBECONFIG", "/nonexistent/kubeconfig")];
        all.extend_from_slice(variables);
        let output = run(args, &all).await;
        assert_fails(&format!("{args:?} {variables:?}"), &output, 2, &[named]);
    }
}

#[tokio::test]
async fn help_version_and_crds_print_and_exit_with_code_0() {
    let version = run(&["--version"], &[]).await;
    assert_eq!((version.code, version.stderr.as_str()), (Some(0), ""));
    assert_eq!(version.stdout.trim(), concat!("groupattr-operator ", env!("CARGO_PKG_VERSION")));

    let help = run(&["--help"], &[]).await;
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.contains("run") && help.stdout.contains("crd"), "{}", help.stdout);
    let help = run(&["run", "--help"], &[]).await;
    assert_eq!(help.code, Some(0));
    // The unit tests of the command line look for every flag.
    assert!(help.stdout.contains("--watch-namespace") && help.stdout.contains("GROUPATTR_WATCH_NAMESPACE"));

    let printed = run(&["crd"], &[]).await;
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    let mut printed: Vec<Value> = serde_saphyr::from_multiple(&printed.stdout).unwrap();
    let files =
        std::fs::read_dir(CRDS).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let mut shipped: Vec<Value> =
        files.flat_map(|text| serde_saphyr::from_multiple::<Value>(&text).unwrap()).collect();
    for crds in [&mut printed, &mut shipped] {
        crds.sort_by_key(|crd| crd["metadata"]["name"].to_string());
    }
    assert_eq!(shipped.len(), 3);
    assert!(printed == shipped, "`groupattr-operator crd` and crds/ differ");
}

#[tokio::test]
async fn without_a_usable_kubeconfig_it_exits_with_one_line_that_says_why() {
    let folder = temporary_folder();
    let file = |name: &str, text: &str| {
        let path = format!("{folder}/{name}");
        std::fs::write(&path, text).unwrap();
        path
    };
    let garbage = file("garbage", "users: [{name: me, user: {token: s3cret, token: s3cret}]\n: {");
    let empty = file("empty", "apiVersion: v1\nkind: Config\n");
    let lost = format!("{folder}/lost");
    let listen = ("GROUPATTR_LISTEN", "127.0.0.1:0");
    for (what, variables, text) in [
        ("no kubeconfig at all", vec![], "KUBECONFIG"),
        ("a missing file", vec![("KUBECONFIG", lost.as_str())], "lost"),
        ("a file that is not YAML", vec![("KUBECONFIG", garbage.as_str())], "kubeconfig"),
        ("a file without a context", vec![("KUBECONFIG", empty.as_str())], "current-context"),
    ] {
        let mut all = vec![listen, ("HOME", folder.as_str())];
        all.extend(variables);
        let output = run(&["run"], &all).await;
        assert_fails(what, &output, 1, &[text]);
        assert!(!output.stderr.contains("s3cret"), "{}", output.stderr);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// A new temporary folder.
fn temporary_folder() -> String {
    let folder = std::env::temp_dir().join(format!("groupattr-process-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.display().to_string()
}

#[tokio::test]
async fn a_port_in_use_is_reported_in_one_line() {
    let world = World::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let launch = world.launch(&[]);
    let kubeconfig = launch.kubeconfig.display().to_string();
    let output = run(&["run", "--listen", &port], &[("KUBECONFIG", &kubeconfig)]).await;
    assert_fails("a port in use", &output, 1, &[&port, "--listen"]);
}
