//! Stored objects that cannot be decoded. They must not stop the others; each is told once, counted, and left alone.

use std::sync::Arc;
use std::time::Duration;

use super::writing::BETWEEN_EXPLANATIONS;
use super::{Desk, Wake};
use crate::api::{Reason, ResetStatus};
use crate::decide::status;
use crate::decide::turns::Turns;
use crate::operator::report::Report;
use crate::operator::watches::{Identity, Malformed, RESET};

/// So many of them are explained at once.
const EXPLAINERS: usize = 4;

/// Malformed resets whose conditions do not say so yet.
#[derive(Default)]
pub(super) struct Unexplained {
    /// By uid; namespaces take turns.
    turns: Turns<String>,
    /// Not before this moment is the next one explained.
    next: Duration,
    under_way: usize,
}

impl Desk {
    pub(super) fn show_malformed(&mut self, malformed: Malformed) {
        let (kind, identity) = (malformed.kind, malformed.identity.clone());
        let Identity { uid, namespace, name } = &identity;
        let told = (kind, uid.clone());
        if self.malformed.get(&told).is_some_and(|known| known.generation == malformed.generation) {
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
        self.malformed.insert(told, malformed);
        if kind == RESET {
            self.leave(uid);
            self.resets.unreadable(uid);
            self.unexplained.turns.join(namespace, uid.clone());
            self.timers.set(self.unexplained.next, Wake::Malformed);
        } else {
            self.forget_object(kind, &identity);
        }
    }

    /// Explains the next one, a few at once and twenty a second. What is malformed no more is passed over.
    pub(super) fn explain_malformed(&mut self) {
        let now = self.now();
        if self.unexplained.under_way >= EXPLAINERS || self.hands.stop.is_cancelled() {
            return;
        }
        if now.mono < self.unexplained.next {
            return self.timers.set(self.unexplained.next, Wake::Malformed);
        }
        while let Some(uid) = self.unexplained.turns.call_next() {
            let Some(malformed) = self.malformed.get(&(RESET, uid)) else { continue };
            let text = format!(
                "The stored object cannot be read: {}. Mend its spec, or delete it and create it anew.",
                malformed.error
            );
            let mut said = ResetStatus::default();
            status::state(&mut said, -1, Reason::Pending, &text, now);
            let Identity { uid, namespace, name } = malformed.identity.clone();
            let hands = Arc::clone(&self.hands);
            self.tasks.spawn(async move {
                let done = hands.statuses.explain_malformed(&namespace, &name, &uid, &said.conditions).await;
                if let Err(fault) = done {
                    tracing::warn!(namespace, name, "its conditions could not say so: {fault}");
                }
                hands.report(Report::MalformedExplained);
            });
            self.unexplained.under_way += 1;
            self.unexplained.next = now.mono + BETWEEN_EXPLANATIONS;
            return self.timers.set(self.unexplained.next, Wake::Malformed);
        }
    }

    pub(super) fn malformed_explained(&mut self) {
        self.unexplained.under_way = self.unexplained.under_way.saturating_sub(1);
        self.timers.set(self.unexplained.next, Wake::Malformed);
    }
}
