//! The network: one call, one answer. This is the only file that knows the HTTP client, its errors and the signed
//! URL.
//!
//! A call is written to the network at most once. Callers need to know whether it was, so each call ends in an answer,
//! in "provably never sent", or in "possibly sent".
//!
//! One retry happens below this file, and it is safe. A pooled connection may turn out to be closed when a request is
//! passed to it. hyper returns a request only while it is still unread in the connection's queue
//! (`TrySendError::take_message`, documented as "never fully sent": the head is encoded only after the request has left
//! the queue, and from then on an error never carries it), and hyper-util then uses the next connection. A request of
//! which a byte may have been written is never returned: it ends as [`Answer::NoAnswer`]. reqwest's own retries are
//! disabled.

mod certificate;
mod network_error;
mod retry_after;
mod trust;

use std::fmt;
use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Proxy, Response, StatusCode, Url};

pub use self::certificate::InvalidCertificate;
pub use self::network_error::NetworkError;
use self::retry_after::retry_after;
use super::clean::{MAX_REQUEST_ID_BYTES, MAX_TEXT_BYTES, clean_text};
use super::endpoint::Endpoint;
use super::usersig::UserSig;
use super::wire::{self, Command, InvalidReply, Reply};
use crate::api::GroupId;
use crate::proxy::ProxyUrl;

/// The longest response body that is read, in bytes. The longest documented answer, a read of a full group, is below
/// 20,000.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Timeout for DNS, TCP and TLS together. Shorter than any call's timeout, so that a dead host can be told from a lost
/// answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an idle connection is kept. Short, because a server that closes an idle connection just as a request is
/// written leaves the outcome unknown.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the kernel tries to deliver what was written (`TCP_USER_TIMEOUT`).
///
/// Without it, a request that a broken network path swallowed is still delivered when the path recovers, long after its
/// call timed out and the group was read back. With it, a call is sent by second 6 of its attempt, connected within
/// 3 s, delivered within 2 s and executed within the vendor's own 3 s. That is before second 15, the earliest at which
/// the group may be read back. Through a proxy it covers the way to the proxy only.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const TRANSMIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Settings of the client.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The `User-Agent` header, for example `groupattr-operator/0.1.0`.
    pub user_agent: String,
    /// The proxy for calls over https. A test endpoint, `http://` on a loopback host, is always called directly.
    pub https_proxy: Option<ProxyUrl>,
}

/// Why the client could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// There are no CA certificates to verify the vendor's certificate with.
    #[error(
        "no CA certificates were found on this system: install them (package ca-certificates) or point SSL_CERT_FILE at a PEM file"
    )]
    NoCertificates,
    /// There are none where the environment says.
    #[error(
        "no CA certificates were found: {variable} names {path}, which {cause}; correct it, or unset it to use those of \
         the system"
    )]
    NamedCertificates {
        /// `SSL_CERT_FILE` or `SSL_CERT_DIR`.
        variable: &'static str,
        /// Its value, one line.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Anything else, as described by the HTTP client.
    #[error("the HTTPS client could not be set up: {0}")]
    Setup(String),
}

/// The vendor's client. One per process; clones share the connection pool.
#[derive(Clone)]
pub struct ChatClient {
    http: Client,
    has_proxy: bool,
}

impl fmt::Debug for ChatClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatClient").field("has_proxy", &self.has_proxy).finish_non_exhaustive()
    }
}

/// One call.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The endpoint to call.
    pub endpoint: &'a Endpoint,
    /// The account's `SDKAppID`.
    pub sdk_app_id: u32,
    /// The administrator that makes the call; `usersig` must be minted for it.
    pub identifier: &'a str,
    /// The signature.
    pub usersig: &'a UserSig,
    /// The group.
    pub group: &'a GroupId,
    /// Timeout for connecting, sending and the whole answer together. The vendor's backend may take 3 s.
    pub timeout: Duration,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// HTTP 200, or 203 from a gateway, with the documented object. Its texts are cleaned.
    Reply(Reply),
    /// Any other HTTP status, including redirects. Its body is not read.
    HttpStatus {
        /// The status code.
        status: u16,
        /// How long a 429 or 503 asks to be left alone, at most five minutes.
        retry_after: Option<Duration>,
    },
    /// HTTP 200 or 203 with anything else.
    Unreadable(InvalidReply),
    /// No byte of the request left this process.
    NotSent(NetworkError),
    /// The request was written, or may have been, and no answer arrived.
    NoAnswer(NetworkError),
}

