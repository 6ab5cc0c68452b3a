//! Whether a process that waits for the lease would get it. One that could never take over is no standby, and an update
//! that waits for it must not pass.

use std::time::Duration;

/// What the looks at the lease came to so far.
#[derive(Debug)]
pub struct Standby {
    span: Duration,
    worked_at: Option<Duration>,
}

impl Standby {
    /// Nothing is known yet. `span` is how long the looks may fail before that counts.
    #[must_use]
    pub fn new(span: Duration) -> Self {
        Self { span, worked_at: None }
    }

    /// Takes the look at `now` into account, and says whether the process could take over: once a look has worked, until
    /// none has for a whole span.
    pub fn observe(&mut self, works: bool, now: Duration) -> bool {
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
