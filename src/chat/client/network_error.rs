//! Classifies network errors without printing the HTTP client's own texts, because its errors carry the signed URL.

use std::env;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter::successors;

use super::certificate::{InvalidCertificate, invalid_certificate};
use super::trust::no_certificates;
use super::{Answer, ClientError};
use crate::proxy::TUNNEL_UNAUTHORIZED;

/// What went wrong on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NetworkError {
    /// The host name has no address, or the lookup failed.
    #[error("the host name could not be resolved")]
    Dns,
    /// Nothing listens on the port, or a firewall rejects the connection.
    #[error("the connection was refused")]
    Refused,
    /// The handshake failed, but not over the certificate: the host does not speak TLS, or no version of it that is safe.
    #[error("no TLS connection could be established: the host does not speak TLS 1.2 or newer")]
    Tls,
    /// The host's certificate was rejected.
    #[error("no TLS connection could be established: {0}")]
    Certificate(InvalidCertificate),
    /// The connection was not established in time.
    #[error("no connection could be established in time")]
    ConnectTimeout,
    /// Anything else before the connection was established.
    #[error("no connection could be established")]
    Connect,
    /// No connection to the proxy, or no TLS with it.
    #[error(
        "the proxy of --https-proxy cannot be reached: check its URL, DNS, and network policies for its port"
    )]
    ProxyUnreachable,
    /// The proxy answered CONNECT with 407.
    #[error(
        "the proxy of --https-proxy does not accept the user and password (407): correct those in \
         GROUPATTR_HTTPS_PROXY"
    )]
    ProxyCredentials,
    /// The proxy answered CONNECT with anything else but 200, or not at all.
    #[error(
        "the proxy of --https-proxy refused to connect to the host: it must allow CONNECT to this host and port"
    )]
    ProxyRefused,
    /// The proxy was reached, or not, and there was no TLS with the host in time.
    #[error("the proxy of --https-proxy established no connection to the host in time")]
    ProxyTimeout,
    /// Through the proxy, the certificate is for another host or is not trusted, or the host does not speak TLS.
    #[error(
        "no TLS connection could be established through the proxy of --https-proxy: the certificate is not trusted, as \
         if the proxy opened TLS itself, or the host does not speak TLS"
    )]
    ProxyTls,
    /// No valid URL can be built from the endpoint.
    #[error("the endpoint address is invalid")]
    BadAddress,
    /// No complete answer in time.
    #[error("no answer arrived in time")]
    Timeout,
    /// The peer reset the connection.
    #[error("the connection was reset before an answer arrived")]
    Reset,
    /// The peer closed the connection.
    #[error("the connection was closed before an answer arrived")]
    Closed,
    /// The response was not HTTP, or the connection failed in any other way.
    #[error("the connection failed or the answer was not HTTP")]
    Garbled,
}

impl NetworkError {
    /// Whether the proxy of `--https-proxy` is in the way, and not the host.
    #[must_use]
    pub fn is_of_proxy(self) -> bool {
        match self {
            Self::ProxyUnreachable
            | Self::ProxyCredentials
            | Self::ProxyRefused
            | Self::ProxyTimeout
            | Self::ProxyTls => true,
            Self::Dns
            | Self::Refused
            | Self::Tls
            | Self::Certificate(_)
            | Self::ConnectTimeout
            | Self::Connect
            | Self::BadAddress
            | Self::Timeout
            | Self::Reset
            | Self::Closed
            | Self::Garbled => false,
        }
    }
}

/// Whether the request was sent, and what happened. Only two kinds of error prove that it was not: an error in building
/// the request, and one of the connector, which runs before a request is passed to any connection. CONNECT and its answer
/// belong to the connector, and so does TLS with the host behind the proxy.
pub(super) fn answer(error: &reqwest::Error, uses_proxy: bool) -> Answer {
    if error.is_builder() {
        Answer::NotSent(NetworkError::BadAddress)
    } else if error.is_connect() {
        let fault = while_connecting(error);
        Answer::NotSent(if uses_proxy { through_proxy(error, fault) } else { fault })
    } else {
        Answer::NoAnswer(while_waiting(error))
    }
}

/// Why the client could not be built. There is no request yet, so the texts contain no secret.
pub(super) fn setup(error: &reqwest::Error) -> ClientError {
    let texts: Vec<String> = chain(error).skip(1).map(ToString::to_string).collect();
    if texts.iter().any(|text| text.contains("No CA certificates")) {
        let named = |variable| env::var_os(variable).filter(|value| !value.is_empty());
        no_certificates(named("SSL_CERT_FILE").as_deref(), named("SSL_CERT_DIR").as_deref())
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
    } else if let Some(cause) = chain(error).find_map(|cause| invalid_certificate(cause.downcast_ref()?)) {
        NetworkError::Certificate(cause)
    } else if has_kind(
        error,
        // rustls reports a rejected handshake as invalid data; the other kinds mean that the peer closed the
        // connection during the handshake.
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

/// What `fault` means if a proxy is on the way. The tunnel's error has no type that could be asked, only its text.
fn through_proxy(error: &reqwest::Error, fault: NetworkError) -> NetworkError {
    let tunnel = chain(error).map(ToString::to_string).find(|text| text.starts_with("tunnel error: "));
    match (tunnel.as_deref(), fault) {
        (Some(TUNNEL_UNAUTHORIZED), _) => NetworkError::ProxyCredentials,
        (Some("tunnel error: failed to create underlying connection"), _) => NetworkError::ProxyUnreachable,
        (Some(_), _) => NetworkError::ProxyRefused,
        (None, NetworkError::ConnectTimeout) => NetworkError::ProxyTimeout,
        (None, _) => NetworkError::ProxyTls,
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

/// The error and its causes. `io::Error` omits the error that it wraps from its own chain.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    successors(Some(error as &(dyn Error + 'static)), |&cause| {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| cause.source())
    })
}
