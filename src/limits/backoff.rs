//! Exponential backoff.

use std::time::Duration;

/// The wait after `failures` failures in a row: `min` after the first, doubled with each further one, at most `max`.
#[must_use]
pub(crate) fn exponential(min: Duration, max: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1);
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    min.saturating_mul(factor).min(max)
}

/// Counts failures in a row and says how long to wait after each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits from `min` to `max`.
    #[must_use]
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// Counts a failure. Returns how long to wait before the next try.
    pub(crate) fn next_wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        exponential(self.min, self.max, self.failures)
    }

    /// A try succeeded: the next wait is the shortest again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(SECOND, SECOND * 20);
        let waits: Vec<u64> = (0..7).map(|_| backoff.next_wait().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 20, 20]);
        backoff.reset();
        assert_eq!(backoff.next_wait(), SECOND);
    }

    #[test]
    fn no_number_of_failures_overflows() {
        for failures in [31, 32, 33, 64, u32::MAX] {
            assert_eq!(exponential(SECOND, SECOND * 3600, failures), SECOND * 3600, "{failures}");
        }
        assert_eq!(exponential(SECOND, SECOND * 3600, 0), SECOND);
    }
}
