//! The status that Helm 4 `--wait`, Flux and other users of kstatus compute for an object.
//!
//! It reimplements the rule for custom resources of `sigs.k8s.io/cli-utils/pkg/kstatus/status`, because every
//! test evaluates every status; `tests/e2e/gitops` compares it with that package.

use serde_json::Value;

/// The verdict, in the terms of kstatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not reconciled yet.
    InProgress,
    /// Cannot reconcile without intervention.
    Failed,
    /// Fully reconciled.
    Current,
    /// Being deleted.
    Terminating,
}

/// Computes the status of an object as read from the API server.
#[must_use]
pub fn kstatus(object: &Value) -> Status {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Status::Terminating;
    }
    let (generation, observed) = (&object["metadata"]["generation"], &object["status"]["observedGeneration"]);
    if !generation.is_null() && !observed.is_null() && observed != generation {
        return Status::InProgress;
    }
    // The first of these two in the list decides, even if the other is true as well; `Ready` comes last.
    for (name, status) in conditions(object) {
        match (name, status) {
            ("Reconciling", "True") => return Status::InProgress,
            ("Stalled", "True") => return Status::Failed,
            _ => {}
        }
    }
    match conditions(object).find(|(name, _)| *name == "Ready") {
        Some((_, "True")) | None => Status::Current,
        Some(_) => Status::InProgress,
    }
}

fn conditions(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.filter_map(|condition| Some((condition["type"].as_str()?, condition["status"].as_str()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(conditions: &[(&str, &str)]) -> Value {
        let conditions: Vec<_> = conditions.iter().map(|(t, s)| json!({"type": t, "status": s})).collect();
        json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": conditions}})
    }

    #[test]
    fn an_object_without_conditions_is_current() {
        assert_eq!(kstatus(&json!({"metadata": {"generation": 1}})), Status::Current);
    }

    #[test]
    fn an_unobserved_generation_is_in_progress() {
        let mut edited = object(&[("Ready", "True")]);
        edited["metadata"]["generation"] = json!(3);
        assert_eq!(kstatus(&edited), Status::InProgress);
    }

    #[test]
    fn the_first_of_stalled_and_reconciling_wins_and_both_precede_ready() {
        assert_eq!(kstatus(&object(&[("Stalled", "True"), ("Reconciling", "True")])), Status::Failed);
        assert_eq!(kstatus(&object(&[("Reconciling", "True"), ("Stalled", "True")])), Status::InProgress);
        assert_eq!(kstatus(&object(&[("Ready", "True"), ("Stalled", "True")])), Status::Failed);
        assert_eq!(kstatus(&object(&[("Ready", "True"), ("Reconciling", "True")])), Status::InProgress);
    }

    #[test]
    fn ready_decides_when_nothing_else_does() {
        assert_eq!(kstatus(&object(&[("Ready", "True"), ("Stalled", "False")])), Status::Current);
        assert_eq!(kstatus(&object(&[("Ready", "False")])), Status::InProgress);
        assert_eq!(kstatus(&object(&[("Ready", "Unknown")])), Status::InProgress);
    }

    #[test]
    fn an_object_that_is_being_deleted_is_terminating() {
        let mut deleted = object(&[("Ready", "True")]);
        deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(kstatus(&deleted), Status::Terminating);
    }
}
