//! The vendor's rate limits, enforced over a sliding second.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls per second, for each account and command.
    pub calls_per_second: usize,
    /// The error code above that limit.
    pub too_many_calls: i64,
    /// Attribute writes per second to one group, including those of people in the room. Above it: 10049.
    pub writes_per_group: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { calls_per_second: 200, too_many_calls: 60007, writes_per_group: 5 }
    }
}

/// The accepted calls of the last second. Throttled calls do not count.
#[derive(Debug, Default)]
pub(super) struct Window {
    calls: VecDeque<Instant>,
}

impl Window {
    /// Whether one more call fits now.
    pub(super) fn has_room(&mut self, now: Instant, limit: usize) -> bool {
        while self.calls.front().is_some_and(|&first| now.saturating_duration_since(first) >= SECOND) {
            self.calls.pop_front();
        }
        self.calls.len() < limit
    }

    pub(super) fn count(&mut self, now: Instant) {
        self.calls.push_back(now);
    }
}

/// The maximum number of these moments within any half-open interval of this width.
pub(super) fn fullest(mut moments: Vec<Instant>, width: Duration) -> usize {
    moments.sort_unstable();
    let mut start = 0;
    let mut fullest = 0;
    for (end, moment) in moments.iter().enumerate() {
        while moment.duration_since(moments[start]) >= width {
            start += 1;
        }
        fullest = fullest.max(end - start + 1);
    }
    fullest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_returns_exactly_one_second_after_a_call() {
        let (mut window, start) = (Window::default(), Instant::now());
        window.count(start);
        assert!(!window.has_room(start + Duration::from_millis(999), 1));
        assert!(window.has_room(start + SECOND, 1));
    }

    #[test]
    fn the_fullest_window_is_found_wherever_it_lies() {
        let start = Instant::now();
        let at =
            |times: &[u64]| times.iter().map(|&ms| start + Duration::from_millis(ms)).collect::<Vec<_>>();
        assert_eq!(fullest(at(&[0, 900, 950, 1000, 1899, 3000]), SECOND), 4);
        assert_eq!(fullest(at(&[0, 1000, 2000]), SECOND), 1);
        assert_eq!(fullest(at(&[1500, 0, 700]), SECOND), 2);
        assert_eq!(fullest(Vec::new(), SECOND), 0);
    }
}
