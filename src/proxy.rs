//! The URL of a proxy: that of `--https-proxy`, or the one that kubeconfig or environment name for the API server.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// How hyper-util words a 407 to CONNECT. Its error has no type that could be asked, only this text.
pub(crate) const TUNNEL_UNAUTHORIZED: &str = "tunnel error: proxy authorization required";

/// The URL of an HTTP proxy, perhaps with a user and a password. It prints as `scheme://host:port`, without them.
#[derive(Clone)]
pub struct ProxyUrl {
    url: SecretString,
    shown: String,
    has_credentials: bool,
}

/// What is wrong with the URL of a proxy, and what to write instead. Does not quote it, because it may contain a
/// password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxy {
    /// Nothing.
    #[error("name a proxy, or omit it to call the vendor directly")]
    Empty,
    /// No scheme, or one that is neither `http` nor `https`, such as `socks5`.
    #[error(
        "the URL must start with http:// or https://, the way to the proxy itself: http://proxy.example.com:3128"
    )]
    Scheme,
    /// No host, or what no URL can have.
    #[error(
        "this is not the URL of a host: write http://HOST:PORT, and special characters of a user or password \
         percent-encoded, such as %40 for @"
    )]
    Url,
    /// A path, query or fragment.
    #[error("a proxy has no path, query or fragment: end the URL after its port")]
    Path,
}

impl ProxyUrl {
    /// Whether the URL has a user or a password.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.has_credentials
    }

    /// The whole URL, with user and password: for the HTTP client only.
    pub(crate) fn expose(&self) -> &str {
        self.url.expose_secret()
    }

    /// The value of the header `Proxy-Authorization`, if the URL has a user or a password.
    pub(crate) fn basic_auth(&self) -> Option<SecretString> {
        let url = Url::parse(self.expose()).ok().filter(|_| self.has_credentials)?;
        let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
        pair.push(b':');
        pair.extend(percent_decode_str(url.password().unwrap_or_default()));
        Some(SecretString::from(format!("Basic {}", STANDARD.encode(pair))))
    }
}

impl FromStr for ProxyUrl {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        // An entry of a Secret often ends with a newline.
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidProxy::Empty);
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidProxy::Scheme)?;
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(InvalidProxy::Scheme);
        }
        // The URL standard would drop tabs and newlines, read \ as /, and skip further slashes.
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') || rest.starts_with('/') {
            return Err(InvalidProxy::Url);
        }
        let url = Url::parse(text).map_err(|_| InvalidProxy::Url)?;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(InvalidProxy::Url);
        };
        if port == 0 {
            return Err(InvalidProxy::Url);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidProxy::Path);
        }
        Ok(Self {
            shown: format!("{}://{host}:{port}", url.scheme()),
            has_credentials: !url.username().is_empty() || url.password().is_some(),
            url: SecretString::from(url.to_string()),
        })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_with_a_port_and_perhaps_a_user() {
        for (text, shown, has_credentials) in [
            ("http://proxy.example.com:3128", "http://proxy.example.com:3128", false),
            ("HTTP://Proxy.Example.com/", "http://proxy.example.com:80", false),
            ("https://proxy.example.com", "https://proxy.example.com:443", false),
            ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128", false),
            (" http://10.0.0.1:8080\n", "http://10.0.0.1:8080", false),
            ("http://ann:p%40ss@proxy:3128", "http://proxy:3128", true),
            ("http://ann@proxy:3128", "http://proxy:3128", true),
            ("http://:pass@proxy:3128", "http://proxy:3128", true),
        ] {
            let proxy: ProxyUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (proxy.to_string().as_str(), proxy.has_credentials()),
                (shown, has_credentials),
                "{text}"
            );
            let debug = format!("{proxy:?} {proxy:#?}");
            assert!(!debug.contains("ann") && !debug.contains("ss@"), "{debug}");
        }
    }

    #[test]
    fn user_and_password_are_decoded_for_the_header() {
        let header = |url: &str| {
            let proxy: ProxyUrl = url.parse().unwrap();
            proxy.basic_auth().map(|header| header.expose_secret().to_owned())
        };
        assert_eq!(header("http://proxy:3128"), None);
        let expected = format!("Basic {}", STANDARD.encode("ann:p@ss:word"));
        assert_eq!(header("http://ann:p%40ss%3Aword@proxy:3128"), Some(expected));
        assert_eq!(header("http://ann@proxy"), Some(format!("Basic {}", STANDARD.encode("ann:"))));
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_quoting_it() {
        for (text, expected) in [
            ("", InvalidProxy::Empty),
            (" \n", InvalidProxy::Empty),
            ("proxy.example.com:3128", InvalidProxy::Scheme),
            ("socks5://s3cret@proxy:1080", InvalidProxy::Scheme),
            ("http:proxy:3128", InvalidProxy::Scheme),
            ("http://", InvalidProxy::Url),
            ("http://:3128", InvalidProxy::Url),
            ("http:///proxy", InvalidProxy::Url),
            ("http://ann:s3cret@", InvalidProxy::Url),
            ("http://proxy:99999", InvalidProxy::Url),
            ("http://proxy:0", InvalidProxy::Url),
            ("http://ann:s3/cret@proxy:3128", InvalidProxy::Url),
            ("http://ann:s3#cret@proxy:3128", InvalidProxy::Url),
            ("http://ann:s3 cret@proxy:3128", InvalidProxy::Url),
            ("http://ann:s3\tcret@proxy", InvalidProxy::Url),
            ("http://proxy\\@other:3128", InvalidProxy::Url),
            ("http://proxy:3128/path", InvalidProxy::Path),
            ("http://proxy:3128?s3cret", InvalidProxy::Path),
            ("http://proxy:3128/#s3cret", InvalidProxy::Path),
        ] {
            let error = text.parse::<ProxyUrl>().expect_err(text);
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("s3"), "{error}");
        }
    }
}
