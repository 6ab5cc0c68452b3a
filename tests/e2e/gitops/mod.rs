//! How GitOps tools interpret the operator's objects, and what happens to objects that tools manage. These
//! tests prove the claims of `docs/gitops.md`.
//!
//! | question | file |
//! |---|---|
//! | what do kstatus and Argo CD report in each state? | `health_status` |
//! | what do the actions of Argo CD do? | `argocd` |
//! | how is Argo CD configured? | `argocd_config` |
//! | what is sent when a manifest is reapplied, changed or re-created? | `reapply` |
//! | how do Helm releases with a reset behave? | `helm` |
//! | what is sent after a restore or in a rebuilt cluster? | `restore` |

mod argocd;
mod argocd_config;
mod health_status;
mod helm;
mod reapply;
mod restore;

use std::sync::OnceLock;

use serde_json::Value;
use testbed::GitOps;

/// The tools' libraries; built at the first call.
async fn tools() -> &'static GitOps {
    static TOOLS: OnceLock<GitOps> = OnceLock::new();
    let find = || TOOLS.get_or_init(|| GitOps::find_or_build().expect("the tools' libraries"));
    tokio::task::spawn_blocking(find).await.expect("no panic")
}

/// The content of a file of this repository.
fn file(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Health status and message that Argo CD would show, by the script for the object's kind.
async fn health(object: &Value) -> (String, String) {
    let kind = object["kind"].as_str().expect("a kind");
    let script = file(&format!("{}/{kind}/health.lua", argocd::SCRIPTS));
    let shown = tools().await.lua(&script, object).unwrap_or_else(|error| panic!("{error}: {object:#}"));
    let text = |key: &str| shown[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}
