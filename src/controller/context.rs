//! What a task holds in its hands.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Resource};
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::app_entry::CallConfig;
use super::clock::Clock;
use super::pacer::Pacer;
use super::secret_reads::SecretReads;
use super::task_result::TaskResult;
use super::unrecorded::Unrecorded;
use crate::api::{GroupAttributeReset, ResetStatus};
use crate::chat::{ChatClient, UserSig};
use crate::k8s::event_writer::{EventWriter, NewEvent};
use crate::k8s::lease::Leadership;
use crate::k8s::secrets::CredentialsError;
use crate::k8s::status_writer::{StatusWriter, WriteError};
use crate::observability::metrics::Metrics;
use crate::protocol::deadlines::{gitops_owner, prune_metadata};

/// Everything a task needs to act for the desk.
pub struct Context {
    /// For the few reads that have no hand of their own.
    pub client: Client,
    /// Status writes.
    pub statuses: StatusWriter,
    /// The vendor.
    pub chat: ChatClient,
    /// Kubernetes events.
    pub events: EventWriter,
    /// Counters.
    pub metrics: Metrics,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// The line of outcomes that nobody waits for.
    pub unhurried: Pacer,
    /// The places for reads of Secrets.
    pub secret_reads: SecretReads,
    /// Outcomes that are not stored yet.
    pub unrecorded: Unrecorded,
    /// Time.
    pub clock: Clock,
    /// Pod name and a random part: what `holder` says in the attempts of this process.
    pub identity: String,
    /// Cancelled when nothing new may start.
    pub stop: CancellationToken,
    /// Where tasks report to.
    pub reports: mpsc::UnboundedSender<TaskResult>,
}

impl Context {
    /// Tells the desk. After the desk has ended nobody listens, and nothing is lost by that.
    pub fn report(&self, report: TaskResult) {
        let _ = self.reports.send(report);
    }

    /// Whether this process leads at this moment.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leadership.holds(self.clock.instant(self.clock.now().mono))
    }

    /// A signature for an app.
    pub async fn usersig(&self, app: &CallConfig) -> Result<Arc<UserSig>, CredentialsError> {
        let was_verified = app.gate.was_verified();
        app.credentials.usersig(&self.client, &self.secret_reads, was_verified, self.clock).await
    }

    /// Waits for the turn of an outcome that nobody waits for; not when the process is about to end.
    pub async fn wait_for_low_priority(&self) {
        self.sleep_until(self.unhurried.next_slot(self.clock.now().mono)).await;
    }

    /// Waits for a moment; not when the process is about to end.
    pub async fn sleep_until(&self, moment: Duration) {
        tokio::select! {
            () = sleep_until(self.clock.instant(moment)) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Stores a status and counts the write. `kind` is for the metric.
    pub async fn write_status(
        &self,
        kind: &'static str,
        seen: &GroupAttributeReset,
        next: ResetStatus,
    ) -> Result<Arc<GroupAttributeReset>, WriteError> {
        let written = self.statuses.put(seen, next).await;
        self.metrics.api_write(kind, written.as_ref().err().map_or("ok", WriteError::label));
        let mut stored = written?;
        prune_metadata(&mut stored.metadata);
        Ok(Arc::new(stored))
    }

    /// The event about a finished reset that is not deleted, though its time to live says so.
    pub fn report_ttl_skipped(&self, finished: &GroupAttributeReset) {
        let ttl = finished.spec.ttl_seconds_after_finished;
        if let (Some(_), Some(mark)) = (ttl, gitops_owner(finished)) {
            let note = format!("Not deleted after its end: {mark} shows that a tool would create it again.");
            self.event(finished.object_ref(&()), "TTLSkipped", false, note);
        }
    }

    /// Queues an event; a full queue is counted.
    pub fn event(&self, regarding: ObjectReference, reason: &'static str, warning: bool, note: String) {
        if !self.events.send(NewEvent { reason, warning, note, regarding }) {
            self.metrics.event_dropped();
        }
    }
}
