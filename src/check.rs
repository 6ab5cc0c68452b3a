//! `groupattr-operator check`: reports whether `run` with these settings would find its CRDs and RBAC permissions.
//! It changes nothing.

use std::fmt::Write as _;

use futures::{StreamExt as _, stream};

use crate::cli::Check;
use crate::k8s::access_review::{Scope, Secrets, is_allowed, permissions};
use crate::k8s::client::{ConnectError, connect};
use crate::k8s::discovery::{RequiredKind, missing_kinds};

/// Access reviews in flight at the same time.
const MAX_CONCURRENT_REVIEWS: usize = 8;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// One line for each kind and permission checked, and a summary line.
    pub text: String,
    /// Whether the operator would work.
    pub is_complete: bool,
}

/// Checks that the kinds are served, then reviews each RBAC permission.
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
    let good = missing == 0;
    let _ = match (good, reduced) {
        (true, 0) => writeln!(text, "everything is in place"),
        (true, _) => writeln!(text, "everything required is in place"),
        (false, _) => writeln!(text, "{missing} missing: the operator would not work"),
    };
    Ok(Findings { text, is_complete: good })
}
