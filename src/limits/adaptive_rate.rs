//! Adapts the rate to what the vendor accepts. "Too many requests" halves the rate at once; then it grows by 5 % per
//! second.
//!
//! If the vendor throttles again at about the same rate, that rate is treated as a ceiling: another client is
//! presumably using the rest of the account's limit. From then on the rate stays slightly below that ceiling and tries
//! to exceed it only after a pause, which doubles each time the rate hits the ceiling again. The result is a steady
//! share instead of a sawtooth of throttled calls.

use std::time::Duration;

use super::mono::Mono;

/// Growth factor of a reduced rate, per second.
const GROWTH_PER_SECOND: f64 = 1.05;
/// A rate within this ratio to the last ceiling has hit the same ceiling.
const SAME_CEILING: std::ops::RangeInclusive<f64> = 0.8..=1.1;
/// Where growth pauses, as a fraction of the ceiling.
const BELOW_CEILING: f64 = 0.95;
/// Length of the first pause.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// How often the pause doubles: up to eight minutes.
const DOUBLINGS: u32 = 4;

/// State of the rate after the vendor last throttled calls.
#[derive(Debug, Default)]
pub(crate) struct AdaptiveRate {
    decrease: Option<Decrease>,
}

#[derive(Debug)]
struct Decrease {
    at: Mono,
    /// The rate after the decrease.
    rate: f64,
    /// The rate before the decrease.
    ceiling: f64,
    /// How often in a row the vendor throttled at about this rate before.
    hits: u32,
}

impl AdaptiveRate {
    /// The current rate in calls per second, at most `limit`.
    #[must_use]
    pub(crate) fn rate(&self, limit: f64, now: Mono) -> f64 {
        self.decrease.as_ref().map_or(limit, |decrease| decrease.rate(now).min(limit))
    }

    /// The vendor throttled a call sent at `sent`: the rate halves. Calls that were sent before the last decrease do
    /// not decrease it again.
    pub(crate) fn on_throttled(&mut self, limit: f64, sent: Mono, now: Mono) {
        if self.decrease.as_ref().is_some_and(|decrease| sent < decrease.at) {
            return;
        }
        let ceiling = self.rate(limit, now);
        let hits = match &self.decrease {
            Some(decrease) if SAME_CEILING.contains(&(ceiling / decrease.ceiling)) => decrease.hits + 1,
            _ => 0,
        };
        self.decrease = Some(Decrease { at: now, rate: (ceiling / 2.0).max(1.0), ceiling, hits });
    }
}

