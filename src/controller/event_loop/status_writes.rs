//! Writes that are not part of an attempt: records, explanations, restorations and deletions, under one limit.

use std::sync::Arc;
use std::time::Duration;

use kube::Resource as _;

use super::{Controller, Wake};
use crate::api::ResetStatus;
use crate::controller::persist;
use crate::limits::backoff::exponential;
use crate::limits::fair_queue::QueueKey;
use crate::protocol::messages;

/// Most writes in flight at once that are not part of an attempt.
const MAX_CONCURRENT_WRITES: usize = 32;
/// A deletion that has not been confirmed is retried after this long.
const DELETE_RETRY: Duration = Duration::from_secs(30);
/// Minimum time between two explanations: 20 per second in total.
pub(super) const EXPLANATION_SPACING: Duration = Duration::from_millis(50);

/// Between two restorations of one reset's status; doubled each time.
const MIN_RESTORE_SPACING: Duration = Duration::from_secs(1);
/// Longest time between two restorations of one reset's status.
const MAX_RESTORE_SPACING: Duration = Duration::from_secs(30);
/// After this long without one, the next restorations of a reset follow quickly again.
const RESTORES_FORGOTTEN_AFTER: Duration = Duration::from_mins(1);

impl Controller {
    pub(super) fn write(&mut self, uid: &str, kind: &'static str, status: ResetStatus) {
        self.dequeue(uid);
        if !self.acquire_write_slot(uid) {
            return;
        }
        let ctx = Arc::clone(&self.ctx);
        let Some(active) = self.resets.active(uid) else { return };
        active.start_task();
        active.attempted_status = Some(Box::new(status.clone()));
        let object = Arc::clone(&active.object);
        self.tasks.spawn(persist::record(ctx, kind, object, status));
    }

    pub(super) fn delete(&mut self, uid: &str) {
        if !self.acquire_write_slot(uid) {
            return;
        }
        let retry_at = self.now().mono + DELETE_RETRY;
        let Some(entry) = self.resets.all.get_mut(uid) else { return };
        entry.write_at = Some(retry_at);
        let key = (entry.namespace.clone(), entry.name.clone());
        let deletion = persist::delete(Arc::clone(&self.ctx), key, uid.to_owned(), entry.version.clone());
        self.tasks.spawn(deletion);
        self.wake_at(uid, retry_at);
    }

    /// Takes a write slot for this reset, or queues it, to be reconciled again when a slot is free.
    fn acquire_write_slot(&mut self, uid: &str) -> bool {
        let Some(entry) = self.resets.all.get_mut(uid) else { return false };
        if self.writes_in_flight < MAX_CONCURRENT_WRITES {
            self.writes_in_flight += 1;
            return true;
        }
        if !std::mem::replace(&mut entry.is_waiting_for_write_slot, true) {
            let since = self.ctx.clock.now().wall;
            self.write_queue.push(&entry.namespace, QueueKey { since, uid: uid.to_owned() });
        }
        false
    }

    /// A write slot is free: reconciles queued resets until all slots are taken again, round-robin across namespaces.
    pub(super) fn release_write_slot(&mut self) {
        self.writes_in_flight = self.writes_in_flight.saturating_sub(1);
        while self.writes_in_flight < MAX_CONCURRENT_WRITES {
            let Some(QueueKey { uid: next, .. }) = self.write_queue.pop() else { return };
            if let Some(entry) = self.resets.all.get_mut(&next) {
                entry.is_waiting_for_write_slot = false;
            }
            self.reconcile(&next);
        }
    }

    /// Whether the status is to be restored, but not yet: someone who keeps changing it must not keep the operator and
    /// the API server busy. Meanwhile the controller acts on what it knows, not on what is stored.
    fn is_restored_later(&mut self, uid: &str, now: Duration) -> bool {
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

    pub(super) fn queue_explanation(&mut self, uid: &str) {
        let Some(active) = self.resets.active(uid) else { return };
        let since = active.object.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default();
        let namespace = active.object.metadata.namespace.clone().unwrap_or_default();
        self.explanation_queue.push(&namespace, QueueKey { since, uid: uid.to_owned() });
        self.timers.set(self.explain_at, Wake::Explanation);
    }

    /// Writes the next explanation or restoration that is still needed, round-robin across namespaces. It waits while
    /// other writes take all slots.
    pub(super) fn explain_next(&mut self) {
        let now = self.now();
        if now.mono < self.explain_at {
            return self.timers.set(self.explain_at, Wake::Explanation);
        }
        if self.writes_in_flight >= MAX_CONCURRENT_WRITES {
            return self.timers.set(now.mono + EXPLANATION_SPACING, Wake::Explanation);
        }
        while let Some(QueueKey { uid, .. }) = self.explanation_queue.pop() {
            let Some(entry) = self.resets.all.get(&uid) else { continue };
            let is_paused = entry.write_at.is_some_and(|moment| moment > now.mono);
            if is_paused || self.resets.active(&uid).is_none_or(|active| active.busy) {
                continue;
            }
            if self.is_restored_later(&uid, now.mono) {
                continue;
            }
            if let Some(status) = self.restoration(&uid) {
                self.write(&uid, "restore", status);
            } else if let Some(explain) = self.plan(&uid, now).and_then(|plan| plan.explain) {
                self.write(&uid, "explanation", *explain);
            } else {
                continue;
            }
            self.explain_at = now.mono + EXPLANATION_SPACING;
            return self.timers.set(self.explain_at, Wake::Explanation);
        }
    }
}
