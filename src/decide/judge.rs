//! From an answer, or the lack of one, to what it means. "Not executed" is a closed list: the vendor's word, or the
//! proof that nothing left. Whatever is not on it is an unknown outcome.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::last_look::TooLate;
use crate::chat::{Answer, Class, NetworkFault};

/// What became of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It was sent; the class says whether it was executed.
    Sent(Class),
    /// It provably never left.
    NotSent(NotSent),
}

/// Why a call never left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// No connection to the host.
    Network(NetworkFault),
    /// The last look before sending said no.
    TooLate(TooLate),
    /// The intent's own write went astray, so the call was not made.
    IntentLost,
}

/// A ruling with what the status and the logs say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What became of the call.
    pub ruling: Ruling,
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

impl Verdict {
    /// An answer of the vendor with this code, for tests.
    #[cfg(test)]
    #[must_use]
    pub fn answered(class: Class, code: i64) -> Self {
        Self {
            ruling: Ruling::Sent(class),
            http_status: Some(200),
            code: Some(code),
            error_info: String::new(),
            fault: String::new(),
            attributes: 0,
        }
    }

    /// A call that was not made.
    #[must_use]
    pub fn not_sent(why: NotSent) -> Self {
        let fault = match why {
            NotSent::Network(fault) => fault.to_string(),
            NotSent::TooLate(TooLate::NotLeader) => "another replica may be leading by now".to_owned(),
            NotSent::TooLate(TooLate::Attempt) => "too little time was left of the attempt".to_owned(),
            NotSent::TooLate(TooLate::App) => "its app was changed, suspended or found broken".to_owned(),
            NotSent::TooLate(TooLate::Reset) => "the reset's own time was over".to_owned(),
            NotSent::TooLate(TooLate::NoPermit) => {
                "no permit was given, as the operator stops or its app is not open to it any more".to_owned()
            }
            NotSent::IntentLost => "the answer to the intent's write was lost".to_owned(),
        };
        Self {
            ruling: Ruling::NotSent(why),
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
        Self { ruling: Ruling::Sent(Class::Unknown), fault, ..Self::not_sent(NotSent::IntentLost) }
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
        matches!(self.ruling, Ruling::Sent(Success | GroupNotFound | NotSupported | Invalid | ThrottledGroup))
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
        match self.ruling {
            Ruling::Sent(Class::Success) => "success",
            Ruling::Sent(Class::GroupNotFound) => "group_not_found",
            Ruling::Sent(Class::NotSupported) => "not_supported",
            Ruling::Sent(Class::Invalid) => "invalid",
            Ruling::Sent(Class::ThrottledGroup) => "throttled_group",
            Ruling::Sent(Class::ThrottledAccount) => "throttled_account",
            Ruling::Sent(Class::SignatureExpired) => "signature_expired",
            Ruling::Sent(Class::Account(_)) => "account",
            Ruling::Sent(Class::Unknown) => "unknown",
            Ruling::NotSent(_) => "not_sent",
        }
    }
}

/// Judges an answer.
#[must_use]
pub fn judge(answer: &Answer) -> Verdict {
    let verdict = |ruling, http_status, fault: String| Verdict {
        ruling,
        http_status,
        code: None,
        error_info: String::new(),
        fault,
        attributes: 0,
    };
    match answer {
        Answer::Reply(reply) => Verdict {
            ruling: Ruling::Sent(reply.class()),
            http_status: Some(200),
            code: Some(reply.error_code),
            error_info: reply.error_info.clone(),
            fault: String::new(),
            attributes: reply.attributes,
        },
        Answer::HttpStatus(429) => {
            verdict(Ruling::Sent(Class::ThrottledAccount), Some(429), "HTTP 429".to_owned())
        }
        Answer::HttpStatus(status) => {
            verdict(Ruling::Sent(Class::Unknown), Some(*status), format!("HTTP {status}"))
        }
        Answer::Unreadable(why) => verdict(Ruling::Sent(Class::Unknown), Some(200), why.to_string()),
        Answer::NotSent(fault) => Verdict::not_sent(NotSent::Network(*fault)),
        Answer::NoAnswer(fault) => verdict(Ruling::Sent(Class::Unknown), None, fault.to_string()),
    }
}
