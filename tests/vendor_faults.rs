//! Whatever the vendor answers, or does not answer: what the reset and its app make of it.

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testbed::vendor::{Command, Misbehaviour, When};
use testbed::{OperatorProcess, Vendor, until, until_ok};
use world::history::Stored;
use world::{KEY, SOON, World, message_of, reason_of};

/// The first of the accounts; each case has one of its own, because some answers close the account's circuit.
const FIRST: u64 = 1_500_000_000;

/// What a code means for the reset.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It ends with this reason.
    Ends(&'static str),
    /// It waits for a limit and goes again.
    Throttled,
    /// It goes again at once with a fresh signature.
    SignedAnew,
    /// It waits for its app, which says this.
    Waits(&'static str),
    /// The group is read back.
    ReadBack,
    /// The group is read back, and the code is counted.
    Unlisted,
}

/// The vendor's list, read a second time.
const CODES: &[(Fate, &[i64])] = &[
    (
        Fate::Ends("InvalidRequest"),
        &[10003, 10004, 10011, 10045, 10046, 10047, 10048, 60002, 60003, 60009, 60015],
    ),
    (Fate::Ends("GroupTypeNotSupported"), &[10007]),
    (Fate::Ends("GroupNotFound"), &[10010, 10015]),
    (Fate::Throttled, &[10006, 10049, 60007, 60011, 60018, 60019]),
    (Fate::SignedAnew, &[70001, 70052]),
    (
        Fate::Waits("CredentialsRejected"),
        &[70002, 70003, 70005, 70009, 70013, 70014, 70016, 70020, 70050, 70107, 70402, 70403],
    ),
    (Fate::Waits("CredentialsRejected"), &[10012, 60004, 60005, 60006, 60010, 60012, 60025]),
    // Families: any other 700xx and 7034x.
    (Fate::Waits("CredentialsRejected"), &[70000, 70004, 70099, 70340, 70349]),
    (Fate::Waits("AccountUnavailable"), &[10026, 10058, 10059, 60016, 60017, 60020, 60021, 60027, 60028]),
    (Fate::Waits("AccountUnavailable"), &[70051, 70398, 72000, 72002, 80005]),
    (Fate::Waits("WrongRegion"), &[60026]),
    (Fate::ReadBack, &[10002, 10016, 10056, 60008, 60013, 60014, 70169, 70202, 70500]),
    (Fate::Unlisted, &[-1, 1, 10001, 70100, 70350, 99999, i64::MAX]),
];

struct Case {
    name: String,
    code: i64,
    fate: Fate,
    account: u64,
}

impl Case {
    fn group(&self) -> String {
        format!("@TGS#{}", self.name)
    }
}

fn cases() -> Vec<Case> {
    let codes = CODES.iter().flat_map(|(fate, codes)| codes.iter().map(move |code| (*fate, *code)));
    let name = |code: i64| format!("code-{}", code.to_string().replace('-', "minus-"));
    (FIRST..)
        .zip(codes)
        .map(|(account, (fate, code))| Case { name: name(code), code, fate, account })
        .collect()
}

/// Waits until all the apps of these names are verified.
async fn verified(world: &World, names: impl Iterator<Item = String>) {
    for name in names {
        world.until_reason("chatapp", &name, "Ready", "Verified").await;
    }
}

#[tokio::test]
async fn every_code_of_the_vendor_means_what_its_list_says() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    let cases = cases();
    for case in &cases {
        world.app_with_room(&case.name, case.account, "").await;
    }
    verified(&world, cases.iter().map(|case| case.name.clone())).await;
    for Case { code, fate, account, .. } in &cases {
        let clear = When::clear().by(*account);
        match fate {
            Fate::Ends(_) => world.vendor.script(clear, Misbehaviour::Code(*code)),
            Fate::Throttled | Fate::SignedAnew => {
                world.vendor.script(clear.times(1), Misbehaviour::Code(*code));
            }
            Fate::Waits(_) => world.vendor.script(When::any().by(*account), Misbehaviour::Code(*code)),
            Fate::ReadBack | Fate::Unlisted => {
                world.vendor.script(clear.times(1), Misbehaviour::CodeAfterExecuting(*code));
            }
        }
    }
    for case in &cases {
        world.reset_of_app(&case.name, "").await;
    }

    // What waits for its app says so, and the app says why.
    until_ok(SOON, "the first call of each", || async {
        let uncalled = cases.iter().filter(|case| world.calls(&case.group()) == 0);
        let uncalled: Vec<_> = uncalled.map(|case| case.name.as_str()).collect();
        if uncalled.is_empty() { Ok(()) } else { Err(uncalled) }
    })
    .await;
    for Case { name, code, fate, .. } in &cases {
        let Fate::Waits(reason) = fate else { continue };
        let app = world.until_reason("chatapp", name, "Ready", reason).await;
        assert_eq!(app["status"]["lastErrorCode"], *code, "{name}");
        says(&message_of(&app, "Ready"), *code);
        let reset = world.reset_is(name, "AppNotReady").await;
        assert_eq!(
            (&reset["status"]["attempts"], &reset["status"]["failures"]),
            (&json!(1), &json!(0)),
            "{name}"
        );
        assert!(
            message_of(&reset, "Succeeded").contains(&code.to_string()),
            "{}",
            message_of(&reset, "Succeeded")
        );
    }
    world.vendor.clear_scripts();

    for Case { name, fate, account, .. } in cases.iter().filter(|case| case.code != 70050) {
        let (reason, calls) = match fate {
            Fate::Ends(reason) => (*reason, 1),
            Fate::Throttled | Fate::SignedAnew | Fate::Waits(_) => ("Cleared", 2),
            Fate::ReadBack | Fate::Unlisted => ("VerifiedEmpty", 1),
        };
        let reset = world.reset_is(name, reason).await;
        let status = &reset["status"];
        assert_eq!((&status["attempts"], &status["failures"]), (&json!(calls), &json!(0)), "{name}");
        assert_eq!(world.calls(&format!("@TGS#{name}")), calls, "{name}");
        let full =
            world.vendor.attributes(*account, &format!("@TGS#{name}")).is_some_and(|all| !all.is_empty());
        assert_eq!(full, calls == 1 && reason != "VerifiedEmpty", "{name}");
        world.until_reason("chatapp", name, "Ready", "Verified").await;
    }
    let stored = world.stored().await;
    for case in &cases {
        judge_case(&world, &stored, case);
    }
    for Case { code, fate, .. } in &cases {
        let expected = (*fate == Fate::Unlisted).then_some(1.0);
        let counted = operator.metric("groupattr_unlisted_codes_total", &[("code", &code.to_string())]).await;
        assert_eq!(counted, expected, "unlisted code {code}");
    }
    // That code asks for a minute of silence, where any other is looked into after 5 seconds.
    let silent = cases.iter().find(|case| case.code == 70050).unwrap();
    let refused = world.vendor.clears_of(&silent.group())[0].arrived;
    until(SOON, "twelve seconds", || async { (refused.elapsed() > Duration::from_secs(12)).then_some(()) })
        .await;
    let calls = world.vendor.entries(|entry| entry.sdkappid == Some(silent.account));
    for call in calls.iter().filter(|entry| entry.arrived > refused) {
        assert!(call.arrived - refused >= Duration::from_mins(1), "{:?}", call.arrived - refused);
    }
    world.check(&[&operator]).await;
}

