//! Keeps the log readable during a lasting failure.

use std::time::Duration;

use tokio::time::Instant;

/// Limits each message to once a minute.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle(Vec<(String, Instant)>);

impl LogThrottle {
    const INTERVAL: Duration = Duration::from_mins(1);

    /// Whether `text` should be logged at `now`. If so, it counts as logged.
    pub(crate) fn due(&mut self, text: &str, now: Instant) -> bool {
        self.0.retain(|(_, at)| now.saturating_duration_since(*at) < Self::INTERVAL);
        let due = self.0.iter().all(|(logged, _)| logged != text);
        if due {
            self.0.push((text.to_owned(), now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_logged_once_a_minute() {
        let (mut throttle, now) = (LogThrottle::default(), Instant::now());
        assert!(throttle.due("a", now) && !throttle.due("a", now + Duration::from_secs(59)));
        assert!(throttle.due("b", now) && throttle.due("a", now + Duration::from_mins(1)));
    }
}
