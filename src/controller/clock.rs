//! Time.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::protocol::Now;

/// The one place that reads clocks for decisions.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts with the process.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// This moment.
    #[must_use]
    pub fn now(self) -> Now {
        Now { wall: Timestamp::now(), mono: self.start.elapsed() }
    }

    /// A moment of this process as the runtime's timers take it.
    #[must_use]
    pub fn instant(self, moment: Duration) -> Instant {
        self.start + moment
    }
}