impl Decrease {
    fn rate(&self, now: Mono) -> f64 {
        let since = (now - self.at).as_secs_f64();
        let grown = |seconds: f64| self.rate * GROWTH_PER_SECOND.powf(seconds);
        let paused_rate = (self.ceiling * BELOW_CEILING).max(self.rate);
        if self.hits == 0 || grown(since) <= paused_rate {
            return grown(since);
        }
        let pause = FIRST_PAUSE * (1 << (self.hits - 1).min(DOUBLINGS));
        grown(since - pause.as_secs_f64()).max(paused_rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(n: u64) -> Mono {
        Mono::START + Duration::from_millis(n)
    }

    fn assert_about(rate: f64, expected: f64) {
        assert!((rate - expected).abs() < 0.02 * expected, "{rate}, not about {expected}");
    }

    #[test]
    fn too_many_halves_the_rate_once_and_it_grows_again() {
        let mut adaptive = AdaptiveRate::default();
        adaptive.on_throttled(200.0, ms(10), ms(60));
        adaptive.on_throttled(200.0, ms(20), ms(61));
        assert_about(adaptive.rate(200.0, ms(60)), 100.0);
        assert_about(adaptive.rate(200.0, ms(1060)), 105.0);
        assert_about(adaptive.rate(200.0, ms(13_060)), 188.6);
        adaptive.on_throttled(200.0, ms(2000), ms(2060));
        assert_about(adaptive.rate(200.0, ms(2060)), 55.1);
        assert_about(adaptive.rate(200.0, ms(100_000)), 200.0);
    }

    #[test]
    fn a_rate_that_ran_into_the_same_ceiling_twice_stays_below_it_for_longer_and_longer() {
        let mut adaptive = AdaptiveRate::default();
        adaptive.on_throttled(100.0, ms(1), ms(1));
        let mut now = ms(1);
        for pause in [30, 60, 120, 240, 480, 480] {
            // About 14 s later the rate is back where it was.
            now += Duration::from_millis(14_100);
            adaptive.on_throttled(100.0, now, now);
            let paused_rate = 0.95 * adaptive.decrease.as_ref().unwrap().ceiling;
            assert_about(adaptive.rate(100.0, now + Duration::from_secs(pause)), paused_rate);
            assert_about(adaptive.rate(100.0, now + Duration::from_secs(14 + pause - 1)), paused_rate);
            // Then it tries whether more is possible by now.
            assert_about(adaptive.rate(100.0, now + Duration::from_secs(14 + pause + 5)), 100.0);
            now += Duration::from_secs(pause);
        }
    }

    #[test]
    fn a_ceiling_that_moved_is_another_one() {
        let mut adaptive = AdaptiveRate::default();
        adaptive.on_throttled(200.0, ms(1), ms(1));
        // Throttled at half the rate at once: another client took half of the account's limit.
        adaptive.on_throttled(200.0, ms(1500), ms(1500));
        assert_eq!(adaptive.decrease.as_ref().unwrap().hits, 0);
        adaptive.on_throttled(200.0, ms(15_500), ms(15_500));
        assert_eq!(adaptive.decrease.as_ref().unwrap().hits, 1);
        // Throttled only well above the old ceiling: the other client has gone.
        adaptive.on_throttled(200.0, ms(120_000), ms(120_000));
        assert_eq!(adaptive.decrease.as_ref().unwrap().hits, 0);
    }

    /// Another client uses half of the limit all the time: in ten minutes the vendor throttles only a few times, and
    /// most of the other half is used.
    #[test]
    fn beside_another_consumer_the_rate_settles() {
        let mut adaptive = AdaptiveRate::default();
        let (share, mut throttled_calls, mut used) = (100.0, 0, 0.0);
        for tenth in 0..6000 {
            let now = ms(tenth * 100);
            let rate = adaptive.rate(200.0, now);
            used += rate.min(share) / 10.0;
            if rate > share {
                adaptive.on_throttled(200.0, now, now);
                throttled_calls += 1;
            }
        }
        assert!(throttled_calls <= 8, "throttled {throttled_calls} times");
        assert!(used >= 0.85 * share * 600.0, "{used} calls of {}", share * 600.0);
    }

    proptest! {
        #[test]
        fn the_rate_stays_between_one_and_the_limit_and_never_jumps_up(
            limit in 1u32..=200,
            pauses in prop::collection::vec((1u64..60_000, any::<bool>()), 1..100),
        ) {
            let limit = f64::from(limit);
            let mut adaptive = AdaptiveRate::default();
            let mut now = ms(0);
            let mut last = limit;
            for (pause, throttled) in pauses {
                now += Duration::from_millis(pause);
                let rate = adaptive.rate(limit, now);
                prop_assert!((1.0..=limit).contains(&rate), "{rate} of {limit}");
                let most = last * GROWTH_PER_SECOND.powf(Duration::from_millis(pause).as_secs_f64());
                prop_assert!(rate <= most * 1.001, "from {last} to {rate} in {pause} ms");
                last = rate;
                if throttled {
                    adaptive.on_throttled(limit, now, now);
                    last = adaptive.rate(limit, now);
                    prop_assert!(last <= (rate / 2.0).max(1.0) * 1.001);
                }
            }
        }
    }
}
