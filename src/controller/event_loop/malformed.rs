//! Stored objects that cannot be decoded. They must not block the others: each one is logged once per generation and
//! counted, a reset also gets a condition, and then it is left alone.

use std::sync::Arc;
use std::time::Duration;

use super::status_writes::EXPLANATION_SPACING;
use super::{Controller, Wake};
use crate::api::{Reason, ResetStatus};
use crate::controller::task_result::TaskResult;
use crate::controller::watches::{Identity, Malformed, RESET};
use crate::limits::fair_queue::FairQueue;
use crate::protocol::status;

/// Most condition writes for malformed resets in flight at once.
const MAX_CONCURRENT_EXPLANATIONS: usize = 4;

/// Malformed resets whose conditions have not been written yet.
#[derive(Default)]
pub(super) struct MalformedQueue {
    /// By uid, round-robin across namespaces.
    queue: FairQueue<String>,
    /// The next one is explained no earlier than this.
    next: Duration,
    in_flight: usize,
}

impl Controller {
    pub(super) fn on_malformed(&mut self, malformed: Malformed) {
        let (kind, identity) = (malformed.kind, malformed.identity.clone());
        let Identity { uid, namespace, name } = &identity;
        let key = (kind, uid.clone());
        if self.malformed.get(&key).is_some_and(|known| known.generation == malformed.generation) {
            return;
        }
        let error = &malformed.error;
        tracing::error!(
            kind,
            namespace,
            name,
            uid,
            "the stored object cannot be decoded: {error}. Correct it and apply it again."
        );
        self.malformed.insert(key, malformed);
        if kind == RESET {
            self.stop_waiting(uid);
            self.resets.mark_malformed(uid);
            self.unexplained.queue.push(namespace, uid.clone());
            self.timers.set(self.unexplained.next, Wake::Malformed);
        } else {
            self.forget_object(kind, &identity);
        }
    }

    /// Writes the conditions of the next malformed reset: at most 4 at once and 20 per second. Resets that can be
    /// decoded by now are skipped.
    pub(super) fn explain_malformed(&mut self) {
        let now = self.now();
        if self.unexplained.in_flight >= MAX_CONCURRENT_EXPLANATIONS || self.ctx.stop.is_cancelled() {
            return;
        }
        if now.mono < self.unexplained.next {
            return self.timers.set(self.unexplained.next, Wake::Malformed);
        }
        while let Some(uid) = self.unexplained.queue.pop() {
            let Some(malformed) = self.malformed.get(&(RESET, uid)) else { continue };
            let text = format!(
                "The stored object cannot be decoded: {}. Correct its spec, or delete and re-create it.",
                malformed.error
            );
            let mut status = ResetStatus::default();
            status::set_reason(&mut status, -1, Reason::Pending, &text, now);
            let Identity { uid, namespace, name } = malformed.identity.clone();
            let ctx = Arc::clone(&self.ctx);
            self.tasks.spawn(async move {
                let done = ctx.statuses.explain_malformed(&namespace, &name, &uid, &status.conditions).await;
                if let Err(fault) = done {
                    tracing::warn!(
                        namespace,
                        name,
                        "the conditions of this malformed reset could not be written: {fault}"
                    );
                }
                ctx.report(TaskResult::MalformedExplained);
            });
            self.unexplained.in_flight += 1;
            self.unexplained.next = now.mono + EXPLANATION_SPACING;
            return self.timers.set(self.unexplained.next, Wake::Malformed);
        }
    }

    pub(super) fn on_malformed_explained(&mut self) {
        self.unexplained.in_flight = self.unexplained.in_flight.saturating_sub(1);
        self.timers.set(self.unexplained.next, Wake::Malformed);
    }
}
