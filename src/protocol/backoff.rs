//! Backoff after failed attempts: 2 s, doubled with each failure, at most 300 s, with jitter over the upper half.

use std::time::Duration;

use jiff::Timestamp;

use super::Now;
use crate::limits::backoff::exponential;
use crate::limits::mono::Mono;

/// Upper bound of the wait after the first failure.
const MIN_WAIT: Duration = Duration::from_secs(2);
/// Upper bound of every wait.
const MAX_WAIT: Duration = Duration::from_mins(5);

/// The longest backoff after this many failures, without jitter.
#[must_use]
pub(crate) fn longest(failures: i32) -> Duration {
    exponential(MIN_WAIT, MAX_WAIT, failures.max(1).unsigned_abs())
}

/// The backoff after this many failures; `jitter` is uniform in 0..1.
#[must_use]
pub(crate) fn wait(failures: i32, jitter: f64) -> Duration {
    longest(failures).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// `now + wait` for the status: rounded up to whole seconds, so that it is never before the end of the wait.
#[must_use]
pub(crate) fn next_attempt_time(now: Now, wait: Duration) -> Timestamp {
    let end = now.wall + wait;
    let second = Timestamp::from_second(end.as_second()).unwrap_or(end);
    if second < end { Timestamp::from_second(end.as_second() + 1).unwrap_or(end) } else { second }
}

/// Until when, on the monotonic clock, `next` delays the attempt: at most `longest` from now, so that a wrong wall
/// clock at the time `next` was written cannot delay the attempt by more than the backoff. One extra second allows for
/// rounding.
#[must_use]
pub(crate) fn hold_until(next: Timestamp, longest: Duration, now: Now) -> Mono {
    let left = Duration::try_from(next.duration_since(now.wall)).unwrap_or_default();
    now.mono + left.min(longest + Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Now {
        Now { wall: Timestamp::from_millisecond(millis).unwrap(), mono: Mono::START + Duration::from_secs(7) }
    }

    #[test]
    fn it_doubles_from_two_seconds_to_five_minutes() {
        let waits: Vec<_> = (1..=10).map(|n| longest(n).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(wait(3, 0.0), Duration::from_secs(4));
        assert_eq!(wait(3, 1.0), Duration::from_secs(8));
    }

    #[test]
    fn times_are_whole_seconds_and_never_early() {
        assert_eq!(next_attempt_time(at(1_500), Duration::from_secs(2)).as_millisecond(), 4_000);
        assert_eq!(next_attempt_time(at(1_000), Duration::from_secs(2)).as_millisecond(), 3_000);
    }

    #[test]
    fn a_wrong_clock_cannot_delay_beyond_the_backoff() {
        let next = Timestamp::from_second(1_000_000).unwrap();
        assert_eq!(hold_until(next, longest(1), at(0)), Mono::START + Duration::from_secs(7 + 3));
        assert_eq!(
            hold_until(Timestamp::from_second(-5).unwrap(), longest(1), at(0)),
            Mono::START + Duration::from_secs(7)
        );
    }
}
