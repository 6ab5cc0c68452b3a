use serde_json::{Value, json};

use super::*;
use crate::api::ChatApp;
use crate::chat::{AccountTrouble, Class};
use crate::decide::judge::Verdict;

fn at(second: u64) -> Now {
    let wall = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
    Now { wall, mono: Duration::from_secs(second) }
}

fn app(generation: i64, spec: &Value, status: Option<AppStatus>) -> App {
    let mut all =
        json!({"sdkAppID": 7, "region": "Seoul", "credentials": {"secretKeyRef": {"name": "chat"}}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let mut object = ChatApp::new("default", serde_json::from_value(all).unwrap());
    object.metadata.uid = Some("uid".to_owned());
    object.metadata.generation = Some(generation);
    object.status = status;
    App::new(AppObject::Chat(Box::new(object)), "system", &[], at(100))
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
