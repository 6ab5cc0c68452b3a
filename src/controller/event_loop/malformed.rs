//! Stored objects that cannot be decoded. They must not stop the others; each is told once, counted, and left alone.

use std::sync::Arc;
use std::time::Duration;

use super::status_writes::EXPLANATION_SPACING;
use super::{Controller, Wake};
use crate::api::{Reason, ResetStatus};
use crate::controller::task_result::TaskResult;
use crate::controller::watches::{Identity, Malformed, RESET};
use crate::limits::fair_queue::FairQueue;
use crate::protocol::status;

/// So many of them are explained at once.
const MAX_CONCURRENT_EXPLANATIONS: usize = 4;

/// Malformed resets whose conditions do not say so yet.
#[derive(Default)]
pub(super) struct Unexplained {
    /// By uid; namespaces take turns.
    queue: FairQueue<String>,
    /// Not before this moment is the next one explained.
    next: Duration,
    under_way: usize,
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
            "the stored object cannot be read: {error}. Apply it again."
        );
        self.malformed.insert(key, malformed);
        if kind == RESET {
            self.stop_waiting(uid);
            self.resets.mark_unreadable(uid);
            self.unexplained.queue.push(namespace, uid.clone());
            self.timers.set(self.unexplained.next, Wake::Malformed);
        } else {
            self.forget_object(kind, &identity);
        }
    }

    /// Explains the next one, a few at once and twenty a second. What is malformed no more is passed over.
    pub(super) fn explain_malformed(&mut self) {
        let now = self.now();
        if self.unexplained.under_way >= MAX_CONCURRENT_EXPLANATIONS || self.ctx.stop.is_cancelled() {
            return;
        }
        if now.mono < self.unexplained.next {
            return self.timers.set(self.unexplained.next, Wake::Malformed);
        }
        while let Some(uid) = self.unexplained.queue.pop() {
            let Some(malformed) = self.malformed.get(&(RESET, uid)) else { continue };
            let text = format!(
                "The stored object cannot be read: {}. Mend its spec, or delete it and create it anew.",
                malformed.error
            );
            let mut said = ResetStatus::default();
            status::set_reason(&mut said, -1, Reason::Pending, &text, now);
            let Identity { uid, namespace, name } = malformed.identity.clone();
            let ctx = Arc::clone(&self.ctx);
            self.tasks.spawn(async move {
                let done = ctx.statuses.explain_malformed(&namespace, &name, &uid, &said.conditions).await;
                if let Err(fault) = done {
                    tracing::warn!(namespace, name, "its conditions could not say so: {fault}");
                }
                ctx.report(TaskResult::MalformedExplained);
            });
            self.unexplained.under_way += 1;
            self.unexplained.next = now.mono + EXPLANATION_SPACING;
            return self.timers.set(self.unexplained.next, Wake::Malformed);
        }
    }

    pub(super) fn on_malformed_explained(&mut self) {
        self.unexplained.under_way = self.unexplained.under_way.saturating_sub(1);
        self.timers.set(self.unexplained.next, Wake::Malformed);
    }
}
