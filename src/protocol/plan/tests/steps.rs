//! The step for each state of a reset and of its app.

use jiff::SignedDuration;

use super::*;
use crate::api::{AppKind, AppReason};
use crate::chat::{AccountFailure, Class, NetworkError};
use crate::protocol::classify::NotSentCause;
use crate::protocol::deadlines::ends_at;
use crate::protocol::outcome::{WriteContext, after_attempt, after_read_back, awaiting_settlement, intent};

fn step(reset: &GroupAttributeReset, app: &AppView, now: Now) -> Step {
    plan(reset, app, &LocalState::default(), now).step
}

fn recorded(step: Step) -> ResetStatus {
    match step {
        Step::Record(status) => *status,
        other => panic!("nothing is recorded: {other:?}"),
    }
}

#[test]
fn a_new_reset_is_sent_at_once() {
    assert_eq!(plan(&reset(spec()), &works(), &LocalState::default(), at(1)), Plan::from(Step::Send));
}

#[test]
fn an_object_under_deletion_starts_nothing() {
    let mut reset = reset(spec());
    reset.metadata.deletion_timestamp = reset.metadata.creation_timestamp.clone();
    assert_eq!(step(&reset, &works(), at(1)), Step::Wait(None));
}

#[test]
fn each_state_of_the_app_has_its_reason_and_nothing_is_sent() {
    let states = [
        (AppState::Missing, Some(Reason::AppNotFound)),
        (AppState::NotAllowed, Some(Reason::AppNotAllowed)),
        (AppState::Suspended, Some(Reason::AppSuspended)),
        (AppState::NotReady(AppReason::CredentialsRejected, Some(70003)), Some(Reason::AppNotReady)),
        (AppState::Checking, None),
    ];
    for (state, reason) in states {
        let plan = plan(&reset(spec()), &AppView { state, account: None }, &LocalState::default(), at(1));
        assert!(matches!(plan.step, Step::Wait(Some(_))), "{state:?}");
        assert_eq!(plan.explain.map(|status| status.reason()), reason);
    }
}

#[test]
fn not_after_ends_even_a_suspended_reset() {
    let late = ResetSpec { not_after: Some("1970-01-01T00:00:10Z".to_owned()), suspend: true, ..spec() };
    assert_eq!(recorded(step(&reset(late.clone()), &works(), at(9))).reason(), Reason::Suspended);
    assert_eq!(recorded(step(&reset(late), &works(), at(10))).reason(), Reason::Expired);
}

#[test]
fn of_not_after_and_the_deadline_the_earlier_one_ends_it() {
    let bounded = |not_after: &str, seconds| {
        let not_after = Some(format!("1970-01-01T00:{not_after}Z"));
        reset(ResetSpec { not_after, active_deadline_seconds: seconds, ..spec() })
    };
    let (by_deadline, by_moment) = (bounded("30:00", 5), bounded("00:05", 1800));
    for object in [&by_deadline, &by_moment] {
        assert_eq!(step(object, &works(), at(4)), Step::Send);
        assert_eq!(
            ends_at(&with_stored_intent(object)),
            Some(at(5).wall),
            "the check before sending uses the same time"
        );
    }
    assert_eq!(recorded(step(&by_deadline, &works(), at(5))).reason(), Reason::DeadlineExceeded);
    assert_eq!(recorded(step(&by_moment, &works(), at(5))).reason(), Reason::Expired);
}

/// The reset is created at 0 by the API server's clock, and ours is an hour ahead of it.
#[test]
fn a_clock_that_is_ahead_does_not_end_a_reset_in_its_first_minute() {
    let hour = SignedDuration::from_hours(1);
    let seen = |length: i64, ahead: SignedDuration, now: u64| {
        let local = LocalState { clock_ahead: ahead, ..LocalState::default() };
        let object = reset(ResetSpec { active_deadline_seconds: length, ..spec() });
        (plan(&object, &works(), &local, at(now)).step, object)
    };
    let (first, mut object) = seen(600, hour, 3602);
    let status = recorded(first);
    assert_eq!((status.reason(), status.start_time), (Reason::Pending, Some(at(3602).wall)));
    assert!(message(&status).contains("3600 s ahead"), "{}", message(&status));
    object.status = Some(status);
    assert_eq!(step(&object, &works(), at(4201)), Step::Send, "its deadline runs by our clock now");
    assert_eq!(recorded(step(&object, &works(), at(4202))).reason(), Reason::DeadlineExceeded);

    for (length, ahead, now, why) in [
        (600, SignedDuration::ZERO, 3602, "our clock is right"),
        (600, hour, 3660, "a minute old"),
        (30, hour, 3635, "over by either clock"),
        (600, -hour, 3602, "two hours old"),
    ] {
        let status = recorded(seen(length, ahead, now).0);
        assert_eq!(status.reason(), Reason::DeadlineExceeded, "{why}");
        assert_eq!(message(&status).contains("clock"), !ahead.is_zero(), "{}", message(&status));
    }
}

