//! Checks that the cluster serves the operator's kinds. Every account may do this: discovery needs no RBAC permission
//! beyond the default ones.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::Client;
use tokio::time::{Instant, sleep, timeout};

use super::client::{describe_error, is_unauthorized};
use crate::limits::backoff::Backoff;
use crate::observability::log_throttle::LogThrottle;

const GROUP_VERSION: &str = "groupattr.dev/v1alpha1";
/// Timeout of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait before the first retry.
const MIN_RETRY: Duration = Duration::from_secs(1);
/// Longest wait between two checks.
const MAX_RETRY: Duration = Duration::from_secs(10);

/// A kind that must be served together with its status subresource, named by its plural.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequiredKind(&'static str);

impl RequiredKind {
    /// `GroupAttributeReset`
    pub(crate) const RESETS: Self = Self("groupattributeresets");
    /// `ChatApp`
    pub(crate) const CHAT_APPS: Self = Self("chatapps");
    /// `ClusterChatApp`
    pub(crate) const CLUSTER_CHAT_APPS: Self = Self("clusterchatapps");

    /// The kinds that an operator watching `namespaces` needs; an empty list means all namespaces.
    #[must_use]
    pub(crate) fn of(namespaces: &[String]) -> Vec<Self> {
        let mut needed = vec![Self::RESETS, Self::CHAT_APPS];
        if namespaces.is_empty() {
            needed.push(Self::CLUSTER_CHAT_APPS);
        }
        needed
    }
}

/// Waits until each of `needed` is served with its `/status`, without a time limit.
///
/// `on_missing` gets the line about what is missing whenever it changes; the log gets it once a minute as well.
pub(crate) async fn wait_for_kinds(
    client: &Client,
    needed: &[RequiredKind],
    mut on_missing: impl FnMut(&str),
) {
    let mut log_throttle = LogThrottle::default();
    let mut last = String::new();
    let mut backoff = Backoff::new(MIN_RETRY, MAX_RETRY);
    while let Some(line) = missing_kinds(client, needed).await {
        if line != last {
            on_missing(&line);
            backoff.reset();
        }
        if log_throttle.due(&line, Instant::now()) {
            tracing::warn!("{line}");
        }
        last = line;
        sleep(backoff.next_wait()).await;
    }
}

/// Checks once. Returns one line that says what is missing or why the check failed, or `None` if all is served.
pub(crate) async fn missing_kinds(client: &Client, needed: &[RequiredKind]) -> Option<String> {
    match timeout(CALL_TIMEOUT, client.list_api_group_resources(GROUP_VERSION)).await {
        Ok(Ok(served)) => describe_missing(&missing(&served, needed)),
        // Test the code, not the reason: for an API group that is not served, the body is plain text, not a Status.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
            describe_missing(&missing(&APIResourceList::default(), needed))
        }
        Ok(Err(error @ kube::Error::Api(_))) if is_unauthorized(&error) => Some(describe_error(&error)),
        Ok(Err(error @ kube::Error::Api(_))) => Some(format!(
            "the kinds of {GROUP_VERSION} cannot be discovered: {}; bind the ClusterRole system:discovery to this \
             account, which is the default for every account",
            describe_error(&error)
        )),
        Ok(Err(error)) => {
            Some(format!("the kinds of {GROUP_VERSION} cannot be discovered: {}", describe_error(&error)))
        }
        Err(_) => Some(format!("the API server did not answer within {CALL_TIMEOUT:?}")),
    }
}

/// The entries `plural` and `plural/status` of `needed` that `served` lacks.
fn missing(served: &APIResourceList, needed: &[RequiredKind]) -> Vec<String> {
    needed
        .iter()
        .flat_map(|RequiredKind(plural)| [(*plural).to_owned(), format!("{plural}/status")])
        .filter(|name| !served.resources.iter().any(|resource| resource.name == *name))
        .collect()
}

fn describe_missing(missing: &[String]) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "the cluster does not serve {} of {GROUP_VERSION}; install the CRDs with \
         `groupattr-operator crd | kubectl apply --server-side -f -`",
        missing.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;

    use super::*;

    fn serving(names: &[&str]) -> APIResourceList {
        let resources =
            names.iter().map(|name| APIResource { name: (*name).to_owned(), ..Default::default() });
        APIResourceList { group_version: GROUP_VERSION.to_owned(), resources: resources.collect() }
    }

    #[test]
    fn a_kind_without_its_status_is_missing() {
        let both = [RequiredKind::RESETS, RequiredKind::CHAT_APPS];
        let served = serving(&["groupattributeresets", "chatapps", "chatapps/status"]);
        assert_eq!(missing(&served, &both), ["groupattributeresets/status"]);
        assert_eq!(missing(&served, &[RequiredKind::CHAT_APPS]), Vec::<String>::new());
        assert_eq!(missing(&serving(&[]), &[RequiredKind::CLUSTER_CHAT_APPS]).len(), 2);
    }

    #[test]
    fn the_line_names_what_is_missing_and_the_command_that_installs_it() {
        let line = describe_missing(&missing(&serving(&[]), &[RequiredKind::RESETS])).unwrap();
        assert!(line.contains("groupattributeresets, groupattributeresets/status"), "{line}");
        assert!(line.contains("`groupattr-operator crd | kubectl apply --server-side -f -`"), "{line}");
        assert_eq!(describe_missing(&[]), None);
    }
}
