//! Group ids: whatever a spec may hold, what is accepted is what the CRD accepts, and is sent as it was written.
#![no_main]

use groupattr::api::GroupId;
use groupattr::chat::wire::request_body;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let accepted = GroupId::parse(text);
    assert_eq!(accepted.is_ok(), fits_the_crd(text), "{text:?}");
    let Ok(group) = accepted else { return };
    let sent: serde_json::Value = serde_json::from_str(&request_body(&group)).expect("JSON");
    assert_eq!(sent, serde_json::json!({ "GroupId": text }));
});

/// The rules of `crds/groupattributeresets.yaml`, written a second time.
fn fits_the_crd(text: &str) -> bool {
    let length = text.chars().count();
    (1..=96).contains(&length)
        && text.chars().all(|c| (' '..='~').contains(&c))
        && (length <= 48 || text.starts_with("@TGS#"))
        && !text.starts_with("@TGS#_")
        && !text.contains("@TOPIC#_")
}
