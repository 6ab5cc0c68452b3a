//! What every task shares.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Resource};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call_config::CallConfig;
use super::clock::Clock;
use super::secret_reads::SecretReads;
use super::task_result::TaskResult;
use super::unrecorded::Unrecorded;
use crate::api::{GroupAttributeReset, ResetStatus};
use crate::chat::{ChatClient, UserSig};
use crate::k8s::clock_skew::ClockSkew;
use crate::k8s::event_writer::{EventWriter, NewEvent};
use crate::k8s::lease::Leadership;
use crate::k8s::secrets::CredentialsError;
use crate::k8s::status_writer::{StatusWriter, WriteError};
use crate::observability::metrics::Metrics;
use crate::protocol::deadlines::{gitops_owner, prune_metadata};

/// Clients, limits and state that the event loop shares with its tasks.
pub(crate) struct Context {
    /// For reads of Secrets, and for the watches.
    pub client: Client,
    /// Reads resets and writes statuses.
    pub statuses: StatusWriter,
    /// The client for the vendor's REST API.
    pub chat: ChatClient,
    /// Writes Kubernetes events.
    pub events: EventWriter,
    /// Metrics.
    pub metrics: Metrics,
    /// Whether this process is the lease holder.
    pub leadership: Leadership,
    /// Bounds concurrent reads of Secrets.
    pub secret_reads: SecretReads,
    /// Outcomes that are known but not stored yet.
    pub unrecorded: Unrecorded,
    /// The clock of this process.
    pub clock: Clock,
    /// How far that clock is ahead of the API server's.
    pub clock_skew: ClockSkew,
    /// Pod name and a random part: the `holder` in the attempts of this process.
    pub identity: String,
    /// Cancelled when nothing new may start.
    pub stop: CancellationToken,
    /// Where tasks send their results.
    pub results: mpsc::UnboundedSender<TaskResult>,
}

impl Context {
    /// Sends a task result to the event loop. After the loop has ended it is dropped, which loses nothing.
    pub(crate) fn report(&self, result: TaskResult) {
        let _ = self.results.send(result);
    }

    /// Whether this process holds the lease at this moment.
    #[must_use]
    pub(crate) fn leads(&self) -> bool {
        self.leadership.holds(self.clock.instant(self.clock.now().mono))
    }

    /// A signature for an app.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`] if the Secret cannot be read or holds no usable key.
    pub(crate) async fn usersig(&self, app: &CallConfig) -> Result<Arc<UserSig>, CredentialsError> {
        let was_verified = app.gate.was_verified();
        app.credentials.usersig(&self.client, &self.secret_reads, was_verified, self.clock).await
    }

    /// Stores a status and counts the write. `kind` is the metric label.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if Kubernetes did not store the status, or its answer was lost.
    pub(crate) async fn write_status(
        &self,
        kind: &'static str,
        reset: &GroupAttributeReset,
        next: ResetStatus,
    ) -> Result<Arc<GroupAttributeReset>, WriteError> {
        let written = self.statuses.replace_reset_status(reset, next).await;
        self.metrics.api_write(kind, written.as_ref().err().map_or("ok", WriteError::label));
        let mut stored = written?;
        prune_metadata(&mut stored.metadata);
        Ok(Arc::new(stored))
    }

    /// Emits the event for a finished reset that has a TTL but is not deleted.
    pub(crate) fn report_ttl_skipped(&self, finished: &GroupAttributeReset) {
        let ttl = finished.spec.ttl_seconds_after_finished;
        if let (Some(_), Some(owner)) = (ttl, gitops_owner(finished)) {
            let note =
                format!("Not deleted after the TTL: {owner} shows that a GitOps tool would re-create it.");
            self.event(finished.object_ref(&()), "TTLSkipped", false, note);
        }
    }

    /// Queues an event; counts it as dropped if the queue is full.
    pub(crate) fn event(
        &self,
        regarding: ObjectReference,
        reason: &'static str,
        warning: bool,
        note: String,
    ) {
        if !self.events.send(NewEvent { reason, warning, note, regarding }) {
            self.metrics.event_dropped();
        }
    }
}
