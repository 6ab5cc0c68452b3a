//! How a drain gets the Lease from the leader.
//!
//! 1. The drain writes its identity into an annotation of the Lease.
//! 2. The leader sees it at its next renewal and finishes its work.
//! 3. The leader makes that identity the holder, so that no other candidate takes the Lease in between.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use tokio::time::Instant;

use super::{LEASE_NAME, LeaseTiming, ObservedLease, holder, none_if_raced};
use crate::protocol::drain::{LeaseView, Step, step};

/// The annotation of the Lease that names the drain that requests it. It stays after the hand-over, where it marks the
/// holder of that name as a drain, which is not a leader.
pub(crate) const HAND_OVER_TO: &str = "groupattr.dev/hand-over-to";

/// How long a drain keeps others from leading after its last write: its lease duration.
pub(crate) const DRAIN_LEASE_DURATION: Duration = Duration::from_mins(1);

/// Attempts to withdraw a request, because other writers can cause conflicts.
const MAX_WITHDRAW_ATTEMPTS: usize = 5;

fn drain_of(lease: &Lease) -> &str {
    let annotations = lease.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(HAND_OVER_TO)).map_or("", String::as_str)
}

/// The drain that requests the Lease from its current holder, if there is one.
pub(super) fn hand_over_requested_by(lease: &Lease) -> Option<&str> {
    Some(drain_of(lease)).filter(|drain| !drain.is_empty() && *drain != holder(lease))
}

/// The Lease with a drain's hand-over request.
pub(super) fn with_hand_over_request(mut lease: Lease, drain: &str) -> Lease {
    let annotations = lease.metadata.annotations.get_or_insert_default();
    annotations.insert(HAND_OVER_TO.to_owned(), drain.to_owned());
    lease
}

/// The Lease without a hand-over request.
pub(super) fn without_hand_over_request(mut lease: Lease) -> Lease {
    if let Some(annotations) = &mut lease.metadata.annotations {
        annotations.remove(HAND_OVER_TO);
    }
    lease
}

/// The Lease as its leader releases it: held by the drain that requested it, so that no other candidate takes it in
/// between; otherwise free.
pub(super) fn released(lease: Lease, now: Timestamp) -> Lease {
    match hand_over_requested_by(&lease).map(ToOwned::to_owned) {
        Some(drain) => handed_to(lease, &drain, now),
        None => free(lease),
    }
}

/// The Lease without a holder.
fn free(mut lease: Lease) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    lease
}

/// The Lease with a drain as the holder.
pub(super) fn handed_to(lease: Lease, drain: &str, now: Timestamp) -> Lease {
    let timing = LeaseTiming {
        duration: DRAIN_LEASE_DURATION,
        renew_deadline: DRAIN_LEASE_DURATION,
        retry: DRAIN_LEASE_DURATION,
    };
    with_hand_over_request(super::claim(lease, drain, timing, now), drain)
}

/// A drain's request for the Lease.
pub(crate) struct HandOverRequest {
    api: Api<Lease>,
    me: String,
    timing: LeaseTiming,
    observed: Option<ObservedLease>,
    written: Option<Instant>,
}

impl HandOverRequest {
    /// `me` must be unique to this process; `api` is for the operator's namespace; `timing` is the leader's.
    #[must_use]
    pub(crate) fn new(api: Api<Lease>, me: String, timing: LeaseTiming) -> Self {
        Self { api, me, timing, observed: None, written: None }
    }