#[test]
fn a_moment_that_is_over_by_a_wrong_clock_is_over_and_the_message_names_the_clock() {
    let object = reset(ResetSpec { not_after: Some("1970-01-01T00:30:00Z".to_owned()), ..spec() });
    let local = LocalState { clock_ahead: SignedDuration::from_hours(1), ..LocalState::default() };
    let end = recorded(plan(&object, &works(), &local, at(3602)).step);
    assert_eq!(end.reason(), Reason::Expired);
    assert!(message(&end).contains("3600 s ahead of the API server's"), "{}", message(&end));
}

/// The object once its first intent is stored.
fn with_stored_intent(object: &GroupAttributeReset) -> GroupAttributeReset {
    let status = intent(object, attempt(1, at(0)), at(0));
    GroupAttributeReset { status: Some(status), ..object.clone() }
}

#[test]
fn suspending_stops_the_clock_and_resuming_starts_it_anew() {
    let mut object = reset(ResetSpec { suspend: true, active_deadline_seconds: 5, ..spec() });
    object.status = Some(recorded(step(&object, &works(), at(1))));
    assert_eq!(object.status.as_ref().unwrap().start_time, None);
    assert_eq!(step(&object, &works(), at(3000)), Step::Wait(None));
    object.spec.suspend = false;
    object.metadata.generation = Some(2);
    let resumed = recorded(step(&object, &works(), at(3000)));
    assert_eq!(resumed.start_time, Some(at(3000).wall));
    object.status = Some(resumed);
    assert_eq!(step(&object, &works(), at(3004)), Step::Send);
    assert_eq!(recorded(step(&object, &works(), at(3005))).reason(), Reason::DeadlineExceeded);
}

#[test]
fn not_after_may_name_the_end_of_time() {
    for never in ["9999-12-31T23:59:59Z", "9999-12-30T23:00:00-01:00"] {
        let object = reset(ResetSpec { not_after: Some(never.to_owned()), ..spec() });
        assert_eq!(step(&object, &works(), at(1)), Step::Send, "{never}");
    }
}

#[test]
fn a_spec_that_slipped_past_the_crd_ends_with_what_is_wrong() {
    let wrong = [
        ResetSpec { group_id: "@TGS#_c".to_owned(), ..spec() },
        ResetSpec { not_after: Some("tomorrow".to_owned()), ..spec() },
    ];
    for spec in wrong {
        assert_eq!(recorded(step(&reset(spec), &works(), at(1))).reason(), Reason::InvalidRequest);
    }
}

#[test]
fn another_request_is_recorded_before_it_is_sent_and_an_old_one_is_never_sent_again() {
    let mut object = reset(ResetSpec { request_id: Some("one".to_owned()), ..spec() });
    finish(&mut object, at(1));
    object.spec.request_id = Some("two".to_owned());
    object.metadata.generation = Some(2);
    let second = recorded(step(&object, &works(), at(2)));
    assert_eq!((second.reason(), second.history.len()), (Reason::Pending, 1));
    object.status = Some(second);
    finish(&mut object, at(3));
    object.spec.request_id = Some("one".to_owned());
    object.metadata.generation = Some(3);
    let reverted = recorded(step(&object, &works(), at(4)));
    assert_eq!(reverted.reason(), Reason::Cleared);
    assert_eq!(reverted.history[0].request_id.as_deref(), Some("two"));
    object.status = Some(reverted);
    assert_eq!(step(&object, &works(), at(5)), Step::Wait(None));
    // Its time to live counts from when it became finished now, not from when it first finished.
    object.spec.ttl_seconds_after_finished = Some(10);
    assert_eq!(step(&object, &works(), at(12)), Step::Wait(Some(Mono::START + Duration::from_secs(13))));
    assert_eq!(step(&object, &works(), at(13)), Step::Delete);
}

fn finish(object: &mut GroupAttributeReset, now: Now) {
    assert_eq!(step(object, &works(), now), Step::Send);
    let pending = attempt(1, now);
    object.status = Some(intent(object, pending.clone(), now));
    let at = WriteContext { now, jitter: 0.5, throttle: Duration::ZERO };
    object.status = Some(after_attempt(object, &pending, &result(Delivery::Sent(Class::Success)), at));
}

