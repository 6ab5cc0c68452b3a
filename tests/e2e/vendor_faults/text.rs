//! Text from the vendor, which may quote a secret.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testbed::OperatorProcess;
use testbed::vendor::{Misbehaviour, When};

use super::{FIRST_ACCOUNT, until_verified};
use crate::world::{KEY, World};

#[tokio::test]
async fn vendor_text_is_shown_only_after_sanitizing() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    let accounts: BTreeMap<&str, u64> = [
        "plain",
        "control",
        "unseen",
        "signed-unseen",
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
    .zip(FIRST_ACCOUNT..)
    .collect();
    for (name, account) in &accounts {
        world.app_with_room(name, *account, "").await;
    }
    for odd in ["oversized", "not-a-text"] {
        world.app_with_room(odd, FIRST_ACCOUNT + 100 + odd.len() as u64, "").await;
    }
    world.app_with_room("account", FIRST_ACCOUNT + 200, "").await;
    until_verified(&world, accounts.keys().map(|name| (*name).to_owned())).await;
    until_verified(&world, ["oversized", "not-a-text", "account"].into_iter().map(str::to_owned)).await;

    // The vendor saw the signature in the probe, and will quote it.
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
            "unseen" => answer(10004, json!("a\u{ad}b\u{e0041}c\u{180e}d\u{fe0f}\u{3164}e\u{e000}\u{ffff}")),
            "signed-unseen" => {
                answer(10004, json!(usersig.chars().flat_map(|c| [c, '\u{34f}']).collect::<String>()))
            }
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
    let quoted = answer(70003, json!(format!("bad sig {} of {KEY}", signature(FIRST_ACCOUNT + 200))));
    world.vendor.script(When::any().by(FIRST_ACCOUNT + 200), quoted);
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
            "unseen" => assert_eq!(text, "abcde"),
            "long" => assert_eq!(text, "x".repeat(256)),
            "wide" => assert_eq!(text, "房".repeat(85), "cut at a character boundary"),
            "signed-status" => {}
            _ => assert!(info.is_null(), "{name}: {info}"),
        }
        let usersig = signature(*account);
        let shown = reset.to_string() + &operator.logs();
        for hidden in
            [percent(&usersig), usersig[..40].to_owned(), STANDARD.encode(&usersig)[..40].to_owned()]
        {
            assert!(!shown.contains(&hidden), "{name}: the signature is shown in some encoding");
        }
    }
    world.until_reason("chatapp", "account", "Ready", "CredentialsRejected").await;
    world.reset_is("account", "AppNotReady").await;
    for odd in ["oversized", "not-a-text"] {
        let reset = world.reset_is(odd, "VerifiedEmpty").await;
        assert!(reset["status"]["lastAttempt"]["errorInfo"].is_null(), "{reset:#}");
    }
    assert_no_key_in_log(&operator);
    world.check(&[&operator]).await;
}

/// The log does not contain the account's key in base64, at any of the three possible offsets.
fn assert_no_key_in_log(operator: &OperatorProcess) {
    let logs = operator.logs();
    for shift in 0..3 {
        let encoded = STANDARD.encode([&vec![b' '; shift][..], KEY.as_bytes()].concat());
        assert!(!logs.contains(&encoded[8..60]), "the log contains the key in base64");
    }
}
