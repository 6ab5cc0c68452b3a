//! The limits of the accounts, as the desk keeps them.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::report::Armed;
use crate::api::GroupId;
use crate::decide::group_pace::{GroupPace, GroupTurn};
use crate::decide::pace::Pace;
use crate::decide::silence::Silence;
use crate::decide::turns::{Place, Turns};

/// The limits of one account at the vendor, and who waits for them.
pub struct Account {
    /// Permits for clears.
    pub clears: Pace,
    /// Permits for reads.
    pub reads: Pace,
    /// Resets that could be sent.
    pub turns: Turns,
    /// Attempts that wait for their permit, in the order in which they get it.
    pub armed: VecDeque<Armed>,
    /// Attempts that have begun and have no permit yet, the armed ones among them.
    pub begun: usize,
    /// Clears that are out, and whether the vendor answers them.
    pub silence: Silence,
    /// Resets whose group could be read back.
    pub read_turns: Turns,
    /// Least time between two writes to one group.
    pub interval: Duration,
    /// When its queues are looked at again.
    pub timer: Option<Duration>,
    groups: HashMap<GroupId, GroupPace>,
    parked: HashMap<GroupId, BTreeSet<Place>>,
    took_over: Duration,
}

impl Account {
    /// An account that another process may have used until `took_over`: its first call waits a second, and each
    /// group waits for its interval.
    #[must_use]
    pub fn new(took_over: Duration) -> Self {
        let first_call = took_over + Duration::from_secs(1);
        Self {
            clears: Pace::new(1, first_call),
            reads: Pace::new(1, first_call),
            turns: Turns::default(),
            armed: VecDeque::new(),
            begun: 0,
            silence: Silence::default(),
            read_turns: Turns::default(),
            interval: Duration::from_secs(1),
            timer: None,
            groups: HashMap::new(),
            parked: HashMap::new(),
            took_over,
        }
    }

    /// Sets the limits that the verified apps of this account agree on.
    pub fn set_limits(&mut self, calls_per_second: u32, interval: Duration) {
        self.clears.set_limit(calls_per_second);
        self.reads.set_limit(calls_per_second);
        self.interval = interval;
    }

    /// Lets the armed attempts of apps that do not work any more end without a permit.
    pub fn disarm_idle(&mut self) {
        self.armed.retain(|armed| armed.app.gate.admits_clear());
    }

    /// Attempts that have begun and whose intent is not stored yet.
    #[must_use]
    pub fn intents_under_way(&self) -> usize {
        self.begun.saturating_sub(self.armed.len())
    }

    /// The memory of one group. A group nobody remembers may have been written to by the process before us.
    pub fn group(&mut self, group: &GroupId) -> &mut GroupPace {
        let took_over = self.took_over;
        self.groups.entry(group.clone()).or_insert_with(|| GroupPace::written_at(took_over))
    }

    /// Whether the group may be written to now.
    pub fn group_turn(&mut self, group: &GroupId, now: Duration) -> GroupTurn {
        let interval = self.interval;
        self.group(group).turn(interval, now)
    }

    /// A reset waits until its group may be written to.
    pub fn park(&mut self, group: &GroupId, place: Place) {
        self.parked.entry(group.clone()).or_default().insert(place);
    }

    /// The reset that waits longest for this group; it does not wait there any more.
    pub fn unpark(&mut self, group: &GroupId) -> Option<Place> {
        let line = self.parked.get_mut(group)?;
        let first = line.pop_first();
        if line.is_empty() {
            self.parked.remove(group);
        }
        first
    }

    /// Whether nothing about this account need be remembered: nobody waits, nothing is under way, and it may do what
    /// one may that nobody has used yet.
    pub fn is_forgettable(&mut self, now: Duration) -> bool {
        let nobody_waits = self.turns.is_empty() && self.read_turns.is_empty();
        let nothing_is_under_way = self.begun == 0 && self.groups.is_empty() && self.parked.is_empty();
        nobody_waits
            && nothing_is_under_way
            && self.timer.is_none()
            && self.clears.is_at_rest(now)
            && self.reads.is_at_rest(now)
    }

    /// Forgets the groups that nothing needs to be remembered of.
    pub fn forget_idle_groups(&mut self, now: Duration) {
        let interval = self.interval;
        self.groups.retain(|_, group| !group.is_forgettable(interval, now));
    }
}