#[test]
fn an_attempt_in_flight_is_settled_and_the_next_request_begun_in_one_write() {
    let mut object = reset(ResetSpec { request_id: Some("one".to_owned()), ..spec() });
    let pending = attempt(1, at(1));
    object.status = Some(intent(&object, pending.clone(), at(1)));
    object.spec.request_id = Some("two".to_owned());
    object.metadata.generation = Some(2);
    let now = WriteContext { now: at(2), jitter: 0.5, throttle: Duration::ZERO };
    let next = after_attempt(&object, &pending, &result(Delivery::Sent(Class::Success)), now);
    assert_eq!(next.reason(), Reason::Pending);
    assert_eq!((next.request_id.as_deref(), next.history[0].reason.as_str()), (Some("two"), "Cleared"));
}

#[test]
fn an_account_that_is_another_by_now_cannot_be_asked() {
    let mut object = reset(spec());
    object.status = Some(intent(&object, attempt(1, at(1)), at(1)));
    let moved = AppView {
        state: AppState::Working,
        account: Some(AccountId { sdk_app_id: 2, host: "chat:443".to_owned() }),
    };
    assert_eq!(recorded(step(&object, &moved, at(2))).reason(), Reason::OutcomeUnknown);
}

/// Its process may make the call until its ten seconds have passed.
#[test]
fn an_attempt_of_another_process_is_not_given_up_while_that_may_be_at_work() {
    let mut object = reset(ResetSpec { active_deadline_seconds: 1, ..spec() });
    object.status = Some(intent(&object, attempt(1, at(1)), at(1)));
    let local = LocalState {
        read_back_at: Some(Mono::START + Duration::from_secs(3 + 10 + 5)),
        ..LocalState::default()
    };
    let moved = AppView {
        state: AppState::Working,
        account: Some(AccountId { sdk_app_id: 2, host: "chat:443".to_owned() }),
    };
    for app in [works(), moved] {
        let step = |second| plan(&object, &app, &local, at(second)).step;
        assert_eq!(step(12), Step::Wait(Some(Mono::START + Duration::from_secs(13))));
        assert_eq!(recorded(step(13)).reason(), Reason::OutcomeUnknown);
    }
}

/// The process that made it may still report that nothing was sent.
#[test]
fn an_attempt_that_was_counted_as_unseen_counts_no_more_once_it_is_known_that_nothing_was_sent() {
    let mut object = reset(spec());
    let pending = attempt(1, at(1));
    object.status = Some(intent(&object, pending.clone(), at(1)));
    object.status = Some(awaiting_settlement(&object, &pending, at(20)));
    assert_eq!(current(&object).attempts, 1);
    let now = WriteContext { now: at(21), jitter: 0.5, throttle: Duration::ZERO };
    let after = after_attempt(&object, &pending, &CallResult::not_sent(NotSentCause::IntentLost), now);
    assert_eq!((after.attempts, after.reason()), (0, Reason::Pending));
}

#[test]
fn limits_are_explained_after_ten_seconds_only() {
    let local =
        LocalState { eligible_since: Some(Mono::START + Duration::from_secs(1)), ..LocalState::default() };
    assert_eq!(plan(&reset(spec()), &works(), &local, at(10)).explain, None);
    let explained = plan(&reset(spec()), &works(), &local, at(11)).explain.unwrap();
    assert_eq!(explained.reason(), Reason::RateLimited);
}

#[test]
fn a_status_that_says_what_nobody_would_have_written_is_no_reason_to_panic() {
    let mut reset = reset(spec());
    let extreme = ResetStatus {
        observed_generation: 1,
        start_time: Some(Timestamp::MAX),
        next_attempt_time: Some(Timestamp::MIN),
        attempts: i32::MAX,
        failures: i32::MAX,
        ..ResetStatus::default()
    };
    reset.status = Some(extreme);
    let checking = AppView { state: AppState::Checking, account: None };
    assert!(matches!(step(&reset, &checking, at(1)), Step::Wait(_)));
    let now = WriteContext { now: at(2), jitter: 0.5, throttle: Duration::ZERO };
    let fault = NotSentCause::Network(crate::chat::NetworkError::Refused);
    let next = after_attempt(&reset, &attempt(i32::MAX, at(1)), &result(Delivery::NotSent(fault)), now);
    assert_eq!((next.reason(), next.failures), (Reason::BackoffLimitExceeded, i32::MAX));
    let next = after_attempt(&reset, &attempt(i32::MAX, at(1)), &result(Delivery::Sent(Class::Success)), now);
    assert_eq!((next.reason(), next.attempts), (Reason::Cleared, i32::MAX));
}