/// The way of one reset: the reasons in between, the attempt as it was remembered, and the words.
fn judge_case(world: &World, stored: &[Stored], case: &Case) {
    let Case { name, code, fate, .. } = case;
    let mine: Vec<&Value> =
        stored.iter().map(|one| &one.object).filter(|object| object["metadata"]["name"] == **name).collect();
    let mut reasons: Vec<String> = mine.iter().map(|object| reason_of(object, "Succeeded")).collect();
    reasons.dedup();
    let first = mine.iter().find(|object| object["status"]["lastAttempt"]["number"] == 1).unwrap();
    let attempt = &first["status"]["lastAttempt"];
    assert_eq!((&attempt["errorCode"], &attempt["httpStatus"]), (&json!(code), &json!(200)), "{name}");
    let expected: &[&str] = match fate {
        Fate::Ends(reason) => &["Sending", reason],
        Fate::Throttled => &["Sending", "RateLimited", "Sending", "Cleared"],
        Fate::SignedAnew => &["Sending", "RetryScheduled", "Sending", "Cleared"],
        Fate::Waits(_) if *code == 70050 => &["Sending", "AppNotReady"],
        Fate::Waits(_) => &["Sending", "AppNotReady", "Sending", "Cleared"],
        Fate::ReadBack | Fate::Unlisted => &["Sending", "Verifying", "VerifiedEmpty"],
    };
    assert_eq!(reasons, expected, "{name}");
    let outcome = if matches!(fate, Fate::ReadBack | Fate::Unlisted) { "Unknown" } else { "Rejected" };
    assert_eq!(attempt["outcome"], outcome, "{name}");
    match fate {
        // These two speak of the signature, which is the operator's own business.
        Fate::SignedAnew => {
            let calls = world.vendor.clears_of(&case.group());
            assert_ne!(
                calls[0].parameter("usersig"),
                calls[1].parameter("usersig"),
                "{name}: the same signature again"
            );
        }
        Fate::ReadBack | Fate::Unlisted => {
            let said = message_of(first, "Succeeded");
            assert!(said.contains(&format!("code {code}")), "{said}");
        }
        _ => says(&message_of(first, "Succeeded"), *code),
    }
}

