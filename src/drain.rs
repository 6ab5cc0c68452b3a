//! `groupattr-operator drain`: has the operator finish, so that it can be removed without losing what it knows.

use std::time::Duration;

use kube::Api;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::cli::Drain;
use crate::k8s::client::{ConnectError, Obstacle, connect};
use crate::k8s::lease::describe_lease_error;
use crate::k8s::lease::hand_over::{KEPT, Request};
use crate::k8s::pods::Pods;
use crate::run::identity;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Limit of one look.
const LOOK: Duration = Duration::from_secs(10);
/// A right that is missing is waited for so long: roles that were made a moment ago take that to be in force.
const RIGHTS: Duration = Duration::from_secs(5);
/// Identities are no longer than this.
const LONGEST_IDENTITY: usize = 253;

/// Why the operator is not drained; one line.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// No way to Kubernetes.
    #[error(transparent)]
    Kubernetes(#[from] ConnectError),
    /// The time was over.
    #[error("not drained within {0:?}: {1}")]
    TimedOut(Duration, String),
    /// Something is missing that no waiting brings.
    #[error("not drained: {0}")]
    Refused(String),
    /// It was told to end.
    #[error("not drained: told to end before that; {0}")]
    Told(String),
}

/// Waits until outcomes are stored and nobody leads. Returns a line for people.
pub async fn drain(settings: &Drain, shutdown: &CancellationToken) -> Result<String, DrainError> {
    let clients = connect().await?;
    let (run, namespace) = (&settings.run, settings.run.namespace.as_str());
    let me: String = format!("drain-{}", identity()).chars().take(LONGEST_IDENTITY).collect();
    let mut work = DrainTask {
        began: Instant::now(),
        lease: run
            .leader_elect
            .then(|| Request::new(Api::namespaced(clients.lease.clone(), namespace), me, run.lease_timing())),
        pods: settings.deployment.as_deref().map(|name| Pods::new(&clients.main, namespace, name)),
        namespace: namespace.to_owned(),
        obstacle: None,
    };
    let waited = tokio::select! {
        waited = timeout(settings.timeout, work.wait()) => match waited {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refused)) => Err(DrainError::Refused(refused)),
            Err(_) => Err(DrainError::TimedOut(settings.timeout, work.in_the_way())),
        },
        () = shutdown.cancelled() => Err(DrainError::Told(work.in_the_way())),
    };
    if let Err(error) = waited {
        work.give_up().await;
        return Err(error);
    }
    Ok(work.finish().await)
}

struct DrainTask {
    began: Instant,
    lease: Option<Request>,
    pods: Option<Pods>,
    namespace: String,
    /// What the last look met with.
    obstacle: Option<String>,
}

impl DrainTask {
    /// Until nobody leads and no pod is left, or something is missing for good.
    async fn wait(&mut self) -> Result<(), String> {
        let mut missing_since = None;
        loop {
            let obstacle = match timeout(LOOK, self.look()).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => None,
                Ok(Err(obstacle)) => Some(obstacle),
                Err(_) => Some(Obstacle { line: format!("no answer within {LOOK:?}"), is_final: false }),
            };
            self.obstacle = obstacle.as_ref().map(|obstacle| obstacle.line.clone());
            match obstacle.filter(|obstacle| obstacle.is_final) {
                None => missing_since = None,
                Some(Obstacle { line, .. }) => {
                    let since = *missing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= RIGHTS {
                        return Err(line);
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// One look. The pods are not ended before the leader has handed over: it is in no hurry as long as nobody counts
    /// the seconds to its end. One that does not answer may be of a version that knows no drain.
    async fn look(&mut self) -> Result<bool, Obstacle> {
        let nobody_leads = match &mut self.lease {
            None => true,
            Some(lease) => {
                let looked = lease.look().await;
                looked.map_err(|error| {
                    Obstacle::new(&error, describe_lease_error(&error, Some(&self.namespace)))
                })?
            }
        };
        let Some(pods) = &mut self.pods else { return Ok(nobody_leads) };
        let patience = self.lease.as_ref().map_or(Duration::ZERO, Request::patience);
        if !nobody_leads && self.began.elapsed() < patience {
            return Ok(false);
        }
        Ok(pods.look(self.lease.is_some()).await? && nobody_leads)
    }

    fn in_the_way(&self) -> String {
        if let Some(obstacle) = &self.obstacle {
            return obstacle.clone();
        }
        let lease = self.lease.as_ref().and_then(Request::in_the_way);
        let pods = self.pods.as_ref().and_then(Pods::left);
        let all: Vec<String> = lease.into_iter().chain(pods).collect();
        if all.is_empty() { "the API server did not answer".to_owned() } else { all.join(", and ") }
    }

    /// So that whoever can, leads again.
    async fn give_up(&self) {
        let Some(lease) = &self.lease else { return };
        match timeout(LOOK, lease.withdraw()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("{}", describe_lease_error(&error, Some(&self.namespace))),
            Err(_) => tracing::warn!("the lease could not be given back: no answer"),
        }
    }

    async fn finish(&self) -> String {
        let deleted = match (&self.lease, &self.pods) {
            (Some(lease), Some(_)) => timeout(LOOK, lease.delete()).await,
            (None, _) => return "drained: no pod is left".to_owned(),
            (Some(_), None) => {
                return format!(
                    "drained: nothing is in flight, and nobody leads for the next {} s",
                    KEPT.as_secs()
                );
            }
        };
        match deleted {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!("the lease stays: {}", describe_lease_error(&error, Some(&self.namespace)))
            }
            Err(_) => tracing::warn!("the lease stays: no answer"),
        }
        "drained: nothing is in flight, and no pod is left".to_owned()
    }
}
