//! Parsers for the values of single flags. Each error says what to write instead.

use std::{net::SocketAddr, time::Duration};

use crate::chat::AllowedEndpoint;
use crate::proxy::{InvalidProxy, ProxyUrl};

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(n @ 1..=3600) => Ok(Duration::from_secs(n)),
        _ => Err("use whole seconds from 1 to 3600".to_owned()),
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| "use IP:PORT, for example 0.0.0.0:8080 or [::]:8080".to_owned())
}

/// A DNS-1123 label: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let name = text.trim();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends_plain = name.bytes().next().is_some_and(plain) && name.bytes().last().is_some_and(plain);
    if ends_plain && name.len() <= 63 && name.bytes().all(|b| plain(b) || b == b'-') {
        return Ok(name.to_owned());
    }
    Err("use a namespace name: 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends".to_owned())
}

/// An empty list element is a mistake, of a template for example, and must not come to mean "all namespaces".
pub(super) fn watched_namespace(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("name a namespace, or omit the flag to watch all namespaces".to_owned());
    }
    namespace(text)
}

/// A DNS-1123 subdomain, the form of most object names: labels separated by full stops.
fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|part| namespace(part).is_ok_and(|same| same == part))
}

pub(super) fn object_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if is_subdomain(name) {
        return Ok(name.to_owned());
    }
    Err("use a Deployment name: a-z, 0-9, - and ., with a letter or digit at both ends".to_owned())
}

pub(super) fn endpoint(text: &str) -> Result<AllowedEndpoint, String> {
    if text.trim().is_empty() {
        return Err("name a host, or omit the flag to allow none".to_owned());
    }
    text.trim().parse::<AllowedEndpoint>().map_err(|error| error.to_string())
}

pub(super) fn proxy(text: &str) -> Result<ProxyUrl, InvalidProxy> {
    text.parse()
}

pub(super) fn secret(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() {
        return Err("name a Secret, or omit the flag to check access to all Secrets".to_owned());
    }
    if is_subdomain(name) {
        return Ok(name.to_owned());
    }
    Err("use a Secret name: at most 253 of a-z, 0-9, - and ., with a letter or digit at both ends".to_owned())
}
