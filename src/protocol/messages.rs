//! Texts of status messages and events: the cause and the remedy, in one or two plain sentences.

use jiff::{SignedDuration, Timestamp};

use super::classify::CallResult;
use crate::api::{AppKind, AppReason, AppRef, Reason};
use crate::chat::codes::lookup;

/// Clocks that differ by less are as right as a cluster needs.
const NOTABLE_SKEW: SignedDuration = SignedDuration::from_secs(5);

/// A vendor code with its explanation and remedy: "code 10010: The group does not exist. Check the id."
#[must_use]
pub fn vendor_code(number: i64) -> String {
    format!("code {number}: {}", explained(number))
}

fn explained(number: i64) -> String {
    let code = lookup(number);
    format!("{}. {}.", code.explanation.trim_end_matches('.'), code.remedy.trim_end_matches('.'))
}

/// Describes the result of a call.
#[must_use]
pub fn result(result: &CallResult) -> String {
    match result.code {
        Some(number) => self::vendor_code(number),
        None => format!("{}.", result.fault.trim_end_matches('.')),
    }
}

/// The vendor rejected the request for good. Fixing the spec is not enough: only a new request is sent again.
#[must_use]
pub fn rejected(result: &CallResult) -> String {
    format!("{} Then set a new requestID, or create a new object.", capital(&self::result(result)))
}

/// The app does not exist.
#[must_use]
pub fn app_not_found(app: &AppRef) -> String {
    format!(
        "ChatApp {} does not exist in this namespace. Create it, or create a new GroupAttributeReset that refers to another app.",
        app.name
    )
}

/// The `ClusterChatApp` cannot be used from this namespace. Missing, not open and suspended read the same, so that a
/// tenant cannot tell them apart.
#[must_use]
pub fn app_not_allowed(app: &AppRef) -> String {
    format!(
        "ClusterChatApp {} does not exist or is not open to this namespace. Check the name, or ask the platform team.",
        app.name
    )
}

/// The account has not been verified yet.
#[must_use]
pub fn app_checking(app: &AppRef) -> String {
    format!(
        "Waiting for the check of {} {}. See its Ready condition for what the check is waiting for.",
        app.kind, app.name
    )
}

/// The app is suspended.
#[must_use]
pub fn app_suspended(app: &AppRef) -> String {
    format!("ChatApp {} is suspended. Set its spec.suspend to false to resume.", app.name)
}

/// The app does not work. For a `ClusterChatApp` the tenant gets only the reason and the code.
#[must_use]
pub fn app_not_ready(app: &AppRef, reason: AppReason, number: Option<i64>) -> String {
    let name = &app.name;
    match (app.kind, number) {
        (AppKind::ChatApp, Some(number)) => format!(
            "ChatApp {name} is not ready ({reason}, code {number}): {} The reset continues automatically once it is.",
            explained(number)
        ),
        (AppKind::ChatApp, None) => format!(
            "ChatApp {name} is not ready ({reason}). See its Ready condition: kubectl describe chatapp {name}"
        ),
        (AppKind::ClusterChatApp, number) => {
            let number = of_code(number);
            format!("ClusterChatApp {name} is not ready ({reason}{number}). Ask the platform team.")
        }
    }
}

/// The event about an app that stopped working. Events about a `ClusterChatApp` are in the namespace `default`, where
/// tenants may be able to read them, so they contain only the reason and the code.
#[must_use]
pub fn circuit_opened(
    kind: AppKind,
    name: &str,
    reason: AppReason,
    number: Option<i64>,
    text: &str,
) -> String {
    match kind {
        AppKind::ChatApp => text.to_owned(),
        AppKind::ClusterChatApp => format!(
            "Not ready ({reason}{}), so nothing is sent. See its Ready condition: kubectl describe clusterchatapp {name}",
            of_code(number)
        ),
    }
}

fn of_code(number: Option<i64>) -> String {
    number.map(|number| format!(", code {number}")).unwrap_or_default()
}

/// `activeDeadlineSeconds` has passed. Quotes at most 360 bytes of the message about what the reset was waiting for, to
/// leave room for the remedy.
#[must_use]
pub fn deadline_exceeded(seconds: i64, waiting_for: &str) -> String {
    let last = &waiting_for[..waiting_for.floor_char_boundary(360)];
    format!(
        "Not cleared within activeDeadlineSeconds ({seconds} s). Last: {last} \
         Fix the cause, then set a new requestID or create a new object."
    )
}

/// `notAfter` has passed.
#[must_use]
pub fn expired(not_after: Timestamp) -> String {
    format!(
        "notAfter ({not_after}) has passed, so nothing is sent. Set a later notAfter and a new requestID to try again."
    )
}

/// Names a clock that is more than five seconds `ahead` of the API server's, or behind it.
#[must_use]
pub fn clock_skew(ahead: SignedDuration) -> Option<String> {
    let seconds = ahead.abs().as_secs();
    let side = if ahead.is_negative() { "behind" } else { "ahead of" };
    (ahead.abs() > NOTABLE_SKEW)
        .then(|| format!("The operator's clock is {seconds} s {side} the API server's."))
}

/// The text about a moment, and what is wrong with the clock that it was judged by.
#[must_use]
pub fn with_clock_skew(text: String, ahead: SignedDuration) -> String {
    match clock_skew(ahead) {
        Some(skew) => format!("{text} {skew}"),
        None => text,
    }
}

/// Restores the end of a request that somebody else erased from the status or changed.
#[must_use]
pub fn end_restored(reason: Reason, number: Option<i64>) -> String {
    format!(
        "Already finished ({reason}{}). The status was changed by somebody else and has been restored; only the operator \
         may write it. Set a new requestID for a new reset.",
        of_code(number)
    )
}

/// Note of the event about a status that somebody else wrote.
pub const STATUS_RESTORED: &str = "The status was changed by somebody else and has been restored. Check who may write \
                                   it; only the operator should.";

/// The outcome of an attempt can no longer be determined.
#[must_use]
pub fn outcome_unknown(why: &str) -> String {
    format!(
        "A call may or may not have been executed: {why}. Check the group, and set a new requestID if it still has to be \
         cleared."
    )
}

/// Capitalizes the first letter.
#[must_use]
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
