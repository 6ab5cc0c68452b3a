use proptest::prelude::*;

use super::*;
use crate::limits::in_flight_window::INTENT_LEAD;

fn ms(n: u64) -> Mono {
    Mono::START + Duration::from_millis(n)
}

#[test]
fn a_permit_comes_back_one_second_after_the_answer() {
    let mut permits = Permits::new(1, ms(0));
    assert!(permits.available_at(0, ms(0)) <= ms(0));
    permits.acquire(ms(0));
    assert_eq!(permits.available_at(0, ms(1500)), ms(2500), "no answer yet, so at least a second from now");
    permits.release_after_answer(ms(1600));
    assert_eq!(permits.available_at(0, ms(1700)), ms(2600));
    assert!(permits.available_at(0, ms(2600)) <= ms(2600));
}

#[test]
fn a_call_that_never_left_costs_no_permit() {
    let mut permits = Permits::new(2, ms(0));
    permits.acquire(ms(0));
    permits.release_unused();
    assert_eq!(permits.in_use(ms(0)), 0);
}

#[test]
fn a_pause_that_the_vendor_asks_for_holds_back_every_call_and_can_only_grow() {
    let mut permits = Permits::new(10, ms(0));
    permits.hold_until(ms(30_000));
    permits.hold_until(ms(5_000));
    assert_eq!(permits.available_at(0, ms(1_000)), ms(30_000));
    assert!(!permits.is_idle(ms(29_999)), "an account must not be forgotten meanwhile");
    assert!(permits.available_at(0, ms(30_000)) <= ms(30_000));
    assert_eq!(permits.available_at(1, ms(30_000)), ms(30_100), "and then at the usual rate");
}

#[test]
fn calls_are_spread_evenly_also_after_a_pause() {
    let mut permits = Permits::new(10, ms(0));
    permits.acquire(ms(0));
    assert_eq!(permits.available_at(0, ms(50)), ms(100));
    permits.acquire(ms(60_000));
    assert_eq!(permits.available_at(0, ms(60_050)), ms(60_090));
}

#[test]
fn a_process_that_wakes_up_a_little_late_keeps_its_rate() {
    let mut permits = Permits::new(100, ms(0));
    for call in 0..50 {
        let now = ms(call * 10 + call % 7);
        assert!(permits.available_at(0, now) <= now);
        permits.acquire(now);
    }
}

#[test]
fn who_comes_after_others_is_told_its_own_moment() {
    let mut permits = Permits::new(4, ms(0));
    assert!(permits.available_at(0, ms(0)) <= ms(0));
    assert_eq!(permits.available_at(3, ms(0)), ms(750), "spread evenly");
    assert_eq!(permits.available_at(4, ms(0)), ms(1000), "there are four permits");
    for answer in [300, 100, 200] {
        permits.acquire(ms(0));
        permits.release_after_answer(ms(answer));
    }
    assert_eq!(permits.available_at(0, ms(800)), ms(800));
    assert_eq!(
        permits.available_at(1, ms(800)),
        ms(1100),
        "the permit of the first answer becomes free first"
    );
    assert_eq!(permits.available_at(2, ms(800)), ms(1290));
    assert_eq!(permits.available_at(3, ms(800)), ms(1540));
}

#[test]
fn too_many_halves_the_permits() {
    let mut permits = Permits::new(200, ms(0));
    permits.on_throttled(ms(10), ms(60));
    assert!((permits.rate(ms(60)) - 100.0).abs() < 0.1);
    assert_eq!(permits.available_at(100, ms(60)), ms(1060));
    assert!(permits.available_at(99, ms(60)) < ms(1060));
}

