//! The clocks.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::limits::mono::Mono;
use crate::protocol::Now;

/// The one place that reads clocks for decisions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The current moment, on both clocks.
    #[must_use]
    pub(crate) fn now(self) -> Now {
        Now { wall: Timestamp::now(), mono: Mono::START + self.start.elapsed() }
    }

    /// Converts a moment of this process into the `Instant` that the runtime's timers use.
    #[must_use]
    pub(crate) fn instant(self, moment: Mono) -> Instant {
        self.start + (moment - Mono::START)
    }
}
