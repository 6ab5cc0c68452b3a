use super::*;
use crate::chat::NetworkFault;
use crate::decide::judge::Verdict;

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn refused(code: i64) -> Verdict {
    Verdict::answered(Class::Account(AccountTrouble::Credentials), code)
}

#[test]
fn an_unproved_app_is_probed_at_once_and_closes_on_acceptance() {
    let mut circuit = Circuit::unproved(None, s(1));
    assert_eq!(circuit.probe_at(), Some(s(1)));
    assert!(circuit.trouble().is_none());
    circuit.probing(s(1));
    assert_eq!(circuit.probed(&Verdict::answered(Class::GroupNotFound, 10010), s(2)), Change::Closed);
    assert!(circuit.is_closed());
}

#[test]
fn one_refusal_opens_it_and_probes_double_up_to_a_minute() {
    let mut circuit = Circuit::closed();
    assert_eq!(circuit.heard(&refused(70003), s(0), s(10)), Change::Opened);
    let mut now = s(10);
    for wait in [5, 10, 20, 40, 60, 60] {
        assert_eq!(circuit.probe_at(), Some(now + s(wait)));
        now += s(wait);
        assert_eq!(circuit.probed(&refused(70003), now), Change::None, "same trouble, no news");
    }
}

#[test]
fn an_account_that_takes_reads_and_refuses_clears_is_asked_less_and_less() {
    let mut circuit = Circuit::closed();
    let mut now = s(0);
    for wait in [5, 10, 20, 40, 60, 60] {
        assert_eq!(circuit.heard(&refused(10026), now, now), Change::Opened);
        assert_eq!(circuit.probe_at(), Some(now + s(wait)));
        now += s(wait);
        assert_eq!(circuit.probed(&Verdict::answered(Class::GroupNotFound, 10010), now), Change::Closed);
        circuit.heard_of_clear(&refused(10026));
    }
    // A clear that the vendor takes ends that, and so does a minute in which none was refused.
    let mut quiet = circuit.clone();
    circuit.heard_of_clear(&Verdict::answered(Class::Success, 0));
    circuit.heard(&refused(10026), now, now);
    quiet.heard(&refused(10026), now + s(60), now + s(60));
    assert_eq!((circuit.probe_at(), quiet.probe_at()), (Some(now + s(5)), Some(now + s(65))));
}

/// Answers of one round overtake each other.
#[test]
fn a_clear_that_was_taken_shortens_the_wait_also_when_it_is_heard_after_a_refusal() {
    let mut circuit = Circuit::closed();
    for now in [s(0), s(5)] {
        circuit.heard(&refused(10026), now, now);
        circuit.probed(&Verdict::answered(Class::GroupNotFound, 10010), now + s(5));
    }
    circuit.heard(&refused(10026), s(10), s(10));
    assert_eq!(circuit.probe_at(), Some(s(30)));
    assert!(!circuit.heard_of_clear(&refused(10026)));
    assert!(circuit.heard_of_clear(&Verdict::answered(Class::Success, 0)));
    assert_eq!(circuit.probe_at(), Some(s(15)));
    assert!(!circuit.heard_of_clear(&Verdict::answered(Class::Success, 0)), "once");
    // Nor does it cut short the minute of silence that the vendor asks for.
    let mut told = Circuit::closed();
    told.heard(&refused(70050), s(0), s(0));
    assert!(!told.heard_of_clear(&Verdict::answered(Class::Success, 0)));
    assert_eq!(told.probe_at(), Some(s(60)));
}

#[test]
fn the_code_that_asks_for_a_minute_gets_a_minute() {
    let mut circuit = Circuit::closed();
    circuit.heard(&refused(70050), s(0), s(0));
    assert_eq!(circuit.probe_at(), Some(s(60)));
}

#[test]
fn the_minute_also_holds_for_a_process_that_starts_in_it() {
    let trouble = |code| {
        Some(Trouble { reason: AppReason::CredentialsRejected, code: Some(code), message: String::new() })
    };
    assert_eq!(Circuit::unproved(trouble(70050), s(1)).probe_at(), Some(s(61)));
    assert_eq!(Circuit::unproved(trouble(70009), s(1)).probe_at(), Some(s(1)));
}

#[test]
fn a_working_app_whose_key_is_not_handed_out_is_proved_anew_without_being_in_trouble() {
    let mut circuit = Circuit::closed();
    circuit.without_key(s(10));
    assert!(!circuit.is_closed() && circuit.trouble().is_none());
    assert_eq!(circuit.probe_at(), Some(s(12)));
    circuit.without_key(s(11));
    assert_eq!(circuit.probe_at(), Some(s(12)), "told once");
    circuit.probing(s(12));
    assert_eq!(circuit.probe_at(), Some(s(17)));
    assert_eq!(circuit.probed(&Verdict::answered(Class::GroupNotFound, 10010), s(17)), Change::Closed);
}

#[test]
fn three_faults_in_a_row_open_it_and_a_good_answer_starts_the_count_anew() {
    let fault = Verdict::not_sent(NotSent::Network(NetworkFault::Refused));
    let mut circuit = Circuit::closed();
    for now in [1, 2] {
        assert_eq!(circuit.heard(&fault, s(now), s(now)), Change::None);
    }
    circuit.heard(&Verdict::answered(Class::Success, 0), s(3), s(3));
    for now in [4, 5] {
        assert_eq!(circuit.heard(&fault, s(now), s(now)), Change::None);
    }
    assert_eq!(circuit.heard(&fault, s(6), s(6)), Change::Opened);
    assert_eq!(circuit.trouble().map(|t| t.reason), Some(AppReason::Unreachable));
}

#[test]
fn an_expired_signature_is_forgiven_once() {
    let mut circuit = Circuit::closed();
    assert_eq!(circuit.heard(&Verdict::answered(Class::SignatureExpired, 70001), s(1), s(1)), Change::None);
    // Whoever was begun before signed with the same signature, however much later it was sent.
    assert_eq!(circuit.heard(&Verdict::answered(Class::SignatureExpired, 70001), s(0), s(2)), Change::None);
    assert_eq!(circuit.heard(&Verdict::answered(Class::SignatureExpired, 70001), s(2), s(3)), Change::Opened);
}

#[test]
fn answers_to_calls_from_before_the_last_change_say_nothing() {
    let mut circuit = Circuit::unproved(None, s(0));
    circuit.probed(&Verdict::answered(Class::Success, 0), s(9));
    assert_eq!(circuit.heard(&refused(70003), s(8), s(10)), Change::None);
    assert!(circuit.is_closed());
}