proptest! {
    /// Whatever the network delays between sending and answer, no second has more arrivals than permits.
    #[test]
    fn no_second_sees_more_arrivals_than_permits(
        limit in 1u32..20,
        travels in prop::collection::vec((0u64..300, 0u64..300), 1..200),
        lateness in prop::collection::vec(0u64..40, 200),
    ) {
        let mut permits = Permits::new(limit, ms(0));
        let mut now = ms(0);
        let mut arrivals = Vec::new();
        let mut answers: Vec<Mono> = Vec::new();
        for (i, (there, back)) in travels.iter().enumerate() {
            loop {
                answers.sort();
                while answers.first().is_some_and(|a| *a <= now) {
                    permits.release_after_answer(answers.remove(0));
                }
                let at = permits.available_at(0, now);
                if at <= now {
                    break;
                }
                let at = answers.first().map_or(at, |a| at.min(*a));
                now = at.max(now + Duration::from_micros(1)) + Duration::from_millis(lateness[i % lateness.len()]);
            }
            permits.acquire(now);
            arrivals.push(now + Duration::from_millis(*there));
            answers.push(now + Duration::from_millis(there + back));
        }
        arrivals.sort();
        for (i, first) in arrivals.iter().enumerate() {
            let in_second = arrivals[i..].iter().take_while(|a| **a < *first + WINDOW).count();
            prop_assert!(in_second <= limit as usize, "{in_second} arrivals in one second, {limit} permits");
        }
    }
}

/// The result of a simulated minute in which some reset was always ready to be sent.
struct Minute {
    sent: Vec<Mono>,
    longest_intent_wait: Duration,
}

/// Simulates the controller's two steps in each millisecond: attempts start early enough that their intents are stored
/// when a permit becomes free, and attempts with a stored intent get the free permits.
fn busy_minute(limit: u32, round_trip: Duration, intents: &[u64]) -> Minute {
    let mut permits = Permits::new(limit, ms(0));
    let mut minute = Minute { sent: Vec::new(), longest_intent_wait: Duration::from_millis(0) };
    let mut writes: Vec<Mono> = Vec::new();
    let mut stored_intents: VecDeque<Mono> = VecDeque::new();
    let mut answers: VecDeque<Mono> = VecDeque::new();
    let mut intents = intents.iter().cycle();
    for now in (0..60_000).map(ms) {
        while answers.front().is_some_and(|answer| *answer <= now) {
            permits.release_after_answer(answers.pop_front().unwrap());
        }
        writes.retain(|stored| {
            if *stored <= now {
                stored_intents.push_back(*stored);
            }
            *stored > now
        });
        while !stored_intents.is_empty() && permits.available_at(0, now) <= now {
            let stored = stored_intents.pop_front().unwrap();
            minute.longest_intent_wait = minute.longest_intent_wait.max(now - stored);
            permits.acquire(now);
            minute.sent.push(now);
            answers.push_back(now + round_trip);
        }
        while permits.available_at(writes.len() + stored_intents.len(), now) - INTENT_LEAD <= now {
            writes.push(now + Duration::from_millis(*intents.next().unwrap()));
        }
    }
    minute
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However slow the network and the API server are, at least 97 % of the permitted calls are made, and no intent
    /// waits long for its call, because a crash in between would make it an unknown outcome.
    #[test]
    fn permits_do_not_wait_for_intents_nor_intents_for_permits(
        limit in 1u32..=200,
        round_trip in 1u64..300,
        intents in prop::collection::vec(prop_oneof![9 => 2u64..30, 1 => 30u64..100], 50..400),
    ) {
        let minute = busy_minute(limit, Duration::from_millis(round_trip), &intents);
        let permitted = f64::from(limit) / (1.0 + Duration::from_millis(round_trip).as_secs_f64());
        // Skip the start: in the first second no permit is returned yet.
        let sent = minute.sent.iter().filter(|moment| **moment >= ms(2000)).count();
        let sent = f64::from(u32::try_from(sent).unwrap());
        // The ends of the interval may add or remove one call.
        prop_assert!(sent + 1.0 >= 0.97 * permitted * 58.0, "{sent} calls of {}", permitted * 58.0);
        let waited = minute.longest_intent_wait;
        prop_assert!(waited <= Duration::from_millis(150), "an intent waited {waited:?} for its permit");
    }
}

/// Statuses that record calls of other processes may be forged.
#[test]
fn attempts_of_other_processes_hold_no_more_permits_than_there_are() {
    let mut permits = Permits::new(3, ms(0));
    for _ in 0..100 {
        permits.hold_for_predecessor(ms(20_000), ms(0));
    }
    assert_eq!(permits.in_use(ms(0)), 3);
    assert_eq!(permits.available_at(0, ms(0)), ms(21_000));
    assert_eq!(permits.in_use(ms(21_000)), 0);
}
