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
        && !names_a_vendors_id_in_a_wrapping(text)
        && (length <= 48 || text.starts_with("@TGS#"))
        && !text.starts_with("@TGS#_")
        && !text.contains("@TOPIC#_")
}

fn names_a_vendors_id_in_a_wrapping(text: &str) -> bool {
    let mut before = text.split("@TGS#");
    let wraps = |part: &str| {
        part.chars().next_back().is_none_or(|c| !(c.is_ascii_alphanumeric() || ['_', '.', '-'].contains(&c)))
    };
    let first = before.next().unwrap_or_default();
    let parts: Vec<&str> = before.collect();
    let Some((_, inner)) = parts.split_last() else { return false };
    let wrapped = wraps(first) || inner.iter().any(|part| wraps(part));
    wrapped && (!first.is_empty() || text.contains([' ', '"', '\'', '`', ',', ';', '(', ')', '<', '>', '[', ']', '{', '}', '\\']))
}
