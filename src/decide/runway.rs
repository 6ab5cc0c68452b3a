//! How long before its permit an attempt is begun: as long as it takes to store its intent. So permits never wait for
//! intents, and hardly any intent waits for its permit.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

/// Before anything was measured.
const FIRST: Duration = Duration::from_millis(50);
/// An API server that is slower than this cannot be run ahead of; it is the limit then.
const LONGEST: Duration = Duration::from_millis(500);
/// The longest time of late counts, because a permit that waits is lost. It is forgotten by this part of itself with
/// each shorter one.
const FORGETTING: u32 = 256;

/// From the begin of an attempt until its intent is stored, as measured of late.
#[derive(Debug)]
pub struct Runway {
    length: Duration,
}

impl Default for Runway {
    fn default() -> Self {
        Self { length: FIRST }
    }
}

impl Runway {
    /// How long before its permit the next attempt is begun.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    /// An intent was stored after this long.
    pub fn measured(&mut self, took: Duration) {
        let faded = self.length.saturating_sub(self.length / FORGETTING);
        self.length = took.max(faded).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn it_lengthens_at_once_and_shortens_slowly() {
        let mut runway = Runway::default();
        runway.measured(ms(100));
        assert_eq!(runway.length(), ms(100));
        for _ in 0..200 {
            runway.measured(ms(5));
        }
        assert!(runway.length() > ms(40), "{:?}", runway.length());
        for _ in 0..2000 {
            runway.measured(ms(5));
        }
        assert!(runway.length() < ms(6), "{:?}", runway.length());
    }

    #[test]
    fn an_api_server_that_hangs_does_not_fill_the_air_with_intents() {
        let mut runway = Runway::default();
        runway.measured(ms(60_000));
        assert_eq!(runway.length(), LONGEST);
    }
}
