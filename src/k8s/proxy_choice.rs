//! Which proxy the way to the API server goes through, by the rules of kubectl: `proxy-url` of the kubeconfig, else
//! `HTTPS_PROXY` and `NO_PROXY`.
//!
//! kubectl reads the variables as Go's `golang.org/x/net/http/httpproxy` does: the name in capitals wins over the one in
//! small letters, an empty variable counts as unset, `ALL_PROXY` is not read, and loopback hosts are never proxied. The
//! same holds in a pod.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;

use crate::proxy::ProxyUrl;

/// The proxy for the API server.
#[derive(Clone, Debug)]
pub(super) struct ApiProxy {
    pub url: ProxyUrl,
    /// What names it: `proxy-url` of the kubeconfig, or a variable.
    source: &'static str,
    /// What to do to go without it.
    remedy: String,
}

/// Shows the proxy without its password, and says how to do without it.
impl fmt::Display for ApiProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}; {}", self.url, self.source, self.remedy)
    }
}

/// The proxy that is named for the API server cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proxy of {source_name} for the API server cannot be used: {why}; {remedy}")]
pub struct UnusableProxy {
    source_name: &'static str,
    why: String,
    remedy: String,
}

/// The proxy for the API server at `server`, if there is one. `proxy_url` is that of the kubeconfig.
pub(super) fn choose(
    server: &Uri,
    proxy_url: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<ApiProxy>, UnusableProxy> {
    let is_set = |value: &String| !value.trim().is_empty();
    let first = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| variable(name).filter(is_set).map(|value| (name, value)))
    };
    // A test server without TLS is always reached directly.
    let Some(host) = server.host().filter(|_| server.scheme_str() == Some("https")) else { return Ok(None) };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let (source, text, remedy) = match proxy_url.map(str::to_owned).filter(is_set) {
        Some(text) => ("proxy-url in the kubeconfig", text, "correct or remove it".to_owned()),
        None => match first(["HTTPS_PROXY", "https_proxy"]) {
            Some((name, text)) if !is_loopback(&host) => {
                let (_, list) = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
                if is_excluded(&list, &host, server.port_u16().unwrap_or(443)) {
                    return Ok(None);
                }
                (name, text, format!("add {host} to NO_PROXY to reach the API server without a proxy"))
            }
            _ => return Ok(None),
        },
    };
    let unusable = |why: String| UnusableProxy { source_name: source, why, remedy: remedy.clone() };
    let text = if text.contains("://") { text } else { format!("http://{text}") };
    let url: ProxyUrl =
        text.parse().map_err(|error: crate::proxy::InvalidProxy| unusable(error.to_string()))?;
    if !url.to_string().starts_with("http://") {
        return Err(unusable(format!("{url} is no http:// proxy")));
    }
    Ok(Some(ApiProxy { url, source, remedy }))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a `NO_PROXY` list names this host. Its elements are separated by commas: `*`, an address, a CIDR range, or a
/// domain, which includes its subdomains and with a dot in front only these; all but ranges can have a port.
fn is_excluded(list: &str, host: &str, port: u16) -> bool {
    let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    list.split(',').map(|element| element.trim().to_ascii_lowercase()).any(|element| {
        if element == "*" {
            return true;
        }
        if let Ok(range) = element.parse::<IpNet>() {
            return address.is_some_and(|address| range.contains(&address));
        }
        let (name, wanted) = split_port(&element);
        if name.is_empty() || wanted.is_some_and(|wanted| wanted != port.to_string()) {
            return false;
        }
        if let Ok(named) = name.parse::<IpAddr>() {
            return address == Some(named.to_canonical());
        }
        let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
        match name.strip_prefix('.') {
            Some(_) => host.ends_with(name),
            None => host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
        }
    })
}

