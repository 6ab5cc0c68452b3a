//! `groupattr-operator drain`: makes the operator finish and record its work, so that it can be removed without losing
//! outcomes.

use std::time::Duration;

use kube::Api;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::cli::Drain;
use crate::k8s::client::{ConnectError, Obstacle, connect};
use crate::k8s::lease::describe_lease_error;
use crate::k8s::lease::hand_over::{DRAIN_LEASE_DURATION, HandOverRequest};
use crate::k8s::pods::Pods;
use crate::run::identity;

/// Interval between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Timeout of one poll.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for a missing RBAC permission, since roles created a moment ago take a while to be in force.
const PERMISSION_GRACE: Duration = Duration::from_secs(5);
/// Longest lease holder identity, in characters.
const MAX_IDENTITY: usize = 253;

/// Why the operator could not be drained, in one line.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// There is no usable way to connect to a cluster.
    #[error(transparent)]
    Kubernetes(#[from] ConnectError),
    /// The timeout has passed.
    #[error("not drained within {0:?}: {1}")]
    TimedOut(Duration, String),
    /// A permission or an object is missing, which waiting does not change.
    #[error("not drained: {0}")]
    Refused(String),
    /// The drain itself received SIGTERM or SIGINT.
    #[error("not drained: interrupted by a signal; {0}")]
    Interrupted(String),
}

/// Waits until all outcomes are stored and no replica leads. Returns one line for the user.
///
/// # Errors
///
/// [`DrainError`] if there is no cluster, the timeout passes, a permission or object is missing, or `shutdown` is
/// cancelled first. What the drain wrote to the lease is then withdrawn.
pub async fn drain(settings: &Drain, shutdown: &CancellationToken) -> Result<String, DrainError> {
    let clients = connect().await?;
    let (run, namespace) = (&settings.run, settings.run.namespace.as_str());
    let me: String = format!("drain-{}", identity()).chars().take(MAX_IDENTITY).collect();
    let mut task = DrainTask {
        began: Instant::now(),
        lease: run.leader_elect.then(|| {
            HandOverRequest::new(Api::namespaced(clients.lease.clone(), namespace), me, run.lease_timing())
        }),
        pods: settings.deployment.as_deref().map(|name| Pods::new(&clients.main, namespace, name)),
        namespace: namespace.to_owned(),
        obstacle: None,
    };
    let waited = tokio::select! {
        waited = timeout(settings.timeout, task.wait()) => match waited {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refused)) => Err(DrainError::Refused(refused)),
            Err(_) => Err(DrainError::TimedOut(settings.timeout, task.blocked_by())),
        },
        () = shutdown.cancelled() => Err(DrainError::Interrupted(task.blocked_by())),
    };
    if let Err(error) = waited {
        task.give_up().await;
        return Err(error);
    }
    Ok(task.finish().await)
}

struct DrainTask {
    began: Instant,
    lease: Option<HandOverRequest>,
    pods: Option<Pods>,
    namespace: String,
    /// Why the last poll failed, if it did.
    obstacle: Option<String>,
}

impl DrainTask {
    /// Polls until no replica leads and no pod is left, or until a permission or object has been missing for
    /// [`PERMISSION_GRACE`].
    async fn wait(&mut self) -> Result<(), String> {
        let mut missing_since = None;
        loop {
            let obstacle = match timeout(POLL_TIMEOUT, self.poll()).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => None,
                Ok(Err(obstacle)) => Some(obstacle),
                Err(_) => {
                    Some(Obstacle { line: format!("no answer within {POLL_TIMEOUT:?}"), is_final: false })
                }
            };
            self.obstacle = obstacle.as_ref().map(|obstacle| obstacle.line.clone());
            match obstacle.filter(|obstacle| obstacle.is_final) {
                None => missing_since = None,
                Some(Obstacle { line, .. }) => {
                    let since = *missing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= PERMISSION_GRACE {
                        return Err(line);
                    }
                }
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Polls once. Returns whether the drain is complete.
    ///
    /// 1. The lease. The pods keep running until the leader has handed it over, so that no termination grace period
    ///    limits the leader.
    /// 2. The pods, once the lease is ours. A leader that does not answer for a whole lease duration may be of a
    ///    version that does not know drains, so its pods are ended then.
    async fn poll(&mut self) -> Result<bool, Obstacle> {
        let no_leader = match &mut self.lease {
            None => true,
            Some(lease) => {
                let polled = lease.step_once().await;
                polled.map_err(|error| {
                    Obstacle::new(&error, describe_lease_error(&error, Some(&self.namespace)))
                })?
            }
        };
        let Some(pods) = &mut self.pods else { return Ok(no_leader) };
        let patience = self.lease.as_ref().map_or(Duration::ZERO, HandOverRequest::wait_limit);
        if !no_leader && self.began.elapsed() < patience {
            return Ok(false);
        }
        Ok(pods.refresh(self.lease.is_some()).await? && no_leader)
    }

    fn blocked_by(&self) -> String {
        if let Some(obstacle) = &self.obstacle {
            return obstacle.clone();
        }
        let lease = self.lease.as_ref().and_then(HandOverRequest::blocker);
        let pods = self.pods.as_ref().and_then(Pods::remaining);
        let all: Vec<String> = lease.into_iter().chain(pods).collect();
        if all.is_empty() { "the API server did not answer".to_owned() } else { all.join(", and ") }
    }

    /// Withdraws the request for the lease, so that a replica can lead again.
    async fn give_up(&self) {
        let Some(lease) = &self.lease else { return };
        match timeout(POLL_TIMEOUT, lease.withdraw()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("{}", describe_lease_error(&error, Some(&self.namespace))),
            Err(_) => tracing::warn!(
                "the request for the lease could not be withdrawn: no answer from the API server"
            ),
        }
    }

    async fn finish(&self) -> String {
        let deleted = match (&self.lease, &self.pods) {
            (Some(lease), Some(_)) => timeout(POLL_TIMEOUT, lease.delete()).await,
            (None, _) => return "drained: no pod is left".to_owned(),
            (Some(_), None) => {
                return format!(
                    "drained: nothing is in flight, and no replica leads for the next {} s",
                    DRAIN_LEASE_DURATION.as_secs()
                );
            }
        };
        match deleted {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    "the lease was not deleted: {}",
                    describe_lease_error(&error, Some(&self.namespace))
                );
            }
            Err(_) => tracing::warn!("the lease was not deleted: no answer from the API server"),
        }
        "drained: nothing is in flight, and no pod is left".to_owned()
    }
}
