//! A well-behaved tenant: one reset after another, at a steady pace.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{DynamicObject, PostParams};
use serde_json::json;
use testbed::until;

use crate::world::{DEADLINE, KEY, World, chat_app};

/// The tenant's own account.
pub(crate) const ACCOUNT: u64 = 1_400_000_777;
/// The interval between two resets. It differs from all attack intervals, so that they do not stay in phase.
const PACE: Duration = Duration::from_millis(97);

pub(crate) struct Healthy<'a> {
    home: &'a World,
    pub(crate) namespace: String,
    api: Api<DynamicObject>,
    sent: AtomicUsize,
}

/// Sorted latencies of resets in milliseconds, from creation to the arrival of the call.
pub(crate) struct Waits(Vec<f64>);

impl<'a> Healthy<'a> {
    pub(crate) async fn new(home: &'a World) -> Self {
        let world = World::without_rights(home.plane).await;
        world.skip_oracles();
        home.vendor.account(ACCOUNT, KEY, &["administrator"]);
        world.secret("chat", KEY).await;
        world.apply(&chat_app("default", ACCOUNT, &home.vendor.url(), "")).await;
        world.app_is("Verified").await;
        let api = world.api("gar").expect("a kind of ours");
        Self { home, namespace: world.namespace.clone(), api, sent: AtomicUsize::new(0) }
    }

    /// Sends resets for this long, and waits until the call of the last one has arrived.
    pub(crate) async fn send(&self, time: Duration) -> Waits {
        let vendor = &self.home.vendor;
        let end = Instant::now() + time;
        let mut created = Vec::new();
        let mut beat = tokio::time::interval(PACE);
        while Instant::now() < end {
            beat.tick().await;
            let name = format!("healthy-{}", self.sent.fetch_add(1, Ordering::Relaxed));
            let group = format!("@TGS#{name}");
            vendor.room(ACCOUNT, &group, &[("seat1", "ann")]);
            let object = json!({"apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset",
                "metadata": {"name": name}, "spec": {"groupID": group}});
            let object = serde_json::from_value(object).expect("an object");
            created.push((group, Instant::now()));
            self.api.create(&PostParams::default(), &object).await.expect("created");
        }
        let mut waits = Vec::new();
        for (group, created) in created {
            let calls = until(DEADLINE, "its call", || async {
                let calls = vendor.clears_of(&group);
                (!calls.is_empty()).then_some(calls)
            })
            .await;
            assert_eq!(calls.len(), 1, "{group}");
            waits.push(calls[0].arrived.saturating_duration_since(created).as_secs_f64() * 1000.0);
        }
        waits.sort_by(f64::total_cmp);
        Waits(waits)
    }
}

impl Waits {
    /// The percentile by nearest rank.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0[rank.saturating_sub(1)]
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99] = [50, 90, 99].map(|percent| self.percentile(percent));
        write!(f, "p50 {p50:.1} ms, p90 {p90:.1} ms, p99 {p99:.1} ms of {} resets", self.0.len())
    }
}
