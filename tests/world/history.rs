//! What must hold in every test besides its own point, read afterwards from the audit log and the vendor's journal:
//! conditions as documented at every step, no way back from the end, no call without a committed intent, no secrets.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use testbed::OperatorProcess;
use testbed::control_plane::AuditEvent;
use testbed::kstatus::{Status, kstatus};

use super::{KEY, World, condition_of};

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

/// A reset as one status write of the operator left it.
pub struct Stored {
    /// When the API server received the write.
    pub at: Timestamp,
    pub object: Value,
}

impl World {
    /// The requests of the operator's service account about one object, or about one kind for an empty name.
    pub async fn requests(&self, resource: &str, name: &str) -> Vec<AuditEvent> {
        self.plane.audit_marker().await.expect("audit marker");
        let all = self.plane.audit_of(&self.account.user()).expect("audit log");
        let about = |event: &&std::sync::Arc<AuditEvent>| {
            event.resource == resource && event.name == name && event.namespace == self.namespace
        };
        all.iter().filter(about).map(|event| AuditEvent::clone(event)).collect()
    }

    /// Every status of a reset that an operator stored here, object by object in its order.
    pub async fn stored(&self) -> Vec<Stored> {
        self.plane.audit_marker().await.expect("audit marker");
        let all = self.plane.audit_of(&self.account.user()).expect("audit log");
        let writes = all.iter().filter(|event| {
            let key = (event.resource.as_str(), event.subresource.as_str(), event.code);
            key == ("groupattributeresets", "status", 200) && event.namespace == self.namespace
        });
        let mut stored: Vec<_> = writes
            .map(|event| Stored { at: event.received, object: event.response_object.clone() })
            .collect();
        stored.sort_by_key(|stored| version(&stored.object));
        stored
    }

    /// The reasons that a reset went through, in their order, each change once.
    pub async fn reasons_of(&self, name: &str) -> Vec<String> {
        let stored = self.stored().await;
        let mine = stored.iter().filter(|stored| stored.object["metadata"]["name"] == name);
        let mut reasons: Vec<String> =
            mine.map(|stored| super::reason_of(&stored.object, "Succeeded")).collect();
        reasons.dedup();
        reasons
    }

    /// Checks everything that must hold in every test.
    ///
    /// The last of the operators is the one that must still be running.
    pub async fn check(&self, operators: &[&OperatorProcess]) {
        if let Some(last) = operators.last() {
            assert_eq!(last.exit_status(), None, "the operator ended by itself: {}", last.logs());
        }
        let stored = self.stored().await;
        assert!(!stored.is_empty(), "the audit log shows no status of this test");
        for stored in &stored {
            check_status(&stored.object);
        }
        let mut before: HashMap<&str, &Value> = HashMap::new();
        for Stored { object, .. } in &stored {
            let uid = object["metadata"]["uid"].as_str().expect("a uid");
            if let Some(before) = before.insert(uid, object) {
                check_step(before, object);
            }
        }
        self.check_calls(&stored);
        self.check_secrets(&stored, operators).await;
    }

    /// Each clear arrived while the last committed status of a reset of its group was the intent for it.
    fn check_calls(&self, stored: &[Stored]) {
        let mut used: HashMap<String, Timestamp> = HashMap::new();
        for call in self.vendor.clears() {
            let group = call.group.as_deref().unwrap_or_default();
            let mut last: HashMap<&str, &Stored> = HashMap::new();
            for one in stored.iter().filter(|one| one.at <= call.arrived_at) {
                if one.object["spec"]["groupID"] == group {
                    last.insert(one.object["metadata"]["uid"].as_str().unwrap_or_default(), one);
                }
            }
            let intents =
                last.values().filter_map(|one| one.object["status"]["pendingAttempt"]["id"].as_str());
            let fresh = intents.map(str::to_owned).find(|id| !used.contains_key(id));
            let Some(id) = fresh else {
                panic!("a clear of {group} at {} without a committed intent of its own", call.arrived_at);
            };
            used.insert(id, call.arrived_at);
        }
    }

