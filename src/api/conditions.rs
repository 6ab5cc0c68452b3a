use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::required_date_time;
use crate::text::visible;

/// One aspect of the state of an object, in the format of `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type of the condition: `Succeeded`, `Ready`, `Finished`, `Reconciling` or `Stalled`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub type_: String,
    /// Whether the condition holds.
    pub status: ConditionStatus,
    /// Machine-readable reason, in CamelCase.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9]*$"))]
    pub reason: String,
    /// Cause and remedy, in one or two sentences.
    #[schemars(length(max = 512))]
    pub message: String,
    /// When `status` last changed, in whole seconds.
    #[schemars(schema_with = "required_date_time")]
    pub last_transition_time: Timestamp,
    /// The generation of the spec that this condition refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// The three values of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// Not known yet.
    Unknown,
}

/// The state of a reset. The reason determines the status of every condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Reason {
    /// Not started yet.
    Pending,
    /// The referenced `ChatApp` does not exist.
    AppNotFound,
    /// The referenced `ClusterChatApp` is missing, not open to this namespace, or suspended.
    AppNotAllowed,
    /// The account does not work at the moment.
    AppNotReady,
    /// The account's stop switch is on.
    AppSuspended,
    /// The intent is stored and the call is in flight.
    Sending,
    /// Waiting because of one of the vendor's rate limits.
    RateLimited,
    /// An attempt failed and will be retried.
    RetryScheduled,
    /// The outcome of a call is unknown; the group is read back.
    Verifying,
    /// `spec.suspend` is true.
    Suspended,
    /// The vendor confirmed the clear.
    Cleared,
    /// The outcome of the call is unknown, and the read-back found the group empty.
    VerifiedEmpty,
    /// The group does not exist and `onGroupNotFound` is `Succeed`.
    GroupGone,
    /// The request itself is invalid.
    InvalidRequest,
    /// The group does not exist.
    GroupNotFound,
    /// This account cannot clear attributes of groups of this type.
    GroupTypeNotSupported,
    /// Too many failed attempts.
    BackoffLimitExceeded,
    /// `activeDeadlineSeconds` has passed.
    DeadlineExceeded,
    /// `notAfter` has passed.
    Expired,
    /// A call may or may not have cleared the group, and this can no longer be determined.
    OutcomeUnknown,
    /// Another `requestID` replaced this one before it ended.
    Superseded,
}

impl Reason {
    /// Status of the condition `Succeeded` for this reason.
    #[must_use]
    pub fn succeeded(self) -> ConditionStatus {
        match self {
            Self::Pending
            | Self::AppNotFound
            | Self::AppNotAllowed
            | Self::AppNotReady
            | Self::AppSuspended
            | Self::Sending
            | Self::RateLimited
            | Self::RetryScheduled
            | Self::Verifying
            | Self::Suspended => ConditionStatus::Unknown,
            Self::Cleared | Self::VerifiedEmpty | Self::GroupGone => ConditionStatus::True,
            Self::InvalidRequest
            | Self::GroupNotFound
            | Self::GroupTypeNotSupported
            | Self::BackoffLimitExceeded
            | Self::DeadlineExceeded
            | Self::Expired
            | Self::OutcomeUnknown
            | Self::Superseded => ConditionStatus::False,
        }
    }

