//! Outcomes that nobody waits for: of calls that were not answered, which are settled by a read-back later anyway. When an
//! endpoint hangs, hundreds of calls run out of time at the same moment; what is written down about them must not stand
//! in the way of resets that are doing well.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Between two of them, of all accounts.
const PAUSE: Duration = Duration::from_millis(20);

/// Whose turn it is when.
#[derive(Debug, Default)]
pub struct Unhurried {
    next: Mutex<Duration>,
}

impl Unhurried {
    /// The moment of the next one's turn.
    pub fn turn(&self, now: Duration) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = now.max(*next);
        *next = turn + PAUSE;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_goes_at_once_and_the_others_one_after_another() {
        let (unhurried, second) = (Unhurried::default(), Duration::from_secs(1));
        assert_eq!(unhurried.turn(second), second);
        assert_eq!(unhurried.turn(second), second + PAUSE);
        assert_eq!(unhurried.turn(second), second + 2 * PAUSE);
        assert_eq!(unhurried.turn(2 * second), 2 * second);
    }
}
