//! The endpoint that calls go to, and the endpoints that the operator is allowed to call.
//!
//! Hosts are parsed by the rules of the URL standard, which the HTTP client follows too. So the host that was compared
//! with the allow list is the host that is connected to, however oddly it was written.

use std::fmt;
use std::str::FromStr;

use url::Host;

use super::region;
use crate::api::Region;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The scheme's default port.
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Scheme, host and port of the vendor's API, normalised: two spellings of the same endpoint are equal.
///
/// Host and port are also part of an account's identity, because the vendor's rate limits apply per account.
///
/// ```
/// use groupattr::chat::{Endpoint, InvalidEndpoint};
///
/// let endpoint = Endpoint::parse("https://Chat.Example.com:443/")?;
/// assert_eq!(endpoint.to_string(), "https://chat.example.com");
/// assert_eq!(endpoint.authority(), "chat.example.com:443");
/// assert_eq!(Endpoint::parse("http://chat.example.com"), Err(InvalidEndpoint::Insecure));
/// # Ok::<(), InvalidEndpoint>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// An endpoint that the operator may call, `HOST[:PORT]`. The port defaults to that of the scheme: 443 unless `http://`
/// is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedEndpoint {
    scheme: Option<Scheme>,
    host: String,
    port: u16,
}

/// What is wrong with an endpoint, and what to write instead. Does not quote the text, because it may contain a
/// password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// No scheme, or one that is neither `https` nor `http`.
    #[error("the endpoint must start with https://, for example https://chat.example.com")]
    Scheme,
    /// `http` to a host other than loopback: the signature would be sent in plain text.
    #[error("http:// is accepted for loopback hosts only: write https://")]
    Insecure,
    /// A user name or password.
    #[error("the endpoint must not have a user or an @: write the host only")]
    User,
    /// A path, query or fragment.
    #[error("the endpoint must not have a path, query or fragment: end it after the host and port")]
    Path,
    /// Not a port number.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// No host, or an invalid one.
    #[error("the host must be a DNS name, an IPv4 address or an IPv6 address in brackets, without wildcards")]
    Host,
    /// White space, control characters, backslashes or non-ASCII letters.
    #[error("the endpoint must be plain ASCII without spaces: write international names in their xn-- form")]
    Characters,
}

impl Endpoint {
    /// Parses `https://HOST[:PORT]`, or `http://` for a loopback host. A single `/` at the end is accepted.
    ///
    /// # Errors
    ///
    /// [`InvalidEndpoint`] says what is wrong and what to write instead.
    pub fn parse(url: &str) -> Result<Self, InvalidEndpoint> {
        let written = Written::parse(url)?;
        let scheme = written.scheme.ok_or(InvalidEndpoint::Scheme)?;
        Ok(Self { scheme, host: written.host, port: written.port.unwrap_or_else(|| scheme.port()) })
    }

    /// The vendor's endpoint of a region.
    #[must_use]
    pub fn of_region(region: Region) -> Self {
        Self { scheme: Scheme::Https, host: region::host(region).to_owned(), port: 443 }
    }

    /// `host:port`, always with the port.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether calls to it use TLS. Only a test endpoint on a loopback host may do without.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Lower-case DNS name, IPv4 address, or IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, explicit or the scheme's default.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Prints the URL without a path, and without the port if it is the scheme's default.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.scheme, self.port) {
            (Scheme::Https, 443) => write!(f, "https://{}", self.host),
            (Scheme::Https, port) => write!(f, "https://{}:{port}", self.host),
            (Scheme::Http, 80) => write!(f, "http://{}", self.host),
            (Scheme::Http, port) => write!(f, "http://{}:{port}", self.host),
        }
    }
}

impl AllowedEndpoint {
    /// The endpoint itself, over https unless the flag says otherwise.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { scheme: self.scheme.unwrap_or(Scheme::Https), host: self.host.clone(), port: self.port }
    }

    /// Whether `endpoint` may be called. The scheme must match only if the flag names one.
    #[must_use]
    pub fn admits(&self, endpoint: &Endpoint) -> bool {
        self.host == endpoint.host
            && self.port == endpoint.port
            && self.scheme.is_none_or(|scheme| scheme == endpoint.scheme)
    }
}

impl FromStr for AllowedEndpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let Written { scheme, host, port } = Written::parse(text)?;
        let port = port.unwrap_or_else(|| scheme.unwrap_or(Scheme::Https).port());
        Ok(Self { scheme, host, port })
    }
}

/// The parts of a URL as written: the host is normalised, no defaults are filled in.
struct Written {
    scheme: Option<Scheme>,
    host: String,
    port: Option<u16>,
}

impl Written {
    fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        // Reject what the URL standard would silently change: it drops tabs and newlines, and reads \ as /.
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(InvalidEndpoint::Characters);
        }
        let (scheme, rest) = match text.split_once("://") {
            None => (None, text),
            Some((s, rest)) if s.eq_ignore_ascii_case("https") => (Some(Scheme::Https), rest),
            Some((s, rest)) if s.eq_ignore_ascii_case("http") => (Some(Scheme::Http), rest),
            Some(_) => return Err(InvalidEndpoint::Scheme),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return Err(InvalidEndpoint::User);
        }
        if authority.contains(['/', '?', '#']) {
            return Err(InvalidEndpoint::Path);
        }
        let (host, port) = split_port(authority)?;
        let host = Host::parse(host).map_err(|_| InvalidEndpoint::Host)?;
        if scheme == Some(Scheme::Http) && !is_loopback(&host) {
            return Err(InvalidEndpoint::Insecure);
        }
        Ok(Self { scheme, host: normalise(&host)?, port })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), InvalidEndpoint> {
    let colon = match authority.rfind(']') {
        Some(bracket) => authority[bracket..].find(':').map(|colon| bracket + colon),
        None => authority.find(':'),
    };
    let Some(colon) = colon else { return Ok((authority, None)) };
    let digits = &authority[colon + 1..];
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        // More colons mean an IPv6 address without brackets, so the host is at fault.
        return Err(if digits.contains(':') { InvalidEndpoint::Host } else { InvalidEndpoint::Port });
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(InvalidEndpoint::Port),
        Ok(port) => Ok((&authority[..colon], Some(port))),
    }
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => name.strip_suffix('.').unwrap_or(name) == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// The canonical spelling of a host: lower case, no trailing dot, IPv6 in brackets.
fn normalise(host: &Host) -> Result<String, InvalidEndpoint> {
    let Host::Domain(name) = host else { return Ok(host.to_string()) };
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(name.to_owned())
    } else {
        Err(InvalidEndpoint::Host)
    }
}

#[cfg(test)]
mod tests;
