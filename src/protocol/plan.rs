//! The next step for one reset, given its object, the state of its app, and what this process remembers.

use std::time::Duration;

use super::deadlines::{Deadlines, deadlines, ends_by_our_clock_alone, expires_at, gitops_owner};
use super::recovery::recover_pending;
use super::status::{
    SUSPENDED, current, for_generation, is_other_request, message, other_request, set_reason,
};
pub use super::step::{AppState, AppView, LocalState, Plan, Step};
use super::step::{store, with_generation};
use super::{Now, messages};
use crate::api::{AppRef, GroupAttributeReset, Reason, ResetStatus};
use crate::limits::mono::Mono;

/// After this long, the status explains that the reset waits for rate limits.
pub const EXPLAIN_LIMITS_AFTER: Duration = Duration::from_secs(10);
/// After this long, the status explains that the reset waits for the check of its app.
const EXPLAIN_CHECKS_AFTER: Duration = Duration::from_secs(5);

/// Plans the next step.
///
/// # Examples
///
/// ```
/// use groupattr::api::GroupAttributeReset;
/// use groupattr::limits::mono::Mono;
/// use groupattr::protocol::Now;
/// use groupattr::protocol::plan::{AppState, AppView, LocalState, Step, plan};
///
/// let spec = serde_json::from_value(serde_json::json!({ "groupID": "@TGS#room" }))?;
/// let reset = GroupAttributeReset::new("room", spec);
/// let now = Now { wall: jiff::Timestamp::now(), mono: Mono::START };
/// let step = |state| plan(&reset, &AppView { state, account: None }, &LocalState::default(), now).step;
/// assert_eq!(step(AppState::Working), Step::Send);
/// assert_eq!(step(AppState::Missing), Step::Wait(None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn plan(reset: &GroupAttributeReset, app: &AppView, local: &LocalState, now: Now) -> Plan {
    // 1. An object that is being deleted starts nothing.
    if reset.metadata.deletion_timestamp.is_some() {
        return Step::Wait(None).into();
    }
    let status = current(reset);
    // 2. An unsettled attempt is settled before anything else, even before another request.
    if let Some(pending) = status.pending_attempt.clone() {
        return recover_pending(reset, &status, pending, app, local, now);
    }
    // 3. A new requestID is recorded before anything is sent for it.
    if is_other_request(reset, &status) {
        return store(other_request(reset, &status, now));
    }
    // 4. A finished request only waits for its time to live.
    if status.is_final() {
        return finished(reset, &status, now);
    }
    // 5. Everything else may end, wait, or send.
    unfinished(reset, status, app, local, now)
}

fn end(mut status: ResetStatus, generation: i64, reason: Reason, message: &str, now: Now) -> Plan {
    set_reason(&mut status, generation, reason, message, now);
    store(status)
}

fn unfinished(
    reset: &GroupAttributeReset,
    mut status: ResetStatus,
    app: &AppView,
    local: &LocalState,
    now: Now,
) -> Plan {
    let generation = reset.metadata.generation.unwrap_or_default();
    // 1. A spec that is invalid, or whose notAfter has passed, ends the request even while it is suspended.
    let deadlines = match deadlines(reset, &status) {
        Ok(deadlines) => deadlines,
        Err(why) => return end(status, generation, Reason::InvalidRequest, &messages::capital(&why), now),
    };
    if let Some(last) = deadlines.not_after.filter(|last| *last <= now.wall) {
        let text = messages::with_clock_skew(messages::expired(last), local.clock_ahead);
        return end(status, generation, Reason::Expired, &text, now);
    }
    // 2. Suspending stops the clock of the deadline; resuming restarts it.
    if reset.spec.suspend {
        return suspended(reset, status, &deadlines, now);
    }
    if status.reason() == Reason::Suspended {
        status.start_time = Some(now.second());
        set_reason(
            &mut status,
            generation,
            Reason::Pending,
            "Resumed; activeDeadlineSeconds starts over.",
            now,
        );
        return store(status);
    }
    // 3. The deadline.
    if let Some(last) = deadlines.ends.filter(|last| *last <= now.wall) {
        if ends_by_our_clock_alone(&status, last, local.clock_ahead, now) {
            status.start_time = Some(now.second());
            let text =
                "activeDeadlineSeconds counts from the moment when the operator saw this reset.".to_owned();
            let text = messages::with_clock_skew(text, local.clock_ahead);
            set_reason(&mut status, generation, Reason::Pending, &text, now);
            return store(status);
        }
        let text = messages::deadline_exceeded(reset.spec.active_deadline_seconds, message(&status));
        let text = messages::with_clock_skew(text, local.clock_ahead);
        return end(status, generation, Reason::DeadlineExceeded, &text, now);
    }
    // 4. The app: wait until it works, then until the backoff is over, then send.
    let until_end = deadlines.ends.map(|end| now.until(end));
    let app_ref = &reset.spec.app_ref;
    let waiting = |reason, message: String| Plan {
        step: Step::Wait(until_end),
        explain: explanation(&status, generation, reason, &message, now),
    };
    match app.state {
        AppState::Missing => waiting(Reason::AppNotFound, messages::app_not_found(app_ref)),
        AppState::NotAllowed => waiting(Reason::AppNotAllowed, messages::app_not_allowed(app_ref)),
        AppState::Suspended => waiting(Reason::AppSuspended, messages::app_suspended(app_ref)),
        AppState::NotReady(reason, code) => {
            waiting(Reason::AppNotReady, messages::app_not_ready(app_ref, reason, code))
        }
        AppState::Checking => waiting_for_check(&status, generation, app_ref, until_end, now),
        AppState::Working => match local.hold_until.filter(|hold| *hold > now.mono) {
            Some(hold) => Plan {
                step: Step::Wait(Some(until_end.map_or(hold, |end| end.min(hold)))),
                explain: held_explanation(&status, generation, now),
            },
            None => Plan { step: Step::Send, explain: limits_explanation(&status, generation, local, now) },
        },
    }
}

