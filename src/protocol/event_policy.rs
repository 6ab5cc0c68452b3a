//! Which status changes are worth an event. A clean success emits none, so that a reset costs two writes, not three.

use super::status::{is_replayed, message};
use crate::api::{Reason, ResetStatus};

/// The content of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventText {
    /// The CamelCase reason.
    pub reason: &'static str,
    /// Whether the type is Warning rather than Normal.
    pub warning: bool,
    /// A sentence without counters, so that repeated events form one series.
    pub note: String,
}

/// The event for the status change from `before` to `after`, if any.
#[must_use]
pub fn event_for(before: &ResetStatus, after: &ResetStatus) -> Option<EventText> {
    let has_changed = before.reason() != after.reason() || before.request_id != after.request_id;
    let event = |reason, warning, note: &str| Some(EventText { reason, warning, note: note.to_owned() });
    match after.reason() {
        _ if !has_changed || is_replayed(before, after) => None,
        Reason::RetryScheduled if after.failures == 1 => event("RetryScheduled", true, message(after)),
        Reason::OutcomeUnknown => event("OutcomeUnknown", true, message(after)),
        Reason::Cleared | Reason::VerifiedEmpty | Reason::GroupGone if after.attempts > 1 => {
            event("Cleared", false, "Cleared after more than one attempt.")
        }
        reason if reason.is_final() && reason.succeeded() == crate::api::ConditionStatus::False => {
            event("Failed", true, message(after))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::mono::Mono;
    use crate::protocol::{Now, status::set_reason};

    fn at(reason: Reason, attempts: i32, failures: i32) -> ResetStatus {
        let mut status = ResetStatus { attempts, failures, ..ResetStatus::default() };
        let now = Now { wall: jiff::Timestamp::UNIX_EPOCH, mono: Mono::START };
        set_reason(&mut status, 1, reason, "why", now);
        status
    }

    fn reason_of(before: Reason, after: &ResetStatus) -> Option<&'static str> {
        event_for(&at(before, 0, 0), after).map(|event| event.reason)
    }

    #[test]
    fn a_clean_success_is_silent() {
        assert_eq!(reason_of(Reason::Sending, &at(Reason::Cleared, 1, 0)), None);
        assert_eq!(reason_of(Reason::Sending, &at(Reason::Cleared, 2, 1)), Some("Cleared"));
    }

    #[test]
    fn the_first_retry_and_each_bad_end_are_told_once() {
        assert_eq!(reason_of(Reason::Sending, &at(Reason::RetryScheduled, 1, 1)), Some("RetryScheduled"));
        assert_eq!(reason_of(Reason::Sending, &at(Reason::RetryScheduled, 2, 2)), None);
        assert_eq!(reason_of(Reason::Sending, &at(Reason::GroupNotFound, 1, 0)), Some("Failed"));
        assert_eq!(reason_of(Reason::GroupNotFound, &at(Reason::GroupNotFound, 1, 0)), None);
        assert_eq!(reason_of(Reason::Verifying, &at(Reason::OutcomeUnknown, 1, 0)), Some("OutcomeUnknown"));
    }
}
