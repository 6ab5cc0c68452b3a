//! Which stored status is trusted. Only the leader writes statuses. A status that it did not write comes from somebody
//! who must not write it, or from a backup of the cluster. In that case the leader relies on its own record, so that
//! no client can make it lose an end or an attempt and send the call again.
//!
//! A process that has just taken over also trusts what its predecessor may still be writing.

use jiff::Timestamp;

use super::status::set_reason;
use super::{Now, messages};
use crate::api::{GroupAttributeReset, PastRequest, Reason, ResetStatus};

/// What is remembered of a finished reset: enough to recognize its end, and to restore it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownEnd {
    request_id: Option<String>,
    reason: Reason,
    error_code: Option<i64>,
    attempts: i32,
    completion_time: Option<Timestamp>,
    history: Vec<PastRequest>,
}

impl KnownEnd {
    /// The end recorded in a final status.
    #[must_use]
    pub fn of(status: &ResetStatus) -> Self {
        Self {
            request_id: status.request_id.clone(),
            reason: status.reason(),
            error_code: status.last_attempt.as_ref().and_then(|attempt| attempt.error_code),
            attempts: status.attempts,
            completion_time: status.completion_time,
            history: status.history.clone(),
        }
    }

    /// Whether `stored` records the same end, and nothing beyond it.
    #[must_use]
    pub fn matches(&self, stored: &ResetStatus) -> bool {
        stored.is_final() && stored.pending_attempt.is_none() && Self::of(stored) == *self
    }

    /// Whether `stored` is about a later request and has this end in its history.
    #[must_use]
    pub fn is_in_history_of(&self, stored: &ResetStatus) -> bool {
        stored.request_id != self.request_id
            && stored.history.iter().any(|past| {
                past.request_id == self.request_id
                    && past.reason == self.reason.as_str()
                    && Some(past.completion_time) == self.completion_time
            })
    }

    /// The status that restores this end after somebody changed it.
    #[must_use]
    pub fn status(&self, reset: &GroupAttributeReset, now: Now) -> ResetStatus {
        let mut next = ResetStatus {
            request_id: self.request_id.clone(),
            attempts: self.attempts,
            completion_time: self.completion_time,
            history: self.history.clone(),
            ..ResetStatus::default()
        };
        let generation = reset.metadata.generation.unwrap_or_default();
        set_reason(
            &mut next,
            generation,
            self.reason,
            &messages::end_restored(self.reason, self.error_code),
            now,
        );
        next
    }
}

/// For a process that took over recently: whether its predecessor may have written `stored` over `known`. `has_written`
/// is whether the process itself has written this status since it took over; `identity` is its own identity.
#[must_use]
pub(crate) fn predecessor_may_have_written(
    known: &ResetStatus,
    stored: &ResetStatus,
    has_written: bool,
    identity: &str,
) -> bool {
    if known.is_final() {
        let end = KnownEnd::of(known);
        return end.matches(stored) || end.is_in_history_of(stored);
    }
    !has_written || settles_attempt_of_another(known, stored, identity)
}

