//! Writes that are no part of an attempt: what is recorded, explained and deleted, by so many writers at a time.

use std::sync::Arc;
use std::time::Duration;

use kube::Resource as _;

use super::{Desk, Wake};
use crate::api::ResetStatus;
use crate::decide::turns::Place;
use crate::decide::words;
use crate::operator::record;

/// Writes under way that are not part of an attempt.
const WRITERS: usize = 32;
/// A deletion of which nothing was heard is tried again after this long.
const DELETE_AGAIN: Duration = Duration::from_secs(30);
/// Between two explanations: twenty a second, in all.
pub(super) const BETWEEN_EXPLANATIONS: Duration = Duration::from_millis(50);

impl Desk {
    pub(super) fn write(&mut self, uid: &str, kind: &'static str, status: ResetStatus) {
        self.leave_queue(uid);
        if !self.take_writer(uid) {
            return;
        }
        let hands = Arc::clone(&self.hands);
        let Some(open) = self.resets.open(uid) else { return };
        open.begin();
        open.tried = Some(Box::new(status.clone()));
        let object = Arc::clone(&open.object);
        self.tasks.spawn(record::record(hands, kind, object, status));
    }

    pub(super) fn delete(&mut self, uid: &str) {
        if !self.take_writer(uid) {
            return;
        }
        let again = self.now().mono + DELETE_AGAIN;
        let Some(tracked) = self.resets.all.get_mut(uid) else { return };
        tracked.write_at = Some(again);
        let key = (tracked.namespace.clone(), tracked.name.clone());
        let deletion = record::delete(Arc::clone(&self.hands), key, uid.to_owned(), tracked.version.clone());
        self.tasks.spawn(deletion);
        self.wake_at(uid, again);
    }

    /// Takes one of the writers for this reset, or puts it into the backlog, from where it is looked at again.
    fn take_writer(&mut self, uid: &str) -> bool {
        let Some(tracked) = self.resets.all.get_mut(uid) else { return false };
        if self.writers < WRITERS {
            self.writers += 1;
            return true;
        }
        if !std::mem::replace(&mut tracked.in_backlog, true) {
            let since = self.hands.clock.now().wall;
            self.backlog.join(&tracked.namespace, Place { since, uid: uid.to_owned() });
        }
        false
    }

    /// A writer is free: whoever waited for one is looked at, until all are at work again. Namespaces take turns.
    pub(super) fn free_writer(&mut self) {
        self.writers = self.writers.saturating_sub(1);
        while self.writers < WRITERS {
            let Some(Place { uid: next, .. }) = self.backlog.call_next() else { return };
            if let Some(tracked) = self.resets.all.get_mut(&next) {
                tracked.in_backlog = false;
            }
            self.look(&next);
        }
    }

    /// The status that is to be written back, and the event that says so.
    fn restoration(&mut self, uid: &str) -> Option<ResetStatus> {
        let open = self.resets.open(uid)?;
        let status = open.restoration()?;
        let object = Arc::clone(&open.object);
        tracing::warn!(
            namespace = object.metadata.namespace,
            reset = object.metadata.name,
            uid,
            "somebody else has changed this status; it is written back"
        );
        let note = words::STATUS_RESTORED.to_owned();
        self.hands.event(object.object_ref(&()), "StatusRestored", true, note);
        Some(status)
    }

    pub(super) fn queue_explanation(&mut self, uid: &str) {
        let Some(open) = self.resets.open(uid) else { return };
        let since = open.object.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default();
        let namespace = open.object.metadata.namespace.clone().unwrap_or_default();
        self.explanations.join(&namespace, Place { since, uid: uid.to_owned() });
        self.timers.set(self.explain_at, Wake::Explanation);
    }

    /// Lets the next reset explain itself, if it still has something to explain. Namespaces take turns, and an
    /// explanation waits while other writes need all writers.
    pub(super) fn explain_next(&mut self) {
        let now = self.now();
        if now.mono < self.explain_at {
            return self.timers.set(self.explain_at, Wake::Explanation);
        }
        if self.writers >= WRITERS {
            return self.timers.set(now.mono + BETWEEN_EXPLANATIONS, Wake::Explanation);
        }
        while let Some(Place { uid, .. }) = self.explanations.call_next() {
            let Some(tracked) = self.resets.all.get(&uid) else { continue };
            let is_paused = tracked.write_at.is_some_and(|moment| moment > now.mono);
            if is_paused || self.resets.open(&uid).is_none_or(|open| open.busy) {
                continue;
            }
            if let Some(status) = self.restoration(&uid) {
                self.write(&uid, "restore", status);
            } else if let Some(explain) = self.plan(&uid, now).and_then(|plan| plan.explain) {
                self.write(&uid, "explanation", *explain);
            } else {
                continue;
            }
            self.explain_at = now.mono + BETWEEN_EXPLANATIONS;
            return self.timers.set(self.explain_at, Wake::Explanation);
        }
    }
}
