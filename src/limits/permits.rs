//! The vendor's limit per account and command, as arithmetic over moments.
//!
//! A permit is held from before the send until one second after the answer. With N permits the (i+N)-th call is
//! sent at least one second after the i-th was answered, and a call arrives between its send and its answer: so no
//! window of one second sees more than N arrivals, whatever the network does to them.

use std::collections::VecDeque;
use std::time::Duration;

use super::adaptive_rate::AdaptiveRate;

const WINDOW: Duration = Duration::from_secs(1);
/// A process that wakes up this late keeps its rate; after a longer pause it begins to space its calls anew, so that an
/// idle account does not begin with a burst.
const MAX_WAKEUP_DELAY: Duration = Duration::from_millis(10);

/// Permits of one account for one command. Moments are durations since the process started.
#[derive(Debug)]
pub struct Permits {
    limit: f64,
    adaptive: AdaptiveRate,
    in_flight: usize,
    /// When the permits of answered calls come back, earliest first.
    returning: VecDeque<Duration>,
    next_start: Duration,
}

impl Permits {
    /// `calls_per_second` permits, none of them usable before `not_before`.
    #[must_use]
    pub fn new(calls_per_second: u32, not_before: Duration) -> Self {
        Self {
            limit: f64::from(calls_per_second.max(1)),
            adaptive: AdaptiveRate::default(),
            in_flight: 0,
            returning: VecDeque::new(),
            next_start: not_before,
        }
    }

    /// Calls a second that are allowed when the vendor asks for no fewer.
    #[must_use]
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// Changes the number of permits; those in use stay in use.
    pub fn set_limit(&mut self, calls_per_second: u32) {
        self.limit = f64::from(calls_per_second.max(1));
    }

    /// Calls a second that are tried for at this moment.
    #[must_use]
    pub fn rate(&self, now: Duration) -> f64 {
        self.adaptive.rate(self.limit, now)
    }

    /// Permits in use, those of answered calls included until their second is over.
    pub fn in_use(&mut self, now: Duration) -> usize {
        while self.returning.front().is_some_and(|until| *until <= now) {
            self.returning.pop_front();
        }
        self.in_flight + self.returning.len()
    }

    /// Whether no permit is in use and the vendor's last "too many" is made up for.
    pub fn is_idle(&mut self, now: Duration) -> bool {
        self.in_use(now) == 0 && self.next_start <= now && self.rate(now) >= self.limit
    }

    /// When a call may start after `ahead` others that are about to: not later than `now` means now. A permit that
    /// waits for an answer comes back a second after it, so it is a second away at least, and the answer comes as an
    /// event of its own.
    pub fn available_at(&mut self, ahead: usize, now: Duration) -> Duration {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let permits = self.rate(now).floor().max(1.0) as usize;
        let returned = match (self.in_use(now) + ahead + 1).saturating_sub(permits) {
            0 => now,
            missing => self.returning.get(missing - 1).copied().unwrap_or(now + WINDOW),
        };
        let spacing = WINDOW.div_f64(self.rate(now)) * u32::try_from(ahead).unwrap_or(u32::MAX);
        returned.max(self.spaced_from(now) + spacing)
    }

    /// Takes a permit; call it when one is free.
    pub fn acquire(&mut self, now: Duration) {
        self.next_start = self.spaced_from(now) + WINDOW.div_f64(self.rate(now));
        self.in_flight += 1;
    }

    fn spaced_from(&self, now: Duration) -> Duration {
        self.next_start.max(now.saturating_sub(MAX_WAKEUP_DELAY))
    }

    /// The call was answered at `moment`, or its deadline was then and nobody knows.
    pub fn release_after_answer(&mut self, moment: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.schedule_return(moment + WINDOW);
    }

    /// Nothing was sent: the permit is free at once.
    pub fn release_unused(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Holds a permit for a call of another process until its `deadline`, and a second longer. Never more than there
    /// are: who says that there was such a call may not be telling the truth.
    pub fn hold_for_predecessor(&mut self, deadline: Duration, now: Duration) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let permits = self.limit as usize;
        if self.in_use(now) < permits {
            self.schedule_return(deadline + WINDOW);
        }
    }

    fn schedule_return(&mut self, moment: Duration) {
        let place = self.returning.partition_point(|other| *other <= moment);
        self.returning.insert(place, moment);
    }

    /// The vendor said "too many" to a call sent at `sent`.
    pub fn on_throttled(&mut self, sent: Duration, now: Duration) {
        self.adaptive.on_throttled(self.limit, sent, now);
    }
}

#[cfg(test)]
mod tests;
