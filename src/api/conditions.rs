use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::required_date_time;
use crate::text::visible;

/// One statement about an object, in the form of `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is stated: `Succeeded`, `Ready`, `Finished`, `Reconciling` or `Stalled`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub type_: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One word for programs.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9]*$"))]
    pub reason: String,
    /// One or two sentences for people: the cause and the remedy.
    #[schemars(length(max = 512))]
    pub message: String,
    /// When `status` last changed, in whole seconds.
    #[schemars(schema_with = "required_date_time")]
    pub last_transition_time: Timestamp,
    /// The generation of the spec that this speaks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// The three answers a condition can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody knows yet.
    Unknown,
}

/// Why a reset stands where it stands. The reason decides the status of every condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Reason {
    /// Nothing has happened yet.
    Pending,
    /// The `ChatApp` it names does not exist.
    AppNotFound,
    /// The `ClusterChatApp` it names is missing, closed to this namespace, or switched off.
    AppNotAllowed,
    /// The account does not work at the moment.
    AppNotReady,
    /// The account's stop switch is on.
    AppSuspended,
    /// The intent is stored and the call under way.
    Sending,
    /// A limit of the vendor makes it wait.
    RateLimited,
    /// An attempt failed and is repeated later.
    RetryScheduled,
    /// A call's outcome was not seen; the group is read back.
    Verifying,
    /// `spec.suspend` is true.
    Suspended,
    /// The vendor confirmed the clear.
    Cleared,
    /// The outcome was not seen, and the group was read back empty.
    VerifiedEmpty,
    /// The group does not exist and `onGroupNotFound` is `Succeed`.
    GroupGone,
    /// The request itself is wrong.
    InvalidRequest,
    /// The group does not exist.
    GroupNotFound,
    /// The group's type has no attributes that this account may clear.
    GroupTypeNotSupported,
    /// Too many failed attempts.
    BackoffLimitExceeded,
    /// `activeDeadlineSeconds` have passed.
    DeadlineExceeded,
    /// `notAfter` has passed.
    Expired,
    /// A call may or may not have cleared the group, and nobody can tell any more.
    OutcomeUnknown,
    /// Another `requestID` replaced this one before it ended.
    Superseded,
}

impl Reason {
    /// Status of the condition `Succeeded` with this reason.
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

    /// The reason as it stands in conditions and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
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

    /// Whether a reset with this reason has ended.
    #[must_use]
    pub fn is_final(self) -> bool {
        self.succeeded() != ConditionStatus::Unknown
    }

    /// The reason as it stands in a condition, if it is one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why the condition `Ready` of a `ChatApp` or `ClusterChatApp` is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AppReason {
    /// Not proved yet.
    Pending,
    /// The vendor accepted a signed read.
    Verified,
    /// The Secret does not exist, or may not be read.
    SecretNotFound,
    /// The Secret has no such entry.
    SecretKeyMissing,
    /// The Secret's entry is no key.
    SecretKeyInvalid,
    /// The vendor does not accept key, identifier or account.
    CredentialsRejected,
    /// The vendor does not serve this account now.
    AccountUnavailable,
    /// The account lives in another data centre.
    WrongRegion,
    /// The operator was not started with this endpoint.
    EndpointNotAllowed,
    /// No usable answer from the host.
    Unreachable,
    /// `spec.suspend` is true.
    Suspended,
}

impl AppReason {
    /// Status of the condition `Ready` with this reason.
    #[must_use]
    pub fn ready(self) -> ConditionStatus {
        match self {
            Self::Pending => ConditionStatus::Unknown,
            Self::Verified => ConditionStatus::True,
            _ => ConditionStatus::False,
        }
    }

    /// The reason as it stands in a condition, if it is one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
    }
}

/// The words are the variants' names.
impl fmt::Display for AppReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Puts `next` in the place of the condition of its type. Its transition time is kept if the status is the same,
/// unless that time is the constant which the CRD writes by default.
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

/// At most `max` bytes of `text`, whole characters.
fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = (0..=max - '…'.len_utf8()).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(end);
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
        assert_eq!(all[0].last_transition_time.as_second(), 10, "the default's constant is replaced");
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

    /// Whoever put them there: an object, the API server, an older version of the status.
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
