//! The limits of each account, as the event loop keeps them.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::task_result::IntentStored;
use crate::api::GroupId;
use crate::limits::fair_queue::{FairQueue, QueueKey};
use crate::limits::group_interval::{GroupInterval, GroupReadiness};
use crate::limits::in_flight_window::InFlightWindow;
use crate::limits::mono::Mono;
use crate::limits::permits::Permits;

/// The limits of one account at the vendor, and the resets that wait for them.
pub(crate) struct AccountLimits {
    /// Permits for clears.
    pub clears: Permits,
    /// Permits for reads.
    pub reads: Permits,
    /// Resets that are ready to be sent.
    pub clear_queue: FairQueue,
    /// Attempts with a stored intent that wait for their permit, in the order in which they get it.
    pub awaiting_permit: VecDeque<IntentStored>,
    /// Attempts that have started and have no permit yet, including those in `awaiting_permit`.
    pub uncommitted: usize,
    /// Clears in flight, and whether the vendor answers them.
    pub in_flight: InFlightWindow,
    /// Resets whose group is ready to be read back.
    pub read_queue: FairQueue,
    /// Minimum time between two writes to one group.
    pub interval: Duration,
    /// When its queues are dispatched again.
    pub timer: Option<Mono>,
    groups: HashMap<GroupId, GroupInterval>,
    waiting_for_group: HashMap<GroupId, BTreeSet<QueueKey>>,
    took_over: Mono,
}

impl AccountLimits {
    /// An account that another process may have used until `took_over`: its first call waits one second, and each
    /// group waits for its interval.
    #[must_use]
    pub(crate) fn new(took_over: Mono) -> Self {
        let first_call = took_over + Duration::from_secs(1);
        Self {
            clears: Permits::new(1, first_call),
            reads: Permits::new(1, first_call),
            clear_queue: FairQueue::default(),
            awaiting_permit: VecDeque::new(),
            uncommitted: 0,
            in_flight: InFlightWindow::default(),
            read_queue: FairQueue::default(),
            interval: Duration::from_secs(1),
            timer: None,
            groups: HashMap::new(),
            waiting_for_group: HashMap::new(),
            took_over,
        }
    }

    /// Sets the limits in force: the rate, and the minimum time between two writes to one group.
    pub(crate) fn set_limits(&mut self, calls_per_second: u32, interval: Duration) {
        self.clears.set_limit(calls_per_second);
        self.reads.set_limit(calls_per_second);
        self.interval = interval;
    }

    /// The vendor asked for no further call, neither a clear nor a read, before `moment`.
    pub(crate) fn hold_until(&mut self, moment: Mono) {
        self.clears.hold_until(moment);
        self.reads.hold_until(moment);
    }

    /// Drops the waiting attempts of apps that no longer work; they end without a permit.
    pub(crate) fn drop_attempts_of_failed_apps(&mut self) {
        self.awaiting_permit.retain(|waiting| waiting.app.gate.allows_clear());
    }

    /// Attempts that have started and whose intent is not stored yet.
    #[must_use]
    pub(crate) fn intents_in_flight(&self) -> usize {
        self.uncommitted.saturating_sub(self.awaiting_permit.len())
    }

    /// The write interval of one group. An unknown group may have been written to by our predecessor.
    pub(crate) fn group(&mut self, group: &GroupId) -> &mut GroupInterval {
        let took_over = self.took_over;
        self.groups.entry(group.clone()).or_insert_with(|| GroupInterval::written_at(took_over))
    }

    /// Whether the group may be written to now.
    pub(crate) fn group_readiness(&mut self, group: &GroupId, now: Mono) -> GroupReadiness {
        let interval = self.interval;
        self.group(group).readiness(interval, now)
    }

    /// Queues a reset until its group may be written to.
    pub(crate) fn wait_for_group(&mut self, group: &GroupId, key: QueueKey) {
        self.waiting_for_group.entry(group.clone()).or_default().insert(key);
    }

    /// Removes and returns the reset that has waited longest for this group.
    pub(crate) fn next_waiting_for_group(&mut self, group: &GroupId) -> Option<QueueKey> {
        let queue = self.waiting_for_group.get_mut(group)?;
        let first = queue.pop_first();
        if queue.is_empty() {
            self.waiting_for_group.remove(group);
        }
        first
    }

    /// Whether a reset waits until this group may be written to.
    #[must_use]
    pub(crate) fn is_waited_for(&self, group: &GroupId) -> bool {
        self.waiting_for_group.contains_key(group)
    }

    /// Whether the account can be evicted: nothing is queued or in flight, and its limits are as permissive as those
    /// of an unused account.
    pub(crate) fn is_forgettable(&mut self, now: Mono) -> bool {
        let nothing_is_queued = self.clear_queue.is_empty() && self.read_queue.is_empty();
        let nothing_is_in_flight =
            self.uncommitted == 0 && self.groups.is_empty() && self.waiting_for_group.is_empty();
        nothing_is_queued
            && nothing_is_in_flight
            && self.timer.is_none()
            && self.clears.is_idle(now)
            && self.reads.is_idle(now)
    }

    /// Evicts the groups whose state no longer matters.
    pub(crate) fn forget_idle_groups(&mut self, now: Mono) {
        let interval = self.interval;
        self.groups.retain(|_, group| !group.is_forgettable(interval, now));
    }
}
