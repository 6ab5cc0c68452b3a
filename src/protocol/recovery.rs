//! The next step for a reset with an unsettled attempt: read back its group, as soon as that is safe.

use std::time::Duration;

use jiff::Timestamp;

use super::deadlines::deadlines;
use super::send_check::ATTEMPT_TIMEOUT;
use super::step::{AppState, AppView, LocalState, Plan, Step, store, with_generation};
use super::{Now, outcome};
use crate::api::{GroupAttributeReset, GroupId, PendingAttempt, Reason, ResetStatus};
use crate::chat::AccountId;
use crate::limits::mono::Mono;

/// The vendor's backend may still work on a call for this long after its caller stopped waiting.
pub const SETTLE_TIME: Duration = Duration::from_secs(5);

/// Plans how to settle `pending`.
pub(super) fn recover_pending(
    reset: &GroupAttributeReset,
    status: &ResetStatus,
    pending: PendingAttempt,
    app: &AppView,
    local: &LocalState,
    now: Now,
) -> Plan {
    let ends = deadlines(reset, status).ok().and_then(|deadlines| deadlines.ends);
    // 1. Wait until no process can make the call any more: no call may follow the end of the request.
    let attempt_over = local.read_back_at.map(|at| at - SETTLE_TIME);
    if let Some(attempt_over) = attempt_over.filter(|attempt_over| *attempt_over > now.mono) {
        return Plan { step: Step::Wait(Some(attempt_over)), explain: waiting(reset, status, &pending, now) };
    }
    // 2. If the group cannot be read back, the request ends as OutcomeUnknown.
    let is_due = local.read_back_at.is_some_and(|at| at <= now.mono);
    if let Some(why) = unrecoverable(reset, ends, &pending, app, is_due, now) {
        return store(outcome::unrecoverable(reset, &pending, why, now));
    }
    // 3. Read the group back once the vendor's backend has settled and the app works.
    let explain = waiting(reset, status, &pending, now);
    let until_end = ends.map(|end| now.until(end));
    let wait = |moment: Option<Mono>| Step::Wait(moment.into_iter().chain(until_end).min());
    let step = match local.read_back_at {
        Some(at) if at > now.mono => wait(Some(at)),
        Some(_) if app.state == AppState::Working => Step::ReadBack(Box::new(pending)),
        _ => wait(None),
    };
    Plan { step, explain }
}

/// Why the attempt can never be settled, if that is certain.
fn unrecoverable(
    reset: &GroupAttributeReset,
    ends: Option<Timestamp>,
    pending: &PendingAttempt,
    app: &AppView,
    is_due: bool,
    now: Now,
) -> Option<&'static str> {
    let same_account =
        |account: &AccountId| account.sdk_app_id == pending.sdk_app_id && account.host == pending.host;
    if GroupId::parse(&reset.spec.group_id).is_err() {
        Some("its groupID is no longer valid")
    } else if ends.is_some_and(|end| end <= now.wall) {
        Some("its time ran out before the group could be read back")
    } else if app.account.as_ref().is_some_and(|account| !same_account(account)) {
        Some("the app now uses another account or host, so the group cannot be read back")
    } else if app.state == AppState::Missing && is_due {
        Some("its app no longer exists, so the group cannot be read back")
    } else {
        None
    }
}

/// The status to show while waiting, if it differs from the stored one.
fn waiting(
    reset: &GroupAttributeReset,
    status: &ResetStatus,
    pending: &PendingAttempt,
    now: Now,
) -> Option<Box<ResetStatus>> {
    if status.reason() == Reason::Verifying {
        with_generation(status, reset.metadata.generation.unwrap_or_default())
    } else {
        Some(Box::new(outcome::awaiting_settlement(reset, pending, now)))
    }
}

/// When the group of another process's attempt may be read back: the length of the attempt plus the settle time, from
/// when this process first saw it. Uses only this process's monotonic clock, so clock skew does not matter.
#[must_use]
pub fn read_back_of_foreign(pending: &PendingAttempt, first_sight: Mono) -> Mono {
    first_sight + attempt_length(pending) + SETTLE_TIME
}

/// How long an attempt may take, by its intent; at most twice the timeout of our own attempts.
#[must_use]
pub fn attempt_length(pending: &PendingAttempt) -> Duration {
    Duration::try_from(pending.deadline.duration_since(pending.start_time))
        .unwrap_or_default()
        .min(ATTEMPT_TIMEOUT * 2)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn an_attempt_of_another_process_is_read_back_when_nobody_can_be_at_work_on_it_any_more() {
        let second = |second| Timestamp::from_second(second).expect("a moment");
        let pending = |seconds: i64| PendingAttempt {
            id: "3f0e".to_owned(),
            number: 1,
            start_time: second(1000),
            deadline: second(1000 + seconds),
            holder: "operator-0".to_owned(),
            sdk_app_id: 1_400_000_000,
            host: "console.tim.qq.com".to_owned(),
        };
        let first_sight = Duration::from_secs(3);
        assert_eq!(
            read_back_of_foreign(&pending(10), Mono::START + first_sight),
            Mono::START + Duration::from_secs(3 + 10 + 5)
        );
        // The length is bounded, whatever the intent says.
        assert_eq!(
            read_back_of_foreign(&pending(3600), Mono::START + first_sight),
            Mono::START + (first_sight + 2 * ATTEMPT_TIMEOUT + SETTLE_TIME)
        );
        assert_eq!(
            read_back_of_foreign(&pending(-10), Mono::START + first_sight),
            Mono::START + (first_sight + SETTLE_TIME)
        );
    }
}
