//! Each fault of a request has its code, always with HTTP status 200, and changes nothing.

use testbed::vendor::{Answer, Command};

use crate::{
    caller::{ACCOUNT, CLEAR, Caller, GET, GROUP, Signed, packed, signed},
    seats, vendor,
};

/// Sends a spoiled clear and expects this code and an untouched room.
async fn refused(code: i64, spoil: impl Fn(Caller) -> Caller) {
    let vendor = vendor();
    assert_eq!(spoil(Caller::of(&vendor)).code(CLEAR).await, code);
    assert_eq!(seats(&vendor), 2);
    let entry = vendor.journal().remove(0);
    assert_eq!((entry.answer, entry.executed, entry.command), (Answer::Code(code), false, Command::Clear));
}

async fn refused_signature(code: i64, signed: Signed) {
    refused(code, |caller| caller.with("usersig", &signed.usersig())).await;
}

#[tokio::test]
async fn only_post_is_a_call() {
    let vendor = vendor();
    let answer = Caller::of(&vendor).request(reqwest::Method::GET, CLEAR).send().await.unwrap();
    assert!(answer.text().await.unwrap().contains("60002"));
    assert_eq!(seats(&vendor), 2);
}

#[tokio::test]
async fn an_unknown_path_is_told_from_an_unknown_command() {
    let vendor = vendor();
    let caller = Caller::of(&vendor);
    assert_eq!(caller.code("/v4/nobody/clear_group_attr").await, 60009);
    assert_eq!(caller.code("/v3/group_open_http_svc/clear_group_attr").await, 60009);
    assert_eq!(caller.code("/v4/group_open_http_svc/get_group_attr").await, 10003, "that is another service");
    assert_eq!(caller.code("/v4/group_open_http_svc/Clear_group_attr").await, 10003, "case matters");
    assert_eq!(vendor.journal()[0].command, Command::Other);
}

#[tokio::test]
async fn the_account_must_be_named_once_and_known() {
    refused(60012, |caller| caller.without("sdkappid")).await;
    refused(60012, |caller| caller.without("sdkappid").also("SdkAppId", &ACCOUNT.to_string())).await;
    refused(60012, |caller| caller.also("sdkappid", &ACCOUNT.to_string())).await;
    refused(60012, |caller| caller.with("sdkappid", "fourteen")).await;
    refused(60006, |caller| caller.with("sdkappid", "7")).await;
}

#[tokio::test]
async fn every_parameter_must_be_there_exactly_once() {
    for name in ["identifier", "usersig"] {
        refused(60025, |caller| caller.without(name)).await;
        refused(60025, |caller| caller.also(name, "again")).await;
    }
    for name in ["random", "contenttype"] {
        refused(60002, |caller| caller.without(name)).await;
        refused(60002, |caller| caller.also(name, "again")).await;
    }
}

#[tokio::test]
async fn content_type_and_random_have_one_form() {
    refused(60002, |caller| caller.with("contenttype", "JSON")).await;
    for random in ["4294967296", "-1", "%2B1", "1.5", "", "0x1"] {
        refused(60002, |caller| caller.with("random", random)).await;
    }
}

#[tokio::test]
async fn a_plus_sign_in_the_query_could_mean_two_things() {
    refused(60002, |caller| caller.with("identifier", "ad+min")).await;
}

#[tokio::test]
async fn a_signature_must_unpack() {
    refused(70002, |caller| caller.with("usersig", "")).await;
    refused(70003, |caller| caller.with("usersig", "!!!!")).await;
    refused(70003, |caller| caller.with("usersig", "AAAA")).await;
    refused(70005, |caller| caller.with("usersig", &packed("{}"))).await;
}

#[tokio::test]
async fn a_signature_must_fit_key_caller_account_and_time() {
    refused_signature(70009, Signed { key: "another".into(), ..signed() }).await;
    refused_signature(70013, Signed { identifier: "another".into(), ..signed() }).await;
    refused_signature(70014, Signed { sdkappid: 7, ..signed() }).await;
    refused_signature(70001, Signed { expire: 10, time: signed().time - 20, ..signed() }).await;
}

#[tokio::test]
async fn a_vendor_whose_clock_is_ahead_finds_signatures_expired() {
    let vendor = vendor();
    let caller = Caller::of(&vendor);
    assert_eq!(caller.code(GET).await, 0);
    vendor.set_clock_ahead(2 * 86_400);
    assert_eq!(caller.code(GET).await, 70001);
}

#[tokio::test]
async fn the_caller_must_be_an_administrator() {
    let usersig = Signed { identifier: "guest".into(), ..signed() }.usersig();
    refused(60010, |caller| caller.with("identifier", "guest").with("usersig", &usersig)).await;
}

#[tokio::test]
async fn an_identifier_is_percent_decoded_before_it_is_compared() {
    let vendor = vendor();
    vendor.account(ACCOUNT, &signed().key, &["größte admin+1"]);
    let usersig = Signed { identifier: "größte admin+1".into(), ..signed() }.usersig();
    let caller =
        Caller::of(&vendor).with("identifier", "gr%C3%B6%C3%9Fte%20admin%2B1").with("usersig", &usersig);
    assert_eq!(caller.code(CLEAR).await, 0);
}

#[tokio::test]
async fn the_body_must_name_a_group_that_exists() {
    refused(60003, |caller| caller.body("")).await;
    for body in ["{", "[]", "GroupId=1"] {
        refused(10011, |caller| caller.body(body)).await;
    }
    for body in ["{}", r#"{"GroupId":7}"#, r#"{"GroupId":""}"#, r#"{"groupid":"@TGS#aC5SZEAEF"}"#] {
        refused(10004, |caller| caller.body(body)).await;
    }
    refused(10010, |caller| caller.group("nobody")).await;
}

#[tokio::test]
async fn a_dismissed_room_is_unknown_and_a_rotated_key_makes_old_signatures_wrong() {
    let vendor = vendor();
    let caller = Caller::of(&vendor);
    vendor.remove_room(ACCOUNT, GROUP);
    assert_eq!(caller.code(CLEAR).await, 10010);
    vendor.account(ACCOUNT, "rotated", &["administrator"]);
    assert_eq!(caller.code(CLEAR).await, 70009);
    vendor.remove_account(ACCOUNT);
    assert_eq!(caller.code(CLEAR).await, 60006);
}
