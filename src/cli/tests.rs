use std::ffi::OsString;

use super::parse::{interpret, variable_of};
use super::*;

/// The flags of `run`.
const FLAGS: [&str; 13] = [
    "watch-namespace",
    "namespace",
    "allow-endpoint",
    "https-proxy",
    "key-format",
    "leader-elect",
    "lease-duration-seconds",
    "lease-renew-deadline-seconds",
    "lease-retry-seconds",
    "listen",
    "log-format",
    "log-filter",
    "shutdown-grace-seconds",
];

fn read(line: &str, variables: &[(&str, &str)]) -> Result<Command, UsageError> {
    let args = ["groupattr-operator"].into_iter().chain(line.split_whitespace()).map(OsString::from);
    let variable = |name: &str| variables.iter().find(|v| v.0 == name).map(|v| OsString::from(v.1));
    interpret(args.collect(), variable, Some("chat-system"))
}

fn run(line: &str, variables: &[(&str, &str)]) -> Run {
    match read(line, variables) {
        Ok(Command::Run(run)) => *run,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn flags_win_over_variables_and_variables_over_defaults() {
    let bare = run("run", &[("GROUPATTR_LISTEN", ""), ("GROUPATTR_NAMESPACE", "")]);
    assert_eq!((bare.listen.port(), bare.namespace.as_str(), bare.leader_elect), (8080, "chat-system", true));
    assert_eq!(
        (bare.log_filter.as_str(), bare.log_format, bare.shutdown_grace.as_secs()),
        ("info", None, 25)
    );
    let set = [
        ("GROUPATTR_WATCH_NAMESPACE", "b, a,b"),
        ("GROUPATTR_LEASE_DURATION_SECONDS", "30"),
        ("GROUPATTR_LEADER_ELECT", "false"),
        ("GROUPATTR_NAMESPACE", "own"),
    ];
    let from_variables = run("run", &set);
    assert_eq!(from_variables.watch_namespaces, ["a", "b"]);
    assert_eq!((from_variables.namespace.as_str(), from_variables.leader_elect), ("own", false));
    let both =
        run("run --watch-namespace c --watch-namespace=d --lease-duration-seconds 20 --leader-elect", &set);
    assert_eq!(both.watch_namespaces, ["c", "d"]);
    assert_eq!((both.lease_duration.as_secs(), both.leader_elect), (20, true));
    assert!(!run("run --leader-elect=false --lease-retry-seconds 99", &[]).leader_elect);
    assert_eq!(run("run --listen 1.1.1.1:1 --listen [::]:2", &[]).listen.port(), 2);
}

#[test]
fn a_check_takes_the_flags_and_variables_of_run() {
    let set = [("GROUPATTR_NAMESPACE", "own"), ("GROUPATTR_SECRET_NAME", "a,b")];
    let Ok(Command::Check(check)) = read("check --watch-namespace shop --log-format=text", &set) else {
        panic!("no check");
    };
    assert_eq!(
        (&check.run.watch_namespaces, check.run.namespace.as_str()),
        (&vec!["shop".to_owned()], "own")
    );
    assert_eq!(check.secrets(), Secrets::Named(&["a".to_owned(), "b".to_owned()]));
    let message = read("check --lease-retry-seconds 10", &[]).unwrap_err().to_string();
    assert!(message.contains("must be less"), "{message}");
    assert!(read("run --secret-name a", &[]).is_err());
}

#[test]
fn a_drain_takes_the_flags_of_run_and_waits_a_minute() {
    let set = [("GROUPATTR_NAMESPACE", "own"), ("GROUPATTR_TIMEOUT_SECONDS", "90")];
    let drain = |line: &str, variables: &[(&str, &str)]| match read(line, variables) {
        Ok(Command::Drain(drain)) => *drain,
        other => panic!("{line}: {other:?}"),
    };
    let bare = drain("drain", &[]);
    assert_eq!((bare.timeout.as_secs(), bare.deployment), (60, None));
    let given = drain("drain --watch-namespace shop --lease-duration-seconds=30 --deployment rooms.2", &set);
    assert_eq!((given.run.namespace.as_str(), given.run.lease_duration.as_secs()), ("own", 30));
    assert_eq!((given.timeout.as_secs(), given.deployment.as_deref()), (90, Some("rooms.2")));
    assert!(!drain("drain --leader-elect=false --deployment rooms", &[]).run.leader_elect);
    assert!(read("run --deployment rooms", &[]).is_err());
}

#[test]
fn a_check_asks_for_all_secrets_some_or_none() {
    let check = |line: &str, variables: &[(&str, &str)]| match read(line, variables) {
        Ok(Command::Check(check)) => *check,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(check("check", &[]).secrets(), Secrets::All);
    assert_eq!(check("check --no-secrets=false", &[]).secrets(), Secrets::All);
    assert_eq!(check("check --no-secrets", &[]).secrets(), Secrets::None);
    assert_eq!(check("check", &[("GROUPATTR_NO_SECRETS", "true")]).secrets(), Secrets::None);
    assert!(read("run --no-secrets", &[]).is_err());
    for (line, expected) in [
        ("check --no-secrets --secret-name=a", "contradict each other"),
        ("check --secret-name=", "--secret-name: invalid value \"\""),
        ("check --secret-name=a,,b", "--secret-name: invalid value \"\": name a Secret"),
    ] {
        let message = read(line, &[]).expect_err(line).to_string();
        assert!(message.contains(expected) && message.lines().count() == 1, "{line:?} gave {message:?}");
    }
}

#[test]
fn each_bad_input_is_refused_in_one_line_that_names_it() {
    for (line, variables, expected) in [
        ("", &[][..], "`groupattr-operator run`"),
        ("walk", &[], "\"walk\""),
        ("run --watch-namespaces a", &[], "--watch-namespace"),
        ("run --leader-elect false", &[], "\"false\""),
        ("run --leader-elect=maybe", &[], "--leader-elect: invalid value \"maybe\": use one of true, false"),
        ("run --watch-namespace Shop", &[], "--watch-namespace: invalid value \"Shop\""),
        ("run --watch-namespace a,,b", &[], "--watch-namespace: invalid value \"\""),
        ("run --lease-retry-seconds 0", &[], "from 1 to 3600"),
        ("run --key-format hex", &[], "--key-format: invalid value \"hex\": use one of hex64, any"),
        ("run", &[("GROUPATTR_KEY_FORMAT", "none")], "GROUPATTR_KEY_FORMAT: invalid value"),
        ("check --secret-name Chat", &[], "--secret-name: invalid value \"Chat\""),
        ("run --shutdown-grace-seconds 0", &[], "--shutdown-grace-seconds"),
        ("run --lease-retry-seconds 10", &[], "--lease-retry-seconds 10 must be less"),
        ("run --listen 8080", &[], "0.0.0.0:8080"),
        ("run --listen", &[], "--listen: invalid value \"\": a value is required"),
        ("run --allow-endpoint bad_host/x", &[], "--allow-endpoint: invalid value \"bad_host/x\""),
        ("run --log-format xml", &[], "use one of text, json"),
        ("run --log-filter inof", &[], "--log-filter: invalid value \"inof\""),
        ("run extra", &[], "\"extra\""),
        ("crd --listen 1", &[], "--listen"),
        ("drain --timeout-seconds 0", &[], "--timeout-seconds: invalid value \"0\""),
        ("drain --deployment Rooms", &[], "--deployment: invalid value \"Rooms\""),
        ("drain --leader-elect=false", &[], "needs --deployment NAME"),
        ("drain --lease-retry-seconds 10", &[], "must be less"),
        ("run", &[("GROUPATTR_LISTEN", "a\nb")], "GROUPATTR_LISTEN: invalid value \"a\\nb\""),
        ("run", &[("GROUPATTR_LOG_FORMAT", "xml")], "GROUPATTR_LOG_FORMAT: invalid value"),
    ] {
        let message = read(line, variables).expect_err(line).to_string();
        assert!(message.contains(expected) && message.lines().count() == 1, "{line:?} gave {message:?}");
    }
}

#[test]
fn help_names_every_flag_with_its_variable() {
    let Ok(Command::Print(help)) = read("run --help", &[]) else { panic!("no help") };
    for flag in FLAGS {
        let variable = format!("[env: {}]", variable_of(flag));
        assert!(help.contains(&format!("--{flag}")) && help.contains(&variable), "{flag}: {help}");
    }
    assert_eq!(help.matches("[env: ").count(), FLAGS.len(), "{help}");
    assert!(
        matches!(read("--version", &[]), Ok(Command::Print(text)) if text.contains(env!("CARGO_PKG_VERSION")))
    );
    assert!(matches!(read("crd", &[]), Ok(Command::Crd)));
}

/// An omitted list means all or none. A list with an empty element is a mistake.
#[test]
fn what_is_given_and_empty_is_refused_and_never_means_all() {
    let args = |args: &[&str], variables: &[(&str, &str)]| {
        let args = ["groupattr-operator"].into_iter().chain(args.iter().copied()).map(OsString::from);
        let variable = |name: &str| variables.iter().find(|v| v.0 == name).map(|v| OsString::from(v.1));
        interpret(args.collect(), variable, None)
    };
    for flag in FLAGS.into_iter().chain(["secret-name"]) {
        let (long, variable) = (format!("--{flag}"), variable_of(flag));
        for value in ["", " ", "\t", ",", " , "] {
            let with_equals = format!("{long}={value}");
            let mut given = vec![(vec!["check", &with_equals], vec![], &long)];
            if flag != "leader-elect" {
                given.push((vec!["check", &long, value], vec![], &long));
            }
            if !value.is_empty() {
                given.push((vec!["check"], vec![(variable.as_str(), value)], &variable));
            }
            for (line, variables, blamed) in given {
                let message =
                    args(&line, &variables).expect_err(&format!("{line:?} {variables:?}")).to_string();
                assert!(
                    message.contains(blamed.as_str()) && message.lines().count() == 1,
                    "{line:?}: {message}"
                );
            }
        }
    }
    for list in ["watch-namespace", "allow-endpoint", "secret-name"] {
        for value in ["a,,b", "a,", ",a", "a, ,b"] {
            let message = args(&["check", &format!("--{list}={value}")], &[]).expect_err(value).to_string();
            assert!(message.contains("omit the flag"), "{list} {value}: {message}");
            let message = args(&["check"], &[(&variable_of(list), value)]).expect_err(value).to_string();
            assert!(
                message.contains(&variable_of(list)) && message.contains("omit the flag"),
                "{list} {value}: {message}"
            );
        }
        // An empty variable counts as unset, as in a shell.
        assert!(args(&["check"], &[(&variable_of(list), "")]).is_ok(), "{list}");
    }
}

#[test]
fn a_key_has_the_consoles_form_unless_somebody_says_otherwise() {
    assert_eq!(run("run", &[]).key_format, KeyFormat::Hex64);
    assert_eq!(run("run --key-format any", &[]).key_format, KeyFormat::Any);
    assert_eq!(run("run", &[("GROUPATTR_KEY_FORMAT", "any")]).key_format, KeyFormat::Any);
    assert_eq!(
        run("run --key-format=hex64", &[("GROUPATTR_KEY_FORMAT", "any")]).key_format,
        KeyFormat::Hex64
    );
}

#[test]
fn a_proxys_password_comes_by_the_variable_and_is_never_printed() {
    const NAME: &str = "GROUPATTR_HTTPS_PROXY";
    assert!(run("run", &[]).https_proxy.is_none() && run("run", &[(NAME, "")]).https_proxy.is_none());
    let by_variable = run("run", &[(NAME, "http://ann:s3cret@proxy:3128\n")]);
    let proxy = by_variable.https_proxy.as_ref().unwrap();
    assert!(proxy.has_credentials());
    assert_eq!(proxy.to_string(), "http://proxy:3128");
    assert!(!format!("{by_variable:?}").contains("s3cret"), "{by_variable:?}");
    let by_flag = run("run --https-proxy http://other:8080", &[(NAME, "http://ann:s3cret@proxy:3128")]);
    assert_eq!(by_flag.https_proxy.unwrap().to_string(), "http://other:8080");

    for (line, variables, expected) in [
        (
            "run --https-proxy http://ann:s3cret@proxy:3128",
            &[][..],
            "put the whole URL into GROUPATTR_HTTPS_PROXY",
        ),
        (
            "check --https-proxy=http://ann:s3cret@proxy:3128",
            &[],
            "put the whole URL into GROUPATTR_HTTPS_PROXY",
        ),
        ("run --https-proxy=ann:s3cret@proxy:3128", &[], "--https-proxy: the URL must start with http://"),
        ("run --https-proxy=http://ann:s3/cret@proxy", &[], "--https-proxy: this is not the URL of a host"),
        (
            "run",
            &[(NAME, "socks5://ann:s3cret@proxy:1080")],
            "GROUPATTR_HTTPS_PROXY: the URL must start with",
        ),
        ("drain", &[(NAME, "http://ann:s3cret@proxy/x")], "GROUPATTR_HTTPS_PROXY: a proxy has no path"),
    ] {
        let message = read(line, variables).expect_err(line).to_string();
        assert!(message.contains(expected) && !message.contains("s3"), "{line:?} gave {message:?}");
    }
    let set = [(NAME, "http://ann:s3cret@proxy:3128")];
    assert!(matches!(read("run --help", &set), Ok(Command::Print(help)) if !help.contains("s3cret")));
}
