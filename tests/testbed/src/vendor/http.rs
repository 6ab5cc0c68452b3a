//! A minimal HTTP/1.1 server, because a server library would not let a test cut an answer in half.

use std::io;

use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// More than any valid request needs.
const REQUEST_LIMIT: usize = 256 * 1024;

/// A request as received.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) raw_query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The parameters in order, percent-decoded. A `+` stays a `+`.
    pub(super) fn query(&self) -> Vec<(String, String)> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = self.raw_query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(k, v)| (decoded(k), decoded(v)))
            .collect()
    }
}

/// Reads the requests of one connection.
pub(super) struct Requests {
    received: Vec<u8>,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self { received: Vec::with_capacity(2048) }
    }

    /// The next request; `None` if the client has closed the connection.
    ///
    /// # Errors
    /// If the connection fails or the request is malformed.
    pub(super) async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Option<Request>> {
        loop {
            if let Some((request, length)) = parse(&self.received)? {
                self.received.drain(..length);
                return Ok(Some(request));
            }
            if self.received.len() > REQUEST_LIMIT {
                return Err(invalid("the request is too long"));
            }
            if stream.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// A complete request and its length in bytes; `None` while it is incomplete.
fn parse(bytes: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head_length) = head.parse(bytes).map_err(invalid)? else {
        return Ok(None);
    };
    let target = head.path.unwrap_or_default();
    let (path, raw_query) = target.split_once('?').unwrap_or((target, ""));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        raw_query: raw_query.to_owned(),
        headers: head.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect(),
        body: Vec::new(),
    };
    if request.header("transfer-encoding").is_some() {
        return Err(invalid("chunked requests are not understood"));
    }
    let body_length: usize = request.header("content-length").unwrap_or("0").parse().map_err(invalid)?;
    let Some(body) = bytes.get(head_length..head_length.saturating_add(body_length)) else { return Ok(None) };
    request.body = body.to_vec();
    Ok(Some((request, head_length + body_length)))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// A response with its head. `declared` is the content length in the head, which may be wrong.
pub(super) fn response(status: u16, content_type: &str, extra: &str, declared: u64, body: &[u8]) -> Vec<u8> {
    let reason =
        http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Unnamed");
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {declared}\r\n{extra}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A JSON response in two chunks.
pub(super) fn chunked(status: u16, body: &str) -> Vec<u8> {
    let (first, rest) = body.split_at(body.len() / 2);
    let head = format!(
        "HTTP/1.1 {status} Passed On\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
    [head, chunk(first), chunk(rest), chunk("")].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_complete_when_its_body_is() {
        let bytes = b"POST /a?x=%40TGS%231&y=a+b HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET";
        for end in 0..bytes.len() - 4 {
            assert!(parse(&bytes[..end]).unwrap().is_none(), "{end}");
        }
        let (request, length) = parse(bytes).unwrap().unwrap();
        assert_eq!(
            (request.path.as_str(), request.body.as_slice(), length),
            ("/a", b"{}".as_slice(), bytes.len() - 3)
        );
        assert_eq!(request.query(), [("x".into(), "@TGS#1".into()), ("y".into(), "a+b".into())]);
    }

    #[test]
    fn a_malformed_request_is_an_error() {
        assert!(parse(b"\x16\x03\x01\x02\x00\x01\x00").is_err());
    }
}
