//! Pure decisions. No I/O, no clock, no async, no randomness: the time and the jitter are arguments.
//!
//! | question | file |
//! |---|---|
//! | what is the next step for this reset? | [`plan`]; with an unsettled attempt [`recovery`] |
//! | when does its time run out? | [`deadlines`] |
//! | may this call still be sent? | [`send_check`] |
//! | what does this answer mean? | [`classify`] |
//! | what is the status after an attempt or a read-back? | [`outcome`] |
//! | how is a status written, and what does it say? | [`status`], [`messages`] |
//! | which change is worth an event? | [`event_policy`] |
//! | did we write the stored status, and what counts if not? | [`ownership`] |
//! | how long until the next attempt? | [`backoff`] |
//! | does this app work? | [`circuit_breaker`] |
//! | is it open to this namespace? | [`label_selector`] |
//! | could a standby take over the lease? | [`standby`] |
//! | what does a drain do about the lease? | [`drain`] |
//!
//! Rate limits and queues are in [`limits`](crate::limits).

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub(crate) mod backoff;
pub(crate) mod circuit_breaker;
pub mod classify;
pub mod deadlines;
pub(crate) mod drain;
pub mod event_policy;
pub(crate) mod label_selector;
pub mod messages;
pub mod outcome;
pub(crate) mod ownership;
pub mod plan;
pub mod recovery;
pub(crate) mod send_check;
pub(crate) mod standby;
pub mod status;
pub(crate) mod step;

use std::time::Duration;

use jiff::Timestamp;

use crate::limits::mono::Mono;

/// The current time on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock. Shared with users and other processes; it can jump.
    pub wall: Timestamp,
    /// Time since this process started. Monotonic; it cannot jump.
    pub mono: Mono,
}

impl Now {
    /// When `moment` comes, on the monotonic clock. At most one minute from now: the wall clock can be set meanwhile,
    /// and an early recheck costs nothing.
    #[must_use]
    pub fn until(self, moment: Timestamp) -> Mono {
        let left = Duration::try_from(moment.duration_since(self.wall)).unwrap_or_default();
        self.mono + left.min(Duration::from_mins(1))
    }

    /// The wall clock in microseconds, the precision of attempt timestamps.
    #[must_use]
    pub fn microsecond(self) -> Timestamp {
        Timestamp::from_microsecond(self.wall.as_microsecond()).unwrap_or(self.wall)
    }

    /// The wall clock in whole seconds, the precision of condition timestamps.
    #[must_use]
    pub fn second(self) -> Timestamp {
        Timestamp::from_second(self.wall.as_second()).unwrap_or(self.wall)
    }
}