/// `host:port`, `[::1]:port`, or a host alone, which may be an IPv6 address.
fn split_port(element: &str) -> (&str, Option<&str>) {
    if let Some(rest) = element.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, rest.strip_prefix(':'));
    }
    match element.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (element, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "http://ann:s3cret@proxy.example.com:3128";

    fn chosen(server: &str, proxy_url: Option<&str>, variables: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| {
            variables.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned())
        };
        match choose(&server.parse().unwrap(), proxy_url, variable) {
            Ok(proxy) => Ok(proxy.map(|proxy| proxy.url.to_string()).unwrap_or_default()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn kubeconfig_wins_over_variables_and_capitals_over_small_letters() {
        let (a, b) = ("http://a:1", "http://b:2");
        for (server, proxy_url, variables, expected) in [
            ("https://api:6443", None, &[][..], ""),
            ("https://api:6443", None, &[("HTTPS_PROXY", a)], a),
            ("https://api:6443", None, &[("https_proxy", a)], a),
            ("https://api:6443", None, &[("HTTPS_PROXY", a), ("https_proxy", b)], a),
            ("https://api:6443", None, &[("HTTPS_PROXY", ""), ("https_proxy", b)], b),
            ("https://api:6443", None, &[("HTTPS_PROXY", "a:1")], a),
            ("https://api:6443", None, &[("ALL_PROXY", a), ("HTTP_PROXY", a), ("all_proxy", a)], ""),
            ("https://api:6443", Some(b), &[("HTTPS_PROXY", a), ("NO_PROXY", "*")], b),
            ("https://api:6443", Some(""), &[("HTTPS_PROXY", a)], a),
            ("https://127.0.0.1:6443", Some(b), &[], b),
            ("https://127.0.0.1:6443", None, &[("HTTPS_PROXY", a)], ""),
            ("https://127.9.9.9:6443", None, &[("HTTPS_PROXY", a)], ""),
            ("https://[::1]:6443", None, &[("https_proxy", a)], ""),
            ("https://LocalHost:6443", None, &[("HTTPS_PROXY", a)], ""),
            ("https://localhost.example.com", None, &[("HTTPS_PROXY", a)], a),
            ("http://api:8080", None, &[("HTTPS_PROXY", a)], ""),
            ("https://api:6443", None, &[("HTTPS_PROXY", a), ("no_proxy", "api")], ""),
            ("https://api:6443", None, &[("HTTPS_PROXY", a), ("NO_PROXY", "other"), ("no_proxy", "api")], a),
            ("https://api:6443", None, &[("HTTPS_PROXY", a), ("NO_PROXY", ""), ("no_proxy", "api")], ""),
        ] {
            assert_eq!(
                chosen(server, proxy_url, variables).as_deref(),
                Ok(expected),
                "{server} {variables:?}"
            );
        }
    }

    #[test]
    fn no_proxy_is_read_in_all_its_spellings() {
        for (list, host, port, expected) in [
            ("", "api.example.com", 443, false),
            (",", "api.example.com", 443, false),
            (" , api.example.com ,", "api.example.com", 443, true),
            ("*", "api.example.com", 443, true),
            ("other, *", "10.0.0.1", 443, true),
            ("API.Example.COM", "api.example.com", 443, true),
            ("example.com", "api.example.com", 443, true),
            ("example.com", "example.com", 443, true),
            ("example.com", "badexample.com", 443, false),
            (".example.com", "api.example.com", 443, true),
            (".example.com", "example.com", 443, false),
            ("*.example.com", "api.example.com", 443, true),
            ("*.example.com", "example.com", 443, false),
            ("*example.com", "api.example.com", 443, false),
            ("api.example.com:6443", "api.example.com", 6443, true),
            ("api.example.com:6443", "api.example.com", 443, false),
            (".svc,.cluster.local", "kubernetes.default.svc", 443, true),
            ("10.96.0.1", "10.96.0.1", 443, true),
            ("10.96.0.1:443", "10.96.0.1", 443, true),
            ("10.96.0.1:443", "10.96.0.1", 6443, false),
            ("10.96.0.0/12", "10.100.0.1", 443, true),
            ("10.96.0.7/12", "10.100.0.1", 443, true),
            ("10.96.0.0/12", "10.112.0.1", 443, false),
            ("10.96.0.0/12", "ten.example.com", 443, false),
            ("2001:db8::/32", "2001:db8::1", 443, true),
            ("2001:DB8::1", "2001:db8::1", 443, true),
            ("[2001:db8::1]:443", "2001:db8::1", 443, true),
            ("[2001:db8::1]:443", "2001:db8::1", 6443, false),
            ("[2001:db8::1]", "2001:db8::1", 6443, true),
            ("::ffff:10.0.0.1", "10.0.0.1", 443, true),
            (":443", "api.example.com", 443, false),
        ] {
            assert_eq!(is_excluded(list, host, port), expected, "{list:?} {host}:{port}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_said_with_what_to_do_and_without_its_password() {
        let socks = PROXY.replace("http", "socks5");
        let tls = PROXY.replace("http", "https");
        for (proxy_url, variables, expected) in [
            (None, vec![("https_proxy", socks.as_str())], "https_proxy for the API server cannot be used"),
            (None, vec![("HTTPS_PROXY", tls.as_str())], "is no http:// proxy; add 10.96.0.1 to NO_PROXY"),
            (None, vec![("HTTPS_PROXY", "http://ann:s3/cret@proxy")], "percent-encoded"),
            (Some(socks.as_str()), vec![], "proxy-url in the kubeconfig"),
        ] {
            let message = chosen("https://10.96.0.1", proxy_url, &variables).unwrap_err();
            assert!(message.contains(expected) && !message.contains("s3"), "{message}");
        }
        // What is not needed is not looked at.
        let unused = [("HTTPS_PROXY", socks.as_str()), ("NO_PROXY", "10.0.0.0/8")];
        assert_eq!(chosen("https://10.96.0.1", None, &unused), Ok(String::new()));

        let proxy = choose(&"https://10.96.0.1".parse().unwrap(), None, |name| {
            (name == "HTTPS_PROXY").then(|| PROXY.to_owned())
        });
        let shown = format!("{0} {0:?}", proxy.unwrap().unwrap());
        assert!(
            shown.starts_with("http://proxy.example.com:3128 of HTTPS_PROXY; add 10.96.0.1 to NO_PROXY"),
            "{shown}"
        );
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
