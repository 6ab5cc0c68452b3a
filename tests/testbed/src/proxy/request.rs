//! The subject of a request, in the same terms for the API server and the vendor.

use http::{Method, Uri, request::Parts};
use hyper::body::Bytes;
use serde_json::Value;

/// A request that passes through the proxy.
#[derive(Debug, Clone, Default)]
pub struct Passing {
    /// `get`, `list`, `watch`, `create`, `update`, `patch` or `delete` for the API server; `call` for the
    /// vendor.
    pub verb: String,
    /// The plural for the API server (empty for non-resource URLs), the command for the vendor.
    pub resource: String,
    /// The subresource, such as `status`; empty for the object itself.
    pub subresource: String,
    /// The namespace; empty for cluster-scoped requests and for the vendor.
    pub namespace: String,
    /// The name of the object, or the group for the vendor; empty for lists and watches.
    pub name: String,
    /// The query string.
    pub query: String,
    /// The body as JSON; `null` if it is not JSON.
    pub body: Value,
}

impl Passing {
    pub(super) fn of(head: &Parts, body: &Bytes) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let mut passing = match path.as_slice() {
            ["v4", _, command] => Self {
                verb: "call".to_owned(),
                resource: (*command).to_owned(),
                name: body["GroupId"].as_str().unwrap_or_default().to_owned(),
                ..Self::default()
            },
            ["api", _version, rest @ ..] | ["apis", _, _version, rest @ ..] => Self::at_api_server(rest),
            _ => Self::default(),
        };
        if passing.verb.is_empty() {
            passing.verb = verb(&head.method, &head.uri, &passing.name).to_owned();
        }
        // The name of a new object is in its body.
        if passing.name.is_empty() {
            passing.name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        }
        Self { query, body, ..passing }
    }

    fn at_api_server(path: &[&str]) -> Self {
        let (namespace, path) = match path {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            path => ("", path),
        };
        let part = |index: usize| path.get(index).copied().unwrap_or_default().to_owned();
        Self {
            namespace: namespace.to_owned(),
            resource: part(0),
            name: part(1),
            subresource: part(2),
            ..Self::default()
        }
    }
}

fn verb(method: &Method, uri: &Uri, name: &str) -> &'static str {
    let watches =
        uri.query().unwrap_or_default().split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
    match method.as_str() {
        "GET" if watches => "watch",
        "GET" if name.is_empty() => "list",
        "GET" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(method: &str, uri: &str, body: &str) -> String {
        let (head, ()) = http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        let seen = Passing::of(&head, &Bytes::copy_from_slice(body.as_bytes()));
        [seen.verb, seen.resource, seen.subresource, seen.namespace, seen.name].join(" ")
    }

    #[test]
    fn a_request_is_named_by_its_method_and_path() {
        let own = "/apis/groupattr.dev/v1alpha1/namespaces/ns/groupattributeresets";
        for (method, uri, body, expected) in [
            ("PUT", format!("{own}/a/status"), "{}", "update groupattributeresets status ns a"),
            ("GET", format!("{own}?limit=500"), "", "list groupattributeresets  ns "),
            ("GET", format!("{own}?limit=500&watch=true"), "", "watch groupattributeresets  ns "),
            ("GET", "/api/v1/namespaces/ns/secrets/chat".into(), "", "get secrets  ns chat"),
            ("GET", "/api/v1/namespaces?watch=true".into(), "", "watch namespaces   "),
            ("GET", "/api/v1/namespaces/ns".into(), "", "get namespaces   ns"),
            (
                "POST",
                "/apis/coordination.k8s.io/v1/namespaces/ns/leases".into(),
                r#"{"metadata":{"name":"l"}}"#,
                "create leases  ns l",
            ),
            (
                "POST",
                "/v4/group_open_http_svc/clear_group_attr?sdkappid=1".into(),
                r#"{"GroupId":"@TGS#a"}"#,
                "call clear_group_attr   @TGS#a",
            ),
        ] {
            assert_eq!(words(method, &uri, body), expected, "{method} {uri}");
        }
    }
}