    /// Nothing secret in what the operator stored, logged, counted, told as events, or was started with.
    async fn check_secrets(&self, stored: &[Stored], operators: &[&OperatorProcess]) {
        let mut secrets: Vec<String> = vec![KEY.to_owned()];
        secrets.extend(
            self.vendor.journal().iter().filter_map(|entry| entry.parameter("usersig").map(str::to_owned)),
        );
        secrets.sort();
        secrets.dedup();
        let mut places: Vec<(String, String)> = vec![
            ("a status".to_owned(), stored.iter().map(|stored| stored.object.to_string()).collect()),
            ("an event".to_owned(), self.kubectl(&["get", "events", "-o", "json"]).await.stdout),
            ("an app".to_owned(), self.kubectl(&["get", "chatapps", "-o", "json"]).await.stdout),
        ];
        for operator in operators {
            places.push(("the log".to_owned(), operator.logs()));
            places.push(("the metrics".to_owned(), operator.metrics().await.unwrap_or_default()));
            places.push(("the command line".to_owned(), operator.command_line().unwrap_or_default()));
            assert!(!operator.logs().contains("panicked at"), "{}", operator.logs());
        }
        for (place, text) in &places {
            let hit = secrets.iter().find(|secret| text.contains(secret.as_str()));
            assert!(hit.is_none(), "a secret stands in {place}");
            assert!(!text.to_lowercase().contains("usersig="), "a signed URL stands in {place}");
        }
    }
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

/// The conditions of a reset by their types.
fn conditions(object: &Value) -> Map<String, Value> {
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    all.map(|condition| (condition["type"].as_str().unwrap_or_default().to_owned(), condition.clone()))
        .collect()
}

/// One status by itself: everything follows from the reason of `Succeeded`.
pub fn check_status(object: &Value) {
    let status = &object["status"];
    let all = conditions(object);
    let succeeded = &all["Succeeded"];
    let reason = succeeded["reason"].as_str().unwrap_or_default();
    let (expected, ready, finished, extra) = match reason {
        waiting if WAITING.contains(&waiting) => ("Unknown", "False", "False", Some("Reconciling")),
        good if SUCCEEDED.contains(&good) => ("True", "True", "True", None),
        bad if FAILED.contains(&bad) => ("False", "False", "True", Some("Stalled")),
        // What came of a replaced request is shown again when it is asked for again.
        "Superseded" => ("False", "False", "True", Some("Stalled")),
        other => panic!("the reason {other:?} stands in no contract: {status:#}"),
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
            "whole seconds of today: {since}"
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

/// One status after another: times move with their status only, and nothing goes back from the end.
fn check_step(before: &Value, after: &Value) {
    let (old, new) = (&before["status"], &after["status"]);
    for (type_, condition) in conditions(after) {
        let Some(earlier) = condition_of(before, &type_) else { continue };
        let kept = earlier["lastTransitionTime"] == condition["lastTransitionTime"];
        if earlier["status"] == condition["status"] {
            assert!(kept, "{type_}: the time moved and the status did not: {old:#} {new:#}");
        } else {
            let time =
                |condition: &Value| condition["lastTransitionTime"].as_str().unwrap_or_default().to_owned();
            assert!(time(earlier) <= time(&condition), "{type_}: {old:#} {new:#}");
        }
    }
    let was_final = condition_of(before, "Finished").is_some_and(|condition| condition["status"] == "True");
    if old["requestID"] == new["requestID"] && was_final {
        for field in
            ["attempts", "failures", "completionTime", "lastAttempt", "requestID", "history", "startTime"]
        {
            assert_eq!(old[field], new[field], "{field} changed after the end");
        }
        for (type_, condition) in conditions(after) {
            let earlier =
                condition_of(before, &type_).unwrap_or_else(|| panic!("{type_} came after the end"));
            assert_eq!(earlier["reason"], condition["reason"], "{old:#} {new:#}");
        }
    }
    if old["requestID"] == new["requestID"] {
        for field in ["attempts", "failures"] {
            assert!(old[field].as_i64() <= new[field].as_i64(), "{field} went back: {old:#} {new:#}");
        }
    }
}
