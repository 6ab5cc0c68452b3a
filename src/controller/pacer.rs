//! Paces low-priority writes: the outcomes of unanswered calls, which a later read-back settles anyway. When an
//! endpoint hangs, hundreds of calls time out at the same moment; recording them must not delay resets that make
//! progress.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Hands out time slots, one after another.
#[derive(Debug)]
pub(crate) struct Pacer {
    pause: Duration,
    next: Mutex<Duration>,
}

impl Pacer {
    /// Slots at least `pause` apart.
    #[must_use]
    pub(crate) fn new(pause: Duration) -> Self {
        Self { pause, next: Mutex::default() }
    }

    /// Reserves the next free slot and returns its moment.
    pub(crate) fn next_slot(&self, now: Duration) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = now.max(*next);
        *next = slot + self.pause;
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_goes_at_once_and_the_others_one_after_another() {
        let pause = Duration::from_millis(20);
        let (pacer, second) = (Pacer::new(pause), Duration::from_secs(1));
        assert_eq!(pacer.next_slot(second), second);
        assert_eq!(pacer.next_slot(second), second + pause);
        assert_eq!(pacer.next_slot(second), second + 2 * pause);
        assert_eq!(pacer.next_slot(2 * second), 2 * second);
    }
}
