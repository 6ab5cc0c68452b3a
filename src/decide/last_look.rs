//! The last statement before a call is sent.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use jiff::Timestamp;

use super::Now;

/// How long one attempt may take, from its plan to its answer.
pub const ATTEMPT: Duration = Duration::from_secs(10);
/// What must be left of it when the call is sent: the vendor's own timeout is 3 s.
pub const LEAST_LEFT: Duration = Duration::from_secs(4);

/// Until when an attempt may still be sent.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Its deadline on the process's own clock.
    pub deadline_mono: Duration,
    /// Its deadline on the wall clock, as the intent says it.
    pub deadline_wall: Timestamp,
    /// `notAfter` or the reset's deadline, whichever comes first.
    pub reset_ends: Option<Timestamp>,
}

impl Bounds {
    /// How long a call that is sent now may take. Its permit, its group and its read-back count on its end.
    #[must_use]
    pub fn left(&self, now: Now) -> Duration {
        self.deadline_mono.saturating_sub(now.mono)
    }
}

/// Why an attempt that was planned is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLate {
    /// Another process may be the leader by now.
    NotLeader,
    /// The app was changed, suspended or found broken since the attempt was planned.
    App,
    /// Less than four seconds are left of the attempt.
    Attempt,
    /// `notAfter` or the reset's deadline has come.
    Reset,
    /// It got no permit: the operator is stopping, its object is gone, or its app is not open to it any more.
    NoPermit,
}

/// Whether a call may be sent now.
pub fn last_look(
    bounds: Bounds,
    is_leader: bool,
    app_works: bool,
    has_permit: bool,
    now: Now,
) -> Result<(), TooLate> {
    if !is_leader {
        return Err(TooLate::NotLeader);
    }
    if !app_works {
        return Err(TooLate::App);
    }
    if now.mono + LEAST_LEFT > bounds.deadline_mono || now.wall + LEAST_LEFT > bounds.deadline_wall {
        return Err(TooLate::Attempt);
    }
    if bounds.reset_ends.is_some_and(|end| now.wall >= end) {
        return Err(TooLate::Reset);
    }
    if !has_permit {
        return Err(TooLate::NoPermit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    const BOUNDS: fn() -> Bounds = || Bounds {
        deadline_mono: Duration::from_secs(10),
        deadline_wall: wall(10_000),
        reset_ends: Some(wall(5_000)),
    };

    fn at(mono: u64, wall_millis: i64) -> Now {
        Now { wall: wall(wall_millis), mono: Duration::from_millis(mono) }
    }

    #[test]
    fn in_time_and_leader_means_go() {
        assert_eq!(last_look(BOUNDS(), true, true, true, at(4_999, 4_999)), Ok(()));
    }

    #[test]
    fn a_call_ends_with_its_attempt_however_late_it_is_sent() {
        assert_eq!(BOUNDS().left(at(4_000, 0)), Duration::from_secs(6));
        assert_eq!(BOUNDS().left(at(11_000, 0)), Duration::ZERO);
    }

    #[test]
    fn each_bound_stops_it() {
        assert_eq!(last_look(BOUNDS(), false, true, true, at(0, 0)), Err(TooLate::NotLeader));
        assert_eq!(last_look(BOUNDS(), true, false, true, at(0, 0)), Err(TooLate::App));
        assert_eq!(last_look(BOUNDS(), true, true, true, at(6_001, 0)), Err(TooLate::Attempt));
        assert_eq!(last_look(BOUNDS(), true, true, true, at(0, 6_001)), Err(TooLate::Attempt));
        assert_eq!(last_look(BOUNDS(), true, true, true, at(0, 5_000)), Err(TooLate::Reset));
        assert_eq!(last_look(BOUNDS(), true, true, false, at(0, 0)), Err(TooLate::NoPermit));
    }
}
