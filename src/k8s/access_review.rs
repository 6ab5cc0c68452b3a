//! The RBAC permissions that the operator uses, and whether this account has them. Every account may review its own
//! access.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::timeout;

use super::{client::describe_error, lease::LEASE_NAME};

/// Timeout of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// An RBAC permission that the operator uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Permission {
    /// The verb, for example `get`.
    pub verb: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural of the resource, with a subresource after a slash.
    pub resource: &'static str,
    /// Namespace; empty for all namespaces and for cluster-scoped objects.
    pub namespace: String,
    /// Object name; empty for all objects.
    pub name: String,
    /// What stops working without it; empty if nothing works without it.
    pub consequence: &'static str,
}

/// What the required permissions depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// The watched namespaces; empty for all.
    pub watched: &'a [String],
    /// The operator's own namespace, if leader election is on.
    pub lease: Option<&'a str>,
    /// The Secrets that the operator reads.
    pub secrets: Secrets<'a>,
}

/// Which Secrets the operator's own role allows it to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets<'a> {
    /// All Secrets, each by a `get` of its name.
    All,
    /// The Secrets of these names.
    Named(&'a [String]),
    /// None: each namespace grants access to its own Secret, so the names are not known in advance.
    None,
}

/// Every permission that the operator uses, and no others.
#[must_use]
pub(crate) fn permissions(scope: Scope<'_>) -> Vec<Permission> {
    const OURS: &str = "groupattr.dev";
    let all = [String::new()];
    let everywhere = scope.watched.is_empty();
    let mut permissions = Vec::new();
    for namespace in if everywhere { &all } else { scope.watched } {
        let mut add = |verb, group, resource, name: &str, loss| {
            let (namespace, name) = (namespace.clone(), name.to_owned());
            permissions.push(Permission { verb, group, resource, namespace, name, consequence: loss });
        };
        for verb in ["get", "list", "watch"] {
            add(verb, OURS, "groupattributeresets", "", "");
        }
        add("delete", OURS, "groupattributeresets", "", "spec.ttlSecondsAfterFinished has no effect");
        for verb in ["update", "patch"] {
            add(verb, OURS, "groupattributeresets/status", "", "");
        }
        let kinds = [("chatapps", "chatapps/status"), ("clusterchatapps", "clusterchatapps/status")];
        for (kind, status) in &kinds[..if everywhere { 2 } else { 1 }] {
            add("list", OURS, kind, "", "");
            add("watch", OURS, kind, "", "");
            add("update", OURS, status, "", "");
        }
        let secrets: &[String] = match scope.secrets {
            Secrets::All => &all,
            Secrets::Named(names) => names,
            Secrets::None => &[],
        };
        for secret in secrets {
            add("get", "", "secrets", secret, "");
        }
        for verb in ["create", "patch"] {
            add(verb, "events.k8s.io", "events", "", "no events are written");
        }
        if everywhere {
            add("list", "", "namespaces", "", "");
            add("watch", "", "namespaces", "", "");
        }
    }
    if let Some(home) = scope.lease {
        for (verb, name) in [("create", ""), ("get", LEASE_NAME), ("update", LEASE_NAME)] {
            permissions.push(Permission {
                verb,
                group: "coordination.k8s.io",
                resource: "leases",
                namespace: home.to_owned(),
                name: name.to_owned(),
                consequence: "",
            });
        }
    }
    permissions
}

/// Whether this account has `permission`, by a `SelfSubjectAccessReview`.
///
/// # Errors
///
/// One line that says why the review failed.
pub(crate) async fn is_allowed(client: &Client, permission: &Permission) -> Result<bool, String> {
    let (resource, subresource) = permission.resource.split_once('/').unwrap_or((permission.resource, ""));
    let attributes = ResourceAttributes {
        verb: Some(permission.verb.to_owned()),
        group: Some(permission.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        namespace: Some(permission.namespace.clone()),
        name: Some(permission.name.clone()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    match timeout(CALL_TIMEOUT, reviews.create(&PostParams::default(), &review)).await {
        Ok(Ok(answer)) => Ok(answer.status.is_some_and(|status| status.allowed)),
        Ok(Err(error)) => Err(describe_error(&error)),
        Err(_) => Err(format!("the API server did not answer within {CALL_TIMEOUT:?}")),
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, group, resource, namespace, name, .. } = self;
        write!(f, "{verb} {resource}")?;
        if !group.is_empty() {
            write!(f, " of {group}")?;
        }
        if !name.is_empty() {
            write!(f, " named {name}")?;
        }
        match (namespace.as_str(), *resource) {
            ("", "namespaces" | "clusterchatapps" | "clusterchatapps/status") => Ok(()),
            ("", _) => write!(f, " in all namespaces"),
            _ => write!(f, " in namespace {namespace}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(scope: Scope<'_>) -> Vec<String> {
        permissions(scope).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn in_chosen_namespaces_nothing_of_the_cluster_is_needed() {
        let watched = ["a".to_owned(), "b".to_owned()];
        let lines =
            lines(Scope { watched: &watched, lease: None, secrets: Secrets::Named(&["chat".to_owned()]) });
        assert!(lines.contains(&"get secrets named chat in namespace b".to_owned()), "{lines:?}");
        assert!(lines.iter().all(|line| line.ends_with("namespace a") || line.ends_with("namespace b")));
        assert!(!lines.iter().any(|line| line.contains("clusterchatapps")));
    }

    #[test]
    fn in_all_namespaces_the_kinds_of_the_cluster_are_needed_too() {
        let lines = lines(Scope { watched: &[], lease: Some("home"), secrets: Secrets::All });
        for line in [
            "get secrets in all namespaces",
            "update clusterchatapps/status of groupattr.dev",
            "watch namespaces",
            "update leases of coordination.k8s.io named groupattr-operator in namespace home",
        ] {
            assert!(lines.contains(&line.to_owned()), "{line}: {lines:?}");
        }
    }

    #[test]
    fn where_namespaces_grant_their_secret_themselves_no_right_to_secrets_is_asked_for() {
        let scope = |secrets| Scope { watched: &[], lease: Some("home"), secrets };
        let (all, none) = (lines(scope(Secrets::All)), lines(scope(Secrets::None)));
        let without: Vec<String> =
            all.iter().filter(|line| !line.starts_with("get secrets")).cloned().collect();
        assert_eq!((none.len() + 1, &none), (all.len(), &without));
    }
}
