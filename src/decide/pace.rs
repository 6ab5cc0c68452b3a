//! The vendor's limit per account and command, as arithmetic over moments.
//!
//! A permit is held from before the send until one second after the answer. With N permits the (i+N)-th call is
//! sent at least one second after the i-th was answered, and a call arrives between its send and its answer: so no
//! window of one second sees more than N arrivals, whatever the network does to them.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(1);
/// A process that wakes up this late keeps its rate; after a longer pause it begins to space its calls anew, so that an
/// idle account does not begin with a burst.
const LATENESS: Duration = Duration::from_millis(10);
/// Growth of a throttled rate.
const GROWTH_PER_SECOND: f64 = 1.05;

/// Permits of one account for one command. Moments are durations since the process started.
#[derive(Debug)]
pub struct Pace {
    limit: f64,
    rate_after_cut: f64,
    cut_at: Option<Duration>,
    open: usize,
    returning: BinaryHeap<Reverse<Duration>>,
    next_start: Duration,
}

impl Pace {
    /// `calls_per_second` permits, none of them usable before `not_before`.
    #[must_use]
    pub fn new(calls_per_second: u32, not_before: Duration) -> Self {
        Self {
            limit: f64::from(calls_per_second.max(1)),
            rate_after_cut: 0.0,
            cut_at: None,
            open: 0,
            returning: BinaryHeap::new(),
            next_start: not_before,
        }
    }

    /// Changes the number of permits; those in use stay in use.
    pub fn set_limit(&mut self, calls_per_second: u32) {
        self.limit = f64::from(calls_per_second.max(1));
    }

    /// Calls a second that are tried for at this moment.
    #[must_use]
    pub fn rate(&self, now: Duration) -> f64 {
        let Some(cut_at) = self.cut_at else { return self.limit };
        let grown = self.rate_after_cut * GROWTH_PER_SECOND.powf(now.saturating_sub(cut_at).as_secs_f64());
        grown.min(self.limit)
    }

    /// Permits in use, those of answered calls included until their second is over.
    pub fn in_use(&mut self, now: Duration) -> usize {
        while self.returning.peek().is_some_and(|Reverse(until)| *until <= now) {
            self.returning.pop();
        }
        self.open + self.returning.len()
    }

    /// When the next call may start: `Ok` for now, else the moment to ask again. A permit that waits for an answer
    /// has no such moment; then it is a second away, and the answer comes as an event of its own.
    pub fn ready(&mut self, now: Duration) -> Result<(), Duration> {
        if self.next_start > now {
            return Err(self.next_start);
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let permits = self.rate(now).floor().max(1.0) as usize;
        if self.in_use(now) < permits {
            return Ok(());
        }
        Err(self.returning.peek().map_or(now + WINDOW, |Reverse(until)| *until))
    }

    /// Takes a permit; call it after `ready` said yes.
    pub fn take(&mut self, now: Duration) {
        let spacing = WINDOW.div_f64(self.rate(now));
        self.next_start = self.next_start.max(now.saturating_sub(LATENESS)) + spacing;
        self.open += 1;
    }

    /// The call was answered at `moment`, or its deadline was then and nobody knows.
    pub fn answered(&mut self, moment: Duration) {
        self.open = self.open.saturating_sub(1);
        self.returning.push(Reverse(moment + WINDOW));
    }

    /// Nothing was sent: the permit is free at once.
    pub fn give_back(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// Holds a permit for a call of another process until its `deadline`, and a second longer.
    pub fn hold_for_another(&mut self, deadline: Duration) {
        self.returning.push(Reverse(deadline + WINDOW));
    }

    /// The vendor said "too many" to a call sent at `sent`: the rate halves, once for all calls that were already
    /// under way when it last did.
    pub fn throttled(&mut self, sent: Duration, now: Duration) {
        if self.cut_at.is_none_or(|cut_at| sent >= cut_at) {
            self.rate_after_cut = (self.rate(now) / 2.0).max(1.0);
            self.cut_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_permit_comes_back_one_second_after_the_answer() {
        let mut pace = Pace::new(1, ms(0));
        assert_eq!(pace.ready(ms(0)), Ok(()));
        pace.take(ms(0));
        assert!(pace.ready(ms(1500)).is_err(), "no answer yet");
        pace.answered(ms(1600));
        assert_eq!(pace.ready(ms(1700)), Err(ms(2600)));
        assert_eq!(pace.ready(ms(2600)), Ok(()));
    }

    #[test]
    fn a_call_that_never_left_costs_no_permit() {
        let mut pace = Pace::new(2, ms(0));
        pace.take(ms(0));
        pace.give_back();
        assert_eq!(pace.in_use(ms(0)), 0);
    }

    #[test]
    fn calls_are_spread_evenly_also_after_a_pause() {
        let mut pace = Pace::new(10, ms(0));
        pace.take(ms(0));
        assert_eq!(pace.ready(ms(50)), Err(ms(100)));
        pace.take(ms(60_000));
        assert_eq!(pace.ready(ms(60_050)), Err(ms(60_090)));
    }

    #[test]
    fn a_process_that_wakes_up_a_little_late_keeps_its_rate() {
        let mut pace = Pace::new(100, ms(0));
        for call in 0..50 {
            let now = ms(call * 10 + call % 7);
            assert_eq!(pace.ready(now), Ok(()));
            pace.take(now);
        }
    }

    #[test]
    fn too_many_halves_the_rate_once_and_it_grows_again() {
        let mut pace = Pace::new(200, ms(0));
        pace.throttled(ms(10), ms(60));
        pace.throttled(ms(20), ms(61));
        assert!((pace.rate(ms(60)) - 100.0).abs() < 0.1);
        assert!((pace.rate(ms(1060)) - 105.0).abs() < 0.1);
        pace.throttled(ms(2000), ms(2060));
        assert!(pace.rate(ms(2060)) < 56.0);
        assert!((pace.rate(ms(100_000)) - 200.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_rate_never_falls_below_one_a_second() {
        let mut pace = Pace::new(2, ms(0));
        for second in 1..20 {
            pace.throttled(ms(second * 1000), ms(second * 1000));
        }
        assert!(pace.rate(ms(19_000)) >= 1.0);
    }

    proptest! {
        /// Whatever the network does between send and answer, no second sees more arrivals than permits.
        #[test]
        fn no_second_sees_more_arrivals_than_permits(
            limit in 1u32..20,
            travels in prop::collection::vec((0u64..300, 0u64..300), 1..200),
            lateness in prop::collection::vec(0u64..40, 200),
        ) {
            let mut pace = Pace::new(limit, ms(0));
            let mut now = ms(0);
            let mut arrivals = Vec::new();
            let mut answers: Vec<Duration> = Vec::new();
            for (i, (there, back)) in travels.iter().enumerate() {
                loop {
                    answers.sort();
                    while answers.first().is_some_and(|a| *a <= now) {
                        pace.answered(answers.remove(0));
                    }
                    match pace.ready(now) {
                        Ok(()) => break,
                        Err(at) => {
                            let at = answers.first().map_or(at, |a| at.min(*a));
                            now = at.max(now + Duration::from_micros(1)) + ms(lateness[i % lateness.len()]);
                        }
                    }
                }
                pace.take(now);
                arrivals.push(now + ms(*there));
                answers.push(now + ms(there + back));
            }
            arrivals.sort();
            for (i, first) in arrivals.iter().enumerate() {
                let in_second = arrivals[i..].iter().take_while(|a| **a < *first + WINDOW).count();
                prop_assert!(in_second <= limit as usize, "{in_second} arrivals in one second, {limit} permits");
            }
        }
    }
}
