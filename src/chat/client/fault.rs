//! What went wrong on the network, told without printing what the HTTP client says: its errors carry the URL.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter::successors;

use super::{Answer, ClientError};

/// A network fault, in one plain sentence and one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NetworkError {
    /// No address for the host's name.
    #[error("the host name could not be resolved")]
    Dns,
    /// Nobody listens there, or a firewall says so.
    #[error("the connection was refused")]
    Refused,
    /// The host is not who it should be, does not speak TLS, or its certificate is not trusted here.
    #[error(
        "no TLS connection could be made: the certificate is not trusted here or the host does not speak TLS"
    )]
    Tls,
    /// No connection in time.
    #[error("no connection could be made in time")]
    ConnectTimeout,
    /// Anything else before the connection stood.
    #[error("no connection could be made")]
    Connect,
    /// The endpoint cannot be made into a request.
    #[error("the address cannot be called")]
    BadAddress,
    /// No whole answer in time.
    #[error("no answer came in time")]
    Timeout,
    /// The peer broke the connection off.
    #[error("the connection was reset before an answer came")]
    Reset,
    /// The peer ended the connection.
    #[error("the connection was closed before an answer came")]
    Closed,
    /// What came back was not HTTP, or the connection broke in a way that has no name here.
    #[error("the connection broke or the answer was not HTTP")]
    Garbled,
}

impl NetworkError {
    /// A short word for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Tls => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::Connect => "connect",
            Self::BadAddress => "bad_address",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Garbled => "garbled",
        }
    }
}

/// Whether the request left, and what happened. Only an error of the connector, which runs before a request
/// is handed to any connection, proves that it did not; so does one from before that, of building the
/// request.
pub(super) fn answer(error: &reqwest::Error) -> Answer {
    if error.is_builder() {
        Answer::NotSent(NetworkError::BadAddress)
    } else if error.is_connect() {
        Answer::NotSent(while_connecting(error))
    } else {
        Answer::NoAnswer(while_waiting(error))
    }
}

/// Why the client could not be built. No request exists yet, so there is nothing secret in the texts.
pub(super) fn setup(error: &reqwest::Error) -> ClientError {
    let texts: Vec<String> = chain(error).skip(1).map(ToString::to_string).collect();
    if texts.iter().any(|text| text.contains("No CA certificates")) {
        ClientError::NoCertificates
    } else {
        ClientError::Setup(texts.join(": "))
    }
}

fn while_connecting(error: &reqwest::Error) -> NetworkError {
    if error.is_dns() {
        NetworkError::Dns
    } else if error.is_timeout() {
        NetworkError::ConnectTimeout
    } else if has_kind(error, &[ErrorKind::ConnectionRefused]) {
        NetworkError::Refused
    } else if chain(error).any(|cause| cause.to_string().starts_with("tcp ")) {
        NetworkError::Connect
    } else if has_kind(
        error,
        // rustls reports what it dislikes as invalid data; the others are a peer that hangs up in the
        // handshake.
        &[
            ErrorKind::InvalidData,
            ErrorKind::UnexpectedEof,
            ErrorKind::ConnectionReset,
            ErrorKind::BrokenPipe,
        ],
    ) {
        NetworkError::Tls
    } else {
        NetworkError::Connect
    }
}

fn while_waiting(error: &reqwest::Error) -> NetworkError {
    if error.is_timeout() {
        NetworkError::Timeout
    } else if has_kind(
        error,
        &[ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe],
    ) {
        NetworkError::Reset
    } else if has_kind(error, &[ErrorKind::UnexpectedEof])
        || chain(error).any(|cause| cause.to_string().starts_with("connection closed"))
    {
        NetworkError::Closed
    } else {
        NetworkError::Garbled
    }
}

fn has_kind(error: &reqwest::Error, kinds: &[ErrorKind]) -> bool {
    chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|io| kinds.contains(&io.kind()))
}

/// The error and its causes. `io::Error` leaves what it wraps out of its own chain.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    successors(Some(error as &(dyn Error + 'static)), |&cause| {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| cause.source())
    })
}
