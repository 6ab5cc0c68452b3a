//! Answers that are slow, broken, redirected, lost or merely odd.

use std::time::Duration;

use serde_json::json;
use testbed::Vendor;
use testbed::vendor::{Command, Misbehaviour, When};

use super::{FIRST, verified};
use crate::world::replicas::ALONE;
use crate::world::{KEY, World, chat_app, reason_of};

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
        ("would-compress", M::CompressUnlessTold, Success),
        ("passed-on", M::PassedOn, Success),
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
        ("compressed", M::Compress, UnknownDone),
        ("gzip-bomb", M::GzipBomb, UnknownDone),
    ]
}

#[tokio::test]
async fn only_the_vendors_own_word_counts_and_everything_else_is_read_back() {
    let world = World::new().await;
    let target = Vendor::start().unwrap();
    // Another name of the same vendor, and so a connection of its own: whoever else gets one that is just being closed
    // does not learn what came of the call.
    let apart = format!("localhost:{}", world.vendor.address().port());
    let operator =
        world.operator(&[ALONE[0], &format!("--allow-endpoint={},{apart}", target.address())]).await;
    world.secret("chat", KEY).await;
    let cases = misbehaviours(&format!("{}/v4/group_open_http_svc/clear_group_attr", target.url()));
    for (account, (name, misbehaviour, _)) in (FIRST..).zip(&cases) {
        world.app_with_room(name, account, "").await;
        if *name == "closes-idle" {
            world.apply(&chat_app(name, account, &format!("http://{apart}"), "")).await;
        }
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
    let more = world.object("gar", "more-fields").await.unwrap();
    assert_eq!(more["status"]["lastAttempt"]["vendorRequestID"], "r");
    let logs = operator.logs();
    let line = logs.lines().find(|line| line.contains("attempt ended") && line.contains("more-fields"));
    let line = line.unwrap_or_default();
    assert!(line.contains(r#""vendor_request_id":"r""#), "{line}");
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
