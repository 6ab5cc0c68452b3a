//! How a status is written: all conditions follow from one reason.

use jiff::Timestamp;

use super::Now;
use crate::api::{
    AppKind, Condition, ConditionStatus, GroupAttributeReset, PastRequest, Reason, ResetStatus, set_condition,
};

/// Message of a suspended reset.
pub const SUSPENDED: &str = "Suspended. Set spec.suspend to false to resume.";
/// How many earlier requests a status keeps.
const MAX_HISTORY: usize = 5;

/// The status to plan from: the stored one, or for a new object the start of its first request. If the first request
/// starts suspended, its clock starts when it is resumed.
#[must_use]
pub fn current(reset: &GroupAttributeReset) -> ResetStatus {
    match &reset.status {
        Some(status) if status.is_written() => without_foreign_text(reset, status.clone()),
        unwritten => ResetStatus {
            conditions: unwritten.as_ref().map(|s| s.conditions.clone()).unwrap_or_default(),
            request_id: reset.spec.request_id.clone(),
            start_time: reset.metadata.creation_timestamp.as_ref().map(|time| time.0),
            ..ResetStatus::default()
        },
    }
}

/// The vendor's text about a `ClusterChatApp` must not be shown to tenants. If an older version stored it, the next
/// write removes it.
fn without_foreign_text(reset: &GroupAttributeReset, mut status: ResetStatus) -> ResetStatus {
    if let Some(last) =
        status.last_attempt.as_mut().filter(|_| reset.spec.app_ref.kind == AppKind::ClusterChatApp)
    {
        (last.error_info, last.vendor_request_id) = (None, None);
    }
    status
}

/// Whether the spec requests something other than the request in the status.
#[must_use]
pub fn is_other_request(reset: &GroupAttributeReset, status: &ResetStatus) -> bool {
    reset.spec.request_id.is_some() && reset.spec.request_id != status.request_id
}

/// Sets all conditions from one reason.
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

/// The same status for the current generation.
#[must_use]
pub fn for_generation(status: &ResetStatus, generation: i64) -> ResetStatus {
    let mut next = status.clone();
    next.observed_generation = generation;
    for condition in &mut next.conditions {
        condition.observed_generation = Some(generation);
    }
    next
}

/// The status after the spec got another requestID: the current one, `old`, moves to the history. A request that is
/// already in the history is not sent again; its result is shown again.
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
        // From the stored status: the intermediate states in `old` were never visible to clients.
        conditions: current(reset).conditions,
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
            set_reason(
                &mut next,
                generation,
                Reason::Pending,
                "Request recorded; the first attempt follows.",
                now,
            );
        }
        Some(PastRequest { request_id, reason, error_code, attempts, completion_time }) => {
            // A reason from a later version: the request has ended, but this version cannot interpret it.
            let known = Reason::parse(&reason).filter(|reason| reason.is_final());
            next.attempts = attempts;
            next.completion_time = Some(completion_time);
            let code = error_code.map(|code| format!(", code {code}")).unwrap_or_default();
            let message = format!(
                "requestID {} already finished ({reason}{code}) and is not sent again. Set a new requestID for a new reset.",
                request_id.unwrap_or_default()
            );
            set_reason(&mut next, generation, known.unwrap_or(Reason::OutcomeUnknown), &message, now);
        }
    }
    next
}

/// Whether `after` shows the result of an earlier request again.
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
