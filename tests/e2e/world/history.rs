//! Status history (O6): the conditions are as documented at every step, and a final status never changes back.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};
use testbed::control_plane::AuditEvent;
use testbed::kstatus::{Status, kstatus};
use testbed::until_ok;

use super::evidence::is_operator;
use super::{DEADLINE, World, condition_of};

const WAITING: [&str; 10] = [
    "Pending",
    "AppNotFound",
    "AppNotAllowed",
    "AppNotReady",
    "AppSuspended",
    "Sending",
    "RateLimited",
    "RetryScheduled",
    "Verifying",
    "Suspended",
];
const SUCCEEDED: [&str; 3] = ["Cleared", "VerifiedEmpty", "GroupGone"];
const FAILED: [&str; 7] = [
    "InvalidRequest",
    "GroupNotFound",
    "GroupTypeNotSupported",
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "Expired",
    "OutcomeUnknown",
];

/// A reset as stored by one status write of an operator.
pub(crate) struct Stored {
    /// When the API server received the write.
    pub at: Timestamp,
    /// When the API server answered it.
    pub answered: Timestamp,
    pub object: Arc<Value>,
}

/// Every reset status that an operator stored, in the order of resource versions.
pub(crate) fn stored_in<'a>(events: impl Iterator<Item = &'a AuditEvent>) -> Vec<Stored> {
    let writes = events.filter(|event| {
        let key = (event.resource.as_str(), event.subresource.as_str(), event.code);
        key == ("groupattributeresets", "status", 200) && is_operator(&event.user)
    });
    let mut stored: Vec<_> = writes
        .map(|event| Stored {
            at: event.received,
            answered: event.answered,
            object: Arc::clone(&event.response_object),
        })
        .collect();
    stored.sort_by_key(|stored| version(&stored.object));
    stored
}

/// Checks each status by itself, and each change from one to the next, object by object.
pub(crate) fn check_history<'a>(versions: impl Iterator<Item = &'a Value>, clocks_differ: bool) {
    let mut before: HashMap<&str, &Value> = HashMap::new();
    for object in versions {
        check_status(object);
        let uid = object["metadata"]["uid"].as_str().expect("a uid");
        if let Some(before) = before.insert(uid, object) {
            check_step(before, object, clocks_differ);
        }
    }
}

impl World {
    /// The requests of the operator's service account for one object, or with an empty name for the whole kind.
    pub(crate) async fn requests(&self, resource: &str, name: &str) -> Vec<AuditEvent> {
        let user = self.account.user();
        let about =
            |event: &&Arc<AuditEvent>| event.user == user && event.resource == resource && event.name == name;
        self.audit().await.iter().filter(about).map(|event| AuditEvent::clone(event)).collect()
    }

    /// Every reset status that an operator stored in this namespace, in the order of resource versions.
    pub(crate) async fn stored(&self) -> Vec<Stored> {
        stored_in(self.audit().await.iter().map(|event| &**event))
    }

    /// Everybody's requests for this namespace. Waits until the log contains the write of each status that a reset
    /// shows now: a status is visible a moment before its audit line, and the marker may come in between.
    async fn audit(&self) -> Vec<Arc<AuditEvent>> {
        let shown = self.all_resets().await;
        // Nobody wrote the CRD's default (generation -1), and an API server that was killed lost audit lines.
        let is_complete = self.plane.interruptions() == 0;
        let written =
            |reset: &&Value| is_complete && reset["status"]["observedGeneration"].as_i64() >= Some(0);
        let shown: Vec<&Value> = shown.iter().filter(written).collect();
        self.plane.audit_marker().await.expect("audit marker");
        until_ok(DEADLINE, "the audit log to contain the last writes", || async {
            let all = self.plane.audit_in(&self.namespace).expect("audit log");
            let is_logged = |reset: &Value| {
                let same = |event: &Value| {
                    event["metadata"]["uid"] == reset["metadata"]["uid"] && event["status"] == reset["status"]
                };
                // If the client was killed during the write, the line says 504 and has no response object.
                all.iter().any(|event| same(&event.response_object) || same(&event.request_object))
            };
            let missing: Vec<Value> =
                shown.iter().filter(|reset| !is_logged(reset)).map(|reset| reset["status"].clone()).collect();
            if missing.is_empty() { Ok(all) } else { Err(missing) }
        })
        .await
    }

    /// The reasons that a reset went through, in order, without repetitions.
    pub(crate) async fn reasons_of(&self, name: &str) -> Vec<String> {
        let stored = self.stored().await;
        let mine = stored.iter().filter(|stored| stored.object["metadata"]["name"] == name);
        let mut reasons: Vec<String> =
            mine.map(|stored| super::reason_of(&stored.object, "Succeeded")).collect();
        reasons.dedup();
        reasons
    }
}

pub(crate) fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

/// The conditions of a reset by type.
fn conditions(object: &Value) -> Map<String, Value> {
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    all.map(|condition| (condition["type"].as_str().unwrap_or_default().to_owned(), condition.clone()))
        .collect()
}

