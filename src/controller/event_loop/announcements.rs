//! What is said about a reset when its status changes: events, the log line and the metric of its end.
//!
//! The cache decides when: it knows the status before and after, whichever way the new one arrives. A write whose answer
//! was lost is announced when a read or the watch shows that it went through.

use std::time::Duration;

use kube::Resource as _;

use super::Controller;
use crate::api::{AppKey, GroupAttributeReset};
use crate::protocol::event_policy::event_for;
use crate::protocol::status;
use crate::text::one_line;

impl Controller {
    /// Announces a status that this process has written.
    pub(super) fn announce(&mut self, before: &GroupAttributeReset, after: &GroupAttributeReset) {
        let (old, new) = (status::current(before), status::current(after));
        if let Some(event) = event_for(&old, &new) {
            self.ctx.event(after.object_ref(&()), event.reason, event.warning, event.note);
        }
        if !new.is_final() {
            return;
        }
        // Also after an edit: it may have set a TTL.
        self.ctx.report_ttl_skipped(after);
        let is_news = old.request_id != new.request_id || !old.is_final();
        if !is_news || status::is_replayed(&old, &new) {
            return;
        }
        let took = new.start_time.map(|start| self.now().wall.duration_since(start));
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
        let took = took.and_then(|took| Duration::try_from(took).ok()).unwrap_or_default();
        let app = self.label(&AppKey::of(after));
        self.ctx.metrics.result(&app, new.reason().as_str(), took);
    }
}
