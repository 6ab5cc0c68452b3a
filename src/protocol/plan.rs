//! The next step for one reset, from what its object says, what its app is able to, and what this process remembers.

use std::time::Duration;

use super::deadlines::{Deadlines, deadlines, expires_at, gitops_owner};
use super::recovery::recover_pending;
use super::status::{SUSPENDED, for_generation, is_other_request, message, other_request, seen, set_reason};
use super::{Now, messages};
use crate::api::{AppReason, AppRef, GroupAttributeReset, PendingAttempt, Reason, ResetStatus};
use crate::chat::AccountId;

/// Waiting for a limit is explained in the status after this long.
pub const EXPLAIN_LIMITS_AFTER: Duration = Duration::from_secs(10);
/// Waiting for the proof of an account is explained after this long.
const EXPLAIN_CHECKS_AFTER: Duration = Duration::from_secs(5);

/// What a reset sees of its app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppView {
    /// Whether it can be used.
    pub state: AppState,
    /// The account it names, whether it works or not.
    pub account: Option<AccountId>,
}

/// Whether an app can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppState {
    /// There is none of this name.
    Missing,
    /// The cluster's app is missing, closed to this namespace, or switched off.
    NotAllowed,
    /// Its stop switch is on.
    Suspended,
    /// It is being proved; soon it works or does not.
    Checking,
    /// It does not work.
    NotReady(AppReason, Option<i64>),
    /// It works.
    Working,
}

/// What this process remembers of a reset, in its own time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalState {
    /// When the group of the pending attempt may be read back.
    pub read_back_at: Option<Duration>,
    /// Until when `nextAttemptTime` holds it back.
    pub hold_until: Option<Duration>,
    /// Since when it could go but for the limits.
    pub eligible_since: Option<Duration>,
}

/// The next step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing before this moment of the process's own clock, unless something changes.
    Wait(Option<Duration>),
    /// Store this status.
    Record(Box<ResetStatus>),
    /// Make a call as soon as the limits allow.
    Send,
    /// Read the group of the pending attempt back.
    ReadBack(Box<PendingAttempt>),
    /// Delete the object; its time after the end is over.
    Delete,
}

/// A step, and what the status should say meanwhile if that is not what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What to do.
    pub step: Step,
    /// An explanation to store when there is time for it.
    pub explain: Option<Box<ResetStatus>>,
}

impl From<Step> for Plan {
    fn from(step: Step) -> Self {
        Self { step, explain: None }
    }
}

/// Plans the next step.
#[must_use]
pub fn plan(reset: &GroupAttributeReset, app: &AppView, local: &LocalState, now: Now) -> Plan {
    if reset.metadata.deletion_timestamp.is_some() {
        return Step::Wait(None).into();
    }
    let status = seen(reset);
    if let Some(pending) = status.pending_attempt.clone() {
        return recover_pending(reset, &status, pending, app, local, now);
    }
    if is_other_request(reset, &status) {
        return store(other_request(reset, &status, now));
    }
    if status.is_final() {
        return finished(reset, &status, now);
    }
    unfinished(reset, status, app, local, now)
}

pub(super) fn store(status: ResetStatus) -> Plan {
    Step::Record(Box::new(status)).into()
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
    let deadlines = match deadlines(reset, &status) {
        Ok(deadlines) => deadlines,
        Err(why) => return end(status, generation, Reason::InvalidRequest, &messages::capital(&why), now),
    };
    if let Some(last) = deadlines.not_after.filter(|last| *last <= now.wall) {
        return end(status, generation, Reason::Expired, &messages::expired(last), now);
    }
    if reset.spec.suspend {
        return suspended(reset, status, &deadlines, now);
    }
    if status.reason() == Reason::Suspended {
        status.start_time = Some(now.second());
        set_reason(&mut status, generation, Reason::Pending, "Resumed; its clock starts anew.", now);
        return store(status);
    }
    if deadlines.ends.is_some_and(|end| end <= now.wall) {
        let text = messages::deadline_exceeded(reset.spec.active_deadline_seconds, message(&status));
        return end(status, generation, Reason::DeadlineExceeded, &text, now);
    }
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

/// An account is proved within a moment as a rule; only a reset that waits longer says that it waits for that.
fn waiting_for_check(
    status: &ResetStatus,
    generation: i64,
    app: &AppRef,
    until_end: Option<Duration>,
    now: Now,
) -> Plan {
    let told = status.start_time.and_then(|start| start.checked_add(EXPLAIN_CHECKS_AFTER).ok());
    if let Some(moment) = told.filter(|moment| *moment > now.wall) {
        let moment = now.until(moment);
        let step = Step::Wait(Some(until_end.map_or(moment, |end| end.min(moment))));
        return Plan { step, explain: with_generation(status, generation) };
    }
    let text = messages::app_checking(app);
    let explain = explanation(status, generation, Reason::Pending, &text, now);
    Plan { step: Step::Wait(until_end), explain }
}

/// A reset that waits for its next attempt must not go on saying that it waits for its app.
fn held_explanation(status: &ResetStatus, generation: i64, now: Now) -> Option<Box<ResetStatus>> {
    match status.reason() {
        Reason::RetryScheduled | Reason::RateLimited => with_generation(status, generation),
        _ => {
            let text = "The app works; the next attempt follows at nextAttemptTime.";
            explanation(status, generation, Reason::RetryScheduled, text, now)
        }
    }
}

/// What the status should say, if it says something else.
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

/// The same words about the present spec, if the status speaks about an older one.
pub(super) fn with_generation(status: &ResetStatus, generation: i64) -> Option<Box<ResetStatus>> {
    (status.is_written() && status.observed_generation != generation)
        .then(|| Box::new(for_generation(status, generation)))
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
    let text = "Ready to go, and waiting for its turn under the limits of the account and the group.";
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
