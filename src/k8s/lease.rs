//! Leader election by a `coordination.k8s.io` Lease, so that one process is active.
//!
//! Other candidates may take the Lease after they have seen it unchanged for its whole duration, by their own clocks. A
//! leader stops acting after the shorter renew deadline, by its own clock. Clocks of different machines are never
//! compared.
//!
//! A drain requests the Lease by an annotation, and the leader hands it over; see [`hand_over`].

pub(crate) mod hand_over;
mod leadership;
mod observed;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::hand_over::{hand_over_requested_by, released};
pub(crate) use self::leadership::Leadership;
use self::leadership::{LeadershipEnd, LeadershipState};
use self::observed::{ObservedLease, claim, holder};
use super::client::describe_error;
use crate::observability::log_throttle::LogThrottle;
use crate::protocol::standby::Standby;

/// Name of the Lease in the operator's namespace.
pub(crate) const LEASE_NAME: &str = "groupattr-operator";

/// Wait between two attempts to release the Lease.
const RELEASE_RETRY: Duration = Duration::from_millis(200);

/// Durations of leader election: `retry` < `renew_deadline` < `duration`.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTiming {
    /// Lease duration: how long others wait before they take a Lease that is not renewed.
    pub duration: Duration,
    /// Renew deadline: how long a leader keeps acting without a renewal.
    pub renew_deadline: Duration,
    /// Interval between attempts to acquire or renew.
    pub retry: Duration,
}

impl LeaseTiming {
    /// Timeout of one attempt, so that a call that hangs leaves time for another one within the deadline.
    fn call_timeout(&self) -> Duration {
        self.renew_deadline / 2
    }
}

/// The Lease with us as the holder. It expires unless [`HeldLease::renew_until_lost`] is polled.
pub(crate) struct HeldLease {
    api: Api<Lease>,
    lease: Lease,
    me: String,
    timing: LeaseTiming,
    renewed: Instant,
    state: watch::Sender<LeadershipState>,
    hand_over: CancellationToken,
}

/// Waits until the Lease is ours.
///
/// `me` must be unique to this process; `api` is for the operator's namespace. After each attempt, `stands_by` gets
/// whether this process could take over, or one line that says why not.
///
/// Returns `None` if `shutdown` was cancelled. An attempt is never cut short for it: its write may succeed, and a Lease
/// that is never released makes the others wait for its whole duration.
pub(crate) async fn acquire(
    api: Api<Lease>,
    me: &str,
    timing: LeaseTiming,
    shutdown: &CancellationToken,
    stands_by: impl Fn(Result<(), &str>),
) -> Option<HeldLease> {
    let mut observed: Option<ObservedLease> = None;
    let mut log_throttle = LogThrottle::default();
    let (began, mut standby) = (Instant::now(), Standby::new(timing.duration));
    while !shutdown.is_cancelled() {
        let renewed = Instant::now();
        let obstacle = match timeout(timing.call_timeout(), attempt(&api, me, timing, &mut observed)).await {
            Ok(Ok(Some(lease))) => {
                tracing::info!(holder = me, "leading");
                let state = watch::Sender::new(LeadershipState::Until(LeadershipEnd::after(
                    renewed,
                    timing.renew_deadline,
                )));
                let hand_over = CancellationToken::new();
                return Some(HeldLease { api, lease, me: me.to_owned(), timing, renewed, state, hand_over });
            }
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some(describe_lease_error(&error, api.namespace())),
            Err(_) => Some(format!("no answer within {:?}", timing.call_timeout())),
        };
        let could = standby.observe(obstacle.is_none(), began.elapsed());
        match obstacle.map(|obstacle| format!("the lease {LEASE_NAME} cannot be taken: {obstacle}")) {
            None => stands_by(Ok(())),
            Some(obstacle) => {
                if !could {
                    stands_by(Err(&obstacle));
                }
                if log_throttle.due(&obstacle, renewed) {
                    tracing::warn!("{obstacle}");
                }
            }
        }
        // Twice as often as a leader renews, so that a released lease is taken soon.
        let _ = shutdown.run_until_cancelled(sleep_until(renewed + timing.retry / 2)).await;
    }
    None
}

/// A failed call for the Lease, described in one line with its remedy.
#[must_use]
pub(crate) fn describe_lease_error(error: &kube::Error, namespace: Option<&str>) -> String {
    let (description, namespace) = (describe_error(error), namespace.unwrap_or("default"));
    match error {
        kube::Error::Api(status) if status.is_forbidden() => format!(
            "{description}; allow this account to create leases.coordination.k8s.io in namespace {namespace}, and to \
             get and update {LEASE_NAME}"
        ),
        kube::Error::Api(status) if status.is_not_found() => {
            format!("{description}; check that the namespace {namespace} exists")
        }
        _ => description,
    }
}

