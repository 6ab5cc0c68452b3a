//! Each scripted misbehaviour looks on the wire as it says, and executes or not as it says.

use std::time::{Duration, Instant};

use testbed::{
    Vendor, until,
    vendor::{Answer, Misbehaviour, When},
};

use crate::{
    caller::{ACCOUNT, CLEAR, Caller, GET},
    seats, vendor,
};

/// A caller whose first clear meets this misbehaviour.
fn scripted(misbehaviour: Misbehaviour) -> (Vendor, Caller) {
    let vendor = vendor();
    vendor.script(When::clear().times(1), misbehaviour);
    let caller = Caller::of(&vendor);
    (vendor, caller)
}

fn was_executed(vendor: &Vendor) -> bool {
    let entry = &vendor.clears()[0];
    assert_eq!(entry.executed, seats(vendor) == 0, "the journal and the room agree");
    entry.executed
}

/// Waits a moment only.
async fn impatient(caller: &Caller) -> reqwest::Result<reqwest::Response> {
    caller.request(reqwest::Method::POST, CLEAR).timeout(Duration::from_secs(2)).send().await
}

async fn text(caller: &Caller) -> String {
    caller.send(CLEAR).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn a_scripted_code_is_answered_as_often_as_asked_for() {
    let (vendor, caller) = scripted(Misbehaviour::Code(10002));
    assert_eq!(caller.code(CLEAR).await, 10002);
    assert!(!was_executed(&vendor));
    assert_eq!(caller.code(CLEAR).await, 0);
}

#[tokio::test]
async fn a_code_after_executing_does_not_excuse_a_wrong_signature() {
    let (vendor, caller) = scripted(Misbehaviour::CodeAfterExecuting(10002));
    assert_eq!(caller.code(CLEAR).await, 10002);
    assert!(was_executed(&vendor));

    let (_vendor, caller) = scripted(Misbehaviour::CodeAfterExecuting(10002));
    assert_eq!(caller.with("usersig", "").code(CLEAR).await, 70002);
}

#[tokio::test]
async fn scripts_can_be_for_one_group_or_one_account_and_can_be_ended() {
    let vendor = vendor();
    vendor.room(ACCOUNT, "other", &[]);
    vendor.script(When::any().of("other"), Misbehaviour::Code(10016));
    vendor.script(When::any().by(7), Misbehaviour::Code(60016));
    let caller = Caller::of(&vendor);
    assert_eq!(caller.code(GET).await, 0);
    assert_eq!(caller.clone().group("other").code(GET).await, 10016);
    assert_eq!(caller.clone().with("sdkappid", "7").code(GET).await, 60016);
    vendor.clear_scripts();
    assert_eq!(caller.group("other").code(GET).await, 0);
}

#[tokio::test]
async fn delays_lie_before_or_after_executing() {
    let delay = Duration::from_secs(4);
    for (misbehaviour, early) in
        [(Misbehaviour::DelayBefore(delay), false), (Misbehaviour::DelayAfter(delay), true)]
    {
        let (vendor, caller) = scripted(misbehaviour);
        let sent = Instant::now();
        let call = tokio::spawn(async move { caller.code(CLEAR).await });
        until(delay * 3 / 4, "the room to be emptied at once, or not", || async {
            tokio::time::sleep(delay / 16).await;
            ((seats(&vendor) == 0) == early).then_some(())
        })
        .await;
        assert_eq!(call.await.unwrap(), 0);
        assert!(sent.elapsed() >= delay);
        assert!(was_executed(&vendor));
    }
}

#[tokio::test]
async fn a_hanging_call_gets_no_answer_but_may_take_effect() {
    for execute in [false, true] {
        let (vendor, caller) = scripted(Misbehaviour::Hang { execute });
        assert!(impatient(&caller).await.unwrap_err().is_timeout());
        assert_eq!(was_executed(&vendor), execute);
        assert_eq!(vendor.clears()[0].answer, Answer::Fault("Hang"));
    }
}

#[tokio::test]
async fn a_reset_is_a_reset_and_no_polite_end() {
    for execute in [false, true] {
        let (vendor, caller) = scripted(Misbehaviour::Reset { execute });
        let error = format!("{:?}", caller.send(CLEAR).await.unwrap_err());
        assert!(error.contains("ConnectionReset"), "{error}");
        assert_eq!(was_executed(&vendor), execute);
    }
}

#[tokio::test]
async fn a_truncated_answer_promises_more_than_it_holds() {
    let (vendor, caller) = scripted(Misbehaviour::Truncate);
    let answer = caller.send(CLEAR).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.is_err());
    assert!(was_executed(&vendor));
}