/// Checks one status by itself: everything follows from the reason of `Succeeded`.
pub(crate) fn check_status(object: &Value) {
    let status = &object["status"];
    let all = conditions(object);
    let succeeded = &all["Succeeded"];
    let reason = succeeded["reason"].as_str().unwrap_or_default();
    let (expected, ready, finished, extra) = match reason {
        waiting if WAITING.contains(&waiting) => ("Unknown", "False", "False", Some("Reconciling")),
        good if SUCCEEDED.contains(&good) => ("True", "True", "True", None),
        bad if FAILED.contains(&bad) => ("False", "False", "True", Some("Stalled")),
        // Shown when a superseded request is asked for again.
        "Superseded" => ("False", "False", "True", Some("Stalled")),
        other => panic!("the reason {other:?} is not documented: {status:#}"),
    };
    let mut wanted = vec![("Succeeded", expected), ("Ready", ready), ("Finished", finished)];
    wanted.extend(extra.map(|type_| (type_, "True")));
    assert_eq!(all.len(), wanted.len(), "{status:#}");
    for (type_, value) in wanted {
        let found = all.get(type_).unwrap_or_else(|| panic!("no condition {type_}: {status:#}"));
        assert_eq!(found["status"], value, "{type_}: {status:#}");
        for field in ["reason", "message", "observedGeneration"] {
            assert_eq!(found[field], succeeded[field], "{type_} {field}: {status:#}");
        }
        assert_eq!(found["observedGeneration"], status["observedGeneration"], "{status:#}");
        let since = found["lastTransitionTime"].as_str().unwrap_or_default();
        assert!(
            since.len() == 20 && since.ends_with('Z') && since > "2020",
            "not a recent time in whole seconds: {since}"
        );
    }
    let message = succeeded["message"].as_str().unwrap_or_default();
    assert!(
        !message.is_empty() && message.len() <= 512 && !message.contains(char::is_control),
        "{message:?}"
    );

    let is_final = expected != "Unknown";
    assert_eq!(status["completionTime"].is_string(), is_final, "{status:#}");
    assert_eq!(status["pendingAttempt"].is_object(), matches!(reason, "Sending" | "Verifying"), "{status:#}");
    assert!(!is_final || status["nextAttemptTime"].is_null(), "{status:#}");
    assert!(status["history"].as_array().is_none_or(|history| history.len() <= 5), "{status:#}");
    assert!(status["phase"].is_null(), "{status:#}");
    let info = status["lastAttempt"]["errorInfo"].as_str().unwrap_or_default();
    assert!(info.len() <= 256 && !info.contains(char::is_control), "{info:?}");
    assert!(status.to_string().len() <= 8192, "{} bytes: {status:#}", status.to_string().len());

    let verdict = kstatus(object);
    let observed = status["observedGeneration"] == object["metadata"]["generation"];
    match (observed, expected) {
        _ if verdict == Status::Terminating => {}
        (true, "True") => assert_eq!(verdict, Status::Current, "{object:#}"),
        (true, "False") => assert_eq!(verdict, Status::Failed, "{object:#}"),
        _ => assert_eq!(verdict, Status::InProgress, "{object:#}"),
    }
}

/// Checks one change: `lastTransitionTime` moves only with `status`, and a final status stays.
fn check_step(before: &Value, after: &Value, clocks_differ: bool) {
    let (old, new) = (&before["status"], &after["status"]);
    for (type_, condition) in conditions(after) {
        let Some(earlier) = condition_of(before, &type_) else { continue };
        let kept = earlier["lastTransitionTime"] == condition["lastTransitionTime"];
        if earlier["status"] == condition["status"] {
            assert!(kept, "{type_}: lastTransitionTime moved without the status: {old:#} {new:#}");
        } else {
            let time =
                |condition: &Value| condition["lastTransitionTime"].as_str().unwrap_or_default().to_owned();
            assert!(clocks_differ || time(earlier) <= time(&condition), "{type_}: {old:#} {new:#}");
        }
    }
    let was_final = condition_of(before, "Finished").is_some_and(|condition| condition["status"] == "True");
    if old["requestID"] == new["requestID"] && was_final {
        for field in
            ["attempts", "failures", "completionTime", "lastAttempt", "requestID", "history", "startTime"]
        {
            assert_eq!(old[field], new[field], "{field} changed after the reset finished");
        }
        for (type_, condition) in conditions(after) {
            let earlier = condition_of(before, &type_)
                .unwrap_or_else(|| panic!("{type_} appeared after the reset finished"));
            assert_eq!(earlier["reason"], condition["reason"], "{old:#} {new:#}");
        }
    }
    if old["requestID"] == new["requestID"] {
        assert!(old["failures"].as_i64() <= new["failures"].as_i64(), "failures went down: {old:#} {new:#}");
        let uncounted = i64::from(is_uncounted(&old["lastAttempt"], &new["lastAttempt"]));
        assert!(
            old["attempts"].as_i64() <= new["attempts"].as_i64().map(|attempts| attempts + uncounted),
            "attempts went down: {old:#} {new:#}"
        );
    }
}

/// Whether a successor had counted an attempt as unknown, and its own process now reports that it was not sent.
fn is_uncounted(old: &Value, new: &Value) -> bool {
    old["id"] == new["id"] && old["outcome"] == "Unknown" && new["outcome"] == "NotSent"
}
