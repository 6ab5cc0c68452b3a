//! One active process: leader election by a `coordination.k8s.io` Lease.
//!
//! Others may take the Lease after watching it unchanged for its whole span, by their own clocks; a leader stops
//! acting after the shorter renew deadline, by its own. Clocks of different machines are never compared.
//!
//! A drain asks the leader by an annotation on the Lease, and gets it; see `hand_over`.

pub mod hand_over;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::hand_over::{asked_for_by, given_back, unasked};
use super::client::describe_error;
use crate::observability::log_throttle::LogThrottle;
use crate::protocol::standby::Standby;

/// Name of the Lease in the operator's namespace.
pub const LEASE_NAME: &str = "groupattr-operator";

/// Between two attempts to give the lease back.
const RELEASE_RETRY: Duration = Duration::from_millis(200);

/// How patient everybody is: `retry` < `deadline` < `span`.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTiming {
    /// How long others leave a silent leader's Lease alone.
    pub span: Duration,
    /// How long a leader acts without having renewed.
    pub deadline: Duration,
    /// Time between two attempts to take or to renew.
    pub retry: Duration,
}

impl LeaseTiming {
    /// Limit of one attempt: a call that hangs leaves time for another within the deadline.
    fn call_timeout(&self) -> Duration {
        self.deadline / 2
    }
}

/// Whether this process may act. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership(watch::Receiver<LeadershipState>);

#[derive(Clone, Copy, Debug)]
enum LeadershipState {
    Unelected,
    Until(LeadershipEnd),
    Over,
}

/// When leading is over unless it is renewed, on both clocks.
#[derive(Clone, Copy, Debug)]
struct LeadershipEnd {
    at: Instant,
    on_the_wall: Timestamp,
}

impl LeadershipEnd {
    /// `begun` lies in the past by as long as the renewal took.
    fn after(begun: Instant, deadline: Duration) -> Self {
        Self { at: begun + deadline, on_the_wall: Timestamp::now() - begun.elapsed() + deadline }
    }
}

impl Leadership {
    /// For a process that runs without election: it always holds.
    #[must_use]
    pub fn alone() -> Self {
        Self(watch::channel(LeadershipState::Unelected).1)
    }

    /// Renewed less than the renew deadline before `now`. A process that was frozen learns the truth at once; so does
    /// one whose machine was, for which the wall clock went on and the monotonic one did not.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        match *self.0.borrow() {
            LeadershipState::Unelected => true,
            LeadershipState::Until(end) => now < end.at && Timestamp::now() < end.on_the_wall,
            LeadershipState::Over => false,
        }
    }

    /// Ends when leadership was lost or given back for good; never without election.
    pub async fn lost(&self) {
        let mut state = self.0.clone();
        if matches!(*state.borrow(), LeadershipState::Unelected) {
            std::future::pending::<()>().await;
        }
        // An error means that the `Held` is gone, and with it whoever renewed.
        let _ = state.wait_for(|state| matches!(state, LeadershipState::Over)).await;
    }
}

/// The Lease as last read; `at` is our own clock at the moment its record last changed.
struct ObservedLease {
    lease: Lease,
    at: Instant,
}

impl ObservedLease {
    fn note(self, lease: Lease, now: Instant) -> Self {
        let at = if lease.spec == self.lease.spec { self.at } else { now };
        ObservedLease { lease, at }
    }

    /// Free, ours already, or not renewed for its whole span while we watched.
    fn is_ours_to_take(&self, me: &str, timing: LeaseTiming, now: Instant) -> bool {
        let holder = holder(&self.lease);
        holder.is_empty() || holder == me || now.saturating_duration_since(self.at) >= self.span(timing)
    }

    /// How long its holder may be silent.
    fn span(&self, timing: LeaseTiming) -> Duration {
        let recorded =
            self.lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
        let recorded = u64::try_from(recorded).ok().filter(|seconds| *seconds > 0);
        recorded.map_or(timing.span, Duration::from_secs)
    }
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

/// `lease` in our name. It keeps its resourceVersion, so a write that raced another is refused.
fn claim(mut lease: Lease, me: &str, timing: LeaseTiming, now: Timestamp) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    let is_new = spec.holder_identity.as_deref() != Some(me);
    if is_new {
        spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count.saturating_add(1)));
        spec.acquire_time = Some(MicroTime(now));
    }
    spec.holder_identity = Some(me.to_owned());
    spec.lease_duration_seconds = Some(i32::try_from(timing.span.as_secs()).unwrap_or(i32::MAX));
    spec.renew_time = Some(MicroTime(now));
    // Whoever asked for it asked another one, and may be gone.
    if is_new { unasked(lease) } else { lease }
}

