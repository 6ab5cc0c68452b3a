//! The timers of the event loop.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::api::AppKey;
use crate::api::GroupId;
use crate::chat::AccountId;

/// What a timer wakes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    /// The reset with this uid.
    Reset(String),
    /// The queues of this account.
    Account(AccountId),
    /// The reset that has waited longest for this group of an account.
    Group(AccountId, GroupId),
    /// This app.
    App(AppKey),
    /// The next check of a never-verified app.
    Check,
    /// The next low-priority write.
    LowPriority,
    /// Gauges and eviction.
    Housekeeping,
}

/// All timers, in order. Moments are durations since the process started.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Duration, Wake)>,
}

impl Timers {
    /// Wakes `target` at `moment`.
    pub(crate) fn set(&mut self, moment: Duration, target: Wake) {
        self.queue.insert((moment, target));
    }

    /// Cancels the timer of `target` at `moment`.
    pub(crate) fn clear(&mut self, moment: Duration, target: Wake) {
        self.queue.remove(&(moment, target));
    }

    /// When the next timer is due.
    #[must_use]
    pub(crate) fn next(&self) -> Option<Duration> {
        self.queue.first().map(|(moment, _)| *moment)
    }

    /// Removes and returns the next timer that is due at `now`.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Wake> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_first().map(|(_, target)| target)
    }
}
