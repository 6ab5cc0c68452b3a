//! Outcomes that are known but not stored yet. They are known nowhere else, so a process that has to exit before
//! Kubernetes accepts them logs each one; an administrator can then see which groups were cleared.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::ResourceExt as _;

use crate::api::{GroupAttributeReset, PendingAttempt};
use crate::protocol::classify::CallResult;

/// The known outcome of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownOutcome<'a> {
    /// The result of the call or of the read-back.
    pub result: &'a CallResult,
    /// The source: the `call` itself, or a `read_back`.
    pub by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    namespace: String,
    reset: String,
    group: String,
    by: &'static str,
    class: &'static str,
    code: Option<i64>,
}

/// All unrecorded outcomes, by attempt id.
#[derive(Debug, Default)]
pub(crate) struct Unrecorded(Mutex<BTreeMap<String, Entry>>);

impl Unrecorded {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an outcome that has just become known.
    pub(crate) fn add(&self, reset: &GroupAttributeReset, pending: &PendingAttempt, known: KnownOutcome<'_>) {
        let entry = Entry {
            namespace: reset.namespace().unwrap_or_default(),
            reset: reset.name_any(),
            group: reset.spec.group_id.clone(),
            by: known.by,
            class: known.result.label(),
            code: known.result.code,
        };
        self.all().insert(pending.id.clone(), entry);
    }

    /// Removes an outcome that is stored, or whose attempt another process has settled.
    pub(crate) fn remove(&self, pending: &PendingAttempt) {
        self.all().remove(&pending.id);
    }

    /// Logs every unrecorded outcome.
    pub(crate) fn log_all(&self) {
        for (attempt, entry) in &*self.all() {
            entry.log(attempt);
        }
    }

    /// Logs this one, because it cannot be stored.
    pub(crate) fn log(&self, pending: &PendingAttempt) {
        if let Some(entry) = self.all().get(&pending.id) {
            entry.log(&pending.id);
        }
    }
}

impl Entry {
    fn log(&self, attempt: &str) {
        let Self { namespace, reset, group, by, class, code } = self;
        tracing::error!(
            namespace,
            reset,
            group,
            attempt,
            known_by = by,
            class,
            code,
            "this outcome could not be recorded: the status still shows the call as in flight"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Class;

    #[test]
    fn an_outcome_is_unrecorded_until_its_own_attempt_is_settled() {
        let reset = GroupAttributeReset::new(
            "room",
            serde_json::from_value(serde_json::json!({ "groupID": "@TGS#a" })).unwrap(),
        );
        let pending = |id: &str| PendingAttempt {
            id: id.to_owned(),
            number: 1,
            start_time: jiff::Timestamp::UNIX_EPOCH,
            deadline: jiff::Timestamp::UNIX_EPOCH,
            holder: "me".to_owned(),
            sdk_app_id: 7,
            host: "chat".to_owned(),
        };
        let (unrecorded, result) = (Unrecorded::default(), CallResult::answered(Class::Success, 0));
        unrecorded.add(&reset, &pending("one"), KnownOutcome { result: &result, by: "call" });
        unrecorded.remove(&pending("two"));
        let entry = unrecorded.all()["one"].clone();
        assert_eq!((entry.reset.as_str(), entry.class, entry.code), ("room", "success", Some(0)));
        unrecorded.remove(&pending("one"));
        assert!(unrecorded.all().is_empty());
    }
}
