use serde_json::{Value, json};

use super::*;
use crate::api::{ChatApp, GroupId};
use crate::chat::{AccountFailure, Class, KeyFormat};
use crate::protocol::classify::CallResult;

fn at(second: u64) -> Now {
    let wall = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
    Now { wall, mono: Mono::START + Duration::from_secs(second) }
}

fn rules() -> AppRules {
    AppRules {
        own_namespace: "system".to_owned(),
        allow_endpoints: Vec::new(),
        predecessor_writes: Duration::ZERO,
        key_format: KeyFormat::Hex64,
    }
}

fn app(generation: i64, spec: &Value, status: Option<AppStatus>) -> AppEntry {
    let mut all =
        json!({"sdkAppID": 7, "region": "Seoul", "credentials": {"secretKeyRef": {"name": "chat"}}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let mut object = ChatApp::new("default", serde_json::from_value(all).unwrap());
    object.metadata.uid = Some("uid".to_owned());
    object.metadata.generation = Some(generation);
    object.status = status;
    AppEntry::new(AnyChatApp::Chat(Box::new(object)), &rules(), at(100))
}

/// Verified at generation 1.
fn verified() -> AppEntry {
    let mut app = app(1, &json!({}), None);
    app.circuit.on_probe(&CallResult::answered(Class::GroupNotFound, 10010), at(100).mono);
    app.on_accepted(&CallResult::answered(Class::GroupNotFound, 10010), at(100));
    app.update_rejected();
    app
}

/// The app as seen by a new process, which knows only its status.
fn after_a_restart(before: &AppEntry, generation: i64, spec: &Value) -> AppEntry {
    let status = before.due_status(at(200)).or_else(|| before.object.status().cloned());
    app(generation, spec, status)
}

#[test]
fn an_app_has_a_say_from_its_proof_on_whatever_befalls_it() {
    assert!(!app(1, &json!({}), None).limits_apply());
    let verified_app = verified();
    assert!(verified_app.limits_apply());
    let suspended = json!({"suspend": true});
    let mut edited = app(2, &suspended, None);
    edited.inherit(&verified_app);
    assert!(edited.limits_apply(), "an edit does not undo a verification");
}

/// Any client that may write its status could have stored that verification.
#[test]
fn a_stored_proof_lets_an_app_work_and_gives_no_say_before_this_process_saw_it_accepted() {
    let mut stored = after_a_restart(&verified(), 1, &json!({}));
    assert!(stored.works() && stored.verified.is_some() && !stored.limits_apply());
    assert_eq!(stored.probe_due_at(), None, "no other app shares its account");
    stored.confirm(at(150).mono);
    assert_eq!(stored.probe_due_at(), Some(at(150).mono), "others share its account");
    let mut forged = after_a_restart(&verified(), 1, &json!({}));
    assert!(stored.on_accepted(&CallResult::answered(Class::Success, 0), at(151)));
    assert!(stored.limits_apply() && stored.probe_due_at().is_none());

    let refusal = CallResult::answered(Class::Account(AccountFailure::Credentials), 70003);
    assert!(!forged.on_accepted(&refusal, at(151)));
    forged.circuit.on_call(&refusal, &GroupId::reserved_for_probes(), at(150).mono, at(151).mono);
    forged.update_rejected();
    assert!(!forged.works() && !forged.limits_apply());
    assert_eq!(forged.verified, None, "it queues with the never-verified apps");
}

#[test]
fn an_app_that_the_vendor_refused_has_no_say_until_it_is_proved_again() {
    let mut refused = verified();
    refused.circuit.on_call(
        &CallResult::answered(Class::Account(AccountFailure::Credentials), 70003),
        &GroupId::reserved_for_probes(),
        at(100).mono,
        at(101).mono,
    );
    refused.update_rejected();
    assert!(!refused.limits_apply());
    let rejected_status = refused.due_status(at(102)).unwrap();
    assert_eq!(rejected_status.last_verified_time, refused.verified, "its status still says when it worked");
    // While suspended it is not probed, and its status shows another reason.
    let suspended = json!({"suspend": true});
    let mut edited = app(2, &suspended, Some(rejected_status));
    edited.inherit(&refused);
    assert!(!edited.limits_apply());
    let mut restored = app(3, &json!({}), edited.due_status(at(103)));
    restored.inherit(&edited);
    restored.circuit.on_probe(&CallResult::answered(Class::GroupNotFound, 10010), at(104).mono);
    restored.update_rejected();
    assert!(restored.limits_apply());
}

/// Otherwise a valid key at one host could slow down an account at another.
#[test]
fn a_proof_is_no_proof_for_another_account() {
    let verified_app = verified();
    let elsewhere = json!({"region": "China", "suspend": true});
    let mut moved = app(2, &elsewhere, verified_app.due_status(at(101)));
    moved.inherit(&verified_app);
    assert!(!moved.limits_apply());
    assert!(!after_a_restart(&verified_app, 2, &elsewhere).works(), "edited while no operator was running");
}

#[test]
fn only_an_app_that_may_be_asked_wants_a_probe() {
    assert_eq!(app(1, &json!({}), None).probe_due_at(), Some(at(100).mono));
    assert_eq!(app(1, &json!({"suspend": true}), None).probe_due_at(), None);
    assert_eq!(AppEntry { probe: ProbeState::Busy, ..app(1, &json!({}), None) }.probe_due_at(), None);
    assert_eq!(verified().probe_due_at(), None);
}

/// An older CRD may have let it be stored: a line break would add a field to the signed text.
#[test]
fn nothing_is_signed_in_the_name_of_an_identifier_that_breaks_the_rule() {
    for identifier in
        ["", "two words", "a\nTLS.sdkappid:1", "a\r", "\u{200b}admin", "管理员", &"x".repeat(33), "a\u{7f}"]
    {
        let app = app(1, &json!({"identifier": identifier}), None);
        assert!(app.config.is_err() && app.probe_due_at().is_none() && !app.works(), "{identifier:?}");
        let ready = app.due_status(at(101)).unwrap().conditions.remove(0);
        assert_eq!(
            (ready.reason.as_str(), ready.status),
            ("CredentialsRejected", crate::api::ConditionStatus::False)
        );
        assert!(
            ready.message.starts_with("spec.identifier is not 1 to 32 printable ASCII"),
            "{}",
            ready.message
        );
    }
    for identifier in ["a", "administrator", "!~", &"x".repeat(32)] {
        assert!(app(1, &json!({"identifier": identifier}), None).config.is_ok(), "{identifier:?}");
    }
}

#[test]
fn an_app_whose_secret_held_no_key_begins_with_that_after_a_restart() {
    let mut invalid = app(1, &json!({}), None);
    let message = "Entry secretKey of Secret chat is no usable key".to_owned();
    invalid.circuit.on_probe_started(at(100).mono);
    invalid.circuit.on_failure(AppFailure::new(AppReason::SecretKeyInvalid, message.clone()), at(100).mono);
    let after = after_a_restart(&invalid, 1, &json!({}));
    let known = after.failure().unwrap();
    assert_eq!((known.reason, known.message), (AppReason::SecretKeyInvalid, message));
    assert!(!after.works() && !after.limits_apply());
    assert_eq!(after.due_status(at(201)), None, "the status already says so");
}
