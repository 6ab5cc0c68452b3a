//! The rate that the vendor puts up with. "Too many" halves it at once; then it grows by 5 % a second.
//!
//! A vendor that says "too many" again at about the same rate has a ceiling there, because somebody else uses the rest
//! of the account. From then on the rate stops a little below that ceiling, and tries for more only after a pause,
//! which doubles each time it runs into the ceiling again: a steady share instead of a saw-tooth of refusals.

use std::time::Duration;

/// Growth of a rate that was cut.
const GROWTH_PER_SECOND: f64 = 1.05;
/// Rates this close to the last ceiling run into the same one.
const SAME_CEILING: std::ops::RangeInclusive<f64> = 0.8..=1.1;
/// Where growth pauses, as a part of the ceiling.
const BELOW_CEILING: f64 = 0.95;
/// How long it pauses there the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// Pauses double this often, up to eight minutes.
const DOUBLINGS: u32 = 4;

/// What is remembered of the last time the vendor said "too many". Moments are durations since the process started.
#[derive(Debug, Default)]
pub struct AdaptiveRate {
    decrease: Option<Decrease>,
}

#[derive(Debug)]
struct Decrease {
    at: Duration,
    /// The rate after it.
    rate: f64,
    /// The rate before it.
    ceiling: f64,
    /// How often the vendor said so before at about this rate, in a row.
    hits: u32,
}

impl AdaptiveRate {
    /// Calls a second that may be tried for of the `limit`.
    #[must_use]
    pub fn rate(&self, limit: f64, now: Duration) -> f64 {
        self.decrease.as_ref().map_or(limit, |cut| cut.rate(now).min(limit))
    }

    /// The vendor said "too many" to a call sent at `sent`: the rate halves, once for all calls that were already
    /// under way when it last did.
    pub fn on_throttled(&mut self, limit: f64, sent: Duration, now: Duration) {
        if self.decrease.as_ref().is_some_and(|cut| sent < cut.at) {
            return;
        }
        let ceiling = self.rate(limit, now);
        let hits = match &self.decrease {
            Some(cut) if SAME_CEILING.contains(&(ceiling / cut.ceiling)) => cut.hits + 1,
            _ => 0,
        };
        self.decrease = Some(Decrease { at: now, rate: (ceiling / 2.0).max(1.0), ceiling, hits });
    }
}

impl Decrease {
    fn rate(&self, now: Duration) -> f64 {
        let since = now.saturating_sub(self.at).as_secs_f64();
        let grown = |seconds: f64| self.rate * GROWTH_PER_SECOND.powf(seconds);
        let resting = (self.ceiling * BELOW_CEILING).max(self.rate);
        if self.hits == 0 || grown(since) <= resting {
            return grown(since);
        }
        let pause = FIRST_PAUSE * (1 << (self.hits - 1).min(DOUBLINGS));
        grown(since - pause.as_secs_f64()).max(resting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn assert_about(rate: f64, expected: f64) {
        assert!((rate - expected).abs() < 0.02 * expected, "{rate}, not about {expected}");
    }

    #[test]
    fn too_many_halves_the_rate_once_and_it_grows_again() {
        let mut throttle = AdaptiveRate::default();
        throttle.on_throttled(200.0, ms(10), ms(60));
        throttle.on_throttled(200.0, ms(20), ms(61));
        assert_about(throttle.rate(200.0, ms(60)), 100.0);
        assert_about(throttle.rate(200.0, ms(1060)), 105.0);
        assert_about(throttle.rate(200.0, ms(13_060)), 188.6);
        throttle.on_throttled(200.0, ms(2000), ms(2060));
        assert_about(throttle.rate(200.0, ms(2060)), 55.1);
        assert_about(throttle.rate(200.0, ms(100_000)), 200.0);
    }

    #[test]
    fn a_rate_that_ran_into_the_same_ceiling_twice_stays_below_it_for_longer_and_longer() {
        let mut throttle = AdaptiveRate::default();
        throttle.on_throttled(100.0, ms(1), ms(1));
        let mut now = ms(1);
        for pause in [30, 60, 120, 240, 480, 480] {
            // About 14 s later the rate is back where it was.
            now += ms(14_100);
            throttle.on_throttled(100.0, now, now);
            let resting = 0.95 * throttle.decrease.as_ref().unwrap().ceiling;
            assert_about(throttle.rate(100.0, now + Duration::from_secs(pause)), resting);
            assert_about(throttle.rate(100.0, now + Duration::from_secs(14 + pause - 1)), resting);
            // And then it looks whether there is more by now.
            assert_about(throttle.rate(100.0, now + Duration::from_secs(14 + pause + 5)), 100.0);
            now += Duration::from_secs(pause);
        }
    }

    #[test]
    fn a_ceiling_that_moved_is_another_one() {
        let mut throttle = AdaptiveRate::default();
        throttle.on_throttled(200.0, ms(1), ms(1));
        // Half of it at once: somebody took half of the account.
        throttle.on_throttled(200.0, ms(1500), ms(1500));
        assert_eq!(throttle.decrease.as_ref().unwrap().hits, 0);
        throttle.on_throttled(200.0, ms(15_500), ms(15_500));
        assert_eq!(throttle.decrease.as_ref().unwrap().hits, 1);
        // It grew well above the old ceiling before it was refused: whoever was there has gone.
        throttle.on_throttled(200.0, ms(120_000), ms(120_000));
        assert_eq!(throttle.decrease.as_ref().unwrap().hits, 0);
    }

    /// Somebody else uses half of the account all the time: in ten minutes the vendor says "too many" a few times
    /// only, and most of the other half is used.
    #[test]
    fn beside_another_consumer_the_rate_settles() {
        let mut throttle = AdaptiveRate::default();
        let (share, mut refusals, mut used) = (100.0, 0, 0.0);
        for tenth in 0..6000 {
            let now = ms(tenth * 100);
            let rate = throttle.rate(200.0, now);
            used += rate.min(share) / 10.0;
            if rate > share {
                throttle.on_throttled(200.0, now, now);
                refusals += 1;
            }
        }
        assert!(refusals <= 8, "refused {refusals} times");
        assert!(used >= 0.85 * share * 600.0, "{used} calls of {}", share * 600.0);
    }

    proptest! {
        #[test]
        fn the_rate_stays_between_one_and_the_limit_and_never_jumps_up(
            limit in 1u32..=200,
            pauses in prop::collection::vec((1u64..60_000, any::<bool>()), 1..100),
        ) {
            let limit = f64::from(limit);
            let mut throttle = AdaptiveRate::default();
            let mut now = ms(0);
            let mut last = limit;
            for (pause, refused) in pauses {
                now += ms(pause);
                let rate = throttle.rate(limit, now);
                prop_assert!((1.0..=limit).contains(&rate), "{rate} of {limit}");
                let most = last * GROWTH_PER_SECOND.powf(ms(pause).as_secs_f64());
                prop_assert!(rate <= most * 1.001, "from {last} to {rate} in {pause} ms");
                last = rate;
                if refused {
                    throttle.on_throttled(limit, now, now);
                    last = throttle.rate(limit, now);
                    prop_assert!(last <= (rate / 2.0).max(1.0) * 1.001);
                }
            }
        }
    }
}