impl ChatClient {
    /// Builds a client with the system's CA certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` override them).
    ///
    /// # Errors
    ///
    /// [`ClientError::NoCertificates`] or [`ClientError::NamedCertificates`] without CA certificates,
    /// [`ClientError::Setup`] for anything else, such as an invalid user agent.
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        let builder = Client::builder()
            .user_agent(settings.user_agent.as_str())
            // The vendor does not document HTTP/2, and with it one broken connection would break many calls.
            .http1_only()
            .http1_max_headers(64)
            .tls_version_min(reqwest::tls::Version::TLS_1_2)
            // A redirect target, a Referer header and a proxy that the environment names would each disclose the
            // signature.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .retry(reqwest::retry::never())
            // Another crate may enable these features, but the size limit must apply to the bytes received.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true);
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        let builder = builder.tcp_user_timeout(TRANSMIT_TIMEOUT);
        let builder = match &settings.https_proxy {
            // For https only, which a proxy carries by CONNECT: it sees the host, and no byte of the call.
            Some(proxy) => {
                builder.proxy(Proxy::https(proxy.expose()).map_err(|error| network_error::setup(&error))?)
            }
            None => builder,
        };
        match builder.build() {
            Ok(http) => Ok(Self { http, has_proxy: settings.https_proxy.is_some() }),
            Err(error) => Err(network_error::setup(&error)),
        }
    }

    /// Clears all attributes of the group (`clear_group_attr`).
    pub async fn clear(&self, call: Call<'_>) -> Answer {
        self.call(Command::Clear, call).await
    }

    /// Reads the group's attributes (`get_group_attr`); the reply says how many there are.
    pub async fn read(&self, call: Call<'_>) -> Answer {
        self.call(Command::Read, call).await
    }

    /// Connects to an endpoint and gets any answer from it, by a request that carries nothing: for `check`.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] says what is in the way.
    pub async fn reach(&self, endpoint: &Endpoint, timeout: Duration) -> Result<(), NetworkError> {
        match tokio::time::timeout(timeout, self.http.head(endpoint.to_string()).send()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => match network_error::answer(&error, self.uses_proxy(endpoint)) {
                Answer::NotSent(fault) | Answer::NoAnswer(fault) => Err(fault),
                _ => Ok(()),
            },
            Err(_) => Err(NetworkError::Timeout),
        }
    }

    fn uses_proxy(&self, endpoint: &Endpoint) -> bool {
        self.has_proxy && endpoint.is_https()
    }

    async fn call(&self, command: Command, call: Call<'_>) -> Answer {
        // After a timeout it is unknown whether the request was written, so it counts as written.
        tokio::time::timeout(call.timeout, self.exchange(command, call))
            .await
            .unwrap_or(Answer::NoAnswer(NetworkError::Timeout))
    }

    async fn exchange(&self, command: Command, call: Call<'_>) -> Answer {
        let Some(url) = signed_url(command, &call) else { return Answer::NotSent(NetworkError::BadAddress) };
        let request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            // Without it a gateway may compress, and what is compressed is not read: its size is known too late.
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .body(wire::request_body(call.group));
        match request.send().await {
            // 203 is a 200 that a gateway on the way has transformed.
            Ok(response)
                if matches!(
                    response.status(),
                    StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION
                ) =>
            {
                match body(response).await {
                    Ok(body) => read_answer(&body, call.usersig),
                    Err(unreadable) => Answer::Unreadable(unreadable),
                }
            }
            Ok(response) => {
                let status = response.status();
                let names_pause =
                    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
                let retry_after =
                    names_pause.then(|| retry_after(response.headers(), SystemTime::now())).flatten();
                Answer::HttpStatus { status: status.as_u16(), retry_after }
            }
            Err(error) => network_error::answer(&error, self.uses_proxy(call.endpoint)),
        }
    }
}

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URL, which contains the signature. It must not leave this file, not even inside an error.
fn signed_url(command: Command, call: &Call<'_>) -> Option<Url> {
    let text = format!(
        "{}{}?sdkappid={}&identifier={}&usersig={}&random={}&contenttype=json",
        call.endpoint,
        command.path(),
        call.sdk_app_id,
        utf8_percent_encode(call.identifier, RESERVED),
        // Its alphabet needs no encoding, and the vendor compares it unmodified.
        call.usersig.expose(),
        rand::random::<u32>(),
    );
    Url::parse(&text).ok()
}

/// Reads the body, if it is complete and not too large. Reading stops at the limit, and dropping the response closes
/// the connection.
async fn body(mut response: Response) -> Result<Vec<u8>, InvalidReply> {
    if is_encoded(response.headers()) {
        return Err(InvalidReply::Compressed);
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY_BYTES => {
                return Err(InvalidReply::TooLarge);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(_) => return Err(InvalidReply::Truncated),
        }
    }
}

/// Whether the body is anything but itself. `identity` in a response is unusual and means nothing.
fn is_encoded(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    values
        .map(<[u8]>::trim_ascii)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

fn read_answer(body: &[u8], usersig: &UserSig) -> Answer {
    match wire::parse_reply(body) {
        Ok(reply) => {
            let clean = |text: &str, max_bytes| clean_text(text, &[usersig.expose()], max_bytes);
            let error_info = clean(&reply.error_info, MAX_TEXT_BYTES);
            let request_id = reply.request_id.as_deref().map(|id| clean(id, MAX_REQUEST_ID_BYTES));
            Answer::Reply(Reply { error_info, request_id, ..reply })
        }
        Err(unreadable) => Answer::Unreadable(unreadable),
    }
}

#[cfg(test)]
mod tests;