#[tokio::test]
async fn gateways_answer_in_the_vendors_place() {
    for (misbehaviour, execute) in
        [(Misbehaviour::Status(502), false), (Misbehaviour::StatusAfterExecuting(502), true)]
    {
        let (vendor, caller) = scripted(misbehaviour);
        assert_eq!(caller.send(CLEAR).await.unwrap().status(), 502);
        assert_eq!(was_executed(&vendor), execute);
        assert_eq!(vendor.clears()[0].answer, Answer::Status(502));
    }
    let (vendor, caller) = scripted(Misbehaviour::Html);
    assert!(text(&caller).await.contains("<html>"));
    assert!(!was_executed(&vendor));
}

#[tokio::test]
async fn a_redirect_names_its_target() {
    let (vendor, caller) = scripted(Misbehaviour::Redirect("http://127.0.0.1:9/elsewhere".into()));
    let answer = caller.send(CLEAR).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (302, &"http://127.0.0.1:9/elsewhere".parse().unwrap())
    );
    assert!(!was_executed(&vendor));
}

#[tokio::test]
async fn bodies_can_be_wrong_in_many_ways() {
    for (misbehaviour, expected) in [
        (Misbehaviour::WrongBody("null".into()), "null"),
        (Misbehaviour::CodeAsString, r#"{"ActionStatus":"OK","ErrorCode":"0","ErrorInfo":""}"#),
        (Misbehaviour::MissingActionStatus, r#"{"ErrorCode":0,"ErrorInfo":""}"#),
        (Misbehaviour::MissingErrorInfo, r#"{"ActionStatus":"OK","ErrorCode":0}"#),
    ] {
        let (vendor, caller) = scripted(misbehaviour);
        assert_eq!(text(&caller).await, expected);
        assert!(was_executed(&vendor));
    }
    let (vendor, caller) = scripted(Misbehaviour::FailWithCodeZero);
    let answer = caller.call(CLEAR).await;
    assert_eq!((answer["ActionStatus"].as_str(), answer["ErrorCode"].as_i64()), (Some("FAIL"), Some(0)));
    assert!(!was_executed(&vendor));
}

#[tokio::test]
async fn a_content_type_can_be_wrong_while_the_body_is_right() {
    let (vendor, caller) = scripted(Misbehaviour::WrongContentType);
    let answer = caller.send(CLEAR).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html");
    assert!(answer.text().await.unwrap().contains("\"ErrorCode\":0"));
    assert!(was_executed(&vendor));
}

#[tokio::test]
async fn a_huge_body_is_as_huge_as_it_says() {
    let (vendor, caller) = scripted(Misbehaviour::HugeBody(10_000_000));
    assert_eq!(caller.send(CLEAR).await.unwrap().bytes().await.unwrap().len(), 10_000_000);
    assert!(was_executed(&vendor));
}

#[tokio::test]
async fn a_gzip_bomb_is_small_on_the_wire() {
    let (vendor, caller) = scripted(Misbehaviour::GzipBomb);
    let answer = caller.send(CLEAR).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert!(answer.bytes().await.unwrap().len() < 4_000_000);
    assert!(was_executed(&vendor));
}

#[tokio::test]
async fn slow_bytes_outlast_the_patience_of_the_caller() {
    let (vendor, caller) = scripted(Misbehaviour::SlowBytes);
    assert!(impatient(&caller).await.unwrap_err().is_timeout());
    assert!(was_executed(&vendor));
}

#[tokio::test]
async fn a_connection_can_be_closed_after_a_good_answer() {
    let (vendor, caller) = scripted(Misbehaviour::CloseIdle);
    assert_eq!(caller.code(CLEAR).await, 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(caller.code(GET).await, 0);
    assert_eq!(vendor.connections(), 2);
}