/// Whether `stored` records the outcome of an attempt of another process that is pending in `known`.
fn settles_attempt_of_another(known: &ResetStatus, stored: &ResetStatus, identity: &str) -> bool {
    let Some(pending) = known.pending_attempt.as_ref().filter(|pending| pending.holder != identity) else {
        return false;
    };
    let is_recorded = stored.last_attempt.as_ref().is_some_and(|last| last.id == pending.id);
    let is_replaced = stored.request_id != known.request_id
        && stored.history.first().is_some_and(|past| past.request_id == known.request_id);
    stored.pending_attempt.as_ref().is_none_or(|now| now.id != pending.id) && (is_recorded || is_replaced)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::mono::Mono;
    use crate::protocol::status::message;

    fn status(fields: serde_json::Value) -> ResetStatus {
        serde_json::from_value(fields).expect("a status")
    }

    fn ended(request: &str, reason: &str) -> ResetStatus {
        status(json!({
            "observedGeneration": 1, "requestID": request, "attempts": 1,
            "completionTime": "2026-11-01T10:00:00Z",
            "conditions": [{"type": "Succeeded", "status": "True", "reason": reason, "message": "",
                "lastTransitionTime": "2026-11-01T10:00:00Z"}],
            "lastAttempt": {"id": "a", "number": 1, "startTime": "2026-11-01T09:59:59Z", "outcome": "Succeeded",
                "errorCode": 0, "sdkAppID": 7, "host": "chat:443"},
        }))
    }

    fn pending(holder: &str) -> ResetStatus {
        status(json!({"observedGeneration": 1, "pendingAttempt": {"id": "a", "number": 1,
            "startTime": "2026-11-01T09:59:59Z", "deadline": "2026-11-01T10:00:09Z", "holder": holder,
            "sdkAppID": 7, "host": "chat:443"}}))
    }

    #[test]
    fn an_end_is_known_again_and_an_erased_or_another_one_is_not() {
        let end = KnownEnd::of(&ended("one", "Cleared"));
        assert!(end.matches(&ended("one", "Cleared")));
        let mut relabelled = ended("one", "Cleared");
        relabelled.observed_generation = 7;
        assert!(end.matches(&relabelled), "an edit of the spec changes the generation");
        for other in [
            ResetStatus::default(),
            ended("two", "Cleared"),
            ended("one", "GroupGone"),
            ResetStatus { attempts: 0, ..ended("one", "Cleared") },
            ResetStatus { completion_time: None, ..ended("one", "Cleared") },
            ResetStatus { pending_attempt: pending("me").pending_attempt, ..ended("one", "Cleared") },
            ResetStatus { history: vec![past("zero")], ..ended("one", "Cleared") },
        ] {
            assert!(!end.matches(&other), "{other:?}");
        }
    }

    fn past(request: &str) -> PastRequest {
        PastRequest {
            request_id: Some(request.to_owned()),
            reason: Reason::Cleared.to_string(),
            error_code: Some(0),
            attempts: 1,
            completion_time: "2026-11-01T10:00:00Z".parse().expect("a moment"),
        }
    }

    #[test]
    fn what_is_written_back_tells_the_same_end_and_what_happened() {
        let reset = json!({"metadata": {"name": "room", "generation": 3}, "spec": {"groupID": "@TGS#room"}});
        let reset = serde_json::from_value(reset).expect("a reset");
        let known = ResetStatus { history: vec![past("zero")], ..ended("one", "Cleared") };
        let now = Now { wall: Timestamp::UNIX_EPOCH, mono: Mono::START };
        let restored = KnownEnd::of(&known).status(&reset, now);
        assert!(restored.is_final() && restored.reason() == Reason::Cleared);
        assert_eq!(restored.request_id, known.request_id);
        assert_eq!((restored.attempts, restored.completion_time), (1, known.completion_time));
        assert_eq!((restored.observed_generation, restored.history.len()), (3, 1));
        assert!(message(&restored).contains("somebody else"), "{}", message(&restored));
    }

    #[test]
    fn a_predecessor_records_its_own_attempts_and_takes_no_end_back() {
        let settled = ended("one", "Cleared");
        let may = |known: &ResetStatus, stored: &ResetStatus, has_written| {
            predecessor_may_have_written(known, stored, has_written, "me")
        };
        assert!(may(&pending("before"), &settled, true), "its attempt was in flight when it lost the lease");
        assert!(!may(&pending("me"), &settled, true), "no other process knows the outcome of our attempt");
        assert!(!may(&pending("before"), &ResetStatus::default(), true), "erased");
        assert!(may(&ResetStatus::default(), &pending("before"), false), "an intent that was being written");
        assert!(!may(&ResetStatus::default(), &pending("before"), true));
        for has_written in [false, true] {
            assert!(!may(&settled, &ResetStatus::default(), has_written), "erased");
            assert!(may(&settled, &settled, has_written));
            let next = ResetStatus {
                request_id: Some("two".to_owned()),
                history: vec![past("one")],
                ..pending("before")
            };
            assert!(may(&settled, &next, has_written), "a later request");
        }
    }
}
