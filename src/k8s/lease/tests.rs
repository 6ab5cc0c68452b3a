use super::hand_over::{HAND_OVER_TO, handed_to, with_hand_over_request};
use super::*;

const TIMING: LeaseTiming = LeaseTiming {
    duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry: Duration::from_secs(2),
};

fn held_by(me: &str) -> Lease {
    claim(Lease::default(), me, TIMING, Timestamp::UNIX_EPOCH)
}

#[test]
fn a_lease_is_taken_after_its_span_of_silence_by_our_own_clock() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let seen = ObservedLease { lease: held_by("a"), at: start };
    assert!(seen.is_available_to("a", TIMING, start) && !seen.is_available_to("b", TIMING, after(14)));
    let seen = seen.update(held_by("a"), after(14));
    assert!(seen.is_available_to("b", TIMING, after(15)), "an unchanged record is not a renewal");
    let seen = seen.update(claim(held_by("a"), "a", TIMING, Timestamp::MAX), after(14));
    assert!(!seen.is_available_to("b", TIMING, after(28)) && seen.is_available_to("b", TIMING, after(29)));
    let mut endless = held_by("a");
    endless.spec.get_or_insert_default().lease_duration_seconds = None;
    assert!(!ObservedLease { lease: endless, at: start }.is_available_to("b", TIMING, after(14)));
    assert!(ObservedLease { lease: held_by(""), at: start }.is_available_to("b", TIMING, start));
}

#[tokio::test]
async fn leadership_runs_out_by_itself_and_ends_for_good() {
    let now = Instant::now();
    assert!(Leadership::without_election().holds(now));
    assert!(timeout(Duration::from_millis(10), Leadership::without_election().lost()).await.is_err());
    let state = watch::Sender::new(LeadershipState::Until(LeadershipEnd::after(now, TIMING.renew_deadline)));
    let leadership = Leadership(state.subscribe());
    assert!(leadership.holds(now) && !leadership.holds(now + TIMING.renew_deadline));
    state.send_replace(LeadershipState::Over);
    leadership.lost().await;
    assert!(!leadership.holds(now));
}

/// The monotonic clock stands still while a machine is suspended, but other replicas keep observing the Lease.
#[test]
fn leadership_also_runs_out_on_the_wall_clock() {
    let now = Instant::now();
    let holds = |wall_clock| {
        let end = LeadershipEnd { at: now + TIMING.renew_deadline, wall_clock };
        Leadership(watch::channel(LeadershipState::Until(end)).1).holds(now)
    };
    assert!(holds(Timestamp::now() + Duration::from_mins(1)));
    assert!(!holds(Timestamp::now() - Duration::from_secs(1)));
}

#[test]
fn a_lease_that_a_drain_asks_for_stays_asked_for_over_renewals_and_is_not_over_a_new_leader() {
    let asked_for = with_hand_over_request(held_by("leader"), "drain");
    assert_eq!(hand_over_requested_by(&asked_for), Some("drain"));
    let renewed = claim(asked_for.clone(), "leader", TIMING, Timestamp::MAX);
    assert_eq!(hand_over_requested_by(&renewed), Some("drain"), "the leader would not see the request");
    let next = claim(asked_for, "other", TIMING, Timestamp::MAX);
    assert_eq!(hand_over_requested_by(&next), None, "the drain asked the previous holder, and may be gone");
}

#[test]
fn a_lease_that_is_given_to_a_drain_is_left_alone_for_a_minute_and_nobody_is_asked_for_it() {
    assert_eq!(holder(&released(held_by("leader"), Timestamp::UNIX_EPOCH)), "");
    let given = released(with_hand_over_request(held_by("leader"), "drain"), Timestamp::UNIX_EPOCH);
    assert_eq!(given.spec, handed_to(held_by("leader"), "drain", Timestamp::UNIX_EPOCH).spec);
    assert_eq!((holder(&given), hand_over_requested_by(&given)), ("drain", None));
    assert_eq!(given.metadata.annotations.as_ref().unwrap()[HAND_OVER_TO], "drain");
    let start = Instant::now();
    let seen = ObservedLease { lease: given, at: start };
    assert!(!seen.is_available_to("b", TIMING, start + Duration::from_secs(59)));
    assert!(seen.is_available_to("b", TIMING, start + Duration::from_mins(1)));
}

/// Whoever waits for the lease would have to wait for its whole span.
#[tokio::test(start_paused = true)]
async fn a_lease_is_given_back_although_the_first_attempt_fails() {
    let (mut api, client) = crate::k8s::fake_api::FakeApi::new();
    let held = HeldLease {
        api: Api::namespaced(client, "system"),
        lease: held_by("me"),
        me: "me".to_owned(),
        timing: TIMING,
        renewed: Instant::now(),
        state: watch::Sender::new(LeadershipState::Over),
        hand_over: CancellationToken::new(),
    };
    let server = async {
        api.next().await.lose();
        let put = api.next().await;
        assert_eq!((put.method.as_str(), &put.body["spec"]["holderIdentity"]), ("PUT", &"".into()));
        let body = put.body.clone();
        put.answer(200, &body);
    };
    tokio::join!(held.release(), server);
}
