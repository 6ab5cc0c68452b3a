use super::*;
use crate::chat::NetworkError;
use crate::chat::codes::lookup;
use crate::protocol::classify::CallResult;

fn s(n: u64) -> Mono {
    Mono::START + Duration::from_secs(n)
}

fn room(name: &str) -> GroupId {
    GroupId::parse(name).unwrap()
}

/// The answer to a sent call without a code: HTTP 502.
fn bad_gateway() -> CallResult {
    CallResult { code: None, http_status: Some(502), ..CallResult::answered(Class::Unknown, 0) }
}

fn rejected(code: i64) -> CallResult {
    CallResult::answered(Class::Account(AccountFailure::Credentials), code)
}

#[test]
fn an_unproved_app_is_probed_at_once_and_closes_on_acceptance() {
    let mut circuit = CircuitBreaker::unverified(None, s(1));
    assert_eq!(circuit.next_probe_at(), Some(s(1)));
    assert!(circuit.failure().is_none());
    circuit.on_probe_started(s(1));
    assert_eq!(
        circuit.on_probe(&CallResult::answered(Class::GroupNotFound, 10010), s(2)),
        CircuitChange::Closed
    );
    assert!(circuit.is_closed());
}

#[test]
fn one_refusal_opens_it_and_probes_double_up_to_a_minute() {
    let mut circuit = CircuitBreaker::closed();
    assert_eq!(circuit.on_call(&rejected(70003), &room("a"), s(0), s(10)), CircuitChange::Opened);
    let mut now = s(10);
    for wait in [5, 10, 20, 40, 60, 60] {
        assert_eq!(circuit.next_probe_at(), Some(now + Duration::from_secs(wait)));
        now += Duration::from_secs(wait);
        assert_eq!(circuit.on_probe(&rejected(70003), now), CircuitChange::None, "same failure, no change");
    }
}

#[test]
fn an_account_that_takes_reads_and_refuses_clears_is_asked_less_and_less() {
    let mut circuit = CircuitBreaker::closed();
    let mut now = s(0);
    for wait in [5, 10, 20, 40, 60, 60] {
        assert_eq!(circuit.on_call(&rejected(10026), &room("a"), now, now), CircuitChange::Opened);
        assert_eq!(circuit.next_probe_at(), Some(now + Duration::from_secs(wait)));
        now += Duration::from_secs(wait);
        assert_eq!(
            circuit.on_probe(&CallResult::answered(Class::GroupNotFound, 10010), now),
            CircuitChange::Closed
        );
        circuit.on_clear(&rejected(10026));
    }
    // An accepted clear resets the interval, and so does a minute without a rejected one.
    let mut quiet = circuit.clone();
    circuit.on_clear(&CallResult::answered(Class::Success, 0));
    circuit.on_call(&rejected(10026), &room("a"), now, now);
    quiet.on_call(&rejected(10026), &room("a"), now + Duration::from_mins(1), now + Duration::from_mins(1));
    assert_eq!(
        (circuit.next_probe_at(), quiet.next_probe_at()),
        (Some(now + Duration::from_secs(5)), Some(now + Duration::from_secs(65)))
    );
}

/// Answers of concurrent calls can arrive in any order.
#[test]
fn a_clear_that_was_taken_shortens_the_wait_also_when_it_is_heard_after_a_refusal() {
    let mut circuit = CircuitBreaker::closed();
    for now in [s(0), s(5)] {
        circuit.on_call(&rejected(10026), &room("a"), now, now);
        circuit.on_probe(&CallResult::answered(Class::GroupNotFound, 10010), now + Duration::from_secs(5));
    }
    circuit.on_call(&rejected(10026), &room("a"), s(10), s(10));
    assert_eq!(circuit.next_probe_at(), Some(s(30)));
    assert!(!circuit.on_clear(&rejected(10026)));
    assert!(circuit.on_clear(&CallResult::answered(Class::Success, 0)));
    assert_eq!(circuit.next_probe_at(), Some(s(15)));
    assert!(!circuit.on_clear(&CallResult::answered(Class::Success, 0)), "once");
    // It does not shorten the one-minute pause that the vendor asks for.
    let mut paused = CircuitBreaker::closed();
    paused.on_call(&rejected(70050), &room("a"), s(0), s(0));
    assert!(!paused.on_clear(&CallResult::answered(Class::Success, 0)));
    assert_eq!(paused.next_probe_at(), Some(s(60)));
}

