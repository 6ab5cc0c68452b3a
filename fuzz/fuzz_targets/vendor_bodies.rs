//! Bodies of HTTP 200: no body makes the reader panic, none but a plain success counts as one, and no text of the
//! vendor shows a control character or a piece of the signature.
#![no_main]

use groupattr::chat::wire::parse_reply;
use groupattr::chat::{Answer, Class, InvalidReply, MAX_TEXT_BYTES, Reply, clean_text};
use groupattr::protocol::classify::{Delivery, classify};
use groupattr::protocol::messages;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Stands in seeds and dictionary, so that bodies which quote it are found quickly.
const SIG: &str =
    "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZi*QUFmSlAKUMTAyiAyqVWFGQ-ZpYJk__";

fuzz_target!(|body: &[u8]| {
    let answer = match parse_reply(body) {
        Ok(reply) => {
            let error_info = clean_text(&reply.error_info, &[SIG], MAX_TEXT_BYTES);
            check_text(&error_info);
            Answer::Reply(Reply { error_info, ..reply })
        }
        Err(unreadable) => Answer::Unreadable(unreadable),
    };
    let result = classify(&answer);
    let twice = answer == Answer::Unreadable(InvalidReply::Shape);
    if let Some(success) = is_success(body).filter(|_| !twice) {
        assert_eq!(result.delivery == Delivery::Sent(Class::Success), success, "{result:?}");
    }
    let said = messages::result(&result);
    assert!(said.len() <= 400 && !said.contains(char::is_control), "{said}");
});

fn check_text(text: &str) {
    assert!(text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control), "{text:?}");
    let text = text.to_ascii_lowercase();
    let sig = SIG.to_ascii_lowercase();
    let shown =
        sig.as_bytes().windows(16).any(|piece| text.as_bytes().windows(16).any(|found| found == piece));
    assert!(!shown && !text.contains("usersig="), "{text}");
}

/// What the vendor documents as success, read by a plain JSON reader; `None` where that reader gives up on fields that
/// the operator does not look at, or cannot tell that a field stands there twice.
fn is_success(body: &[u8]) -> Option<bool> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let answer = answer.as_object()?;
    let is_text = |key: &str| matches!(answer.get(key), None | Some(Value::Null | Value::String(_)));
    let is_list = matches!(answer.get("GroupAttrAry"), None | Some(Value::Null | Value::Array(_)));
    let is_ok = matches!(answer.get("ActionStatus"), None | Some(Value::Null))
        || answer["ActionStatus"].as_str() == Some("OK");
    let is_zero = answer.get("ErrorCode").and_then(Value::as_i64) == Some(0);
    Some(is_zero && is_ok && is_text("ErrorInfo") && is_text("RequestId") && is_list)
}
