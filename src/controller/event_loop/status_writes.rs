//! Writes that are not part of an attempt, and deletions, under one limit.

use std::sync::Arc;
use std::time::Duration;

use super::Controller;
use crate::api::ResetStatus;
use crate::controller::persist;
use crate::limits::fair_queue::QueueKey;

/// Most writes in flight at once that are not part of an attempt.
pub(super) const MAX_CONCURRENT_WRITES: usize = 32;
/// A deletion that has not been confirmed is retried after this long.
const DELETE_RETRY: Duration = Duration::from_secs(30);

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
        self.tasks.spawn(persist::store_planned(ctx, kind, object, status));
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
}
