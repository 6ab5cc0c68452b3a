//! The vendor's rate limit per account and command.
//!
//! A permit is held from before the call is sent until one second after its answer. With N permits, call i+N is sent at
//! least one second after call i was answered. A call arrives between its sending and its answer, so no window of one
//! second has more than N arrivals, whatever the network delays.

use std::collections::VecDeque;
use std::time::Duration;

use super::adaptive_rate::AdaptiveRate;
use super::mono::Mono;

const WINDOW: Duration = Duration::from_secs(1);
/// A process that wakes up at most this late catches up. After a longer pause the spacing of calls restarts, so that an
/// idle account does not start with a burst.
const MAX_WAKEUP_DELAY: Duration = Duration::from_millis(10);

/// The permits of one account for one command.
///
/// ```
/// use groupattr::limits::mono::Mono;
/// use groupattr::limits::permits::Permits;
///
/// let ms = |length| Mono::START + std::time::Duration::from_millis(length);
/// let mut permits = Permits::new(2, ms(0));
/// permits.acquire(ms(0));
/// assert_eq!(permits.available_at(0, ms(0)), ms(500), "calls are spaced");
/// permits.acquire(ms(500));
/// permits.release_after_answer(ms(700));
/// assert_eq!(permits.available_at(0, ms(700)), ms(1700), "a second after the first answer");
/// ```
#[derive(Debug)]
pub struct Permits {
    limit: f64,
    adaptive: AdaptiveRate,
    in_flight: usize,
    /// When the permits of answered calls become free, earliest first.
    returning: VecDeque<Mono>,
    next_start: Mono,
}

impl Permits {
    /// `calls_per_second` permits (at least one), none of them usable before `not_before`.
    #[must_use]
    pub fn new(calls_per_second: u32, not_before: Mono) -> Self {
        Self {
            limit: f64::from(calls_per_second.max(1)),
            adaptive: AdaptiveRate::default(),
            in_flight: 0,
            returning: VecDeque::new(),
            next_start: not_before,
        }
    }

    /// The configured limit in calls per second, before adapting to the vendor.
    #[must_use]
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// Changes the number of permits. Permits in use stay in use.
    pub fn set_limit(&mut self, calls_per_second: u32) {
        self.limit = f64::from(calls_per_second.max(1));
    }

    /// The current rate in calls per second.
    #[must_use]
    pub fn rate(&self, now: Mono) -> f64 {
        self.adaptive.rate(self.limit, now)
    }

    /// Number of permits in use, including those of calls answered less than a second ago.
    pub fn in_use(&mut self, now: Mono) -> usize {
        while self.returning.front().is_some_and(|until| *until <= now) {
            self.returning.pop_front();
        }
        self.in_flight + self.returning.len()
    }

    /// Whether no permit is in use and the rate has recovered from the last throttling.
    pub fn is_idle(&mut self, now: Mono) -> bool {
        self.in_use(now) == 0 && self.next_start <= now && self.rate(now) >= self.limit
    }

    /// When a call may start, if `ahead` others start before it. A moment not after `now` means now. The permit of a
    /// call in flight is at least a second away, because it becomes free a second after the answer; ask again when the
    /// answer arrives.
    pub fn available_at(&mut self, ahead: usize, now: Mono) -> Mono {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let permits = self.rate(now).floor().max(1.0) as usize;
        let returned = match (self.in_use(now) + ahead + 1).saturating_sub(permits) {
            0 => now,
            missing => self.returning.get(missing - 1).copied().unwrap_or(now + WINDOW),
        };
        let spacing = WINDOW.div_f64(self.rate(now)) * u32::try_from(ahead).unwrap_or(u32::MAX);
        returned.max(self.spaced_from(now) + spacing)
    }

    /// Takes a permit. Call it only if one is available.
    pub fn acquire(&mut self, now: Mono) {
        self.next_start = self.spaced_from(now) + WINDOW.div_f64(self.rate(now));
        self.in_flight += 1;
    }

    fn spaced_from(&self, now: Mono) -> Mono {
        self.next_start.max(now - MAX_WAKEUP_DELAY)
    }

    /// The call was answered at `moment`, or its deadline passed then without an answer.
    pub fn release_after_answer(&mut self, moment: Mono) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.schedule_return(moment + WINDOW);
    }

    /// Nothing was sent: the permit becomes free at once.
    pub fn release_unused(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Holds a permit for a call of another process until one second after its `deadline`. Never holds more permits
    /// than there are, because the status that records such a call may be forged.
    pub fn hold_for_predecessor(&mut self, deadline: Mono, now: Mono) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let permits = self.limit as usize;
        if self.in_use(now) < permits {
            self.schedule_return(deadline + WINDOW);
        }
    }

    fn schedule_return(&mut self, moment: Mono) {
        let index = self.returning.partition_point(|other| *other <= moment);
        self.returning.insert(index, moment);
    }

    /// The vendor asked for no further call before `moment`.
    pub fn hold_until(&mut self, moment: Mono) {
        self.next_start = self.next_start.max(moment);
    }

    /// The vendor throttled a call sent at `sent`.
    pub fn on_throttled(&mut self, sent: Mono, now: Mono) {
        self.adaptive.on_throttled(self.limit, sent, now);
    }
}

#[cfg(test)]
mod tests;
