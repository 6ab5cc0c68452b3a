//! Whether a process that waits for the lease could take over. If it could not, it is not a working standby, and a
//! rolling update must not proceed.

use std::time::Duration;

/// Tracks whether attempts to read the lease succeed.
#[derive(Debug)]
pub(crate) struct Standby {
    span: Duration,
    worked_at: Option<Duration>,
}

impl Standby {
    /// A standby that has not read the lease yet. Reads may fail for less than `span` without consequence.
    #[must_use]
    pub(crate) fn new(span: Duration) -> Self {
        Self { span, worked_at: None }
    }

    /// Records a read of the lease at `now` that succeeded if `works`. Returns whether the process could take over:
    /// true from the first success on, until no read has succeeded for a whole span.
    pub(crate) fn observe(&mut self, works: bool, now: Duration) -> bool {
        if works {
            self.worked_at = Some(now);
        }
        self.worked_at.is_some_and(|at| now.saturating_sub(at) < self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_process_whose_first_look_at_the_lease_fails_is_no_standby_until_one_works() {
        let mut standby = Standby::new(at(15));
        assert!(!standby.observe(false, at(0)) && !standby.observe(false, at(100)));
        assert!(standby.observe(true, at(101)));
    }

    #[test]
    fn a_standby_may_fail_for_as_long_as_a_leader_may_be_silent() {
        let mut standby = Standby::new(at(15));
        assert!(standby.observe(true, at(0)) && standby.observe(false, at(14)));
        assert!(!standby.observe(false, at(15)) && !standby.observe(false, at(60)));
        assert!(standby.observe(true, at(61)) && standby.observe(false, at(75)));
    }
}
