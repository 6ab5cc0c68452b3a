//! Resets, many at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Api;
use kube::api::{DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};
use testbed::Vendor;

use super::progress::Progress;

/// Requests under way at once.
const AT_ONCE: usize = 16;
/// Objects in one page of a list.
const PAGE: u32 = 1000;

/// The room of a reset.
pub(crate) fn group_of(name: &str) -> String {
    format!("@TGS#{name}")
}

/// Numbered names.
pub(crate) fn numbered(name: &str, from: usize, to: usize) -> Vec<String> {
    (from..to).map(|i| format!("{name}-{i:05}")).collect()
}

/// A room with a seat taken for each of these.
pub(crate) fn rooms(vendor: &Vendor, account: u64, names: &[String]) {
    for name in names {
        vendor.room(account, &group_of(name), &[("seat1", "ann")]);
    }
}

/// A reset of the room of that name.
pub(crate) fn reset(name: &str, app: &str) -> DynamicObject {
    let object = json!({
        "apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset",
        "metadata": {"name": name},
        "spec": {"groupID": group_of(name), "appRef": {"name": app}},
    });
    serde_json::from_value(object).expect("an object")
}

/// Makes a reset for each name, as fast as the API server takes them.
pub(crate) async fn create(
    api: &Api<DynamicObject>,
    names: &[String],
    app: &str,
    progress: &Progress,
) -> Result<()> {
    each(names, "making resets", progress, async |name| {
        api.create(&PostParams::default(), &reset(name, app)).await.map(drop)
    })
    .await
}

/// Makes resets that have ended, with this status.
pub(crate) async fn create_finished(
    api: &Api<DynamicObject>,
    names: &[String],
    status: &Value,
    progress: &Progress,
) -> Result<()> {
    let params = &PostParams::default();
    each(names, "making finished resets", progress, async |name| {
        let mut object = api.create(params, &reset(name, "default")).await?;
        object.data["status"] = status.clone();
        api.replace_status(name, params, &object).await.map(drop)
    })
    .await
}

/// Makes something for each name, several at once, and counts.
async fn each(
    names: &[String],
    what: &'static str,
    progress: &Progress,
    make: impl AsyncFn(&str) -> kube::Result<()>,
) -> Result<()> {
    let done = AtomicUsize::new(0);
    let (done, make) = (&done, &make);
    let creations = names.iter().map(|name| async move {
        make(name).await?;
        progress.count(what, done.fetch_add(1, Ordering::Relaxed) + 1, names.len());
        Ok::<_, kube::Error>(())
    });
    stream::iter(creations)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
        .context("cannot make the resets")
}

/// Waits until every reset of the namespace has ended well.
pub(crate) async fn all_cleared(api: &Api<DynamicObject>, count: usize, patience: Duration) -> Result<()> {
    let end = Instant::now() + patience;
    loop {
        let (mut cleared, mut next) = (0, None::<String>);
        loop {
            let page = ListParams::default().limit(PAGE);
            let page =
                api.list(&if let Some(next) = &next { page.continue_token(next) } else { page }).await?;
            cleared += page.items.iter().filter(|object| is_cleared(object)).count();
            next = page.metadata.continue_.filter(|next| !next.is_empty());
            if next.is_none() {
                break;
            }
        }
        if cleared == count {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("only {cleared} of {count} resets have ended well");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Whether a condition of this type is true.
pub(crate) fn is_true(object: &DynamicObject, condition: &str) -> bool {
    let conditions = object.data["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|one| one["type"] == condition && one["status"] == "True"))
}

fn is_cleared(object: &DynamicObject) -> bool {
    is_true(object, "Succeeded")
}
