//! How a status is written: every condition follows from one reason.

use jiff::Timestamp;

use super::Now;
use crate::api::{
    AppKind, Condition, ConditionStatus, GroupAttributeReset, PastRequest, Reason, ResetStatus, set_condition,
};

/// What a suspended reset says.
pub const SUSPENDED: &str = "Suspended. Set spec.suspend to false to go on.";
/// Earlier requests that a status remembers.
const MAX_HISTORY: usize = 5;

/// The status as a starting point: what stands there, or for an object nobody has looked at yet, the start of its
/// first request. The clock of a first request that begins suspended starts when it is resumed.
#[must_use]
pub fn seen(reset: &GroupAttributeReset) -> ResetStatus {
    match &reset.status {
        Some(status) if status.is_written() => without_foreign_text(reset, status.clone()),
        unseen => ResetStatus {
            conditions: unseen.as_ref().map(|s| s.conditions.clone()).unwrap_or_default(),
            request_id: reset.spec.request_id.clone(),
            start_time: reset.metadata.creation_timestamp.as_ref().map(|time| time.0),
            ..ResetStatus::default()
        },
    }
}

/// The text about a `ClusterChatApp` is not the tenant's; what an older version wrote goes with the next write.
fn without_foreign_text(reset: &GroupAttributeReset, mut status: ResetStatus) -> ResetStatus {
    if let Some(last) =
        status.last_attempt.as_mut().filter(|_| reset.spec.app_ref.kind == AppKind::ClusterChatApp)
    {
        last.error_info = None;
    }
    status
}

/// Whether the spec asks for another request than the status is about.
#[must_use]
pub fn is_other_request(reset: &GroupAttributeReset, status: &ResetStatus) -> bool {
    reset.spec.request_id.is_some() && reset.spec.request_id != status.request_id
}

/// Writes all conditions from one reason.
pub fn set_reason(status: &mut ResetStatus, generation: i64, reason: Reason, message: &str, now: Now) {
    use ConditionStatus::{False, True, Unknown};
    let succeeded = reason.succeeded();
    let mut put = |type_: &str, value: ConditionStatus| {
        let condition = Condition {
            type_: type_.to_owned(),
            status: value,
            reason: reason.to_string(),
            message: message.to_owned(),
            last_transition_time: now.second(),
            observed_generation: Some(generation),
        };
        set_condition(&mut status.conditions, condition);
    };
    put("Succeeded", succeeded);
    put("Ready", if succeeded == True { True } else { False });
    put("Finished", if succeeded == Unknown { False } else { True });
    if succeeded == Unknown {
        put("Reconciling", True);
    }
    if succeeded == False {
        put("Stalled", True);
    }
    status.conditions.retain(|c| match c.type_.as_str() {
        "Reconciling" => succeeded == Unknown,
        "Stalled" => succeeded == False,
        _ => true,
    });
    status.observed_generation = generation;
    if reason.is_final() {
        status.completion_time = status.completion_time.or(Some(now.second()));
        status.next_attempt_time = None;
        status.pending_attempt = None;
    }
}

/// The message of the condition `Succeeded`.
#[must_use]
pub fn message(status: &ResetStatus) -> &str {
    status.condition("Succeeded").map_or("", |c| c.message.as_str())
}

/// The same state, said about the present generation.
#[must_use]
pub fn for_generation(status: &ResetStatus, generation: i64) -> ResetStatus {
    let mut next = status.clone();
    next.observed_generation = generation;
    for condition in &mut next.conditions {
        condition.observed_generation = Some(generation);
    }
    next
}

/// The status after the spec asked for another request: the present one, `old`, moves to the history. A request that
/// stands there already is not run again; what came of it is shown again.
#[must_use]
pub fn other_request(reset: &GroupAttributeReset, old: &ResetStatus, now: Now) -> ResetStatus {
    let generation = reset.metadata.generation.unwrap_or_default();
    let wanted = reset.spec.request_id.clone();
    let mut history = old.history.clone();
    let earlier =
        history.iter().position(|past| past.request_id == wanted).map(|position| history.remove(position));
    history.insert(0, past(old, now.second()));
    history.truncate(MAX_HISTORY);
    let mut next = ResetStatus {
        // As stored: what `old` went through on the way here was never seen by anybody.
        conditions: seen(reset).conditions,
        request_id: wanted,
        history,
        ..ResetStatus::default()
    };
    match earlier {
        None if reset.spec.suspend => {
            set_reason(&mut next, generation, Reason::Suspended, SUSPENDED, now);
        }
        None => {
            next.start_time = Some(now.second());
            set_reason(&mut next, generation, Reason::Pending, "Recorded; the first attempt follows.", now);
        }
        Some(PastRequest { request_id, reason, error_code, attempts, completion_time }) => {
            // One of a later version: it has ended, and nothing more is known of it here.
            let known = Reason::parse(&reason).filter(|reason| reason.is_final());
            next.attempts = attempts;
            next.completion_time = Some(completion_time);
            let code = error_code.map(|code| format!(", code {code}")).unwrap_or_default();
            let message = format!(
                "requestID {} ended before ({reason}{code}) and is not sent again. Set a new requestID for a new reset.",
                request_id.unwrap_or_default()
            );
            set_reason(&mut next, generation, known.unwrap_or(Reason::OutcomeUnknown), &message, now);
        }
    }
    next
}

/// Whether `after` shows again what came of an earlier request.
#[must_use]
pub fn is_replayed(before: &ResetStatus, after: &ResetStatus) -> bool {
    before.request_id != after.request_id
        && before.history.iter().any(|past| past.request_id == after.request_id)
}

fn past(status: &ResetStatus, now: Timestamp) -> PastRequest {
    let reason = status.reason();
    PastRequest {
        request_id: status.request_id.clone(),
        reason: if reason.is_final() { reason } else { Reason::Superseded }.to_string(),
        error_code: status.last_attempt.as_ref().and_then(|attempt| attempt.error_code),
        attempts: status.attempts,
        completion_time: status.completion_time.unwrap_or(now),
    }
}
