//! Stored objects that cannot be decoded. They must not block the others: each one is logged once per generation and
//! counted; a reset also gets a condition. It is then ignored until it changes.

use std::sync::Arc;

use super::Controller;
use crate::api::{Reason, ResetStatus};
use crate::controller::task_result::TaskResult;
use crate::controller::watches::{Identity, Malformed, RESET};
use crate::protocol::{Now, status};

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
            self.queue_low_priority(namespace, uid, self.now().wall);
        } else {
            self.forget_object(kind, &identity);
        }
    }

    /// Writes the conditions of a malformed reset. False if it can be decoded by now, or is gone.
    pub(super) fn write_malformed_conditions(&mut self, uid: &str, now: Now) -> bool {
        let Some(malformed) = self.malformed.get(&(RESET, uid.to_owned())) else { return false };
        let text = format!(
            "The stored object cannot be decoded: {}. Correct its spec, or delete and re-create it.",
            malformed.error
        );
        let mut status = ResetStatus::default();
        status::set_reason(&mut status, -1, Reason::Pending, &text, now);
        let Identity { uid, namespace, name } = malformed.identity.clone();
        let ctx = Arc::clone(&self.ctx);
        self.writes_in_flight += 1;
        self.tasks.spawn(async move {
            let done =
                ctx.statuses.write_malformed_conditions(&namespace, &name, &uid, &status.conditions).await;
            if let Err(fault) = done {
                tracing::warn!(
                    namespace,
                    name,
                    "the conditions of this malformed reset could not be written: {fault}"
                );
            }
            ctx.report(TaskResult::MalformedWritten);
        });
        true
    }
}
