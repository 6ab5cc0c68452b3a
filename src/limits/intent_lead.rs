//! How long before its permit an attempt starts: as long as it takes to store its intent. So permits never wait for
//! intents, and hardly any intent waits for its permit.

use std::time::Duration;

/// The lead before the first measurement.
const INITIAL_LEAD: Duration = Duration::from_millis(50);
/// The longest lead. A slower API server becomes the limiting factor.
const MAX_LEAD: Duration = Duration::from_millis(500);
/// The lead follows the longest recent time, because a permit that waits is lost. Each shorter measurement reduces it
/// by 1/256.
const DECAY_DIVISOR: u32 = 256;

/// The time from the start of an attempt until its intent is stored, as measured recently.
#[derive(Debug)]
pub(crate) struct IntentLead {
    lead: Duration,
}

impl Default for IntentLead {
    fn default() -> Self {
        Self { lead: INITIAL_LEAD }
    }
}

impl IntentLead {
    /// How long before its permit the next attempt starts.
    #[must_use]
    pub(crate) fn lead(&self) -> Duration {
        self.lead
    }

    /// Records that storing an intent took this long.
    pub(crate) fn observe(&mut self, took: Duration) {
        let decayed = self.lead.saturating_sub(self.lead / DECAY_DIVISOR);
        self.lead = took.max(decayed).min(MAX_LEAD);
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
