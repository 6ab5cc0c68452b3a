//! `groupattr-operator check`: would `run` with these settings find what it needs? It changes nothing.

use std::fmt::Write as _;

use futures::{StreamExt as _, stream};

use crate::cli::Check;
use crate::k8s::access_review::{Scope, Secrets, may, permissions};
use crate::k8s::client::{ConnectError, connect};
use crate::k8s::discovery::{RequiredKind, obstacle};

/// Reviews asked for at the same time.
const AT_ONCE: usize = 8;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// A line for each thing that was looked at, and one that sums up.
    pub text: String,
    /// Whether the operator would work.
    pub good: bool,
}

/// Looks for the kinds and asks for every right.
pub async fn check(settings: &Check) -> Result<Findings, ConnectError> {
    let client = &connect().await?.main;
    let (mut text, mut missing, mut reduced) = (String::new(), 0, 0);
    let mut say = |word: &str, what: &str| {
        let _ = writeln!(text, "{word:<8} {what}");
    };

    let kinds = RequiredKind::of(&settings.run.watch_namespaces);
    match obstacle(client, &kinds).await {
        None => say("ok", "the kinds of groupattr.dev are served"),
        Some(why) => {
            missing += 1;
            say("missing", &why);
        }
    }
    let extent = Scope {
        watched: &settings.run.watch_namespaces,
        lease: settings.run.leader_elect.then_some(settings.run.namespace.as_str()),
        secrets: settings.secrets(),
    };
    let permissions = permissions(extent);
    let mut answers = stream::iter(&permissions)
        .map(|right| async move { (right, may(client, right).await) })
        .buffered(AT_ONCE);
    while let Some((right, answer)) = answers.next().await {
        match answer {
            Ok(true) => say("ok", &right.to_string()),
            Ok(false) if !right.loss.is_empty() => {
                reduced += 1;
                say("without", &format!("{right}: {}", right.loss));
            }
            Ok(false) => {
                missing += 1;
                say("missing", &format!("{right}: add it to a role of this account"));
            }
            // The next question would be answered no better.
            Err(why) => {
                missing += 1;
                say("unknown", &format!("{right}: {why}"));
                break;
            }
        }
    }
    drop(answers);
    if settings.secrets() == Secrets::None {
        say("unasked", "get secrets: each namespace with an app grants it for the Secret that the app names");
    }
    let good = missing == 0;
    let _ = match (good, reduced) {
        (true, 0) => writeln!(text, "everything is there"),
        (true, _) => writeln!(text, "everything that is needed is there"),
        (false, _) => writeln!(text, "{missing} missing: the operator would not work"),
    };
    Ok(Findings { text, good })
}
