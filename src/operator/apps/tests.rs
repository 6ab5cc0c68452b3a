use serde_json::{Value, json};

use super::*;
use crate::api::ChatApp;
use crate::chat::{AccountTrouble, Class};
use crate::decide::judge::Verdict;

fn at(second: u64) -> Now {
    let wall = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
    Now { wall, mono: Duration::from_secs(second) }
}

fn rules() -> Rules {
    Rules {
        own_namespace: "system".to_owned(),
        allow_endpoints: Vec::new(),
        predecessor_writes: Duration::ZERO,
        key_format: KeyFormat::Hex64,
    }
}

fn app(generation: i64, spec: &Value, status: Option<AppStatus>) -> App {
    let mut all =
        json!({"sdkAppID": 7, "region": "Seoul", "credentials": {"secretKeyRef": {"name": "chat"}}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let mut object = ChatApp::new("default", serde_json::from_value(all).unwrap());
    object.metadata.uid = Some("uid".to_owned());
    object.metadata.generation = Some(generation);
    object.status = status;
    App::new(AppObject::Chat(Box::new(object)), &rules(), at(100))
}

/// Verified at generation 1, and told so.
fn verified() -> App {
    let mut app = app(1, &json!({}), None);
    app.circuit.probed(&Verdict::answered(Class::GroupNotFound, 10010), at(100).mono);
    app.note_accepted(&Verdict::answered(Class::GroupNotFound, 10010), at(100));
    app.note_rejection();
    app
}

/// The app as another process sees it that has only its status.
fn after_a_restart(before: &App, generation: i64, spec: &Value) -> App {
    let status = before.due_status(at(200)).or_else(|| before.object.status().cloned());
    app(generation, spec, status)
}

#[test]
fn an_app_has_a_say_from_its_proof_on_whatever_befalls_it() {
    assert!(!app(1, &json!({}), None).has_a_say());
    let proved = verified();
    assert!(proved.has_a_say());
    let suspended = json!({"suspend": true});
    let mut edited = app(2, &suspended, None);
    edited.remember(&proved);
    assert!(edited.has_a_say(), "an edit does not undo a proof");
}

/// Anybody who may write its status could have stored that proof.
#[test]
fn a_stored_proof_lets_an_app_work_and_gives_no_say_before_this_process_saw_it_accepted() {
    let mut stored = after_a_restart(&verified(), 1, &json!({}));
    assert!(stored.works() && stored.verified.is_some() && !stored.has_a_say());
    assert_eq!(stored.probe_due(), None, "nobody else minds");
    stored.confirm(at(150).mono);
    assert_eq!(stored.probe_due(), Some(at(150).mono), "others share its account");
    let mut forged = after_a_restart(&verified(), 1, &json!({}));
    assert!(stored.note_accepted(&Verdict::answered(Class::Success, 0), at(151)));
    assert!(stored.has_a_say() && stored.probe_due().is_none());

    let refusal = Verdict::answered(Class::Account(AccountTrouble::Credentials), 70003);
    assert!(!forged.note_accepted(&refusal, at(151)));
    forged.circuit.heard(&refusal, at(150).mono, at(151).mono);
    forged.note_rejection();
    assert!(!forged.works() && !forged.has_a_say());
    assert_eq!(forged.verified, None, "it waits in line with those that were never verified");
}

#[test]
fn an_app_that_the_vendor_refused_has_no_say_until_it_is_proved_again() {
    let mut refused = verified();
    refused.circuit.heard(
        &Verdict::answered(Class::Account(AccountTrouble::Credentials), 70003),
        at(100).mono,
        at(101).mono,
    );
    refused.note_rejection();
    assert!(!refused.has_a_say());
    let told = refused.due_status(at(102)).unwrap();
    assert_eq!(told.last_verified_time, refused.verified, "its status still says when it worked");
    // Suspended, it is not asked any more, and its status tells of something else.
    let suspended = json!({"suspend": true});
    let mut edited = app(2, &suspended, Some(told));
    edited.remember(&refused);
    assert!(!edited.has_a_say());
    let mut mended = app(3, &json!({}), edited.due_status(at(103)));
    mended.remember(&edited);
    mended.circuit.probed(&Verdict::answered(Class::GroupNotFound, 10010), at(104).mono);
    mended.note_rejection();
    assert!(mended.has_a_say());
}

/// Or whoever has a key at one host could slow down an account at another.
#[test]
fn a_proof_is_no_proof_for_another_account() {
    let proved = verified();
    let elsewhere = json!({"region": "China", "suspend": true});
    let mut moved = app(2, &elsewhere, proved.due_status(at(101)));
    moved.remember(&proved);
    assert!(!moved.has_a_say());
    assert!(!after_a_restart(&proved, 2, &elsewhere).works(), "edited while nobody looked");
}

#[test]
fn only_an_app_that_may_be_asked_wants_a_probe() {
    assert_eq!(app(1, &json!({}), None).probe_due(), Some(at(100).mono));
    assert_eq!(app(1, &json!({"suspend": true}), None).probe_due(), None);
    assert_eq!(App { probe: Probe::Busy, ..app(1, &json!({}), None) }.probe_due(), None);
    assert_eq!(verified().probe_due(), None);
}

/// As an older CRD let it be stored: a line break would add a field to the text that is signed.
#[test]
fn nothing_is_signed_in_the_name_of_an_identifier_that_breaks_the_rule() {
    for identifier in
        ["", "two words", "a\nTLS.sdkappid:1", "a\r", "\u{200b}admin", "管理员", &"x".repeat(33), "a\u{7f}"]
    {
        let app = app(1, &json!({"identifier": identifier}), None);
        assert!(app.terms.is_err() && app.probe_due().is_none() && !app.works(), "{identifier:?}");
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
        assert!(app(1, &json!({"identifier": identifier}), None).terms.is_ok(), "{identifier:?}");
    }
}

#[test]
fn an_app_whose_secret_held_no_key_begins_with_that_after_a_restart() {
    let mut invalid = app(1, &json!({}), None);
    let message = "Entry secretKey of Secret chat is no usable key".to_owned();
    invalid.circuit.probing(at(100).mono);
    invalid.circuit.blocked(trouble(AppReason::SecretKeyInvalid, message.clone()), at(100).mono);
    let after = after_a_restart(&invalid, 1, &json!({}));
    let known = after.trouble().unwrap();
    assert_eq!((known.reason, known.message), (AppReason::SecretKeyInvalid, message));
    assert!(!after.works() && !after.has_a_say());
    assert_eq!(after.due_status(at(201)), None, "it is told already");
}
