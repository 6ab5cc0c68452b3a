//! Writes that nobody waits for: outcomes of calls that were not answered, which are settled by a read-back later anyway.
//! When an endpoint hangs, hundreds of calls run out of time at the same moment; what is written down about them must not
//! stand in the way of resets that are doing well.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Whose turn it is when, one after another.
#[derive(Debug)]
pub struct Pacer {
    pause: Duration,
    next: Mutex<Duration>,
}

impl Pacer {
    /// With at least this pause between two of them.
    #[must_use]
    pub fn new(pause: Duration) -> Self {
        Self { pause, next: Mutex::default() }
    }

    /// The moment of the next one's turn.
    pub fn next_slot(&self, now: Duration) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = now.max(*next);
        *next = turn + self.pause;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_goes_at_once_and_the_others_one_after_another() {
        let pause = Duration::from_millis(20);
        let (unhurried, second) = (Pacer::new(pause), Duration::from_secs(1));
        assert_eq!(unhurried.next_slot(second), second);
        assert_eq!(unhurried.next_slot(second), second + pause);
        assert_eq!(unhurried.next_slot(second), second + 2 * pause);
        assert_eq!(unhurried.next_slot(2 * second), 2 * second);
    }
}
