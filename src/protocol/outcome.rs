//! The status at each stage of an attempt: with its intent, after its answer, and after the group was read back.

use std::time::Duration;

use jiff::Timestamp;

use super::circuit_breaker::app_reason;
use super::classify::{CallResult, Delivery, NotSentCause};
use super::{Now, backoff, messages, status};
use crate::api::{
    AppKind, Attempt, GroupAttributeReset, OnGroupNotFound, OnUnknownOutcome, Outcome, PendingAttempt,
    Reason, ResetStatus,
};
use crate::chat::Class;

/// What is needed to write an outcome, besides the result of the call.
#[derive(Clone, Copy, Debug)]
pub struct WriteContext {
    /// The time of the write.
    pub now: Now,
    /// Uniform in 0..1, for the backoff's jitter.
    pub jitter: f64,
    /// How long the vendor's rate limits delay the next attempt.
    pub throttle: Duration,
}

/// The status that stores the intent of one call.
#[must_use]
pub fn intent(reset: &GroupAttributeReset, attempt: PendingAttempt, now: Now) -> ResetStatus {
    let mut next = status::current(reset);
    let generation = reset.metadata.generation.unwrap_or_default();
    next.start_time = next.start_time.or(Some(now.second()));
    next.next_attempt_time = None;
    let message = format!("Attempt {} is in progress.", attempt.number);
    next.pending_attempt = Some(attempt);
    status::set_reason(&mut next, generation, Reason::Sending, &message, now);
    next
}

/// The status after the pending attempt ended with `result`. After an unknown outcome the attempt stays pending, so
/// that it cannot be forgotten. If the spec has another requestID by now, the same write starts that request.
#[must_use]
pub fn after_attempt(
    reset: &GroupAttributeReset,
    pending: &PendingAttempt,
    result: &CallResult,
    at: WriteContext,
) -> ResetStatus {
    let mut next = status::current(reset);
    let generation = reset.metadata.generation.unwrap_or_default();
    next.last_attempt = Some(recorded(reset, pending, result, at.now));
    next.attempts = match result.delivery {
        Delivery::Sent(_) => next.attempts.max(pending.number),
        // Another process may have counted it meanwhile, not knowing that it was never sent.
        Delivery::NotSent(_) => next.attempts.min(pending.number.saturating_sub(1)),
    };
    if result.delivery == Delivery::Sent(Class::Unknown) {
        let message = verifying(&result.cause());
        status::set_reason(&mut next, generation, Reason::Verifying, &message, at.now);
        return next;
    }
    next.pending_attempt = None;
    apply_result(&mut next, reset, result, at);
    begin_other_request(reset, next, at.now)
}

fn apply_result(next: &mut ResetStatus, reset: &GroupAttributeReset, result: &CallResult, at: WriteContext) {
    let generation = reset.metadata.generation.unwrap_or_default();
    let cause = messages::result(result);
    let (reason, message) = match result.delivery {
        Delivery::Sent(Class::Success) => {
            (Reason::Cleared, "All attributes of the group were cleared.".to_owned())
        }
        Delivery::Sent(Class::GroupNotFound) => group_missing(reset, result),
        Delivery::Sent(Class::NotSupported) => (Reason::GroupTypeNotSupported, messages::rejected(result)),
        Delivery::Sent(Class::Invalid) => (Reason::InvalidRequest, messages::rejected(result)),
        Delivery::Sent(Class::ThrottledGroup | Class::ThrottledAccount) => {
            next.next_attempt_time = Some(backoff::next_attempt_time(at.now, at.throttle));
            (
                Reason::RateLimited,
                format!("The vendor throttles calls: {cause} It will be retried automatically."),
            )
        }
        Delivery::Sent(Class::SignatureExpired) => (
            Reason::RetryScheduled,
            "The vendor rejected the signature as expired. The call will be retried at once with a new signature."
                .to_owned(),
        ),
        // Identical to the message written while the circuit is open, to avoid a second write.
        Delivery::Sent(Class::Account(failure)) => {
            let text = messages::app_not_ready(&reset.spec.app_ref, app_reason(failure), result.code);
            (Reason::AppNotReady, text)
        }
        Delivery::NotSent(NotSentCause::Network(_)) => {
            return failed(next, reset, &format!("Nothing was sent: {cause}"), at);
        }
        Delivery::NotSent(NotSentCause::Deleted) => (Reason::Pending, format!("Nothing was sent: {cause}")),
        Delivery::NotSent(NotSentCause::TooLate(_) | NotSentCause::IntentLost) => {
            (Reason::Pending, format!("Nothing was sent: {cause} It will be retried automatically."))
        }
        Delivery::Sent(Class::Unknown) => return, // Handled by the caller: the attempt stays pending.
    };
    status::set_reason(next, generation, reason, &message, at.now);
}

/// Counts a failure, then schedules another attempt after the backoff, or ends the request.
fn failed(next: &mut ResetStatus, reset: &GroupAttributeReset, why: &str, at: WriteContext) {
    let generation = reset.metadata.generation.unwrap_or_default();
    next.failures = next.failures.saturating_add(1);
    if next.failures > reset.spec.backoff_limit {
        let message = format!(
            "{} attempts failed, more than backoffLimit ({}). Last: {why} Fix the cause and set a new requestID.",
            next.failures, reset.spec.backoff_limit
        );
        status::set_reason(next, generation, Reason::BackoffLimitExceeded, &message, at.now);
        return;
    }
    next.next_attempt_time =
        Some(backoff::next_attempt_time(at.now, backoff::wait(next.failures, at.jitter)));
    status::set_reason(
        next,
        generation,
        Reason::RetryScheduled,
        &format!("{why} It will be retried automatically."),
        at.now,
    );
}

