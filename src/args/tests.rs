use super::*;

fn read(line: &str, variables: &[(&str, &str)]) -> Result<Command, Refusal> {
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
    let said = read("check --lease-retry-seconds 10", &[]).unwrap_err().to_string();
    assert!(said.contains("must be less"), "{said}");
    assert!(read("run --secret-name a", &[]).is_err());
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
        ("check --secret-name=", "--secret-name: unusable value \"\""),
        ("check --secret-name=a,,b", "--secret-name: unusable value \"\": use the name of a Secret"),
    ] {
        let said = read(line, &[]).expect_err(line).to_string();
        assert!(said.contains(expected) && said.lines().count() == 1, "{line:?} said {said:?}");
    }
}

#[test]
fn each_bad_input_is_refused_in_one_line_that_names_it() {
    for (line, variables, expected) in [
        ("", &[][..], "`groupattr-operator run`"),
        ("walk", &[], "\"walk\""),
        ("run --watch-namespaces a", &[], "--watch-namespace"),
        ("run --leader-elect false", &[], "\"false\""),
        ("run --leader-elect=maybe", &[], "--leader-elect: unusable value \"maybe\": use one of true, false"),
        ("run --watch-namespace Shop", &[], "--watch-namespace: unusable value \"Shop\""),
        ("run --watch-namespace a,,b", &[], "--watch-namespace: unusable value \"\""),
        ("run --lease-retry-seconds 0", &[], "from 1 to 3600"),
        ("run --shutdown-grace-seconds 0", &[], "--shutdown-grace-seconds"),
        ("run --lease-retry-seconds 10", &[], "--lease-retry-seconds 10 must be less"),
        ("run --listen 8080", &[], "0.0.0.0:8080"),
        ("run --listen", &[], "--listen: unusable value \"\": it needs a value"),
        ("run --allow-endpoint bad_host/x", &[], "--allow-endpoint: unusable value \"bad_host/x\""),
        ("run --log-format xml", &[], "use one of text, json"),
        ("run --log-filter inof", &[], "--log-filter: unusable value \"inof\""),
        ("run extra", &[], "\"extra\""),
        ("crd --listen 1", &[], "--listen"),
        ("run", &[("GROUPATTR_LISTEN", "a\nb")], "GROUPATTR_LISTEN: unusable value \"a\\nb\""),
        ("run", &[("GROUPATTR_LOG_FORMAT", "xml")], "GROUPATTR_LOG_FORMAT: unusable value"),
    ] {
        let said = read(line, variables).expect_err(line).to_string();
        assert!(said.contains(expected) && said.lines().count() == 1, "{line:?} said {said:?}");
    }
}

#[test]
fn help_names_every_flag_with_its_variable() {
    let Ok(Command::Tell(help)) = read("run --help", &[]) else { panic!("no help") };
    assert!(
        help.contains("--lease-renew-deadline-seconds") && help.contains("[env: GROUPATTR_ALLOW_ENDPOINT]")
    );
    assert!(
        matches!(read("--version", &[]), Ok(Command::Tell(text)) if text.contains(env!("CARGO_PKG_VERSION")))
    );
    assert!(matches!(read("crd", &[]), Ok(Command::Crd)));
}
