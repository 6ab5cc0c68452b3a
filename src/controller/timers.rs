//! What the desk looks at when.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::api::AppKey;
use crate::api::GroupId;
use crate::chat::AccountId;

/// Who is woken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// The reset with this uid.
    Reset(String),
    /// The queues of this account.
    Account(AccountId),
    /// Whoever waits longest for this group of an account.
    Group(AccountId, GroupId),
    /// This app.
    App(AppKey),
    /// Whoever is next to be checked of the apps that were never verified.
    Check,
    /// Whoever waits to explain itself.
    Explanation,
    /// Whoever waits to say that it cannot be read.
    Malformed,
    /// The gauges, and the forgetting.
    Housekeeping,
}

/// What happens when. Moments are durations since the process started.
#[derive(Debug, Default)]
pub struct Timers {
    queue: BTreeSet<(Duration, Wake)>,
}

impl Timers {
    /// Wakes `who` at `moment`.
    pub fn set(&mut self, moment: Duration, who: Wake) {
        self.queue.insert((moment, who));
    }

    /// Does not wake `who` at `moment` any more.
    pub fn clear(&mut self, moment: Duration, who: Wake) {
        self.queue.remove(&(moment, who));
    }

    /// When the next one is due.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.queue.first().map(|(moment, _)| *moment)
    }

    /// The next one that is due by now.
    pub fn due(&mut self, now: Duration) -> Option<Wake> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_first().map(|(_, who)| who)
    }
}