#[test]
fn the_code_that_asks_for_a_minute_gets_a_minute() {
    let mut circuit = CircuitBreaker::closed();
    circuit.on_call(&rejected(70050), &room("a"), s(0), s(0));
    assert_eq!(circuit.next_probe_at(), Some(s(60)));
}

#[test]
fn the_minute_also_holds_for_a_process_that_starts_in_it() {
    let failure = |code| {
        Some(AppFailure { reason: AppReason::CredentialsRejected, code: Some(code), message: String::new() })
    };
    assert_eq!(CircuitBreaker::unverified(failure(70050), s(1)).next_probe_at(), Some(s(61)));
    assert_eq!(CircuitBreaker::unverified(failure(70009), s(1)).next_probe_at(), Some(s(1)));
}

#[test]
fn a_working_app_whose_key_is_not_handed_out_is_proved_anew_without_being_in_trouble() {
    let mut circuit = CircuitBreaker::closed();
    circuit.on_key_unavailable(s(10));
    assert!(!circuit.is_closed() && circuit.failure().is_none());
    assert_eq!(circuit.next_probe_at(), Some(s(12)));
    circuit.on_key_unavailable(s(11));
    assert_eq!(circuit.next_probe_at(), Some(s(12)), "counted once");
    circuit.on_probe_started(s(12));
    assert_eq!(circuit.next_probe_at(), Some(s(17)));
    assert_eq!(
        circuit.on_probe(&CallResult::answered(Class::GroupNotFound, 10010), s(17)),
        CircuitChange::Closed
    );
}

#[test]
fn three_faults_in_a_row_open_it_and_a_good_answer_starts_the_count_anew() {
    let fault = CallResult::not_sent(NotSentCause::Network(NetworkError::Refused));
    let mut circuit = CircuitBreaker::closed();
    for now in [1, 2] {
        assert_eq!(circuit.on_call(&fault, &room("a"), s(now), s(now)), CircuitChange::None);
    }
    circuit.on_call(&CallResult::answered(Class::Success, 0), &room("a"), s(3), s(3));
    for now in [4, 5] {
        assert_eq!(circuit.on_call(&fault, &room("a"), s(now), s(now)), CircuitChange::None);
    }
    assert_eq!(circuit.on_call(&fault, &room("a"), s(6), s(6)), CircuitChange::Opened);
    assert_eq!(circuit.failure().map(|t| t.reason), Some(AppReason::Unreachable));
}

#[test]
fn calls_without_a_usable_answer_open_it_once_they_are_of_three_groups() {
    let timeout = |code| CallResult::answered(Class::Unknown, code);
    for fault in [bad_gateway(), timeout(60008), timeout(60013), timeout(70169), timeout(70500)] {
        let mut circuit = CircuitBreaker::closed();
        for (now, name) in (1..).zip(["a", "a", "a", "b", "a", "b"]) {
            assert_eq!(circuit.on_call(&fault, &room(name), s(now), s(now)), CircuitChange::None);
        }
        assert_eq!(circuit.on_call(&fault, &room("c"), s(9), s(9)), CircuitChange::Opened);
        assert_eq!(circuit.failure().map(|t| t.reason), Some(AppReason::Unreachable));
    }
}

