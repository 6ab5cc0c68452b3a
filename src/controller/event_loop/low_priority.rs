//! Low-priority writes, one after another and round-robin across namespaces: explanations, restorations, the conditions
//! of malformed resets, and the outcomes of unanswered calls, which a later read-back settles anyway.
//!
//! There can be hundreds of each at once, for example when an endpoint hangs and all calls time out at the same moment.
//! They must not delay resets that make progress.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Resource as _;
use tokio::sync::oneshot;

use super::status_writes::MAX_CONCURRENT_WRITES;
use super::{Controller, Wake};
use crate::api::ResetStatus;
use crate::limits::backoff::exponential;
use crate::limits::fair_queue::{FairQueue, QueueKey};
use crate::limits::mono::Mono;
use crate::protocol::{Now, messages};

/// Minimum time between two explanations or restorations: 20 per second in total.
const EXPLANATION_SPACING: Duration = Duration::from_millis(50);
/// Minimum time between the outcome of an unanswered call and the next write.
const OUTCOME_SPACING: Duration = Duration::from_millis(20);

/// Between two restorations of one reset's status; doubled each time.
const MIN_RESTORE_SPACING: Duration = Duration::from_secs(1);
/// Longest time between two restorations of one reset's status.
const MAX_RESTORE_SPACING: Duration = Duration::from_secs(30);
/// After this long without a restoration, the backoff of a reset starts over.
const RESTORES_FORGOTTEN_AFTER: Duration = Duration::from_mins(1);

/// Resets that wait for a low-priority write.
#[derive(Default)]
pub(super) struct LowPriority {
    queue: FairQueue,
    /// The next write comes no earlier than this.
    next_at: Mono,
    /// Attempts that wait for their turn to store an unknown outcome, by the uid of their reset. Dropped to let them go
    /// at once.
    pub(super) outcomes: HashMap<String, oneshot::Sender<()>>,
}

impl Controller {
    pub(super) fn queue_low_priority(&mut self, namespace: &str, uid: &str, since: Timestamp) {
        self.low_priority.queue.push(namespace, QueueKey { since, uid: uid.to_owned() });
        self.timers.set(self.low_priority.next_at, Wake::LowPriority);
    }

    pub(super) fn queue_explanation(&mut self, uid: &str) {
        let Some(active) = self.resets.active(uid) else { return };
        let object = Arc::clone(&active.object);
        let since = object.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default();
        self.queue_low_priority(object.metadata.namespace.as_deref().unwrap_or_default(), uid, since);
    }

    /// An attempt asks for its turn to store an unknown outcome. Within its namespace it goes before all explanations.
    pub(super) fn queue_outcome(&mut self, namespace: &str, uid: String, turn: oneshot::Sender<()>) {
        self.queue_low_priority(namespace, &uid, Timestamp::UNIX_EPOCH);
        self.low_priority.outcomes.insert(uid, turn);
    }

    /// Makes the next low-priority write that is still needed. It waits while other writes take all slots.
    pub(super) fn write_low_priority(&mut self) {
        let now = self.now();
        if now.mono < self.low_priority.next_at {
            return self.timers.set(self.low_priority.next_at, Wake::LowPriority);
        }
        if self.writes_in_flight >= MAX_CONCURRENT_WRITES {
            return self.timers.set(now.mono + EXPLANATION_SPACING, Wake::LowPriority);
        }
        while let Some(QueueKey { uid, .. }) = self.low_priority.queue.pop() {
            let spacing = if let Some(turn) = self.low_priority.outcomes.remove(&uid) {
                let _ = turn.send(());
                OUTCOME_SPACING
            } else if self.write_malformed_conditions(&uid, now) || self.restore_or_explain(&uid, now) {
                EXPLANATION_SPACING
            } else {
                continue;
            };
            self.low_priority.next_at = now.mono + spacing;
            return self.timers.set(self.low_priority.next_at, Wake::LowPriority);
        }
    }

    /// Restores the status of a reset, or explains why it waits. False if neither is needed.
    fn restore_or_explain(&mut self, uid: &str, now: Now) -> bool {
        let Some(entry) = self.resets.all.get(uid) else { return false };
        let is_paused = entry.write_at.is_some_and(|moment| moment > now.mono);
        if is_paused || self.resets.active(uid).is_none_or(|active| active.busy) {
            return false;
        }
        if self.is_restored_later(uid, now.mono) {
            return false;
        }
        if let Some(status) = self.restoration(uid) {
            self.write(uid, "restore", status);
        } else if let Some(explain) = self.plan(uid, now).and_then(|plan| plan.explain) {
            self.write(uid, "explanation", *explain);
        } else {
            return false;
        }
        true
    }

    /// Whether the status is to be restored, but not yet: someone who keeps changing it must not keep the operator and
    /// the API server busy. Meanwhile the controller acts on what it knows, not on what is stored.
    fn is_restored_later(&mut self, uid: &str, now: Mono) -> bool {
        if self.resets.active(uid).is_none_or(|active| active.status_to_restore().is_none()) {
            return false;
        }
        let Some(entry) = self.resets.all.get_mut(uid) else { return false };
        if now < entry.restore_at {
            let (moment, timer) = (entry.restore_at, entry.timer);
            if timer.is_none_or(|timer| timer > moment) {
                self.wake_at(uid, moment);
            }
            return true;
        }
        if now >= entry.restore_at + RESTORES_FORGOTTEN_AFTER {
            entry.restores = 0;
        }
        entry.restores = entry.restores.saturating_add(1);
        entry.restore_at = now + exponential(MIN_RESTORE_SPACING, MAX_RESTORE_SPACING, entry.restores);
        false
    }

    /// Returns the status to restore, if any, and announces it by log and event.
    fn restoration(&mut self, uid: &str) -> Option<ResetStatus> {
        let active = self.resets.active(uid)?;
        let status = active.status_to_restore()?;
        let object = Arc::clone(&active.object);
        tracing::warn!(
            namespace = object.metadata.namespace,
            reset = object.metadata.name,
            uid,
            "another client changed this status; it is restored"
        );
        let note = messages::STATUS_RESTORED.to_owned();
        self.ctx.event(object.object_ref(&()), "StatusRestored", true, note);
        Some(status)
    }
}
