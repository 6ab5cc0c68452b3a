//! How far the clock of this process is ahead of the API server's, by the `Date` of its answers.
//!
//! The start of a reset is a moment of the API server's clock, and deadlines are looked at by ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper::Response;
use hyper::header::{DATE, HeaderMap};
use jiff::{SignedDuration, Timestamp};
use kube::client::ClientBuilder;
use kube::{Client, Config};
use tokio::time::{Instant, sleep};
use tower::util::MapFutureLayer;

use crate::observability::log_throttle::LogThrottle;
use crate::observability::metrics::Metrics;
use crate::protocol::messages;

/// An answer that took longer says too little about when its `Date` was written.
const LONGEST_ANSWER: SignedDuration = SignedDuration::from_secs(2);
/// `Date` has whole seconds.
const RESOLUTION: SignedDuration = SignedDuration::from_secs(1);
/// Interval between two updates of the metric.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// The last measured skew. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClockSkew {
    ahead_millis: Arc<AtomicI64>,
}

impl ClockSkew {
    /// How far our clock is ahead, at least; negative if it is behind. Zero if it may be right.
    #[must_use]
    pub(crate) fn ahead(&self) -> SignedDuration {
        SignedDuration::from_millis(self.ahead_millis.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, ahead: SignedDuration) {
        let millis = i64::try_from(ahead.as_millis()).unwrap_or_default();
        self.ahead_millis.store(millis, Ordering::Relaxed);
    }

    fn observe(&self, sent: Timestamp, received: Timestamp, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| Timestamp::try_from(httpdate::parse_http_date(date).ok()?).ok());
        if let Some(ahead) = date.and_then(|date| ahead_of(date, sent, received)) {
            self.set(ahead);
        }
    }
}

/// How far a clock is ahead, at least, that showed `sent` before and `received` after another one showed `date`.
fn ahead_of(date: Timestamp, sent: Timestamp, received: Timestamp) -> Option<SignedDuration> {
    let took = received.duration_since(sent);
    if took.is_negative() || took > LONGEST_ANSWER {
        return None;
    }
    let (least, most) = (sent.duration_since(date) - RESOLUTION, received.duration_since(date));
    Some(SignedDuration::ZERO.clamp(least, most))
}

/// A client whose answers all say what time it is.
///
/// # Errors
///
/// What is wrong with the configuration.
pub(super) fn measuring_client(config: Config, skew: &ClockSkew) -> kube::Result<Client> {
    Ok(ClientBuilder::try_from(config)?.with_layer(&measuring_layer(skew)).build())
}

/// Reads the time in the answers of a client.
pub(super) fn measuring_layer<C, B, E>(
    skew: &ClockSkew,
) -> MapFutureLayer<impl Fn(C) -> BoxFuture<'static, Result<Response<B>, E>> + Clone + use<C, B, E>>
where
    C: Future<Output = Result<Response<B>, E>> + Send + 'static,
{
    let skew = skew.clone();
    MapFutureLayer::new(move |call: C| -> BoxFuture<'static, Result<Response<B>, E>> {
        let (skew, sent) = (skew.clone(), Timestamp::now());
        Box::pin(async move {
            let response = call.await?;
            skew.observe(sent, Timestamp::now(), response.headers());
            Ok(response)
        })
    })
}

/// Shows the skew as a metric, and warns of it once a minute.
pub(crate) async fn report(skew: ClockSkew, metrics: Metrics) {
    let mut log_throttle = LogThrottle::default();
    loop {
        let ahead = skew.ahead();
        metrics.clock_skew(ahead);
        if let Some(line) = messages::clock_skew(ahead)
            && log_throttle.due("clock skew", Instant::now())
        {
            tracing::warn!(
                seconds = ahead.as_secs(),
                "{line} Deadlines, notAfter and signatures depend on it: synchronize the clocks of the nodes"
            );
        }
        sleep(REPORT_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn millis(date: i64, sent: i64, received: i64) -> Option<i128> {
        ahead_of(at(date), at(sent), at(received)).map(|ahead| ahead.as_millis())
    }

    #[test]
    fn a_skew_is_what_neither_the_way_nor_whole_seconds_explain() {
        assert_eq!(millis(10_000, 10_300, 10_400), Some(0));
        assert_eq!(millis(10_000, 9_500, 10_400), Some(0), "the way took a while");
        assert_eq!(millis(10_000, 10_999, 11_100), Some(0), "the second was nearly over");
        assert_eq!(millis(10_000, 3_610_000, 3_610_100), Some(3_599_000));
        assert_eq!(millis(3_610_000, 10_000, 10_100), Some(-3_599_900));
        assert_eq!(millis(10_000, 20_000, 22_001), None, "too slow to tell");
        assert_eq!(millis(10_000, 20_000, 19_000), None, "our clock was set meanwhile");
    }

    #[test]
    fn the_date_is_read_as_http_writes_it_and_anything_else_changes_nothing() {
        let skew = ClockSkew::default();
        let date: Timestamp = "2026-12-01T04:00:00Z".parse().unwrap();
        let seen = |header: &'static str| {
            let headers = HeaderMap::from_iter([(DATE, HeaderValue::from_static(header))]);
            let ours = date + SignedDuration::from_secs(61);
            skew.observe(ours, ours, &headers);
            skew.ahead().as_secs()
        };
        assert_eq!(seen("yesterday"), 0);
        assert_eq!(seen("Tue, 01 Dec 2026 04:00:00 GMT"), 60);
        assert_eq!(seen("Tue, 01 Dec 2026"), 60);
    }
}
