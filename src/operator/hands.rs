//! What a task holds in its hands.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Resource};
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::apps::AppTerms;
use super::clock::Clock;
use super::metrics::Metrics;
use super::report::Report;
use super::secret_reads::SecretReads;
use super::unhurried::Unhurried;
use super::unrecorded::Unrecorded;
use crate::api::{GroupAttributeReset, ResetStatus};
use crate::chat::{ChatClient, UserSig};
use crate::cluster::credentials::CredentialsFault;
use crate::cluster::events::{Events, Notice};
use crate::cluster::lease::Leadership;
use crate::cluster::statuses::{Statuses, WriteFault};
use crate::decide::ends::{is_made_again, slim};
use crate::decide::notice::notice;
use crate::decide::status;
use crate::text::one_line;

/// Everything a task needs to act for the desk.
pub struct Hands {
    /// For the few reads that have no hand of their own.
    pub client: Client,
    /// Status writes.
    pub statuses: Statuses,
    /// The vendor.
    pub chat: ChatClient,
    /// Kubernetes events.
    pub events: Events,
    /// Counters.
    pub metrics: Metrics,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// The line of outcomes that nobody waits for.
    pub unhurried: Unhurried,
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
    pub reports: mpsc::UnboundedSender<Report>,
}

impl Hands {
    /// Tells the desk. After the desk has ended nobody listens, and nothing is lost by that.
    pub fn report(&self, report: Report) {
        let _ = self.reports.send(report);
    }

    /// Whether this process leads at this moment.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leadership.holds(self.clock.instant(self.clock.now().mono))
    }

    /// A signature for an app.
    pub async fn usersig(&self, app: &AppTerms) -> Result<Arc<UserSig>, CredentialsFault> {
        let was_verified = app.gate.was_verified();
        app.signer.usersig(&self.client, &self.secret_reads, was_verified, self.clock).await
    }

    /// Waits for the turn of an outcome that nobody waits for; not when the process is about to end.
    pub async fn without_hurry(&self) {
        self.until(self.unhurried.turn(self.clock.now().mono)).await;
    }

    /// Waits for a moment; not when the process is about to end.
    pub async fn until(&self, moment: Duration) {
        tokio::select! {
            () = sleep_until(self.clock.instant(moment)) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Stores a status, counts the write, and tells the world if it is news. `kind` is for the metric.
    pub async fn put(
        &self,
        kind: &'static str,
        seen: &GroupAttributeReset,
        next: ResetStatus,
    ) -> Result<Arc<GroupAttributeReset>, WriteFault> {
        let written = self.statuses.put(seen, next).await;
        self.metrics.api_write(kind, written.as_ref().err().map_or("ok", WriteFault::label));
        let mut stored = written?;
        slim(&mut stored.metadata);
        self.announce(seen, &stored);
        Ok(Arc::new(stored))
    }

    fn announce(&self, before: &GroupAttributeReset, after: &GroupAttributeReset) {
        let (old, new) = (status::seen(before), status::seen(after));
        if let Some(notice) = notice(&old, &new) {
            self.event(after.object_ref(&()), notice.reason, notice.warning, notice.note);
        }
        if !new.is_final() {
            return;
        }
        // Also after an edit: it may have brought the time to live.
        self.say_if_kept(after);
        let is_news = old.request_id != new.request_id || !old.is_final();
        if !is_news || status::is_shown_again(&old, &new) {
            return;
        }
        let took = new.start_time.map(|start| self.clock.now().wall.duration_since(start));
        tracing::info!(
            namespace = after.metadata.namespace,
            reset = after.metadata.name,
            uid = after.metadata.uid,
            request = new.request_id.as_deref().map(|id| one_line(id, 128)),
            reason = %new.reason(),
            attempts = new.attempts,
            code = new.last_attempt.as_ref().and_then(|attempt| attempt.error_code),
            seconds = took.map(|took| took.as_secs_f64()),
            "reset ended"
        );
        self.report(Report::Ended { app: super::app_object::key_of(after), reason: new.reason(), took });
    }

    /// The event about a finished reset that is not deleted, though its time to live says so.
    pub fn say_if_kept(&self, finished: &GroupAttributeReset) {
        let ttl = finished.spec.ttl_seconds_after_finished;
        if let (Some(_), Some(mark)) = (ttl, is_made_again(finished)) {
            let note = format!("Not deleted after its end: {mark} shows that a tool would create it again.");
            self.event(finished.object_ref(&()), "TTLSkipped", false, note);
        }
    }

    /// Queues an event; a full queue is counted.
    pub fn event(&self, regarding: ObjectReference, reason: &'static str, warning: bool, note: String) {
        if !self.events.send(Notice { reason, warning, note, regarding }) {
            self.metrics.event_dropped();
        }
    }
}