/// Of the platform's account a tenant sees only reason and code, whatever the result of a call.
#[test]
fn the_vendors_text_about_a_cluster_app_is_not_kept_whatever_became_of_the_call() {
    let deliveries = [
        Delivery::Sent(Class::Success),
        Delivery::Sent(Class::GroupNotFound),
        Delivery::Sent(Class::NotSupported),
        Delivery::Sent(Class::Invalid),
        Delivery::Sent(Class::ThrottledGroup),
        Delivery::Sent(Class::ThrottledAccount),
        Delivery::Sent(Class::SignatureExpired),
        Delivery::Sent(Class::Account(AccountFailure::Credentials)),
        Delivery::Sent(Class::Unknown),
        Delivery::NotSent(NotSentCause::Network(NetworkError::Refused)),
    ];
    for kind in [AppKind::ChatApp, AppKind::ClusterChatApp] {
        let (is_visible, read) = (kind == AppKind::ChatApp, result(Delivery::Sent(Class::Success)));
        for delivery in deliveries {
            let mut reset = reset(spec());
            reset.spec.app_ref.kind = kind;
            let pending = attempt(1, at(10));
            reset.status = Some(intent(&reset, pending.clone(), at(10)));
            let call_result = CallResult {
                error_info: "canary".to_owned(),
                vendor_request_id: Some("canary".to_owned()),
                ..result(delivery)
            };
            let write_context = WriteContext { now: at(11), jitter: 0.0, throttle: Duration::from_secs(1) };
            let next = after_attempt(&reset, &pending, &call_result, write_context);
            let text = serde_json::to_string(&next).unwrap();
            assert_eq!(text.contains("canary"), is_visible, "{kind} {delivery:?}: {text}");
            let last = next.last_attempt.clone().unwrap();
            assert_eq!((last.sdk_app_id, last.host.as_str()), (1, "chat:443"), "the read-back needs them");
            if delivery == Delivery::Sent(Class::Unknown) {
                reset.status = Some(next);
                let settled = after_read_back(&reset, &pending, &read, write_context).unwrap();
                assert_eq!(serde_json::to_string(&settled).unwrap().contains("canary"), is_visible, "{kind}");
            }
        }
    }
}

#[test]
fn a_text_about_a_cluster_app_that_an_older_version_stored_goes_with_the_next_write() {
    let mut reset = reset(spec());
    let call_result = CallResult {
        error_info: "canary".to_owned(),
        vendor_request_id: Some("canary".to_owned()),
        ..result(Delivery::Sent(Class::GroupNotFound))
    };
    let pending = attempt(1, at(10));
    let write_context = WriteContext { now: at(11), jitter: 0.0, throttle: Duration::ZERO };
    reset.status = Some(after_attempt(&reset, &pending, &call_result, write_context));
    reset.spec.app_ref.kind = AppKind::ClusterChatApp;
    reset.metadata.generation = Some(2);
    let Step::Record(next) = plan(&reset, &works(), &LocalState::default(), at(20)).step else {
        panic!("the new generation is not observed")
    };
    assert_eq!(next.observed_generation, 2);
    assert!(next.is_final() && next.last_attempt.unwrap().error_info.is_none());
}

/// The read proves that there is nothing that the call could have cleared.
#[test]
fn a_read_back_that_the_vendor_refuses_for_the_group_ends_the_reset() {
    for (class, code, reason) in [
        (Class::NotSupported, 10007, Reason::GroupTypeNotSupported),
        (Class::Invalid, 10004, Reason::InvalidRequest),
    ] {
        let read = CallResult::answered(class, code);
        let reset = reset(spec());
        let pending = serde_json::from_value(serde_json::json!({"id": "a", "number": 1,
            "startTime": "2026-11-01T10:00:00Z", "deadline": "2026-11-01T10:00:10Z", "holder": "me", "sdkAppID": 1,
            "host": "chat:443"}))
        .expect("an attempt");
        let context = WriteContext { now: at(30), jitter: 0.0, throttle: Duration::ZERO };
        let next = after_read_back(&reset, &pending, &read, context).expect("an end");
        assert!(next.is_final() && next.pending_attempt.is_none());
        assert_eq!(next.reason(), reason);
    }
}

/// As after a rollback from a version that knows more reasons.
#[test]
fn reasons_of_a_later_version_leave_an_object_readable() {
    let stored = serde_json::json!({"observedGeneration": 1, "requestID": "two", "attempts": 1,
        "history": [{"requestID": "one", "reason": "EatenByADog", "attempts": 1, "completionTime": "2026-11-01T10:00:00Z"}],
        "lastAttempt": {"id": "a", "number": 1, "startTime": "2026-11-01T10:00:00Z", "outcome": "Evaporated",
            "sdkAppID": 1, "host": "chat:443"}});
    let status: ResetStatus = serde_json::from_value(stored).expect("a readable status");
    let mut reset = reset(ResetSpec { request_id: Some("one".to_owned()), ..spec() });
    let again = other_request(&reset, &status, at(1));
    assert!(again.is_final() && message(&again).contains("EatenByADog"), "{}", message(&again));
    reset.status = Some(status);
    let written = serde_json::to_value(&reset).expect("JSON");
    assert_eq!(written["status"]["history"][0]["reason"], "EatenByADog", "nothing is lost");
}
