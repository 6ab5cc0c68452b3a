//! How many clears may be in flight while the vendor does not answer. Each clear sent to an endpoint that has stopped
//! answering leaves a group with an unknown outcome. So an outage costs a few of them, not as many as the permits
//! allow.

use std::time::Duration;

/// How many requests of an account may be unanswered: clears before the vendor's first answer, and intents at the API
/// server. That is enough for 200 per second if each is answered within [`INTENT_LEAD`].
pub(crate) const MAX_UNANSWERED: usize = 16;
/// How long before its permit an attempt starts, so that its intent is stored by then: an idle permit is lost capacity.
/// A longer lead would only widen the window in which a crash leaves an unknown outcome.
pub(crate) const INTENT_LEAD: Duration = Duration::from_millis(80);

/// The clears of one account in flight, and how many more may start before the next answer: as many as are in flight.
/// So for a slow vendor the window doubles with each round trip, until the permits are the limit.
#[derive(Debug)]
pub(crate) struct InFlightWindow {
    in_flight: usize,
    allowance: usize,
}

impl Default for InFlightWindow {
    fn default() -> Self {
        Self { in_flight: 0, allowance: MAX_UNANSWERED }
    }
}

impl InFlightWindow {
    /// Whether another clear may start before the vendor answers.
    #[must_use]
    pub(crate) fn has_room(&self) -> bool {
        self.allowance > 0
    }

    /// A clear started.
    pub(crate) fn on_start(&mut self) {
        self.in_flight += 1;
        self.allowance = self.allowance.saturating_sub(1);
    }

    /// A clear was answered, whatever the answer says.
    pub(crate) fn on_answer(&mut self) {
        self.allowance = self.in_flight.max(MAX_UNANSWERED);
        self.finish_one();
    }

    /// A clear was sent and timed out without an answer. This does not allow another one.
    pub(crate) fn on_timeout(&mut self) {
        self.finish_one();
    }

    /// A clear was not sent after all.
    pub(crate) fn on_not_sent(&mut self) {
        self.allowance += 1;
        self.finish_one();
    }

    /// With none in flight the window resets, as no answer can come. The circuit breaker decides whether the app still
    /// works.
    fn finish_one(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.allowance = MAX_UNANSWERED;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn start_all(window: &mut InFlightWindow, most: usize) -> usize {
        let mut started = 0;
        while started < most && window.has_room() {
            window.on_start();
            started += 1;
        }
        started
    }

    #[test]
    fn a_vendor_that_says_nothing_is_sent_a_few_and_a_few_again_once_all_of_them_are_over() {
        let mut window = InFlightWindow::default();
        assert_eq!(start_all(&mut window, 1000), MAX_UNANSWERED);
        for _ in 1..MAX_UNANSWERED {
            window.on_timeout();
            assert!(!window.has_room());
        }
        window.on_timeout();
        assert_eq!(start_all(&mut window, 1000), MAX_UNANSWERED);
    }

    #[test]
    fn what_was_not_sent_makes_room_for_another() {
        let mut window = InFlightWindow::default();
        start_all(&mut window, 1000);
        window.on_not_sent();
        assert_eq!(start_all(&mut window, 1000), 1);
    }

    /// The number in flight after rounds of 5 ms, with at most one call started per round: 200 per second.
    fn in_flight_after(rounds: usize, round_trip: usize) -> usize {
        let (mut window, mut in_flight) = (InFlightWindow::default(), VecDeque::new());
        for round in 0..rounds {
            while in_flight.front().is_some_and(|started: &usize| *started + round_trip <= round) {
                in_flight.pop_front();
                window.on_answer();
            }
            if start_all(&mut window, 1) == 1 {
                in_flight.push_back(round);
            }
        }
        in_flight.len()
    }

    #[test]
    fn a_vendor_that_is_slow_but_answers_is_sent_as_much_as_any_other() {
        // Within 80 ms from the first call on, and with a round trip of a second after four of them.
        assert_eq!(in_flight_after(100, 10), 10);
        assert_eq!(in_flight_after(1000, 200), 200);
    }

    proptest! {
        /// Between two answers no more start than were in flight at the first of them, or [`MAX_UNANSWERED`]. With none
        /// in flight, another may start.
        #[test]
        fn between_two_answers_no_more_begin_than_were_out(steps in vec(0..6_u8, 0..400)) {
            let mut window = InFlightWindow::default();
            let (mut in_flight, mut allowed, mut since) = (0_usize, MAX_UNANSWERED, 0_isize);
            for step in steps {
                if step > 2 {
                    if window.has_room() {
                        window.on_start();
                        in_flight += 1;
                        since += 1;
                    }
                    prop_assert!(since <= allowed.cast_signed(), "{since} of {allowed}");
                } else if in_flight > 0 {
                    match step {
                        0 => {
                            window.on_answer();
                            (allowed, since) = (in_flight.max(MAX_UNANSWERED), 0);
                        }
                        1 => window.on_timeout(),
                        _ => {
                            window.on_not_sent();
                            since -= 1;
                        }
                    }
                    in_flight -= 1;
                    if in_flight == 0 {
                        (allowed, since) = (MAX_UNANSWERED, 0);
                        prop_assert!(window.has_room());
                    }
                }
            }
        }
    }
}