    /// The reason as written in conditions and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::AppNotFound => "AppNotFound",
            Self::AppNotAllowed => "AppNotAllowed",
            Self::AppNotReady => "AppNotReady",
            Self::AppSuspended => "AppSuspended",
            Self::Sending => "Sending",
            Self::RateLimited => "RateLimited",
            Self::RetryScheduled => "RetryScheduled",
            Self::Verifying => "Verifying",
            Self::Suspended => "Suspended",
            Self::Cleared => "Cleared",
            Self::VerifiedEmpty => "VerifiedEmpty",
            Self::GroupGone => "GroupGone",
            Self::InvalidRequest => "InvalidRequest",
            Self::GroupNotFound => "GroupNotFound",
            Self::GroupTypeNotSupported => "GroupTypeNotSupported",
            Self::BackoffLimitExceeded => "BackoffLimitExceeded",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Expired => "Expired",
            Self::OutcomeUnknown => "OutcomeUnknown",
            Self::Superseded => "Superseded",
        }
    }

    /// Whether a reset with this reason is finished.
    #[must_use]
    pub fn is_final(self) -> bool {
        self.succeeded() != ConditionStatus::Unknown
    }

    /// Parses the reason of a condition; `None` if this version does not know it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the condition `Ready` of a `ChatApp` or `ClusterChatApp` is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AppReason {
    /// Not verified yet.
    Pending,
    /// The vendor accepted a signed read.
    Verified,
    /// The Secret does not exist, or the operator may not read it.
    SecretNotFound,
    /// The Secret has no such entry.
    SecretKeyMissing,
    /// The Secret's entry is not a valid key.
    SecretKeyInvalid,
    /// The vendor rejects the key, the identifier or the account.
    CredentialsRejected,
    /// The vendor does not serve this account at the moment.
    AccountUnavailable,
    /// The account is hosted in another data centre.
    WrongRegion,
    /// What answers does not understand the call: it is not the vendor's API, or something in between alters requests.
    EndpointRejected,
    /// The operator was not started with `--allow-endpoint` for this endpoint.
    EndpointNotAllowed,
    /// No usable answer from the host.
    Unreachable,
    /// `spec.suspend` is true.
    Suspended,
}

impl AppReason {
    /// Status of the condition `Ready` for this reason.
    #[must_use]
    pub fn ready(self) -> ConditionStatus {
        match self {
            Self::Pending => ConditionStatus::Unknown,
            Self::Verified => ConditionStatus::True,
            _ => ConditionStatus::False,
        }
    }

    /// Parses the reason of a condition; `None` if this version does not know it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
    }
}

/// Prints the name of the variant.
impl fmt::Display for AppReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Replaces the condition of the same type with `next`, or adds it. Keeps the transition time if the status is
/// unchanged, unless that time is the epoch, which is the CRD's default. Cuts the message to one line of 512 bytes.
pub fn set_condition(conditions: &mut Vec<Condition>, mut next: Condition) {
    next.message = cut(visible(&next.message).into_owned(), 512);
    match conditions.iter_mut().find(|c| c.type_ == next.type_) {
        Some(old) => {
            if old.status == next.status && old.last_transition_time != Timestamp::UNIX_EPOCH {
                next.last_transition_time = old.last_transition_time;
            }
            *old = next;
        }
        None => conditions.push(next),
    }
}

/// At most `max` bytes of `text`, cut at a character boundary.
fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(status: ConditionStatus, second: i64) -> Condition {
        Condition {
            type_: "Succeeded".into(),
            status,
            reason: "Pending".into(),
            message: String::new(),
            last_transition_time: Timestamp::from_second(second).unwrap(),
            observed_generation: Some(1),
        }
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut all = vec![condition(ConditionStatus::Unknown, 0)];
        set_condition(&mut all, condition(ConditionStatus::Unknown, 10));
        assert_eq!(all[0].last_transition_time.as_second(), 10, "the CRD's default time is replaced");
        set_condition(&mut all, condition(ConditionStatus::Unknown, 20));
        assert_eq!(all[0].last_transition_time.as_second(), 10);
        set_condition(&mut all, condition(ConditionStatus::True, 30));
        assert_eq!(all[0].last_transition_time.as_second(), 30);
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let text = cut("ä".repeat(400), 512);
        assert!(text.len() <= 512 && text.ends_with('…'));
    }

    /// Messages quote objects, the API server and statuses of older versions.
    #[test]
    fn a_message_has_one_line_and_nothing_hidden() {
        let mut all = Vec::new();
        let message = "one\ntwo\u{202e}\u{ad}three".to_owned();
        set_condition(&mut all, Condition { message, ..condition(ConditionStatus::True, 1) });
        assert_eq!(all[0].message, "one twothree");
    }

    #[test]
    fn reasons_survive_their_text() {
        assert_eq!(Reason::parse("VerifiedEmpty"), Some(Reason::VerifiedEmpty));
        assert_eq!(Reason::VerifiedEmpty.to_string(), "VerifiedEmpty");
        assert_eq!(Reason::parse("Nonsense"), None);
        assert_eq!(AppReason::parse("WrongRegion"), Some(AppReason::WrongRegion));
    }
}
