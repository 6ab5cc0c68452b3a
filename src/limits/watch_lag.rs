//! Whether the watch keeps up with our own writes. An overloaded API server still accepts writes, but delivers watch
//! events later and later: the operator would see a new reset, or a `suspend: true`, only after the other calls were
//! made. So no attempt starts while the watch lags, which lets the API server catch up.

use std::collections::HashSet;
use std::time::Duration;

use super::mono::Mono;

/// A watch that has not delivered a write after this long is lagging.
const LAGGING_AFTER: Duration = Duration::from_millis(250);
/// A watch that has not delivered a write after this long is stalled, not slow. It will be replaced, so there is no
/// point in waiting for it.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// The write that the watch is expected to deliver. Tracking one at a time is enough.
#[derive(Debug, Default)]
pub(crate) struct WatchLag {
    expected: Option<ExpectedWrite>,
    /// Watches that did not deliver the last expected write. Nothing is expected from them until they deliver an event.
    stalled: HashSet<String>,
}

#[derive(Debug)]
struct ExpectedWrite {
    watch: String,
    uid: String,
    version: u64,
    written: Mono,
}

impl WatchLag {
    /// A write of this object returned this resourceVersion. `watch` names the watch that will deliver it.
    pub(crate) fn expect(&mut self, watch: &str, uid: &str, version: u64, now: Mono) {
        if self.expected.is_none() && !self.stalled.contains(watch) {
            let (watch, uid) = (watch.to_owned(), uid.to_owned());
            self.expected = Some(ExpectedWrite { watch, uid, version, written: now });
        }
    }

    /// The watch delivered this version of an object. If this is the expected write or a later version, returns how
    /// long it took.
    pub(crate) fn observed(&mut self, watch: &str, uid: &str, version: u64, now: Mono) -> Option<Duration> {
        self.stalled.remove(watch);
        let seen = self.expected.take_if(|expected| expected.uid == uid && expected.version <= version)?;
        Some(now - seen.written)
    }

    /// The object is gone, or cannot be read. True if its write was expected.
    pub(crate) fn forget(&mut self, uid: &str) -> bool {
        self.expected.take_if(|expected| expected.uid == uid).is_some()
    }

    /// While the watch is lagging, the latest moment until which to wait for it.
    pub(crate) fn lagging_until(&mut self, now: Mono) -> Option<Mono> {
        let written = self.expected.as_ref()?.written;
        let waited = now - written;
        if waited >= STALLED_AFTER {
            self.stalled.extend(self.expected.take().map(|expected| expected.watch));
        }
        (LAGGING_AFTER..STALLED_AFTER).contains(&waited).then_some(written + STALLED_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Mono {
        Mono::START + Duration::from_millis(n)
    }

    #[test]
    fn a_watch_that_keeps_up_stops_nothing() {
        let mut lag = WatchLag::default();
        lag.expect("w", "a", 7, ms(0));
        assert_eq!(lag.lagging_until(ms(249)), None);
        assert_eq!(lag.observed("w", "a", 7, ms(20)), Some(Duration::from_millis(20)));
        assert_eq!(lag.lagging_until(ms(900)), None);
    }

    #[test]
    fn a_watch_that_is_behind_is_waited_for_until_it_shows_the_write_or_something_newer() {
        let mut lag = WatchLag::default();
        lag.expect("w", "a", 7, ms(0));
        lag.expect("w", "b", 8, ms(10));
        assert_eq!(lag.lagging_until(ms(250)), Some(ms(5000)));
        assert_eq!(lag.observed("w", "a", 6, ms(260)), None);
        assert_eq!(lag.observed("w", "b", 8, ms(270)), None);
        assert_eq!(lag.lagging_until(ms(280)), Some(ms(5000)));
        assert_eq!(lag.observed("w", "a", 9, ms(300)), Some(Duration::from_millis(300)));
        assert_eq!(lag.lagging_until(ms(301)), None);
    }

    #[test]
    fn a_watch_that_is_dead_is_waited_for_once() {
        let mut lag = WatchLag::default();
        lag.expect("w", "a", 7, ms(0));
        assert_eq!(lag.lagging_until(ms(5000)), None);
        lag.expect("w", "b", 8, ms(5001));
        assert_eq!(lag.lagging_until(ms(6000)), None);
        assert_eq!(lag.observed("w", "c", 9, ms(9000)), None);
        lag.expect("w", "b", 10, ms(9001));
        assert_eq!(lag.lagging_until(ms(9500)), Some(ms(14_001)));
    }

    #[test]
    fn a_watch_that_is_dead_stays_so_while_another_one_speaks() {
        let mut lag = WatchLag::default();
        lag.expect("dead", "a", 7, ms(0));
        assert_eq!(lag.lagging_until(ms(5000)), None);
        assert_eq!(lag.observed("other", "c", 8, ms(5001)), None);
        lag.expect("dead", "b", 9, ms(5002));
        assert_eq!(lag.lagging_until(ms(6000)), None, "a stalled watch is not waited for again");
        lag.expect("other", "c", 10, ms(6001));
        assert_eq!(lag.lagging_until(ms(6500)), Some(ms(11_001)), "the other watch is waited for");
    }

    #[test]
    fn an_object_that_is_gone_has_no_echo() {
        let mut lag = WatchLag::default();
        lag.expect("w", "a", 7, ms(0));
        assert!(!lag.forget("b"));
        assert!(lag.lagging_until(ms(300)).is_some());
        assert!(lag.forget("a"));
        assert_eq!(lag.lagging_until(ms(301)), None);
    }
}