fn suspended(reset: &GroupAttributeReset, mut status: ResetStatus, deadlines: &Deadlines, now: Now) -> Plan {
    let generation = reset.metadata.generation.unwrap_or_default();
    if status.reason() == Reason::Suspended
        && status.start_time.is_none()
        && status.observed_generation == generation
    {
        return Step::Wait(deadlines.not_after.map(|last| now.until(last))).into();
    }
    status.start_time = None;
    set_reason(&mut status, generation, Reason::Suspended, SUSPENDED, now);
    store(status)
}

/// Checking an app usually takes only a moment, so the status explains the wait only after `EXPLAIN_CHECKS_AFTER`.
fn waiting_for_check(
    status: &ResetStatus,
    generation: i64,
    app: &AppRef,
    until_end: Option<Mono>,
    now: Now,
) -> Plan {
    let explain_at = status.start_time.and_then(|start| start.checked_add(EXPLAIN_CHECKS_AFTER).ok());
    if let Some(moment) = explain_at.filter(|moment| *moment > now.wall) {
        let moment = now.until(moment);
        let step = Step::Wait(Some(until_end.map_or(moment, |end| end.min(moment))));
        return Plan { step, explain: with_generation(status, generation) };
    }
    let text = messages::app_checking(app);
    let explain = explanation(status, generation, Reason::Pending, &text, now);
    Plan { step: Step::Wait(until_end), explain }
}

/// While a reset waits for its next attempt, its status must not still say that it waits for its app.
fn held_explanation(status: &ResetStatus, generation: i64, now: Now) -> Option<Box<ResetStatus>> {
    match status.reason() {
        Reason::RetryScheduled | Reason::RateLimited => with_generation(status, generation),
        _ => {
            let text = "The app works. The next attempt starts at nextAttemptTime.";
            explanation(status, generation, Reason::RetryScheduled, text, now)
        }
    }
}

/// The status with this reason and message, if it does not have them already.
fn explanation(
    status: &ResetStatus,
    generation: i64,
    reason: Reason,
    text: &str,
    now: Now,
) -> Option<Box<ResetStatus>> {
    if status.is_written() && status.reason() == reason && message(status) == text {
        return with_generation(status, generation);
    }
    let mut next = status.clone();
    set_reason(&mut next, generation, reason, text, now);
    Some(Box::new(next))
}

fn limits_explanation(
    status: &ResetStatus,
    generation: i64,
    local: &LocalState,
    now: Now,
) -> Option<Box<ResetStatus>> {
    let since = local.eligible_since?;
    if now.mono < since + EXPLAIN_LIMITS_AFTER {
        return None;
    }
    if status.reason() == Reason::RateLimited {
        return with_generation(status, generation);
    }
    let text = "Ready to send; waiting for the rate limits of the account and the group.";
    explanation(status, generation, Reason::RateLimited, text, now)
}

fn finished(reset: &GroupAttributeReset, status: &ResetStatus, now: Now) -> Plan {
    let generation = reset.metadata.generation.unwrap_or_default();
    if status.observed_generation != generation {
        return store(for_generation(status, generation));
    }
    match expires_at(reset, status) {
        Some(end) if gitops_owner(reset).is_none() => {
            if end <= now.wall {
                Step::Delete.into()
            } else {
                Step::Wait(Some(now.until(end))).into()
            }
        }
        _ => Step::Wait(None).into(),
    }
}

#[cfg(test)]
mod tests;
