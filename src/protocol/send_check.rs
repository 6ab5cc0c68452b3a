//! The check right before a call is sent.

use std::time::Duration;

use jiff::Timestamp;

use super::Now;
use crate::limits::mono::Mono;

/// How long one attempt may take, from planning to its answer.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of it must be left when the call is sent: the vendor's own timeout is 3 s.
pub(crate) const MIN_TIME_LEFT: Duration = Duration::from_secs(4);

/// The time limits for sending an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendBounds {
    /// Deadline of the attempt on the monotonic clock.
    pub deadline_mono: Mono,
    /// Deadline of the attempt on the wall clock, as written in the intent.
    pub deadline_wall: Timestamp,
    /// `notAfter` or the reset's deadline, whichever comes first.
    pub reset_ends: Option<Timestamp>,
}

impl SendBounds {
    /// Timeout for a call that is sent now. Its permit, its group and its read-back rely on the call being over by
    /// then.
    #[must_use]
    pub(crate) fn time_left(&self, now: Now) -> Duration {
        self.deadline_mono - now.mono
    }
}

/// Why a planned attempt is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSentReason {
    /// Another process may be the leader by now.
    NotLeader,
    /// The app was changed, was suspended or stopped working since the attempt was planned.
    App,
    /// Less than four seconds of the attempt are left ([`MIN_TIME_LEFT`]).
    Attempt,
    /// `notAfter` or the deadline of the reset has passed.
    Reset,
    /// It got no permit: the operator is stopping, the reset is gone, or the app is no longer open to its namespace.
    NoPermit,
}

/// Checks whether a call may be sent now.
///
/// # Errors
/// The first reason why it may not.
pub(crate) fn check_before_send(
    bounds: SendBounds,
    is_leader: bool,
    app_works: bool,
    has_permit: bool,
    now: Now,
) -> Result<(), NotSentReason> {
    if !is_leader {
        return Err(NotSentReason::NotLeader);
    }
    if !app_works {
        return Err(NotSentReason::App);
    }
    if now.mono + MIN_TIME_LEFT > bounds.deadline_mono || now.wall + MIN_TIME_LEFT > bounds.deadline_wall {
        return Err(NotSentReason::Attempt);
    }
    if bounds.reset_ends.is_some_and(|end| now.wall >= end) {
        return Err(NotSentReason::Reset);
    }
    if !has_permit {
        return Err(NotSentReason::NoPermit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    const BOUNDS: fn() -> SendBounds = || SendBounds {
        deadline_mono: Mono::START + Duration::from_secs(10),
        deadline_wall: wall(10_000),
        reset_ends: Some(wall(5_000)),
    };

    fn at(mono: u64, wall_millis: i64) -> Now {
        Now { wall: wall(wall_millis), mono: Mono::START + Duration::from_millis(mono) }
    }

    #[test]
    fn in_time_and_leader_means_go() {
        assert_eq!(check_before_send(BOUNDS(), true, true, true, at(4_999, 4_999)), Ok(()));
    }

    #[test]
    fn a_call_ends_with_its_attempt_however_late_it_is_sent() {
        assert_eq!(BOUNDS().time_left(at(4_000, 0)), Duration::from_secs(6));
        assert_eq!(BOUNDS().time_left(at(11_000, 0)), Duration::ZERO);
    }

    #[test]
    fn each_bound_stops_it() {
        assert_eq!(check_before_send(BOUNDS(), false, true, true, at(0, 0)), Err(NotSentReason::NotLeader));
        assert_eq!(check_before_send(BOUNDS(), true, false, true, at(0, 0)), Err(NotSentReason::App));
        assert_eq!(check_before_send(BOUNDS(), true, true, true, at(6_001, 0)), Err(NotSentReason::Attempt));
        assert_eq!(check_before_send(BOUNDS(), true, true, true, at(0, 6_001)), Err(NotSentReason::Attempt));
        assert_eq!(check_before_send(BOUNDS(), true, true, true, at(0, 5_000)), Err(NotSentReason::Reset));
        assert_eq!(check_before_send(BOUNDS(), true, true, false, at(0, 0)), Err(NotSentReason::NoPermit));
    }
}
