//! `groupattr-operator check`: reports whether `run` with these settings would find its CRDs and RBAC permissions.
//! It changes nothing.

use std::fmt::Write as _;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt as _, stream};

use crate::api::Region;
use crate::chat::{AllowedEndpoint, ChatClient, Endpoint, Settings};
use crate::cli::{Check, Run};
use crate::k8s::access_review::{Scope, Secrets, is_allowed, permissions};
use crate::k8s::client::{ConnectError, connect};
use crate::k8s::discovery::{RequiredKind, missing_kinds};
use crate::proxy::ProxyUrl;
use crate::run::USER_AGENT;

/// Access reviews in flight at the same time.
const MAX_CONCURRENT_REVIEWS: usize = 8;

/// How long a host behind the proxy may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// One line for each kind and permission checked, and a summary line.
    pub text: String,
    /// Whether the operator would work.
    pub is_complete: bool,
}

/// Checks that the kinds are served, reviews each RBAC permission, and asks the proxy for the vendor, if there is one.
///
/// # Errors
///
/// [`ConnectError`] if there is no usable way to connect to a cluster. A missing kind or permission is not an error:
/// the findings report it.
pub async fn check(settings: &Check) -> Result<Findings, ConnectError> {
    let client = &connect().await?.main;
    let (mut text, mut missing, mut reduced) = (String::new(), 0, 0);
    let mut report = |status: &str, what: &str| {
        let _ = writeln!(text, "{status:<8} {what}");
    };

    let kinds = RequiredKind::of(&settings.run.watch_namespaces);
    match missing_kinds(client, &kinds).await {
        None => report("ok", "the kinds of groupattr.dev are served"),
        Some(why) => {
            missing += 1;
            report("missing", &why);
        }
    }
    let scope = Scope {
        watched: &settings.run.watch_namespaces,
        lease: settings.run.leader_elect.then_some(settings.run.namespace.as_str()),
        secrets: settings.secrets(),
    };
    let permissions = permissions(scope);
    let mut reviews = stream::iter(&permissions)
        .map(|permission| async move { (permission, is_allowed(client, permission).await) })
        .buffered(MAX_CONCURRENT_REVIEWS);
    while let Some((permission, allowed)) = reviews.next().await {
        match allowed {
            Ok(true) => report("ok", &permission.to_string()),
            Ok(false) if !permission.consequence.is_empty() => {
                reduced += 1;
                report("without", &format!("{permission}: {}", permission.consequence));
            }
            Ok(false) => {
                missing += 1;
                report("missing", &format!("{permission}: add it to a role bound to this account"));
            }
            // The remaining reviews would most likely fail in the same way.
            Err(why) => {
                missing += 1;
                report("unknown", &format!("{permission}: {why}"));
                break;
            }
        }
    }
    drop(reviews);
    if settings.secrets() == Secrets::None {
        report(
            "skipped",
            "get secrets: each namespace that has an app grants it for the Secret that the app names",
        );
    }
    if let Some(proxy) = &settings.run.https_proxy {
        let answers = through_proxy(&settings.run, proxy).await;
        let is_open = answers.iter().any(|(_, answer)| answer.is_ok());
        for (host, answer) in answers {
            match answer {
                Ok(()) => report("ok", &format!("{host} answers through the proxy {proxy}")),
                Err(why) if is_open => {
                    reduced += 1;
                    report("without", &format!("{host} through the proxy {proxy}: {why}"));
                }
                Err(why) => {
                    missing += 1;
                    report("missing", &format!("{host} through the proxy {proxy}: {why}"));
                }
            }
        }
    }
    let good = missing == 0;
    let _ = match (good, reduced) {
        (true, 0) => writeln!(text, "everything is in place"),
        (true, _) => writeln!(text, "everything required is in place"),
        (false, _) => writeln!(text, "{missing} missing: the operator would not work"),
    };
    Ok(Findings { text, is_complete: good })
}

/// Which hosts answer through the proxy: those of `--allow-endpoint`, else those of all regions. They get a
/// HEAD request that carries nothing.
async fn through_proxy(settings: &Run, proxy: &ProxyUrl) -> Vec<(String, Result<(), String>)> {
    let client =
        ChatClient::new(&Settings { user_agent: USER_AGENT.to_owned(), https_proxy: Some(proxy.clone()) });
    let client = match client {
        Ok(client) => client,
        Err(error) => return vec![("the vendor".to_owned(), Err(error.to_string()))],
    };
    let allowed = settings.allow_endpoints.iter().map(AllowedEndpoint::endpoint);
    let mut endpoints: Vec<Endpoint> = allowed.filter(Endpoint::is_https).collect();
    if endpoints.is_empty() {
        endpoints.extend(Region::ALL.map(Endpoint::of_region));
    }
    let client = &client;
    let asked = endpoints.into_iter().map(|endpoint| async move {
        let answer = client.reach(&endpoint, ANSWER_TIMEOUT).await;
        (endpoint.authority(), answer.map_err(|fault| fault.to_string()))
    });
    join_all(asked).await
}
