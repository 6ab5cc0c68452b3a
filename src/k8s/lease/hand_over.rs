//! How a drain gets the Lease of a leader. It writes its name into an annotation; the leader finds that with its next
//! renewal, finishes, and hands the Lease to that name, so that no other candidate takes it in between.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use tokio::time::Instant;

use super::{LEASE_NAME, LeaseTiming, ObservedLease, holder, ours};
use crate::protocol::drain::{Found, Step, step};

/// The annotation of the Lease that names the drain it is to go to. It stays when the Lease was handed over: a holder of
/// this name is a drain, and leads nothing.
pub const HAND_OVER_TO: &str = "groupattr.dev/hand-over-to";

/// How long a drain keeps others from leading after its last write.
pub const KEPT: Duration = Duration::from_mins(1);

/// Tries to undo what was written, against others who write.
const TRIES: usize = 5;

fn drain_of(lease: &Lease) -> &str {
    let annotations = lease.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(HAND_OVER_TO)).map_or("", String::as_str)
}

/// The drain that wants a Lease that somebody else holds.
pub(super) fn asked_for_by(lease: &Lease) -> Option<&str> {
    Some(drain_of(lease)).filter(|drain| !drain.is_empty() && *drain != holder(lease))
}

/// The Lease with the wish of a drain.
pub(super) fn asked(mut lease: Lease, drain: &str) -> Lease {
    let annotations = lease.metadata.annotations.get_or_insert_default();
    annotations.insert(HAND_OVER_TO.to_owned(), drain.to_owned());
    lease
}

/// The Lease without a drain that wants it.
pub(super) fn unasked(mut lease: Lease) -> Lease {
    if let Some(annotations) = &mut lease.metadata.annotations {
        annotations.remove(HAND_OVER_TO);
    }
    lease
}

/// The Lease as its leader leaves it: in the name of the drain that asked for it, so that no other candidate takes it in
/// between; else in nobody's.
pub(super) fn given_back(lease: Lease, now: Timestamp) -> Lease {
    match asked_for_by(&lease).map(ToOwned::to_owned) {
        Some(drain) => given_to(lease, &drain, now),
        None => free(lease),
    }
}

/// The Lease in nobody's name.
fn free(mut lease: Lease) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    lease
}

/// The Lease in the name of a drain.
pub(super) fn given_to(lease: Lease, drain: &str, now: Timestamp) -> Lease {
    let span = LeaseTiming { span: KEPT, deadline: KEPT, retry: KEPT };
    asked(super::claim(lease, drain, span, now), drain)
}

/// A drain's wish for the Lease.
pub struct Request {
    api: Api<Lease>,
    me: String,
    timing: LeaseTiming,
    seen: Option<ObservedLease>,
    written: Option<Instant>,
}

impl Request {
    /// `me` must be unique to this process; `api` is for the operator's namespace. `terms` are the leader's.
    #[must_use]
    pub fn new(api: Api<Lease>, me: String, timing: LeaseTiming) -> Self {
        Self { api, me, timing, seen: None, written: None }
    }

    /// One look at the Lease, and the step that follows from it. True while nobody leads and nobody will.
    pub async fn look(&mut self) -> kube::Result<bool> {
        let now = Instant::now();
        let Some(lease) = self.api.get_opt(LEASE_NAME).await? else {
            // Deleted under a leader who may not know yet: as if it still stood there.
            if self.seen.as_ref().is_some_and(|seen| matches!(self.step(seen, now), Step::Ask | Step::Wait)) {
                return Ok(false);
            }
            let metadata = ObjectMeta { name: Some(LEASE_NAME.to_owned()), ..Default::default() };
            let fresh = given_to(Lease { metadata, spec: None }, &self.me, Timestamp::now());
            let made = ours(self.api.create(&PostParams::default(), &fresh).await)?;
            return Ok(self.wrote(made, now));
        };
        let latest = match self.seen.take() {
            Some(before) => before.note(lease, now),
            None => ObservedLease { lease, at: now },
        };
        let (step, lease) = (self.step(&latest, now), latest.lease.clone());
        self.seen = Some(latest);
        let is_due = self.written.is_none_or(|at| now.saturating_duration_since(at) >= KEPT / 4);
        match step {
            Step::Held if holder(&lease) != self.me || !is_due => Ok(true),
            Step::Held | Step::Take => {
                if step == Step::Take && !holder(&lease).is_empty() {
                    tracing::info!(
                        holder = holder(&lease),
                        "the lease is taken from a holder that leads nothing"
                    );
                }
                let next = given_to(lease, &self.me, Timestamp::now());
                let stored = ours(self.api.replace(LEASE_NAME, &PostParams::default(), &next).await)?;
                Ok(self.wrote(stored, now) || step == Step::Held)
            }
            Step::Ask => {
                tracing::info!(leader = holder(&lease), "asking the leader for the lease");
                let next = asked(lease, &self.me);
                ours(self.api.replace(LEASE_NAME, &PostParams::default(), &next).await)?;
                Ok(false)
            }
            Step::Wait => Ok(false),
        }
    }

    fn step(&self, seen: &ObservedLease, now: Instant) -> Step {
        let (holder, drain) = (holder(&seen.lease), drain_of(&seen.lease));
        let is_silent = seen.is_ours_to_take(&self.me, self.timing, now);
        step(&self.me, Found { holder, drain, is_silent }, self.written.is_some())
    }

    fn wrote(&mut self, stored: Option<Lease>, now: Instant) -> bool {
        let Some(lease) = stored else { return false };
        self.seen = Some(ObservedLease { lease, at: now });
        self.written = Some(now);
        true
    }

    /// How long the holder may take to answer before it counts as one that does not know of drains.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.seen.as_ref().map_or(self.timing.span, |seen| seen.span(self.timing))
    }

    /// Who holds the Lease, and since when, if that is what this drain waits for.
    #[must_use]
    pub fn in_the_way(&self) -> Option<String> {
        let lease = &self.seen.as_ref().filter(|seen| holder(&seen.lease) != self.me)?.lease;
        let since = lease.spec.as_ref().and_then(|spec| spec.acquire_time.as_ref());
        let since = since.map_or_else(|| "an unknown time".to_owned(), |MicroTime(at)| format!("{at:.0}"));
        let holder = holder(lease);
        Some(format!(
            "the lease {LEASE_NAME} is held by {holder} since {since}, which does not hand it over: see its log for what it \
             still has to record, or end it by SIGTERM"
        ))
    }

    /// Takes back what this drain has written: others may lead at once, and a leader that has not heard of it goes on.
    pub async fn withdraw(&self) -> kube::Result<()> {
        for _ in 0..TRIES {
            let Some(lease) = self.api.get_opt(LEASE_NAME).await? else { break };
            let next = match (holder(&lease) == self.me, drain_of(&lease) == self.me) {
                (true, _) => unasked(free(lease)),
                (false, true) => unasked(lease),
                (false, false) => break,
            };
            if ours(self.api.replace(LEASE_NAME, &PostParams::default(), &next).await)?.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Deletes the Lease: whoever comes next makes a new one.
    pub async fn delete(&self) -> kube::Result<()> {
        let Some(uid) = self.seen.as_ref().map(|seen| seen.lease.metadata.uid.clone()) else { return Ok(()) };
        let preconditions = Some(Preconditions { uid, resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.api.delete(LEASE_NAME, &params).await {
            // Somebody else has deleted it, or made a new one since.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            other => other.map(drop),
        }
    }
}
