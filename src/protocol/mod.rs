//! Pure decisions. No I/O, no clock, no async: what time it is, and how the dice fell, are arguments.
//!
//! | question | file |
//! |---|---|
//! | what is the next step for this reset? | `plan`; with an unsettled attempt `settle` |
//! | when is its time over? | `ends` |
//! | what does this answer mean? | `judge` |
//! | what does the status say after an attempt or a read-back? | `outcome` |
//! | how is a status written, and what does it say? | `status`, `words` |
//! | which change is worth an event? | `notice` |
//! | is a stored status our own, and what counts if it is not? | `ownership` |
//! | may this call go now? | `pace` and `throttle` (account), `group_pace` (group), `last_look` (just before sending) |
//! | how long before that is its attempt begun? | `runway` |
//! | may it be begun while earlier ones are not answered? | `silence` |
//! | does the watch keep up, so that more may be begun? | `echo` |
//! | whose turn is it? | `turns` |
//! | which event is written next, and which are dropped? | `fair_queue` |
//! | which event repeats an earlier one? | `series` |
//! | which app that was never verified is looked at next? | `checks` |
//! | how long until the next attempt? | `backoff` |
//! | does this app work? | `circuit` |
//! | is it open to this namespace? | `labels` |
//! | could a process that waits for the lease take over? | `standby` |
//! | what does a drain do about the lease? | `drain` |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod backoff;
pub mod circuit_breaker;
pub mod classify;
pub mod deadlines;
pub mod drain;
pub mod event_policy;
pub mod label_selector;
pub mod messages;
pub mod outcome;
pub mod ownership;
pub mod plan;
pub mod recovery;
pub mod send_check;
pub mod standby;
pub mod status;

use std::time::Duration;

use jiff::Timestamp;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The clock on the wall, which users and other processes share, and which can jump.
    pub wall: Timestamp,
    /// Time since this process started, which cannot.
    pub mono: Duration,
}

impl Now {
    /// When `moment` comes, on this process's own clock: at most a minute from now, because the wall clock can be
    /// set and looking once more costs nothing.
    #[must_use]
    pub fn until(self, moment: Timestamp) -> Duration {
        let left = Duration::try_from(moment.duration_since(self.wall)).unwrap_or_default();
        self.mono + left.min(Duration::from_mins(1))
    }

    /// The wall clock in microseconds, as attempts are stamped.
    #[must_use]
    pub fn microsecond(self) -> Timestamp {
        Timestamp::from_microsecond(self.wall.as_microsecond()).unwrap_or(self.wall)
    }

    /// The wall clock in whole seconds, as conditions are stamped.
    #[must_use]
    pub fn second(self) -> Timestamp {
        Timestamp::from_second(self.wall.as_second()).unwrap_or(self.wall)
    }
}
