//! How long before its permit an attempt is begun: as long as it takes to store its intent. So permits never wait for
//! intents, and hardly any intent waits for its permit.

use std::time::Duration;

/// Before anything was measured.
const INITIAL_LEAD: Duration = Duration::from_millis(50);
/// An API server that is slower than this cannot be run ahead of; it is the limit then.
const MAX_LEAD: Duration = Duration::from_millis(500);
/// The longest time of late counts, because a permit that waits is lost. It is forgotten by this part of itself with
/// each shorter one.
const DECAY_DIVISOR: u32 = 256;

/// From the begin of an attempt until its intent is stored, as measured of late.
#[derive(Debug)]
pub struct IntentLead {
    lead: Duration,
}

impl Default for IntentLead {
    fn default() -> Self {
        Self { lead: INITIAL_LEAD }
    }
}

impl IntentLead {
    /// How long before its permit the next attempt is begun.
    #[must_use]
    pub fn lead(&self) -> Duration {
        self.lead
    }

    /// An intent was stored after this long.
    pub fn observe(&mut self, took: Duration) {
        let faded = self.lead.saturating_sub(self.lead / DECAY_DIVISOR);
        self.lead = took.max(faded).min(MAX_LEAD);
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
        let mut lead = IntentLead::default();
        lead.observe(ms(100));
        assert_eq!(lead.lead(), ms(100));
        for _ in 0..200 {
            lead.observe(ms(5));
        }
        assert!(lead.lead() > ms(40), "{:?}", lead.lead());
        for _ in 0..2000 {
            lead.observe(ms(5));
        }
        assert!(lead.lead() < ms(6), "{:?}", lead.lead());
    }

    #[test]
    fn an_api_server_that_hangs_does_not_fill_the_air_with_intents() {
        let mut lead = IntentLead::default();
        lead.observe(ms(60_000));
        assert_eq!(lead.lead(), MAX_LEAD);
    }
}
