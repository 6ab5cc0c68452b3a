//! Answers that are slow, malformed, redirected, lost or merely unusual.

use std::time::Duration;

use serde_json::json;
use testbed::Vendor;
use testbed::vendor::{Command, Misbehaviour, When};

use super::{FIRST_ACCOUNT, until_verified};
use crate::world::replicas::NO_ELECTION;
use crate::world::{KEY, World, chat_app, reason_of};

/// What an answer should mean.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// Success.
    Success,
    /// A final rejection with this reason.
    Rejected(&'static str),
    /// Unknown outcome; the call was executed.
    UnknownExecuted,
    /// Unknown outcome; the call was not executed.
    UnknownNotExecuted,
    /// The vendor asks for fewer calls.
    Throttled,
}

fn misbehaviours(elsewhere: &str) -> Vec<(&'static str, Misbehaviour, Verdict)> {
    use Misbehaviour as M;
    use Verdict::{Rejected, Success, Throttled, UnknownExecuted, UnknownNotExecuted};
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
            Rejected("GroupNotFound"),
        ),
        ("ok-but-invalid", body(r#"{"ActionStatus":"OK","ErrorCode":10004}"#), Rejected("InvalidRequest")),
        ("ok-but-unlisted", body(r#"{"ActionStatus":"OK","ErrorCode":4711}"#), UnknownExecuted),
        ("fail-zero", M::FailWithCodeZero, UnknownNotExecuted),
        ("other-status-zero", body(r#"{"ActionStatus":"ok","ErrorCode":0}"#), UnknownExecuted),
        ("truncated", M::Truncate, UnknownExecuted),
        ("code-as-string", M::CodeAsString, UnknownExecuted),
        ("code-null", body(r#"{"ActionStatus":"OK","ErrorCode":null}"#), UnknownExecuted),
        ("code-missing", body(r#"{"ActionStatus":"OK"}"#), UnknownExecuted),
        ("code-fraction", body(r#"{"ActionStatus":"OK","ErrorCode":0.5}"#), UnknownExecuted),
        ("code-huge", body(r#"{"ActionStatus":"OK","ErrorCode":99999999999999999999}"#), UnknownExecuted),
        ("code-misspelt", body(r#"{"ActionStatus":"OK","errorCode":0}"#), UnknownExecuted),
        ("empty-body", body(""), UnknownExecuted),
        ("empty-object", body("{}"), UnknownExecuted),
        ("null-body", body("null"), UnknownExecuted),
        ("array", body("[0]"), UnknownExecuted),
        ("trailing", body(r#"{"ActionStatus":"OK","ErrorCode":0}{"ErrorCode":10010}"#), UnknownExecuted),
        ("deep", M::WrongBody("[".repeat(20_000)), UnknownExecuted),
        ("html", M::Html, UnknownNotExecuted),
        ("http-500", M::Status(500), UnknownNotExecuted),
        ("http-404", M::Status(404), UnknownNotExecuted),
        ("http-502-done", M::StatusAfterExecuting(502), UnknownExecuted),
        ("http-504-done", M::StatusAfterExecuting(504), UnknownExecuted),
        ("http-201-done", M::StatusAfterExecuting(201), UnknownExecuted),
        ("http-403-done", M::StatusAfterExecuting(403), UnknownExecuted),
        ("http-429", M::Status(429), Throttled),
        ("redirect", M::Redirect(elsewhere.to_owned()), UnknownNotExecuted),
        ("hang-done", M::Hang { execute: true }, UnknownExecuted),
        ("reset-not-done", M::Reset { execute: false }, UnknownNotExecuted),
        ("slow-bytes", M::SlowBytes, UnknownExecuted),
        ("huge", M::HugeBody(1 << 30), UnknownExecuted),
        ("compressed", M::Compress, UnknownExecuted),
        ("gzip-bomb", M::GzipBomb, UnknownExecuted),
    ]
}

#[tokio::test]
async fn only_a_definite_answer_settles_a_call_and_all_others_are_read_back() {
    let world = World::new().await;
    let target = Vendor::start().unwrap();
    // Another name for the same vendor gives this case its own connection pool: another call on a connection that is
    // just being closed would have an unknown outcome.
    let apart = format!("localhost:{}", world.vendor.address().port());
    let operator =
        world.operator(&[NO_ELECTION[0], &format!("--allow-endpoint={},{apart}", target.address())]).await;
    world.secret("chat", KEY).await;
    let cases = misbehaviours(&format!("{}/v4/group_open_http_svc/clear_group_attr", target.url()));
    for (account, (name, misbehaviour, _)) in (FIRST_ACCOUNT..).zip(&cases) {
        world.app_with_room(name, account, "").await;
        if *name == "closes-idle" {
            world.apply(&chat_app(name, account, &format!("http://{apart}"), "")).await;
        }
        world.vendor.script(When::clear().by(account).times(1), misbehaviour.clone());
    }
    // The read-back is redirected as well.
    let redirected = When::get().of("@TGS#http-502-done").times(1);
    world.vendor.script(redirected, Misbehaviour::Redirect(target.url()));
    // A signature that is rejected twice in a row is a problem of the account.
    world.app_with_room("expired-twice", FIRST_ACCOUNT + 500, "").await;
    world.vendor.script(When::clear().of("@TGS#expired-twice").times(2), Misbehaviour::Code(70001));

    until_verified(&world, cases.iter().map(|(name, ..)| (*name).to_owned())).await;
    for (name, ..) in &cases {
        world.reset_of_app(name, "").await;
    }
    world.reset_of_app("expired-twice", "").await;
    world.until_reason("chatapp", "expired-twice", "Ready", "CredentialsRejected").await;
    world.reset_is("expired-twice", "AppNotReady").await;

    for (account, (name, _, verdict)) in (FIRST_ACCOUNT..).zip(&cases) {
        let (reason, calls, failures, path): (_, _, _, &[&str]) = match verdict {
            Verdict::Success => ("Cleared", 1, 0, &["Sending", "Cleared"]),
            Verdict::Rejected(reason) => (*reason, 1, 0, &["Sending", reason]),
            Verdict::UnknownExecuted => ("VerifiedEmpty", 1, 0, &["Sending", "Verifying", "VerifiedEmpty"]),
            Verdict::UnknownNotExecuted => {
                ("Cleared", 2, 1, &["Sending", "Verifying", "RetryScheduled", "Sending", "Cleared"])
            }
            Verdict::Throttled => ("Cleared", 2, 0, &["Sending", "RateLimited", "Sending", "Cleared"]),
        };
        let reset = world.reset_is(name, reason).await;
        let status = &reset["status"];
        assert_eq!((&status["attempts"], &status["failures"]), (&json!(calls), &json!(failures)), "{name}");
        let group = format!("@TGS#{name}");
        assert_eq!(world.calls(&group), calls, "{name}");
        assert_eq!(world.reasons_of(name).await, path, "{name}");
        if !matches!(verdict, Verdict::Rejected(_)) {
            assert_eq!(world.vendor.attributes(account, &group).map(|all| all.len()), Some(0), "{name}");
        }
        let app = world.object("chatapp", name).await.unwrap();
        assert_eq!(
            reason_of(&app, "Ready"),
            "Verified",
            "{name}: one unusual answer must not affect the app"
        );
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
    assert_eq!((target.connections(), target.journal().len()), (0, 0), "a redirect was followed");

    // Each unknown outcome is counted once.
    let unknown = cases
        .iter()
        .filter(|(.., verdict)| matches!(verdict, Verdict::UnknownExecuted | Verdict::UnknownNotExecuted));
    let expected = u32::try_from(unknown.count()).unwrap();
    assert_eq!(operator.metric("groupattr_unknown_outcomes_total", &[]).await, Some(f64::from(expected)));
    world.check(&[&operator]).await;
}