/// The app's webhook refuses, say: that says nothing against the account.
#[test]
fn a_code_about_a_group_shows_that_the_account_works() {
    for code in [10002, 10016, 10056, 10999] {
        let about_group = CallResult::answered(Class::Unknown, code);
        let mut circuit = CircuitBreaker::closed();
        for (now, name) in (1..).zip(["a", "b", "c", "d"]) {
            assert_eq!(circuit.on_call(&about_group, &room(name), s(now), s(now)), CircuitChange::None);
        }
        // It also starts the count anew.
        for (fault, name) in
            [(&bad_gateway(), "a"), (&bad_gateway(), "b"), (&about_group, "c"), (&bad_gateway(), "d")]
        {
            assert_eq!(circuit.on_call(fault, &room(name), s(9), s(9)), CircuitChange::None, "{code}");
        }
        let mut unverified = CircuitBreaker::unverified(None, s(1));
        assert_eq!(unverified.on_probe(&about_group, s(2)), CircuitChange::Closed);
    }
}

#[test]
fn an_unlisted_code_neither_opens_it_nor_proves_anything() {
    let unlisted = CallResult::answered(Class::Unknown, 99999);
    let mut circuit = CircuitBreaker::closed();
    for (fault, name) in [
        (&unlisted, "a"),
        (&unlisted, "b"),
        (&unlisted, "c"),
        (&bad_gateway(), "d"),
        (&unlisted, "e"),
        (&bad_gateway(), "f"),
    ] {
        assert_eq!(circuit.on_call(fault, &room(name), s(1), s(1)), CircuitChange::None);
    }
    assert_eq!(circuit.on_call(&bad_gateway(), &room("g"), s(2), s(2)), CircuitChange::Opened);
    let mut unverified = CircuitBreaker::unverified(None, s(1));
    assert_eq!(unverified.on_probe(&unlisted, s(2)), CircuitChange::Opened);
    let said = unverified.failure().unwrap().message.clone();
    assert!(said.contains("99999") && !said.contains("DNS"), "whoever answers was reached: {said}");
}

#[test]
fn what_does_not_understand_the_calls_is_no_proof_of_the_account() {
    for code in [10003, 10011, 60002, 60003, 60009, 60015] {
        let answer = CallResult::answered(lookup(code).class, code);
        let mut unverified = CircuitBreaker::unverified(None, s(1));
        assert_eq!(unverified.on_probe(&answer, s(2)), CircuitChange::Opened);
        let failure = unverified.failure().unwrap();
        assert_eq!((failure.reason, failure.code), (AppReason::EndpointRejected, Some(code)));
        assert!(failure.message.contains("spec.endpoint"), "{}", failure.message);
        let mut verified = CircuitBreaker::closed();
        assert_eq!(verified.on_call(&answer, &room("a"), s(2), s(3)), CircuitChange::Opened);
    }
}

#[test]
fn an_expired_signature_is_forgiven_once() {
    let mut circuit = CircuitBreaker::closed();
    assert_eq!(
        circuit.on_call(&CallResult::answered(Class::SignatureExpired, 70001), &room("a"), s(1), s(1)),
        CircuitChange::None
    );
    // A call that started earlier used the same signature, however late it was sent.
    assert_eq!(
        circuit.on_call(&CallResult::answered(Class::SignatureExpired, 70001), &room("a"), s(0), s(2)),
        CircuitChange::None
    );
    assert_eq!(
        circuit.on_call(&CallResult::answered(Class::SignatureExpired, 70001), &room("a"), s(2), s(3)),
        CircuitChange::Opened
    );
}

#[test]
fn answers_to_calls_from_before_the_last_change_say_nothing() {
    let mut circuit = CircuitBreaker::unverified(None, s(0));
    circuit.on_probe(&CallResult::answered(Class::Success, 0), s(9));
    assert_eq!(circuit.on_call(&rejected(70003), &room("a"), s(8), s(10)), CircuitChange::None);
    assert!(circuit.is_closed());
}
