//! The process as an administrator meets it: its command line, its pages, its log, and what it does when Kubernetes
//! is not as it should be.

#![allow(clippy::cast_precision_loss, clippy::float_cmp)] // The numbers here are whole and small.

mod world;

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use testbed::{ControlPlane, OperatorProcess, Options, until, until_ok};
use world::{KEY, SOON, World, message_of, numbered, reason_of};

const OPERATOR: &str = env!("CARGO_BIN_EXE_groupattr-operator");
const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
/// What installs the CRDs, as it is said to whoever has not.
const REMEDY: &str = "groupattr-operator crd | kubectl apply --server-side -f -";

/// A variable of the environment.
type Variable = (&'static str, &'static str);

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

/// It ended with this code, and one line that says all of this.
fn assert_refused(what: &str, ended: &Ended, code: i32, texts: &[&str]) {
    let Ended { stdout, stderr, .. } = ended;
    assert_eq!(ended.code, Some(code), "{what}: {stderr}");
    assert!(stdout.is_empty(), "{what}: {stdout}");
    assert!(stderr.ends_with('\n') && stderr.lines().count() == 1, "{what}: not one line: {stderr:?}");
    for text in texts {
        assert!(stderr.contains(text), "{what}: {text:?} is missing in {stderr:?}");
    }
}

/// An API server of its own, for tests that disturb it.
async fn own_plane() -> &'static ControlPlane {
    Box::leak(Box::new(ControlPlane::start(Options::default()).await.expect("control plane")))
}

/// The log lines as JSON.
fn log_of(operator: &OperatorProcess) -> Vec<Value> {
    let logs = operator.logs();
    logs.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

// -------------------------------------------------------------------------------------------------- the command line

#[tokio::test]
async fn what_cannot_work_ends_with_code_2_and_one_line_that_names_it() {
    let table: &[(&[&str], &[Variable], &str)] = &[
        (&[], &[], "groupattr-operator run"),
        (&["walk"], &[], "walk"),
        (&["run", "extra"], &[], "extra"),
        (&["run", "--no-such-flag"], &[], "--no-such-flag"),
        (&["run", "--watch-namespaces=a"], &[], "--watch-namespace"),
        (&["run", "--watch-namespace=Shop"], &[], "--watch-namespace"),
        (&["run", "--watch-namespace="], &[], "--watch-namespace"),
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
        // With a kubeconfig at hand that would be read next.
        let mut all = vec![("KUBECONFIG", "/nonexistent/kubeconfig")];
        all.extend_from_slice(variables);
        let ended = run(args, &all).await;
        assert_refused(&format!("{args:?} {variables:?}"), &ended, 2, &[named]);
    }
}

#[tokio::test]
async fn help_version_and_crds_are_printed_and_that_is_success() {
    let version = run(&["--version"], &[]).await;
    assert_eq!((version.code, version.stderr.as_str()), (Some(0), ""));
    assert_eq!(version.stdout.trim(), concat!("groupattr-operator ", env!("CARGO_PKG_VERSION")));

    let help = run(&["--help"], &[]).await;
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.contains("run") && help.stdout.contains("crd"), "{}", help.stdout);
    let help = run(&["run", "--help"], &[]).await;
    assert_eq!(help.code, Some(0));
    for flag in [
        "watch-namespace",
        "namespace",
        "allow-endpoint",
        "leader-elect",
        "lease-duration-seconds",
        "lease-renew-deadline-seconds",
        "lease-retry-seconds",
        "listen",
        "log-format",
        "log-filter",
        "shutdown-grace-seconds",
    ] {
        let variable = format!("GROUPATTR_{}", flag.to_uppercase().replace('-', "_"));
        assert!(help.stdout.contains(&format!("--{flag}")), "--{flag} is not in the help");
        assert!(help.stdout.contains(&variable), "{variable} is not in the help");
    }

    let printed = run(&["crd"], &[]).await;
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    let mut printed: Vec<Value> = serde_saphyr::from_multiple(&printed.stdout).unwrap();
    let files =
        std::fs::read_dir(CRDS).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let mut kept: Vec<Value> =
        files.flat_map(|text| serde_saphyr::from_multiple::<Value>(&text).unwrap()).collect();
    for crds in [&mut printed, &mut kept] {
        crds.sort_by_key(|crd| crd["metadata"]["name"].to_string());
    }
    assert_eq!(kept.len(), 3);
    assert!(printed == kept, "`groupattr-operator crd` and crds/ differ");
}

