//! The vendor's rate limit per group. The members of the group share it, so the operator uses a small part: one write
//! per interval, measured from the answer of one write to the sending of the next.

use std::time::Duration;

use super::mono::Mono;

/// After this long without a write, a group's increased interval is forgotten.
const FORGET_AFTER: Duration = Duration::from_mins(10);
/// The longest interval, however often the vendor throttles.
const MAX_INTERVAL: Duration = Duration::from_mins(1);

/// One group of one account.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupInterval {
    busy: bool,
    last_write: Option<Mono>,
    doublings: u32,
}

/// Whether a group may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupReadiness {
    /// It may be written to now.
    Ready,
    /// Not before this moment.
    At(Mono),
    /// After the write in flight has ended.
    AfterWriteInFlight,
}

impl GroupInterval {
    /// A group that may have been written to by another process until `moment`.
    #[must_use]
    pub(crate) fn written_at(moment: Mono) -> Self {
        Self { last_write: Some(moment), ..Self::default() }
    }

    /// Another process may write to it until `moment`.
    pub(crate) fn hold_until(&mut self, moment: Mono) {
        self.last_write = Some(moment).max(self.last_write);
    }

    /// The current interval.
    #[must_use]
    pub(crate) fn interval(&self, base: Duration) -> Duration {
        base.saturating_mul(1 << self.doublings.min(16)).min(MAX_INTERVAL.max(base))
    }

    /// Whether the group may be written to now.
    #[must_use]
    pub(crate) fn readiness(&self, base: Duration, now: Mono) -> GroupReadiness {
        if self.busy {
            return GroupReadiness::AfterWriteInFlight;
        }
        match self.last_write.map(|last| last + self.interval(base)) {
            Some(free) if free > now => GroupReadiness::At(free),
            _ => GroupReadiness::Ready,
        }
    }

    /// A write starts.
    pub(crate) fn start_write(&mut self) {
        self.busy = true;
    }

    /// The write was answered, or its deadline passed, at `moment`; `None` if nothing was sent.
    pub(crate) fn end_write(&mut self, moment: Option<Mono>) {
        self.busy = false;
        self.last_write = moment.max(self.last_write);
    }

    /// The vendor throttled a write to this group: the interval doubles.
    pub(crate) fn on_throttled(&mut self) {
        self.doublings = (self.doublings + 1).min(16);
    }

    /// A write succeeded: the interval halves again, down to its base.
    pub(crate) fn on_success(&mut self) {
        self.doublings = self.doublings.saturating_sub(1);
    }

    /// Whether this state can be dropped, because the group may be written to and its interval is back to normal or
    /// old.
    #[must_use]
    pub(crate) fn is_forgettable(&self, base: Duration, now: Mono) -> bool {
        let is_old = self.last_write.is_none_or(|last| last + FORGET_AFTER < now);
        (self.doublings == 0 || is_old) && self.readiness(base, now) == GroupReadiness::Ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(1);
    fn s(n: u64) -> Mono {
        Mono::START + Duration::from_secs(n)
    }

    #[test]
    fn the_interval_counts_from_the_answer() {
        let mut group = GroupInterval::default();
        assert_eq!(group.readiness(BASE, s(0)), GroupReadiness::Ready);
        group.start_write();
        assert_eq!(group.readiness(BASE, s(9)), GroupReadiness::AfterWriteInFlight);
        group.end_write(Some(s(9)));
        assert_eq!(group.readiness(BASE, s(9)), GroupReadiness::At(s(10)));
        assert_eq!(group.readiness(BASE, s(10)), GroupReadiness::Ready);
    }

    #[test]
    fn a_write_that_never_left_changes_nothing() {
        let mut group = GroupInterval::written_at(s(5));
        group.start_write();
        group.end_write(None);
        assert_eq!(group.readiness(BASE, s(5)), GroupReadiness::At(s(6)));
    }

    #[test]
    fn another_process_may_write_until_its_attempt_is_over() {
        let mut group = GroupInterval::default();
        group.hold_until(s(11));
        assert_eq!(group.readiness(BASE, s(11)), GroupReadiness::At(s(12)));
        group.hold_until(s(5));
        assert_eq!(
            group.readiness(BASE, s(11)),
            GroupReadiness::At(s(12)),
            "an earlier moment does not shorten the wait"
        );
    }

    #[test]
    fn a_group_that_cannot_be_written_to_is_not_forgotten() {
        let mut group = GroupInterval::default();
        group.start_write();
        assert!(!group.is_forgettable(BASE, s(700)));
        group.end_write(Some(s(700)));
        assert!(!group.is_forgettable(BASE, Mono::START + Duration::from_millis(700_500)));
        assert!(group.is_forgettable(BASE, s(701)));
    }

    #[test]
    fn that_it_was_too_frequent_is_not_forgotten_for_a_while() {
        let mut group = GroupInterval::default();
        group.on_throttled();
        group.end_write(Some(s(700)));
        assert!(!group.is_forgettable(BASE, s(710)));
        assert!(group.is_forgettable(BASE, s(701) + FORGET_AFTER));
    }

    #[test]
    fn too_frequent_doubles_up_to_a_minute_and_relaxes() {
        let mut group = GroupInterval::default();
        for expected in [2, 4, 8, 16, 32, 60, 60] {
            group.on_throttled();
            assert_eq!(group.interval(BASE), Duration::from_secs(expected));
        }
        for _ in 0..7 {
            group.on_success();
        }
        assert_eq!(group.interval(BASE), BASE);
        assert!(group.is_forgettable(BASE, s(1)));
    }
}
