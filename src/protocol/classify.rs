//! From an answer, or the lack of one, to what it means. "Not executed" is a closed list: the vendor's word, or the
//! proof that nothing left. Whatever is not on it is an unknown outcome.

use super::send_check::NotSentReason;
use crate::chat::{Answer, Class, NetworkError};

/// What became of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was sent; the class says whether it was executed.
    Sent(Class),
    /// It provably never left.
    NotSent(NotSentCause),
}

/// Why a call never left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSentCause {
    /// No connection to the host.
    Network(NetworkError),
    /// The last look before sending said no.
    TooLate(NotSentReason),
    /// The intent's own write went astray, so the call was not made.
    IntentLost,
}

/// A ruling with what the status and the logs say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResult {
    /// What became of the call.
    pub delivery: Delivery,
    /// Status of the HTTP answer, if one came.
    pub http_status: Option<u16>,
    /// The vendor's code, if one came.
    pub code: Option<i64>,
    /// The vendor's text, already filtered.
    pub error_info: String,
    /// A plain sentence about a fault without a code; empty otherwise.
    pub fault: String,
    /// Attributes in the answer of a read.
    pub attributes: usize,
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
            fault: String::new(),
            attributes: 0,
        }
    }

    /// A call that was not made.
    #[must_use]
    pub fn not_sent(why: NotSentCause) -> Self {
        let fault = match why {
            NotSentCause::Network(fault) => fault.to_string(),
            NotSentCause::TooLate(NotSentReason::NotLeader) => {
                "another replica may be leading by now".to_owned()
            }
            NotSentCause::TooLate(NotSentReason::Attempt) => {
                "too little time was left of the attempt".to_owned()
            }
            NotSentCause::TooLate(NotSentReason::App) => {
                "its app was changed, suspended or found broken".to_owned()
            }
            NotSentCause::TooLate(NotSentReason::Reset) => "the reset's own time was over".to_owned(),
            NotSentCause::TooLate(NotSentReason::NoPermit) => {
                "no permit was given, as the operator stops or its app is not open to it any more".to_owned()
            }
            NotSentCause::IntentLost => "the answer to the intent's write was lost".to_owned(),
        };
        Self {
            delivery: Delivery::NotSent(why),
            http_status: None,
            code: None,
            error_info: String::new(),
            fault,
            attributes: 0,
        }
    }

    /// A call of a process that is no more: nobody saw what came of it.
    #[must_use]
    pub fn unseen() -> Self {
        let fault = "the process that made it ended".to_owned();
        Self { delivery: Delivery::Sent(Class::Unknown), fault, ..Self::not_sent(NotSentCause::IntentLost) }
    }

    /// Whether an answer of any kind came: then nothing of this call arrives any more.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.http_status.is_some()
    }

    /// Whether the vendor accepted the signature: it answered about the group, and not about the account.
    #[must_use]
    pub fn accepts_account(&self) -> bool {
        use Class::{GroupNotFound, Invalid, NotSupported, Success, ThrottledGroup};
        matches!(
            self.delivery,
            Delivery::Sent(Success | GroupNotFound | NotSupported | Invalid | ThrottledGroup)
        )
    }

    /// The vendor's code, or the fault, for a message: "code 10010" or "HTTP 502".
    #[must_use]
    pub fn cause(&self) -> String {
        match (self.code, self.http_status) {
            (Some(code), _) => format!("code {code}"),
            (None, Some(status)) if status != 200 => format!("HTTP {status}"),
            _ => self.fault.clone(),
        }
    }

    /// Word for logs and metrics.
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

/// Judges an answer.
#[must_use]
pub fn classify(answer: &Answer) -> CallResult {
    let result = |delivery, http_status, fault: String| CallResult {
        delivery: delivery,
        http_status,
        code: None,
        error_info: String::new(),
        fault,
        attributes: 0,
    };
    match answer {
        Answer::Reply(reply) => CallResult {
            delivery: Delivery::Sent(reply.class()),
            http_status: Some(200),
            code: Some(reply.error_code),
            error_info: reply.error_info.clone(),
            fault: String::new(),
            attributes: reply.attributes,
        },
        Answer::HttpStatus(429) => {
            result(Delivery::Sent(Class::ThrottledAccount), Some(429), "HTTP 429".to_owned())
        }
        Answer::HttpStatus(status) => {
            result(Delivery::Sent(Class::Unknown), Some(*status), format!("HTTP {status}"))
        }
        Answer::Unreadable(why) => result(Delivery::Sent(Class::Unknown), Some(200), why.to_string()),
        Answer::NotSent(fault) => CallResult::not_sent(NotSentCause::Network(*fault)),
        Answer::NoAnswer(fault) => result(Delivery::Sent(Class::Unknown), None, fault.to_string()),
    }
}
