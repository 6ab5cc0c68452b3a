//! Classifies the vendor's answer, or its absence. "Not executed" is a closed list: the vendor reported it, or it is
//! certain that nothing was sent. Everything else is an unknown outcome.

use std::time::Duration;

use super::send_check::NotSentReason;
use crate::chat::codes::{is_about_group, is_gateway_timeout};
use crate::chat::{Answer, Class, NetworkError};

/// Whether a call was sent, and how it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was sent; the class tells whether it was executed.
    Sent(Class),
    /// It was certainly not sent.
    NotSent(NotSentCause),
}

/// Why a call was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSentCause {
    /// No connection to the host.
    Network(NetworkError),
    /// The check right before sending failed.
    TooLate(NotSentReason),
    /// The answer to the write of the intent was lost, so the call was not made.
    IntentLost,
    /// The intent is stored, but the object is being deleted.
    Deleted,
}

/// The result of a call, with the details for status and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResult {
    /// Whether it was sent, and how it was answered.
    pub delivery: Delivery,
    /// HTTP status code of the answer, if there was one.
    pub http_status: Option<u16>,
    /// The vendor's error code, if the answer had one.
    pub code: Option<i64>,
    /// The vendor's error text, already sanitized.
    pub error_info: String,
    /// The vendor's ID of the call, already sanitized, if the answer had one.
    pub vendor_request_id: Option<String>,
    /// Description of a fault without a code; empty otherwise.
    pub fault: String,
    /// Number of attributes in the answer to a read.
    pub attributes: usize,
    /// How long the answer asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl CallResult {
    /// An answer of the vendor with this code, for tests.
    #[cfg(test)]
    #[must_use]
    pub fn answered(class: Class, code: i64) -> Self {
        Self {
            delivery: Delivery::Sent(class),
            http_status: Some(200),
            code: Some(code),
            error_info: String::new(),
            vendor_request_id: None,
            fault: String::new(),
            attributes: 0,
            retry_after: None,
        }
    }

    /// A call that was not made.
    #[must_use]
    pub fn not_sent(why: NotSentCause) -> Self {
        let fault = match why {
            NotSentCause::Network(fault) => fault.to_string(),
            NotSentCause::TooLate(NotSentReason::NotLeader) => {
                "another replica may be the leader by now".to_owned()
            }
            NotSentCause::TooLate(NotSentReason::Attempt) => {
                "too little time was left for the attempt".to_owned()
            }
            NotSentCause::TooLate(NotSentReason::App) => {
                "its app was changed, was suspended or stopped working".to_owned()
            }
            NotSentCause::TooLate(NotSentReason::Reset) => "notAfter or the deadline of the reset has passed".to_owned(),
            NotSentCause::TooLate(NotSentReason::NoPermit) => {
                "no permit was granted, because the operator is stopping or the app is no longer open to this namespace".to_owned()
            }
            NotSentCause::IntentLost => "the answer to the write of the intent was lost".to_owned(),
            NotSentCause::Deleted => "the reset is being deleted".to_owned(),
        };
        Self {
            delivery: Delivery::NotSent(why),
            http_status: None,
            code: None,
            error_info: String::new(),
            vendor_request_id: None,
            fault,
            attributes: 0,
            retry_after: None,
        }
    }

    /// A call of a process that has ended: its outcome is unknown.
    #[must_use]
    pub fn outcome_unknown() -> Self {
        let fault = "the process that made it ended".to_owned();
        Self { delivery: Delivery::Sent(Class::Unknown), fault, ..Self::not_sent(NotSentCause::IntentLost) }
    }

    /// Whether any answer arrived. If so, nothing of this call can reach the vendor any more.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.http_status.is_some()
    }

    /// Whether the vendor accepted the signature: the answer is about the group, not about the account. This holds
    /// also for a code that leaves open whether the call was executed, such as a refusal by the app's webhook.
    #[must_use]
    pub fn accepts_account(&self) -> bool {
        use Class::{GroupNotFound, Invalid, NotSupported, Success, ThrottledGroup, Unknown};
        match self.delivery {
            Delivery::Sent(Success | GroupNotFound | NotSupported | Invalid | ThrottledGroup) => true,
            Delivery::Sent(Unknown) => self.code.is_some_and(is_about_group),
            _ => false,
        }
    }

    /// Whether the call was sent and had no usable answer: none at all, one that is not the documented object, or the
    /// vendor's gateway reports that its own backend failed. Any other code shows that the vendor can be reached.
    #[must_use]
    pub fn is_gateway_fault(&self) -> bool {
        self.delivery == Delivery::Sent(Class::Unknown) && self.code.is_none_or(is_gateway_timeout)
    }

    /// The vendor's code or the fault, for messages: "code 10010" or "HTTP 502".
    #[must_use]
    pub fn cause(&self) -> String {
        match (self.code, self.http_status) {
            (Some(code), _) => format!("code {code}"),
            (None, Some(status)) if status != 200 => format!("HTTP {status}"),
            _ => self.fault.clone(),
        }
    }

    /// Label for logs and metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self.delivery {
            Delivery::Sent(Class::Success) => "success",
            Delivery::Sent(Class::GroupNotFound) => "group_not_found",
            Delivery::Sent(Class::NotSupported) => "not_supported",
            Delivery::Sent(Class::Invalid) => "invalid",
            Delivery::Sent(Class::ThrottledGroup) => "throttled_group",
            Delivery::Sent(Class::ThrottledAccount) => "throttled_account",
            Delivery::Sent(Class::SignatureExpired) => "signature_expired",
            Delivery::Sent(Class::Account(_)) => "account",
            Delivery::Sent(Class::Unknown) => "unknown",
            Delivery::NotSent(_) => "not_sent",
        }
    }
}

/// Classifies an answer.
#[must_use]
pub fn classify(answer: &Answer) -> CallResult {
    let result = |delivery, http_status, fault: String| CallResult {
        delivery,
        http_status,
        code: None,
        error_info: String::new(),
        vendor_request_id: None,
        fault,
        attributes: 0,
        retry_after: None,
    };
    match answer {
        Answer::Reply(reply) => CallResult {
            delivery: Delivery::Sent(reply.class()),
            http_status: Some(200),
            code: Some(reply.error_code),
            error_info: reply.error_info.clone(),
            vendor_request_id: reply.request_id.clone().filter(|id| !id.is_empty()),
            fault: String::new(),
            attributes: reply.attributes,
            retry_after: None,
        },
        Answer::HttpStatus { status, retry_after } => {
            let class = if *status == 429 { Class::ThrottledAccount } else { Class::Unknown };
            CallResult {
                retry_after: *retry_after,
                ..result(Delivery::Sent(class), Some(*status), format!("HTTP {status}"))
            }
        }
        Answer::Unreadable(why) => result(Delivery::Sent(Class::Unknown), Some(200), why.to_string()),
        Answer::NotSent(fault) => CallResult::not_sent(NotSentCause::Network(*fault)),
        Answer::NoAnswer(fault) => result(Delivery::Sent(Class::Unknown), None, fault.to_string()),
    }
}