/// The Lease in our name. Poll [`Held::keep`], or it runs out.
pub struct HeldLease {
    api: Api<Lease>,
    lease: Lease,
    me: String,
    timing: LeaseTiming,
    renewed: Instant,
    state: watch::Sender<LeadershipState>,
    asked: CancellationToken,
}

/// Waits until the Lease is ours. `me` must be unique to this process; `api` is for the operator's namespace. `None` if
/// the process was told to end: not in the middle of an attempt, since a write that is under way may succeed, and a
/// Lease that nobody gives back keeps the others waiting for its whole span. `stands_by` is told after each look
/// whether this process could take over, or in one line why not.
pub async fn acquire(
    api: Api<Lease>,
    me: &str,
    timing: LeaseTiming,
    shutdown: &CancellationToken,
    stands_by: impl Fn(Result<(), &str>),
) -> Option<HeldLease> {
    let mut seen: Option<ObservedLease> = None;
    let mut log_throttle = LogThrottle::default();
    let (began, mut standby) = (Instant::now(), Standby::new(timing.span));
    while !shutdown.is_cancelled() {
        let renewed = Instant::now();
        let obstacle = match timeout(timing.call_timeout(), attempt(&api, me, timing, &mut seen)).await {
            Ok(Ok(Some(lease))) => {
                tracing::info!(holder = me, "leading");
                let state = watch::Sender::new(LeadershipState::Until(LeadershipEnd::after(
                    renewed,
                    timing.deadline,
                )));
                let asked = CancellationToken::new();
                return Some(HeldLease { api, lease, me: me.to_owned(), timing, renewed, state, asked });
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
        // Twice as often as a leader renews: a lease that was handed over is not left lying.
        let _ = shutdown.run_until_cancelled(sleep_until(renewed + timing.retry / 2)).await;
    }
    None
}

/// Trouble, with what would end it.
#[must_use]
pub fn describe_lease_error(error: &kube::Error, namespace: Option<&str>) -> String {
    let (said, namespace) = (describe_error(error), namespace.unwrap_or("default"));
    match error {
        kube::Error::Api(status) if status.is_forbidden() => format!(
            "{said}; allow this account to create leases.coordination.k8s.io in namespace {namespace}, and to get \
             and update {LEASE_NAME}"
        ),
        kube::Error::Api(status) if status.is_not_found() => {
            format!("{said}; is there a namespace {namespace}?")
        }
        _ => said,
    }
}

async fn attempt(
    api: &Api<Lease>,
    me: &str,
    timing: LeaseTiming,
    seen: &mut Option<ObservedLease>,
) -> kube::Result<Option<Lease>> {
    let Some(lease) = api.get_opt(LEASE_NAME).await? else {
        // Deleted under a leader who may not know yet: as if it still stood there.
        if seen.as_ref().is_some_and(|seen| !seen.is_ours_to_take(me, timing, Instant::now())) {
            return Ok(None);
        }
        let metadata = ObjectMeta { name: Some(LEASE_NAME.to_owned()), ..Default::default() };
        let fresh = claim(Lease { metadata, spec: None }, me, timing, Timestamp::now());
        return ours(api.create(&PostParams::default(), &fresh).await);
    };
    let now = Instant::now();
    let before = seen.take();
    let (leader, known) = (holder(&lease), before.as_ref().map_or("", |before| holder(&before.lease)));
    if ![known, me, ""].contains(&leader) {
        tracing::info!(leader, "waiting for the lease");
    }
    let latest = match before {
        Some(before) => before.note(lease, now),
        None => ObservedLease { lease, at: now },
    };
    let latest = seen.insert(latest);
    if !latest.is_ours_to_take(me, timing, now) {
        return Ok(None);
    }
    let claimed = claim(latest.lease.clone(), me, timing, Timestamp::now());
    ours(api.replace(LEASE_NAME, &PostParams::default(), &claimed).await)
}

/// A lost race is an answer, not a failure.
fn ours(written: kube::Result<Lease>) -> kube::Result<Option<Lease>> {
    match written {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(None),
        Err(error) => Err(error),
    }
}

impl HeldLease {
    /// The handle for everybody who acts as leader.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        Leadership(self.state.subscribe())
    }

    /// Cancelled when a drain has asked for the Lease: finish, and then [`Held::release`] it.
    #[must_use]
    pub fn hand_over_requested(&self) -> CancellationToken {
        self.asked.clone()
    }

    /// Renews until that has failed for the whole deadline, or the Lease is gone or another's. Then leadership is
    /// over for good. Dropping the future before that only pauses renewing.
    pub async fn renew_until_lost(&mut self) {
        let mut tried = self.renewed;
        loop {
            let end = self.renewed + self.timing.deadline;
            sleep_until((tried + self.timing.retry).min(end)).await;
            tried = Instant::now();
            if tried >= end {
                tracing::error!("the lease could not be renewed within {:?}", self.timing.deadline);
                break;
            }
            let (me, timing) = (self.me.clone(), self.timing);
            let next = |lease: Lease| claim(lease, &me, timing, Timestamp::now());
            match timeout_at(end.min(tried + self.timing.call_timeout()), self.write(next)).await {
                Ok(Ok(true)) => {
                    self.renewed = tried;
                    self.state.send_replace(LeadershipState::Until(LeadershipEnd::after(
                        tried,
                        self.timing.deadline,
                    )));
                    self.check_hand_over_request();
                }
                Ok(Ok(false)) => {
                    tracing::error!("the lease was deleted or taken by another process");
                    break;
                }
                Ok(Err(error)) => {
                    tracing::warn!(
                        "lease not renewed: {}",
                        describe_lease_error(&error, self.api.namespace())
                    );
                }
                Err(_) => tracing::warn!("lease not renewed: no answer"),
            }
        }
        self.state.send_replace(LeadershipState::Over);
    }

    /// Whether somebody has asked for the Lease by now.
    fn check_hand_over_request(&self) {
        if let Some(to) = asked_for_by(&self.lease)
            && !self.asked.is_cancelled()
        {
            tracing::info!(to, "the lease is asked for by a drain: finishing, to hand it over");
            self.asked.cancel();
        }
    }

    /// Writes what `next` makes of the Lease while that is ours; false if it is not, or is no more.
    async fn write(&mut self, next: impl Fn(Lease) -> Lease) -> kube::Result<bool> {
        loop {
            match ours(self.api.replace(LEASE_NAME, &PostParams::default(), &next(self.lease.clone())).await)
            {
                Ok(Some(lease)) => {
                    self.lease = lease;
                    return Ok(true);
                }
                // Who may have made a new one meanwhile, nobody can tell.
                Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(false),
                Err(error) => return Err(error),
                Ok(None) => {}
            }
            match self.api.get_opt(LEASE_NAME).await? {
                // Refused because of our own earlier write, whose answer was lost, or because a drain has asked for it.
                Some(lease) if holder(&lease) == self.me => self.lease = lease,
                _ => return Ok(false),
            }
        }
    }

    /// Hands the Lease over at once, if it is still ours: to the drain that asked for it, else to whoever comes first.
    /// Call it after the last write made as leader.
    pub async fn release(mut self) {
        self.state.send_replace(LeadershipState::Over);
        let next = |lease: Lease| given_back(lease, Timestamp::now());
        let deadline = Instant::now() + self.timing.call_timeout();
        let obstacle = loop {
            match timeout_at(deadline, self.write(next)).await {
                Ok(Ok(still_ours)) => {
                    let to = holder(&self.lease);
                    return tracing::info!(still_ours, to, "lease released");
                }
                // One that failed says nothing about the next: a connection that broke, say.
                Ok(Err(_)) if Instant::now() + RELEASE_RETRY < deadline => sleep(RELEASE_RETRY).await,
                Ok(Err(error)) => break describe_error(&error),
                Err(_) => break "no answer".to_owned(),
            }
        };
        tracing::warn!("lease not released, so that others wait for its span: {obstacle}");
    }
}

#[cfg(test)]
mod tests;
