//! What the messages say: the cause and the remedy, in one or two plain sentences.

use jiff::Timestamp;

use super::classify::CallResult;
use crate::api::{AppKind, AppReason, AppRef, Reason};
use crate::chat::codes::lookup;

/// A vendor code in plain words: "code 10010: The group does not exist. Check the id."
#[must_use]
pub fn vendor_code(number: i64) -> String {
    format!("code {number}: {}", explained(number))
}

fn explained(number: i64) -> String {
    let code = lookup(number);
    format!("{}. {}.", code.explanation.trim_end_matches('.'), code.remedy.trim_end_matches('.'))
}

/// What a verdict says about an attempt.
#[must_use]
pub fn result(result: &CallResult) -> String {
    match result.code {
        Some(number) => self::vendor_code(number),
        None => format!("{}.", result.fault.trim_end_matches('.')),
    }
}

/// The end by the vendor's word. The spec may be mended, but only another request makes the operator look again.
#[must_use]
pub fn rejected(result: &CallResult) -> String {
    format!("{} Then ask again with a new requestID, or with a new object.", capital(&self::result(result)))
}

/// The app does not exist.
#[must_use]
pub fn app_not_found(app: &AppRef) -> String {
    format!(
        "ChatApp {} does not exist in this namespace. Create it, or name another in a new GroupAttributeReset.",
        app.name
    )
}

/// The cluster's app is not for this namespace; a missing, a closed and a switched-off one read alike.
#[must_use]
pub fn app_not_allowed(app: &AppRef) -> String {
    format!(
        "ClusterChatApp {} does not exist or is not open to this namespace. Check the name, or ask the platform team.",
        app.name
    )
}

/// The account is being proved.
#[must_use]
pub fn app_checking(app: &AppRef) -> String {
    format!(
        "Waiting until {} {} is checked. Its Ready condition says what that waits for.",
        app.kind, app.name
    )
}

/// The app's stop switch is on.
#[must_use]
pub fn app_suspended(app: &AppRef) -> String {
    format!("ChatApp {} is suspended. Set its spec.suspend to false to go on.", app.name)
}

/// The app does not work. A tenant learns only reason and code of a `ClusterChatApp`.
#[must_use]
pub fn app_not_ready(app: &AppRef, reason: AppReason, number: Option<i64>) -> String {
    let name = &app.name;
    match (app.kind, number) {
        (AppKind::ChatApp, Some(number)) => format!(
            "ChatApp {name} is not ready ({reason}, code {number}): {} The reset goes on by itself once it is.",
            explained(number)
        ),
        (AppKind::ChatApp, None) => format!(
            "ChatApp {name} is not ready ({reason}). Its Ready condition says why: kubectl describe chatapp {name}"
        ),
        (AppKind::ClusterChatApp, number) => {
            let number = of_code(number);
            format!("ClusterChatApp {name} is not ready ({reason}{number}). Ask the platform team.")
        }
    }
}

/// The event about an app that stopped working. Events about a `ClusterChatApp` stand in the namespace `default`, where
/// tenants may read them, so they too name only reason and code.
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
            "Not ready ({reason}{}), so nothing is sent. Its Ready condition says why: kubectl describe clusterchatapp {name}",
            of_code(number)
        ),
    }
}

fn of_code(number: Option<i64>) -> String {
    number.map(|number| format!(", code {number}")).unwrap_or_default()
}

/// The end by deadline, with what it was waiting for; of that no more than leaves room for the remedy.
#[must_use]
pub fn deadline_exceeded(seconds: i64, waiting_for: &str) -> String {
    let last = &waiting_for[..waiting_for.floor_char_boundary(360)];
    format!(
        "Not cleared within activeDeadlineSeconds ({seconds} s). Last: {last} \
         Remove the cause and ask again with a new requestID or a new object."
    )
}

/// The end by `notAfter`.
#[must_use]
pub fn expired(not_after: Timestamp) -> String {
    format!(
        "notAfter ({not_after}) has passed, so nothing is sent. Ask again with a later notAfter and a new requestID."
    )
}

/// An end that somebody else had erased or changed in the status.
#[must_use]
pub fn end_restored(reason: Reason, number: Option<i64>) -> String {
    format!(
        "Ended before ({reason}{}). The status was changed by somebody else and has been written back; only the operator \
         may write it. Set a new requestID for a new reset.",
        of_code(number)
    )
}

/// What the event about a status says that somebody else has written.
pub const STATUS_RESTORED: &str = "The status was changed by somebody else and has been written back. Find out who may \
                                   write it; only the operator should.";

/// An unsettled attempt that can no longer be settled.
#[must_use]
pub fn outcome_unknown(why: &str) -> String {
    format!(
        "A call was perhaps executed and perhaps not: {why}. Look at the room, and ask again with a new requestID if it \
         must be cleared."
    )
}

/// A sentence begins with a capital letter.
#[must_use]
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