#[tokio::test]
async fn without_a_way_to_kubernetes_it_ends_with_one_line_that_says_why() {
    let folder = tempfile_folder();
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
        ("a file that is not there", vec![("KUBECONFIG", lost.as_str())], "lost"),
        ("a file that is no YAML", vec![("KUBECONFIG", garbage.as_str())], "kubeconfig"),
        ("a file without a context", vec![("KUBECONFIG", empty.as_str())], "current-context"),
    ] {
        let mut all = vec![listen, ("HOME", folder.as_str())];
        all.extend(variables);
        let ended = run(&["run"], &all).await;
        assert_refused(what, &ended, 1, &[text]);
        assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// A new folder in the usual place.
fn tempfile_folder() -> String {
    let folder = std::env::temp_dir().join(format!("groupattr-process-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.display().to_string()
}

#[tokio::test]
async fn a_port_in_use_is_said_in_one_line() {
    let world = World::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let launch = world.launch(&[]);
    let kubeconfig = launch.kubeconfig.display().to_string();
    let ended = run(&["run", "--listen", &port], &[("KUBECONFIG", &kubeconfig)]).await;
    assert_refused("a port in use", &ended, 1, &[&port, "--listen"]);
}

// ------------------------------------------------------------------------------------------------------ pages and log

#[tokio::test]
async fn metrics_tell_what_happened_and_never_name_a_group_or_a_reset() {
    let world = World::new().await;
    world.room("@TGS#very-own-group");
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.reset("very-own-reset", "@TGS#very-own-group", "  requestID: very-own-request").await;
    world.reset("very-own-other", "@TGS#very-own-missing", "").await;
    world.reset_is("very-own-reset", "Cleared").await;
    world.reset_is("very-own-other", "GroupNotFound").await;
    // A code that the vendor's pages do not list.
    world.room("@TGS#very-own-odd");
    world.vendor.script(
        testbed::vendor::When::clear().of("@TGS#very-own-odd"),
        testbed::vendor::Misbehaviour::Code(31337),
    );
    world.reset("very-own-odd", "@TGS#very-own-odd", "").await;
    world.reset_is("very-own-odd", "Verifying").await;
    // Gauges follow within seconds.
    until(SOON, "the gauge of what waits", || async {
        let waiting = operator.metric("groupattr_waiting_resets", &[("app", "default")]).await?;
        let oldest = operator.metric("groupattr_oldest_waiting_seconds", &[("app", "default")]).await?;
        let permits = operator.metric("groupattr_permits_in_use", &[("app", "default")]).await;
        (waiting == 1.0 && oldest > 0.0 && permits.is_some()).then_some(())
    })
    .await;

    assert_eq!(operator.get("/livez").await.unwrap().0, 200);
    assert_eq!(operator.get("/readyz").await.unwrap().0, 200);
    assert_eq!(operator.get("/").await.unwrap().0, 404);
    let text = operator.metrics().await.unwrap();
    assert!(text.ends_with("# EOF\n"), "not in the OpenMetrics format: {text}");
    let app = [("app_namespace", world.namespace.as_str()), ("app", "default")];
    for (name, labels, value) in [
        ("attempts", vec![app[0], app[1], ("code", "0")], 1.0),
        ("attempts", vec![app[0], app[1], ("code", "10010")], 1.0),
        ("results", vec![app[0], app[1], ("reason", "Cleared")], 1.0),
        ("results", vec![app[0], app[1], ("reason", "GroupNotFound")], 1.0),
        ("attempts", vec![app[0], app[1], ("class", "unknown"), ("code", "unlisted")], 1.0),
        ("unlisted_codes", vec![("code", "31337")], 1.0),
        ("unknown_outcomes", vec![], 1.0),
        ("call_duration_seconds_count", vec![app[0], app[1]], 3.0),
        ("permit_wait_seconds_count", vec![], 3.0),
        ("end_to_end_seconds_count", vec![], 2.0),
        ("waiting_resets", vec![app[0], app[1]], 1.0),
        ("effective_rate", vec![app[0], app[1]], 200.0),
        ("circuit_open", vec![app[0], app[1]], 0.0),
        ("api_writes", vec![("kind", "intent"), ("result", "ok")], 3.0),
        ("api_writes", vec![("kind", "outcome"), ("result", "ok")], 3.0),
        ("leader", vec![], 1.0),
        ("malformed_objects", vec![], 0.0),
        ("build_info", vec![("version", env!("CARGO_PKG_VERSION"))], 1.0),
    ] {
        let name = format!("groupattr_{name}");
        assert_eq!(operator.metric(&name, &labels).await, Some(value), "{name} {labels:?} in\n{text}");
    }
    let expires = operator.metric("groupattr_usersig_expiry_timestamp_seconds", &app).await.unwrap();
    let hours = (expires - jiff::Timestamp::now().as_second() as f64) / 3600.0;
    assert!((23.9..24.1).contains(&hours), "the signature is good for {hours} hours");
    for line in text.lines().filter(|line| *line != "# EOF") {
        let name =
            line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").trim_start_matches("# UNIT ");
        assert!(name.starts_with("groupattr_"), "{line}");
    }
    for private in ["very-own", "@TGS", "127.0.0.1", "http", KEY] {
        assert!(!text.contains(private), "{private} is in\n{text}");
    }
}

#[tokio::test]
async fn the_log_has_one_json_line_for_each_attempt_and_one_for_each_end() {
    let world = World::new().await;
    for group in ["@TGS#a", "@TGS#b"] {
        world.room(group);
    }
    let operator = world.operator(&["--log-filter=info"]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(
        testbed::vendor::When::clear().of("@TGS#b").times(1),
        testbed::vendor::Misbehaviour::Code(60007),
    );
    world.reset("a", "@TGS#a", "  requestID: show-1").await;
    world.reset("b", "@TGS#b", "  requestID: show-2").await;
    let ended = [world.reset_is("a", "Cleared").await, world.reset_is("b", "Cleared").await];
    for reset in &ended {
        let name = reset["metadata"]["name"].as_str().unwrap();
        operator
            .wait_for_log(
                &format!("\"reset ended\",\"namespace\":\"{}\",\"reset\":\"{name}\"", world.namespace),
                SOON,
            )
            .await;
    }
    let log = log_of(&operator);
    for line in &log {
        let complete =
            line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string();
        assert!(complete, "{line}");
    }
    let lines = |message: &str, reset: &str| -> Vec<&Value> {
        log.iter().filter(|line| line["message"] == message && line["reset"] == reset).collect()
    };
    for (name, request, codes) in [("a", "show-1", &[0][..]), ("b", "show-2", &[60007, 0])] {
        let attempts = lines("attempt ended", name);
        assert_eq!(attempts.iter().map(|line| line["code"].as_i64().unwrap()).collect::<Vec<_>>(), codes);
        for (number, line) in (1..).zip(&attempts) {
            assert_eq!(
                (&line["namespace"], &line["request"]),
                (&world.namespace.as_str().into(), &request.into())
            );
            assert!(line["attempt"].as_str().is_some_and(|id| id.len() == 36), "{line}");
            assert_eq!(line["number"], number, "{line}");
            assert!(
                line["milliseconds"].as_f64().is_some_and(|took| took > 0.0 && took < 10_000.0),
                "{line}"
            );
        }
        let ends = lines("reset ended", name);
        assert_eq!(ends.len(), 1, "{ends:?}");
        let end = ends[0];
        assert_eq!((&end["request"], &end["reason"]), (&request.into(), &"Cleared".into()));
        assert_eq!((&end["attempts"], &end["code"]), (&codes.len().into(), &0.into()));
        assert!(end["seconds"].as_f64().is_some_and(|took| took > 0.0), "{end}");
    }
}

// ------------------------------------------------------------------------------------- a cluster not as it should be

#[tokio::test]
async fn without_its_crds_it_says_what_to_do_and_begins_once_they_are_there() {
    let plane = own_plane().await;
    let world = World::on(plane).await;
    let operator = OperatorProcess::start(world.launch(&[])).unwrap();
    operator.wait_for_log(REMEDY, SOON).await;
    until_ok(SOON, "/readyz to say what is missing", || async {
        match operator.get("/readyz").await {
            Ok((503, said)) if said.contains(REMEDY) && said.contains("groupattributeresets") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(operator.get("/livez").await.unwrap().0, 200, "it waits, which is no reason to restart it");
    assert_eq!(operator.get("/metrics").await.unwrap().0, 200);
    let warned = log_of(&operator);
    assert!(
        warned
            .iter()
            .any(|line| line["level"] == "WARN" && line["message"].as_str().unwrap().contains(REMEDY))
    );

    // Two of the three, and one of them without its status: still not enough.
    let crd = |name: &str| std::fs::read_to_string(format!("{CRDS}/{name}.yaml")).unwrap();
    let without_status = crd("chatapps").replace("    subresources:\n      status: {}\n", "");
    assert_ne!(without_status, crd("chatapps"), "the subresource was taken out");
    plane.install_crds(&crd("groupattributeresets")).await.unwrap();
    plane.install_crds(&without_status).await.unwrap();
    until_ok(SOON, "/readyz to say that the status is missing", || async {
        match operator.get("/readyz").await {
            Ok((503, said)) if said.contains("chatapps/status") && !said.contains("groupattributeresets") => {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    // The command that it names, word for word.
    let crds = run(&["crd"], &[]).await.stdout;
    let force = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let applied = plane.kubectl_with_input(&force, &crds).await.unwrap();
    assert!(applied.ok, "{}", applied.stderr);
    operator.ready(SOON).await;
    world.room("@TGS#a");
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    assert!(operator.exit_status().is_none());
}

#[tokio::test]
async fn a_malformed_object_disturbs_nobody_and_is_told_in_metric_log_and_condition() {
    let plane = own_plane().await;
    plane.install_crds(CRDS).await.unwrap();
    let mut loose: Vec<Value> = ["groupattributeresets", "chatapps"]
        .map(|name| std::fs::read_to_string(format!("{CRDS}/{name}.yaml")).unwrap())
        .iter()
        .flat_map(|text| serde_saphyr::from_multiple::<Value>(text).unwrap())
        .collect();
    for crd in &mut loose {
        let anything = serde_json::json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let version = &mut crd["spec"]["versions"][0];
        version["schema"]["openAPIV3Schema"] = anything;
        version.as_object_mut().unwrap().remove("selectableFields");
        version.as_object_mut().unwrap().remove("additionalPrinterColumns");
    }
    let loose: Vec<String> = loose.iter().map(Value::to_string).collect();
    plane.install_crds(&loose.join("\n---\n")).await.unwrap();
    let world = World::on(plane).await;
    for (name, spec) in [
        ("number", "{ groupID: 7 }"),
        ("nothing", "{}"),
        ("words", "{ groupID: '@TGS#words', activeDeadlineSeconds: soon }"),
        ("list", "[]"),
    ] {
        let yaml = "apiVersion: groupattr.dev/v1alpha1\nkind: GroupAttributeReset";
        let tried = plane
            .apply_in(&world.namespace, &format!("{yaml}\nmetadata: {{ name: {name} }}\nspec: {spec}"))
            .await;
        assert!(tried.is_ok(), "{name}: {tried:?}");
    }
    world.apply("apiVersion: groupattr.dev/v1alpha1\nkind: ChatApp\nmetadata: { name: odd }\nspec: { sdkAppID: many }").await;
    // Well-formed, and yet no CRD of ours would have let it pass.
    world.reset("community", "@TGS#_abc", "").await;
    plane.install_crds(CRDS).await.unwrap();

    let operator = world.operator(&[]).await;
    world.room("@TGS#good");
    world.app("").await;
    world.reset("good", "@TGS#good", "").await;
    world.reset_is("good", "Cleared").await;
    let invalid = world.reset_is("community", "InvalidRequest").await;
    assert!(message_of(&invalid, "Succeeded").contains("Community"), "{invalid:#}");

    for (kind, count) in [("GroupAttributeReset", 4.0), ("ChatApp", 1.0)] {
        until_ok(SOON, &format!("the metric of malformed objects of kind {kind}"), || async {
            match operator.metric("groupattr_malformed_objects", &[("kind", kind)]).await {
                found if found == Some(count) => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }
    for name in ["number", "nothing", "words", "list"] {
        let told: Vec<_> = log_of(&operator).into_iter().filter(|line| line["name"] == name).collect();
        let is_error = |line: &Value| {
            line["level"] == "ERROR" && line["message"].as_str().unwrap().contains("cannot be read")
        };
        assert_eq!(told.iter().filter(|line| is_error(line)).count(), 1, "{name}: {told:?}");
    }
    // Where Kubernetes lets a status be stored beside such a spec, the object says it itself.
    for name in ["words", "nothing"] {
        let reset = until_ok(SOON, &format!("{name} to say what is wrong with it"), || async {
            let reset = world.object("gar", name).await.unwrap_or_default();
            let said = message_of(&reset, "Succeeded");
            if said.contains("cannot be read") { Ok(reset) } else { Err(reset["status"].clone()) }
        })
        .await;
        assert_eq!(reason_of(&reset, "Succeeded"), "Pending", "{reset:#}");
    }
    assert_eq!(world.vendor.clears().len(), 1, "only the good one was sent");

    // Mended in place, or made anew: it counts as any other.
    world.room("@TGS#words");
    let mend = r#"{"activeDeadlineSeconds":600}"#;
    world.patch("gar", "words", mend).await;
    world.reset_is("words", "Cleared").await;
    for name in ["number", "nothing", "list"] {
        world.kubectl(&["delete", "gar", name]).await;
    }
    until(SOON, "the metric to go back to none", || async {
        let left = operator.metric("groupattr_malformed_objects", &[("kind", "GroupAttributeReset")]).await?;
        (left == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_restart_of_the_api_server_under_load_loses_and_repeats_nothing() {
    const RESETS: usize = 80;
    let plane = own_plane().await;
    plane.install_crds(CRDS).await.unwrap();
    let world = World::on(plane).await;
    let rooms = numbered("load", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 20 }").await;
    world.app_is("Verified").await;
    world.many_resets(rooms.clone()).await;
    until(SOON, "calls under way", || async { (world.vendor.clears().len() >= 20).then_some(()) }).await;
    plane.restart_apiserver().await.unwrap();
    world.until_cleared(RESETS, Duration::from_mins(1)).await;
    assert!(operator.exit_status().is_none());
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
}
