//! The Helm chart with both Helms, against a real API server.
//!
//! | question | file |
//! |---|---|
//! | is everything documented, checked by the schema, and the same wherever it is written twice? | `files` |
//! | what is rendered, and what is refused? | `render`, `names`, `pods` |
//! | does a null mean the default, wherever it stands? | `nulls` |
//! | the proxy to the vendor | `proxy` |
//! | do the API servers of 1.33 to 1.37 take it, and Pod Security *restricted*? | `valid` |
//! | install, upgrade, roll back, uninstall, take over, umbrella, archive | `releases` |
//! | does uninstalling lose anything, or leave anything behind? | `uninstall` |
//! | who runs the pods, where there are no machines? | `machines` |
//! | does what is installed work, with exactly the rights it uses? | `works` |
//! | the kustomize base, and what an overlay makes of it | `overlays` |
//! | `helm test` and `groupattr-operator check` | `check` |
//! | what may people do, and who may use which app? | `people` |
//! | what does admission keep from those who hold every right in a namespace? | `admission` |
//! | does an empty list, or a second way to say it, ever allow more? | `closed` |

mod admission;
mod check;
mod closed;
mod files;
mod machines;
mod names;
mod nulls;
mod overlays;
mod people;
mod pods;
mod proxy;
mod releases;
mod render;
mod schemas;
mod uninstall;
mod valid;
mod works;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use testbed::{ControlPlane, Helm, Options};
use tokio::sync::Mutex;

/// The chart.
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/groupattr-operator");

/// Values that name a registry: the chart renders nothing without one.
const NAMED: &str =
    concat!("--values=", env!("CARGO_MANIFEST_DIR"), "/charts/groupattr-operator/ci/default-values.yaml");

/// An API server of its own, without our CRDs: for tests that install them in their own way, or need it for themselves.
async fn bare_plane() -> ControlPlane {
    // One after another: starts are what these tests need most of the processor for.
    static STARTING: Mutex<()> = Mutex::const_new(());
    let _turn = STARTING.lock().await;
    let options = Options { ready_within: Duration::from_mins(4), ..Options::default() };
    ControlPlane::start(options).await.expect("control plane")
}

/// The values files in `ci/`, by what they are about.
fn values_files() -> BTreeMap<String, PathBuf> {
    let files = fs::read_dir(format!("{CHART}/ci")).expect("charts/groupattr-operator/ci");
    let files = files.map(|file| file.expect("a file").path());
    files
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            let about = name.strip_suffix("-values.yaml").expect("ci/*-values.yaml").to_owned();
            (about, path)
        })
        .collect()
}

/// What Helm renders, as text; without a values file with those that have to be set.
async fn rendered(helm: Helm, args: &[&str]) -> String {
    let named: &[&str] = if args.iter().any(|arg| arg.starts_with("--values=")) { &[] } else { &[NAMED] };
    let template = ["template", "groupattr-operator", CHART, "--namespace=groupattr-system"];
    let all = [&template[..], named, args].concat();
    helm.offline(&all).await.expect("helm").unwrap()
}

/// What Helm renders, as objects.
async fn objects(helm: Helm, args: &[&str]) -> Vec<Value> {
    parse_all(&rendered(helm, args).await)
}

/// The documents of a YAML text.
fn parse_all(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("YAML");
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The only object of a kind.
fn the<'a>(kind: &str, objects: &'a [Value]) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let one = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "several of kind {kind}");
    one
}

/// The Job of a component: `check` or `drain`.
fn job<'a>(component: &str, objects: &'a [Value]) -> &'a Value {
    let is_its = |object: &&Value| {
        object["kind"] == "Job" && object["metadata"]["labels"]["app.kubernetes.io/component"] == component
    };
    objects.iter().find(is_its).unwrap_or_else(|| panic!("no Job of the {component}"))
}

/// How an object is called in messages.
fn called(object: &Value) -> String {
    let name = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    format!("{} {}/{}", object["kind"].as_str().unwrap_or_default(), name("namespace"), name("name"))
}
