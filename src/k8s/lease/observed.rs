//! The Lease as this process has read it, and as it would write it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime};
use tokio::time::Instant;

use super::{LeaseTiming, hand_over::without_hand_over_request};

/// The Lease as last read. `at` is when we first saw its current record, by our own clock.
pub(super) struct ObservedLease {
    pub(super) lease: Lease,
    pub(super) at: Instant,
}

impl ObservedLease {
    pub(super) fn update(self, lease: Lease, now: Instant) -> Self {
        let at = if lease.spec == self.lease.spec { self.at } else { now };
        ObservedLease { lease, at }
    }

    /// Whether `me` may take it: it is free, already ours, or was not renewed for its whole duration while we observed
    /// it.
    pub(super) fn is_available_to(&self, me: &str, timing: LeaseTiming, now: Instant) -> bool {
        let holder = holder(&self.lease);
        holder.is_empty() || holder == me || now.saturating_duration_since(self.at) >= self.span(timing)
    }

    /// Its duration as recorded by the holder, else ours.
    pub(super) fn span(&self, timing: LeaseTiming) -> Duration {
        let recorded =
            self.lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
        let recorded = u64::try_from(recorded).ok().filter(|seconds| *seconds > 0);
        recorded.map_or(timing.duration, Duration::from_secs)
    }
}

pub(super) fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

/// `lease` with us as the holder. It keeps its resourceVersion, so the write fails if another one came first.
pub(super) fn claim(mut lease: Lease, me: &str, timing: LeaseTiming, now: Timestamp) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    let is_new = spec.holder_identity.as_deref() != Some(me);
    if is_new {
        spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count.saturating_add(1)));
        spec.acquire_time = Some(MicroTime(now));
    }
    spec.holder_identity = Some(me.to_owned());
    spec.lease_duration_seconds = Some(i32::try_from(timing.duration.as_secs()).unwrap_or(i32::MAX));
    spec.renew_time = Some(MicroTime(now));
    // A hand-over request was addressed to the previous holder, and the drain that made it may be gone.
    if is_new { without_hand_over_request(lease) } else { lease }
}