/// A message names the code, and says in a sentence of its own what to do.
fn says(message: &str, code: i64) {
    assert!(message.to_lowercase().contains(&format!("code {code}")), "{message}");
    let sentences = message.split(". ").filter(|sentence| sentence.split_whitespace().count() >= 3).count();
    assert!(sentences >= 2, "cause and remedy: {message}");
}

/// How an answer should be taken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Taken {
    /// As a success.
    Success,
    /// As a final refusal.
    Refusal(&'static str),
    /// As unknown; the call was executed.
    UnknownDone,
    /// As unknown; the call was not executed.
    UnknownNotDone,
    /// As a request for fewer calls.
    Throttled,
}

fn misbehaviours(elsewhere: &str) -> Vec<(&'static str, Misbehaviour, Taken)> {
    use Misbehaviour as M;
    use Taken::{Refusal, Success, Throttled, UnknownDone, UnknownNotDone};
    let body = |text: &str| M::WrongBody(text.to_owned());
    vec![
        ("slow-to-start", M::DelayBefore(Duration::from_secs(3)), Success),
        ("slow-to-answer", M::DelayAfter(Duration::from_secs(3)), Success),
        ("no-action-status", M::MissingActionStatus, Success),
        ("no-error-info", M::MissingErrorInfo, Success),
        ("closes-idle", M::CloseIdle, Success),
        ("content-type", M::WrongContentType, Success),
        ("only-code", body(r#"{"ErrorCode":0}"#), Success),
        (
            "more-fields",
            body(r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"X":[{}],"RequestId":"r"}"#),
            Success,
        ),
        (
            "ok-but-missing",
            body(r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":10010}"#),
            Refusal("GroupNotFound"),
        ),
        ("ok-but-invalid", body(r#"{"ActionStatus":"OK","ErrorCode":10004}"#), Refusal("InvalidRequest")),
        ("ok-but-unlisted", body(r#"{"ActionStatus":"OK","ErrorCode":4711}"#), UnknownDone),
        ("fail-zero", M::FailWithCodeZero, UnknownNotDone),
        ("other-status-zero", body(r#"{"ActionStatus":"ok","ErrorCode":0}"#), UnknownDone),
        ("truncated", M::Truncate, UnknownDone),
        ("code-as-string", M::CodeAsString, UnknownDone),
        ("code-null", body(r#"{"ActionStatus":"OK","ErrorCode":null}"#), UnknownDone),
        ("code-missing", body(r#"{"ActionStatus":"OK"}"#), UnknownDone),
        ("code-fraction", body(r#"{"ActionStatus":"OK","ErrorCode":0.5}"#), UnknownDone),
        ("code-huge", body(r#"{"ActionStatus":"OK","ErrorCode":99999999999999999999}"#), UnknownDone),
        ("code-misspelt", body(r#"{"ActionStatus":"OK","errorCode":0}"#), UnknownDone),
        ("empty-body", body(""), UnknownDone),
        ("empty-object", body("{}"), UnknownDone),
        ("null-body", body("null"), UnknownDone),
        ("array", body("[0]"), UnknownDone),
        ("trailing", body(r#"{"ActionStatus":"OK","ErrorCode":0}{"ErrorCode":10010}"#), UnknownDone),
        ("deep", M::WrongBody("[".repeat(20_000)), UnknownDone),
        ("html", M::Html, UnknownNotDone),
        ("http-500", M::Status(500), UnknownNotDone),
        ("http-404", M::Status(404), UnknownNotDone),
        ("http-502-done", M::StatusAfterExecuting(502), UnknownDone),
        ("http-504-done", M::StatusAfterExecuting(504), UnknownDone),
        ("http-201-done", M::StatusAfterExecuting(201), UnknownDone),
        ("http-403-done", M::StatusAfterExecuting(403), UnknownDone),
        ("http-429", M::Status(429), Throttled),
        ("redirect", M::Redirect(elsewhere.to_owned()), UnknownNotDone),
        ("hang-done", M::Hang { execute: true }, UnknownDone),
        ("reset-not-done", M::Reset { execute: false }, UnknownNotDone),
        ("slow-bytes", M::SlowBytes, UnknownDone),
        ("huge", M::HugeBody(1 << 30), UnknownDone),
        ("gzip-bomb", M::GzipBomb, UnknownDone),
    ]
}

#[tokio::test]
async fn only_the_vendors_own_word_counts_and_everything_else_is_read_back() {
    let world = World::new().await;
    let target = Vendor::start().unwrap();
    let operator = world.operator(&[&format!("--allow-endpoint={}", target.address())]).await;
    world.secret("chat", KEY).await;
    let cases = misbehaviours(&format!("{}/v4/group_open_http_svc/clear_group_attr", target.url()));
    for (account, (name, misbehaviour, _)) in (FIRST..).zip(&cases) {
        world.app_with_room(name, account, "").await;
        world.vendor.script(When::clear().by(account).times(1), misbehaviour.clone());
    }
    // The read that follows is led astray as well.
    let misled = When::get().of("@TGS#http-502-done").times(1);
    world.vendor.script(misled, Misbehaviour::Redirect(target.url()));
    // A signature that is refused twice in a row is the account's trouble.
    world.app_with_room("expired-twice", FIRST + 500, "").await;
    world.vendor.script(When::clear().of("@TGS#expired-twice").times(2), Misbehaviour::Code(70001));

    verified(&world, cases.iter().map(|(name, ..)| (*name).to_owned())).await;
    for (name, ..) in &cases {
        world.reset_of_app(name, "").await;
    }
    world.reset_of_app("expired-twice", "").await;
    world.until_reason("chatapp", "expired-twice", "Ready", "CredentialsRejected").await;
    world.reset_is("expired-twice", "AppNotReady").await;

    for (account, (name, _, taken)) in (FIRST..).zip(&cases) {
        let (reason, calls, failures, path): (_, _, _, &[&str]) = match taken {
            Taken::Success => ("Cleared", 1, 0, &["Sending", "Cleared"]),
            Taken::Refusal(reason) => (*reason, 1, 0, &["Sending", reason]),
            Taken::UnknownDone => ("VerifiedEmpty", 1, 0, &["Sending", "Verifying", "VerifiedEmpty"]),
            Taken::UnknownNotDone => {
                ("Cleared", 2, 1, &["Sending", "Verifying", "RetryScheduled", "Sending", "Cleared"])
            }
            Taken::Throttled => ("Cleared", 2, 0, &["Sending", "RateLimited", "Sending", "Cleared"]),
        };
        let reset = world.reset_is(name, reason).await;
        let status = &reset["status"];
        assert_eq!((&status["attempts"], &status["failures"]), (&json!(calls), &json!(failures)), "{name}");
        let group = format!("@TGS#{name}");
        assert_eq!(world.calls(&group), calls, "{name}");
        assert_eq!(world.reasons_of(name).await, path, "{name}");
        if !matches!(taken, Taken::Refusal(_)) {
            assert_eq!(world.vendor.attributes(account, &group).map(|all| all.len()), Some(0), "{name}");
        }
        let app = world.object("chatapp", name).await.unwrap();
        assert_eq!(reason_of(&app, "Ready"), "Verified", "{name}: one odd answer is not the app's trouble");
    }
    assert_eq!(
        world
            .vendor
            .entries(
                |entry| entry.command == Command::Get && entry.group.as_deref() == Some("@TGS#http-502-done")
            )
            .len(),
        2
    );
    let twice = world.reset_is("expired-twice", "Cleared").await;
    assert_eq!((&twice["status"]["attempts"], &twice["status"]["failures"]), (&json!(3), &json!(0)));
    assert_eq!((target.connections(), target.journal().len()), (0, 0), "somebody followed the redirect");

    // Unknown outcomes are counted, each once.
    let unknown =
        cases.iter().filter(|(.., taken)| matches!(taken, Taken::UnknownDone | Taken::UnknownNotDone));
    let expected = u32::try_from(unknown.count()).unwrap();
    assert_eq!(operator.metric("groupattr_unknown_outcomes_total", &[]).await, Some(f64::from(expected)));
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn endless_answers_cost_no_memory() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    let bad: Vec<String> = (0..4).flat_map(|n| [format!("huge-{n}"), format!("bomb-{n}")]).collect();
    for (account, name) in (FIRST..).zip(&bad) {
        world.app_with_room(name, account, "").await;
        let flood =
            if name.starts_with("huge") { Misbehaviour::HugeBody(1 << 30) } else { Misbehaviour::GzipBomb };
        world.vendor.script(When::clear().by(account).times(1), flood.clone());
        world.vendor.script(When::get().by(account).of(format!("@TGS#{name}")).times(1), flood);
    }
    verified(&world, bad.iter().cloned()).await;
    // Everything that is needed once has been needed.
    let warm = world::numbered("warm", 20);
    for (_, group) in &warm {
        world.room(group);
    }
    world.many_resets(warm).await;
    world.until_cleared(20, SOON).await;

    let before = operator.rss_kib().unwrap();
    for name in &bad {
        world.reset_of_app(name, "").await;
    }
    let mut most = before;
    until(SOON, "all to be verified", || {
        most = most.max(operator.rss_kib().unwrap_or_default());
        async {
            let reasons = world.reasons().await;
            (reasons.get("VerifiedEmpty") == Some(&bad.len())).then_some(())
        }
    })
    .await;
    println!("{before} KiB before, {most} KiB at most");
    assert!(most <= before + 8 * 1024, "{before} KiB grew to {most} KiB");
    let reads = world
        .vendor
        .entries(|entry| entry.command == Command::Get && entry.group.as_deref() == Some("@TGS#huge-0"));
    assert_eq!(reads.len(), 2, "the first read was flooded, too");
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn the_vendors_text_is_shown_only_after_it_was_cleaned() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    let accounts: BTreeMap<&str, u64> = [
        "plain",
        "control",
        "long",
        "wide",
        "signed",
        "signed-url",
        "signed-percent",
        "signed-base64",
        "signed-part",
        "signed-status",
        "signed-split",
    ]
    .into_iter()
    .zip(FIRST..)
    .collect();
    for (name, account) in &accounts {
        world.app_with_room(name, *account, "").await;
    }
    for odd in ["oversized", "not-a-text"] {
        world.app_with_room(odd, FIRST + 100 + odd.len() as u64, "").await;
    }
    world.app_with_room("account", FIRST + 200, "").await;
    verified(&world, accounts.keys().map(|name| (*name).to_owned())).await;
    verified(&world, ["oversized", "not-a-text", "account"].into_iter().map(str::to_owned)).await;

    // The vendor has seen the signature in the probe, and quotes it.
    let signature = |account: u64| {
        let probes = world.vendor.entries(|entry| entry.sdkappid == Some(account));
        probes[0].parameter("usersig").unwrap().to_owned()
    };
    let percent = |text: &str| {
        text.bytes().flat_map(|byte| format!("%{byte:02x}").into_bytes()).map(char::from).collect::<String>()
    };
    let answer = |code: i64, info: Value| {
        Misbehaviour::WrongBody(
            json!({"ActionStatus": "FAIL", "ErrorInfo": info, "ErrorCode": code}).to_string(),
        )
    };
    for (name, account) in &accounts {
        let usersig = signature(*account);
        let body = match *name {
            "plain" => answer(10004, json!("parameter GroupId is illegal")),
            "control" => answer(10004, json!("a\u{0}b\u{1b}[31mc\r\nd\u{85}\u{202e}e\u{200b}")),
            "long" => answer(10004, json!("x".repeat(10_000))),
            "wide" => answer(10004, json!("房".repeat(3_000))),
            "signed" => answer(10004, json!(format!("bad sig {usersig}"))),
            "signed-url" => {
                answer(10004, json!(format!("GET /v4?sdkappid=1&usersig={usersig}&random=1 failed")))
            }
            "signed-percent" => answer(10004, json!(format!("bad {}", percent(&usersig)))),
            "signed-base64" => {
                answer(10004, json!(format!("bad {}", STANDARD.encode(format!("sig={usersig}")))))
            }
            "signed-part" => answer(10004, json!(format!("bad sig {}…", &usersig[..40]))),
            "signed-split" => {
                answer(10004, json!(format!("bad {}\u{0}\n{}", &usersig[..60], &usersig[60..])))
            }
            _ => Misbehaviour::WrongBody(
                json!({"ActionStatus": usersig, "ErrorInfo": "x", "ErrorCode": 10004}).to_string(),
            ),
        };
        world.vendor.script(When::clear().by(*account), body);
    }
    world
        .vendor
        .script(When::clear().of("@TGS#oversized").times(1), answer(10004, json!("x".repeat(100_000))));
    world.vendor.script(When::clear().of("@TGS#not-a-text").times(1), answer(10004, json!({"text": "x"})));
    let quoted = answer(70003, json!(format!("bad sig {} of {KEY}", signature(FIRST + 200))));
    world.vendor.script(When::any().by(FIRST + 200), quoted);
    for name in accounts.keys().copied().chain(["oversized", "not-a-text", "account"]) {
        world.reset_of_app(name, "").await;
    }

    for (name, account) in &accounts {
        let reset = world.reset_is(name, "InvalidRequest").await;
        let info = &reset["status"]["lastAttempt"]["errorInfo"];
        let text = info.as_str().unwrap_or_default();
        match *name {
            "plain" => assert_eq!(text, "parameter GroupId is illegal"),
            "control" => assert_eq!(text, "ab[31mcde"),
            "long" => assert_eq!(text, "x".repeat(256)),
            "wide" => assert_eq!(text, "房".repeat(85), "cut between characters"),
            "signed-status" => {}
            _ => assert!(info.is_null(), "{name}: {info}"),
        }
        let usersig = signature(*account);
        let shown = reset.to_string() + &operator.logs();
        for hidden in
            [percent(&usersig), usersig[..40].to_owned(), STANDARD.encode(&usersig)[..40].to_owned()]
        {
            assert!(!shown.contains(&hidden), "{name}: a form of the signature is shown");
        }
    }
    world.until_reason("chatapp", "account", "Ready", "CredentialsRejected").await;
    world.reset_is("account", "AppNotReady").await;
    for odd in ["oversized", "not-a-text"] {
        let reset = world.reset_is(odd, "VerifiedEmpty").await;
        assert!(reset["status"]["lastAttempt"]["errorInfo"].is_null(), "{reset:#}");
    }
    leaks_no_key(&operator);
    world.check(&[&operator]).await;
}

/// The account's key in any encoding: its text, and its base64 at each of the three places it can begin.
fn leaks_no_key(operator: &OperatorProcess) {
    let logs = operator.logs();
    for shift in 0..3 {
        let encoded = STANDARD.encode([&vec![b' '; shift][..], KEY.as_bytes()].concat());
        assert!(!logs.contains(&encoded[8..60]), "the key, in base64, stands in the log");
    }
}
