//! The timers of the event loop.

use std::collections::BTreeSet;

use crate::api::{AppKey, GroupId};
use crate::chat::AccountId;
use crate::limits::mono::Mono;

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

/// All timers, in order.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Mono, Wake)>,
}

impl Timers {
    /// Wakes `target` at `moment`.
    pub(crate) fn set(&mut self, moment: Mono, target: Wake) {
        self.queue.insert((moment, target));
    }

    /// Cancels the timer of `target` at `moment`.
    pub(crate) fn clear(&mut self, moment: Mono, target: Wake) {
        self.queue.remove(&(moment, target));
    }

    /// When the next timer is due.
    #[must_use]
    pub(crate) fn next(&self) -> Option<Mono> {
        self.queue.first().map(|(moment, _)| *moment)
    }

    /// Removes and returns the next timer that is due at `now`.
    pub(crate) fn due(&mut self, now: Mono) -> Option<Wake> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_first().map(|(_, target)| target)
    }
}