fn group_missing(reset: &GroupAttributeReset, result: &CallResult) -> (Reason, String) {
    match reset.spec.on_group_not_found {
        OnGroupNotFound::Fail => (Reason::GroupNotFound, messages::rejected(result)),
        OnGroupNotFound::Succeed => (Reason::GroupGone, "The group no longer exists.".to_owned()),
    }
}

fn recorded(reset: &GroupAttributeReset, pending: &PendingAttempt, result: &CallResult, now: Now) -> Attempt {
    // What the vendor says about the platform's account must not be shown to tenants.
    let hide_text = reset.spec.app_ref.kind == AppKind::ClusterChatApp;
    Attempt {
        id: pending.id.clone(),
        number: pending.number,
        // A year BCE in a stored status parses here, but the API server would reject it.
        start_time: pending.start_time.max(Timestamp::UNIX_EPOCH),
        completion_time: Some(now.microsecond()),
        outcome: match result.delivery {
            Delivery::Sent(Class::Success) => Outcome::Succeeded,
            Delivery::Sent(Class::Unknown) => Outcome::Unknown,
            Delivery::Sent(_) => Outcome::Rejected,
            Delivery::NotSent(_) => Outcome::NotSent,
        },
        http_status: result.http_status.map(i32::from),
        error_code: result.code,
        error_info: Some(result.error_info.clone()).filter(|text| !text.is_empty() && !hide_text),
        vendor_request_id: result.vendor_request_id.clone().filter(|_| !hide_text),
        sdk_app_id: pending.sdk_app_id,
        host: pending.host.clone(),
    }
}

/// The message of the condition while a group waits to be read back.
fn verifying(cause: &str) -> String {
    format!("The outcome of the call is unknown ({cause}). The group will be read back to determine it.")
}

/// The stored status as the basis for settling `pending`. An attempt of another process counts as sent, because it may
/// have been.
fn count_as_sent(reset: &GroupAttributeReset, pending: &PendingAttempt, now: Now) -> ResetStatus {
    let mut next = status::current(reset);
    next.attempts = next.attempts.max(pending.number);
    if next.last_attempt.as_ref().is_none_or(|last| last.id != pending.id) {
        let attempt = recorded(reset, pending, &CallResult::outcome_unknown(), now);
        next.last_attempt = Some(Attempt { completion_time: None, ..attempt });
    }
    next
}

/// The status of a reset while its pending attempt waits to be settled.
#[must_use]
pub fn awaiting_settlement(reset: &GroupAttributeReset, pending: &PendingAttempt, now: Now) -> ResetStatus {
    let mut next = count_as_sent(reset, pending, now);
    let generation = reset.metadata.generation.unwrap_or_default();
    status::set_reason(
        &mut next,
        generation,
        Reason::Verifying,
        &verifying(&CallResult::outcome_unknown().fault),
        now,
    );
    next
}

/// The status after the group of an unsettled attempt was read back. `None` if the answer does not settle it.
#[must_use]
pub fn after_read_back(
    reset: &GroupAttributeReset,
    pending: &PendingAttempt,
    read: &CallResult,
    at: WriteContext,
) -> Option<ResetStatus> {
    let mut next = count_as_sent(reset, pending, at.now);
    let generation = reset.metadata.generation.unwrap_or_default();
    let end = |next: &mut ResetStatus, reason, message: &str| {
        status::set_reason(next, generation, reason, message, at.now);
    };
    match read.delivery {
        Delivery::Sent(Class::Success) if read.attributes == 0 => {
            end(
                &mut next,
                Reason::VerifiedEmpty,
                "The outcome of the call is unknown, but the read-back found the group empty.",
            );
        }
        Delivery::Sent(Class::Success) => {
            let found = format!(
                "The outcome of a call is unknown, and the read-back found that the group still has {} attributes",
                read.attributes
            );
            next.pending_attempt = None;
            match reset.spec.on_unknown_outcome {
                OnUnknownOutcome::Retry => failed(&mut next, reset, &format!("{found}."), at),
                OnUnknownOutcome::Stop => {
                    end(
                        &mut next,
                        Reason::OutcomeUnknown,
                        &messages::outcome_unknown(&format!("{found}, set before or after the call")),
                    );
                }
            }
        }
        Delivery::Sent(Class::GroupNotFound) => {
            let (reason, message) = group_missing(reset, read);
            end(&mut next, reason, &message);
        }
        // Such a group has no attributes, so neither this clear nor a retry can have an effect.
        Delivery::Sent(Class::NotSupported) => {
            end(&mut next, Reason::GroupTypeNotSupported, &messages::rejected(read));
        }
        Delivery::Sent(Class::Invalid) => end(&mut next, Reason::InvalidRequest, &messages::rejected(read)),
        _ => return None,
    }
    Some(begin_other_request(reset, next, at.now))
}

/// The final status of a reset whose pending attempt can no longer be settled.
#[must_use]
pub fn unrecoverable(
    reset: &GroupAttributeReset,
    pending: &PendingAttempt,
    why: &str,
    now: Now,
) -> ResetStatus {
    let mut next = count_as_sent(reset, pending, now);
    let generation = reset.metadata.generation.unwrap_or_default();
    status::set_reason(&mut next, generation, Reason::OutcomeUnknown, &messages::outcome_unknown(why), now);
    begin_other_request(reset, next, now)
}

fn begin_other_request(reset: &GroupAttributeReset, settled: ResetStatus, now: Now) -> ResetStatus {
    if status::is_other_request(reset, &settled) {
        return status::other_request(reset, &settled, now);
    }
    settled
}
