//! When each reset of a namespace reached its end, as a watch tells it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, pin_mut};
use kube::Api;
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::load::is_true;

/// The longest watch that the API server allows without being asked for more; no measurement takes that long.
const WATCH_SECONDS: u32 = 290;

pub(crate) struct Finals {
    shared: Arc<Shared>,
    watch: AbortHandle,
}

#[derive(Default)]
struct Shared {
    ends: Mutex<HashMap<String, Instant>>,
    news: Notify,
}

impl Finals {
    /// Begins to watch.
    pub(crate) async fn follow(api: Api<DynamicObject>) -> Result<Self> {
        let version = api.list(&ListParams::default().limit(1)).await?.metadata.resource_version;
        let version = version.context("a list without a resourceVersion")?;
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let watch = tokio::spawn(async move {
            let params = WatchParams::default().timeout(WATCH_SECONDS);
            let Ok(events) = api.watch(&params, &version).await else { return };
            pin_mut!(events);
            while let Some(Ok(event)) = events.next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event
                    && is_true(&object, "Finished")
                {
                    let name = object.metadata.name.unwrap_or_default();
                    seen.ends
                        .lock()
                        .expect("no panic while holding this lock")
                        .entry(name)
                        .or_insert_with(Instant::now);
                    seen.news.notify_waiters();
                }
            }
        });
        Ok(Self { shared, watch: watch.abort_handle() })
    }

    /// Waits for the end of one reset.
    pub(crate) async fn of(&self, name: &str, patience: Duration) -> Result<Instant> {
        let wait = async {
            loop {
                let news = self.shared.news.notified();
                pin_mut!(news);
                // From here on no end is missed.
                news.as_mut().enable();
                let ends = self.shared.ends.lock().expect("no panic while holding this lock");
                if let Some(end) = ends.get(name) {
                    return *end;
                }
                drop(ends);
                news.await;
            }
        };
        tokio::time::timeout(patience, wait)
            .await
            .with_context(|| format!("{name} did not end within {patience:?}"))
    }
}

impl Drop for Finals {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