async fn attempt(
    api: &Api<Lease>,
    me: &str,
    timing: LeaseTiming,
    observed: &mut Option<ObservedLease>,
) -> kube::Result<Option<Lease>> {
    let Some(lease) = api.get_opt(LEASE_NAME).await? else {
        // The leader may not have noticed the deletion yet, so treat the Lease as if it still existed.
        if observed.as_ref().is_some_and(|observed| !observed.is_available_to(me, timing, Instant::now())) {
            return Ok(None);
        }
        let metadata = ObjectMeta { name: Some(LEASE_NAME.to_owned()), ..Default::default() };
        let fresh = claim(Lease { metadata, spec: None }, me, timing, Timestamp::now());
        return none_if_raced(api.create(&PostParams::default(), &fresh).await);
    };
    let now = Instant::now();
    let before = observed.take();
    let (leader, known) = (holder(&lease), before.as_ref().map_or("", |before| holder(&before.lease)));
    if ![known, me, ""].contains(&leader) {
        tracing::info!(leader, "waiting for the lease");
    }
    let latest = match before {
        Some(before) => before.update(lease, now),
        None => ObservedLease { lease, at: now },
    };
    let latest = observed.insert(latest);
    if !latest.is_available_to(me, timing, now) {
        return Ok(None);
    }
    let claimed = claim(latest.lease.clone(), me, timing, Timestamp::now());
    none_if_raced(api.replace(LEASE_NAME, &PostParams::default(), &claimed).await)
}

/// Turns a write that lost a race into `None`: that is a normal result, not a failure.
fn none_if_raced(written: kube::Result<Lease>) -> kube::Result<Option<Lease>> {
    match written {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(None),
        Err(error) => Err(error),
    }
}

impl HeldLease {
    /// A handle for code that acts as the leader.
    #[must_use]
    pub(crate) fn leadership(&self) -> Leadership {
        Leadership(self.state.subscribe())
    }

    /// Cancelled when a drain has requested the Lease: finish, then call [`HeldLease::release`].
    #[must_use]
    pub(crate) fn hand_over_requested(&self) -> CancellationToken {
        self.hand_over.clone()
    }

    /// Renews until renewals have failed for the whole renew deadline, or the Lease was deleted or taken. Leadership is
    /// then over for good. Dropping the future earlier only pauses the renewals.
    pub(crate) async fn renew_until_lost(&mut self) {
        let mut tried = self.renewed;
        loop {
            let end = self.renewed + self.timing.renew_deadline;
            sleep_until((tried + self.timing.retry).min(end)).await;
            tried = Instant::now();
            if tried >= end {
                tracing::error!(
                    "lost the lease: it could not be renewed within {:?}",
                    self.timing.renew_deadline
                );
                break;
            }
            let (me, timing) = (self.me.clone(), self.timing);
            let next = |lease: Lease| claim(lease, &me, timing, Timestamp::now());
            match timeout_at(end.min(tried + self.timing.call_timeout()), self.write(next)).await {
                Ok(Ok(true)) => {
                    self.renewed = tried;
                    self.state.send_replace(LeadershipState::Until(LeadershipEnd::after(
                        tried,
                        self.timing.renew_deadline,
                    )));
                    self.check_hand_over_request();
                }
                Ok(Ok(false)) => {
                    tracing::error!("lost the lease: it was deleted or taken by another process");
                    break;
                }
                Ok(Err(error)) => {
                    tracing::warn!(
                        "lease not renewed: {}",
                        describe_lease_error(&error, self.api.namespace())
                    );
                }
                Err(_) => tracing::warn!("lease not renewed: no answer from the API server"),
            }
        }
        self.state.send_replace(LeadershipState::Over);
    }

    /// Signals the hand-over if a drain has requested the Lease.
    fn check_hand_over_request(&self) {
        if let Some(to) = hand_over_requested_by(&self.lease)
            && !self.hand_over.is_cancelled()
        {
            tracing::info!(to, "a drain has requested the lease: finishing work to hand it over");
            self.hand_over.cancel();
        }
    }

    /// Writes `next(lease)` as long as the Lease is ours. Returns false if it is another's or was deleted.
    async fn write(&mut self, next: impl Fn(Lease) -> Lease) -> kube::Result<bool> {
        loop {
            let written =
                self.api.replace(LEASE_NAME, &PostParams::default(), &next(self.lease.clone())).await;
            match none_if_raced(written) {
                Ok(Some(lease)) => {
                    self.lease = lease;
                    return Ok(true);
                }
                // Deleted. Another process may have created and taken a new one in the meantime.
                Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(false),
                Err(error) => return Err(error),
                Ok(None) => {}
            }
            match self.api.get_opt(LEASE_NAME).await? {
                // The conflict is with an earlier write of ours whose answer was lost, or with a drain's request.
                Some(lease) if holder(&lease) == self.me => self.lease = lease,
                _ => return Ok(false),
            }
        }
    }

    /// Releases the Lease at once, if it is still ours: to the drain that requested it, else to the first candidate.
    /// Call this after the last write made as leader.
    pub(crate) async fn release(mut self) {
        self.state.send_replace(LeadershipState::Over);
        let next = |lease: Lease| released(lease, Timestamp::now());
        let deadline = Instant::now() + self.timing.call_timeout();
        let obstacle = loop {
            match timeout_at(deadline, self.write(next)).await {
                Ok(Ok(still_ours)) => {
                    let to = holder(&self.lease);
                    return tracing::info!(still_ours, to, "lease released");
                }
                // A single failure, such as a broken connection, says nothing about the next attempt.
                Ok(Err(_)) if Instant::now() + RELEASE_RETRY < deadline => sleep(RELEASE_RETRY).await,
                Ok(Err(error)) => break describe_error(&error),
                Err(_) => break "no answer from the API server".to_owned(),
            }
        };
        tracing::warn!("lease not released, so other replicas wait until it expires: {obstacle}");
    }
}

#[cfg(test)]
mod tests;