    /// Reads the Lease once and takes the next step. Returns true while no replica leads or can start to.
    ///
    /// # Errors
    ///
    /// A failed call to the API server. A lost race is not an error; the next call tries again.
    pub(crate) async fn step_once(&mut self) -> kube::Result<bool> {
        let now = Instant::now();
        let Some(lease) = self.api.get_opt(LEASE_NAME).await? else {
            // The leader may not have noticed the deletion yet, so treat the Lease as if it still existed.
            if self.observed.as_ref().is_some_and(|observed| {
                matches!(self.step(observed, now), Step::RequestHandOver | Step::Wait)
            }) {
                return Ok(false);
            }
            let metadata = ObjectMeta { name: Some(LEASE_NAME.to_owned()), ..Default::default() };
            let fresh = handed_to(Lease { metadata, spec: None }, &self.me, Timestamp::now());
            let created = none_if_raced(self.api.create(&PostParams::default(), &fresh).await)?;
            return Ok(self.wrote(created, now));
        };
        let latest = match self.observed.take() {
            Some(before) => before.update(lease, now),
            None => ObservedLease { lease, at: now },
        };
        let (step, lease) = (self.step(&latest, now), latest.lease.clone());
        self.observed = Some(latest);
        let is_due =
            self.written.is_none_or(|at| now.saturating_duration_since(at) >= DRAIN_LEASE_DURATION / 4);
        match step {
            Step::Held if holder(&lease) != self.me || !is_due => Ok(true),
            Step::Held | Step::Take => {
                if step == Step::Take && !holder(&lease).is_empty() {
                    tracing::info!(
                        holder = holder(&lease),
                        "taking the lease from a holder that does not lead"
                    );
                }
                let next = handed_to(lease, &self.me, Timestamp::now());
                let stored =
                    none_if_raced(self.api.replace(LEASE_NAME, &PostParams::default(), &next).await)?;
                Ok(self.wrote(stored, now) || step == Step::Held)
            }
            Step::RequestHandOver => {
                tracing::info!(leader = holder(&lease), "requesting the lease from the leader");
                let next = with_hand_over_request(lease, &self.me);
                none_if_raced(self.api.replace(LEASE_NAME, &PostParams::default(), &next).await)?;
                Ok(false)
            }
            Step::Wait => Ok(false),
        }
    }

    fn step(&self, observed: &ObservedLease, now: Instant) -> Step {
        let (holder, drain) = (holder(&observed.lease), drain_of(&observed.lease));
        let is_silent = observed.is_available_to(&self.me, self.timing, now);
        step(&self.me, LeaseView { holder, drain, is_expired: is_silent }, self.written.is_some())
    }

    fn wrote(&mut self, stored: Option<Lease>, now: Instant) -> bool {
        let Some(lease) = stored else { return false };
        self.observed = Some(ObservedLease { lease, at: now });
        self.written = Some(now);
        true
    }

    /// How long to wait for the holder before assuming that it does not support drains: the lease duration.
    #[must_use]
    pub(crate) fn wait_limit(&self) -> Duration {
        self.observed.as_ref().map_or(self.timing.duration, |observed| observed.span(self.timing))
    }

    /// Who holds the Lease and since when, in one line with a remedy, if this drain is waiting for it.
    #[must_use]
    pub(crate) fn blocker(&self) -> Option<String> {
        let lease = &self.observed.as_ref().filter(|observed| holder(&observed.lease) != self.me)?.lease;
        let since = lease.spec.as_ref().and_then(|spec| spec.acquire_time.as_ref());
        let since = since.map_or_else(|| "an unknown time".to_owned(), |MicroTime(at)| format!("{at:.0}"));
        let holder = holder(lease);
        Some(format!(
            "the lease {LEASE_NAME} has been held by {holder} since {since}, which has not handed it over: check its \
             log for what it still has to record, or send it SIGTERM"
        ))
    }

    /// Undoes what this drain has written, so that other candidates can lead at once and a leader that has not yet seen
    /// the request carries on.
    ///
    /// # Errors
    ///
    /// A failed call to the API server.
    pub(crate) async fn withdraw(&self) -> kube::Result<()> {
        for _ in 0..MAX_WITHDRAW_ATTEMPTS {
            let Some(lease) = self.api.get_opt(LEASE_NAME).await? else { break };
            let next = match (holder(&lease) == self.me, drain_of(&lease) == self.me) {
                (true, _) => without_hand_over_request(free(lease)),
                (false, true) => without_hand_over_request(lease),
                (false, false) => break,
            };
            if none_if_raced(self.api.replace(LEASE_NAME, &PostParams::default(), &next).await)?.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Deletes the Lease; the next candidate creates a new one.
    ///
    /// # Errors
    ///
    /// A failed call to the API server. A Lease that is gone or was re-created is not an error.
    pub(crate) async fn delete(&self) -> kube::Result<()> {
        let Some(uid) = self.observed.as_ref().map(|observed| observed.lease.metadata.uid.clone()) else {
            return Ok(());
        };
        let preconditions = Some(Preconditions { uid, resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.api.delete(LEASE_NAME, &params).await {
            // It was already deleted, or re-created since.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            other => other.map(drop),
        }
    }
}
