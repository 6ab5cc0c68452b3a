//! When each reset of a namespace reached its end, as a watch tells it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, pin_mut};
use kube::Api;
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use testbed::OperatorProcess;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::load::is_true;
use super::stage::is_alive;

/// The longest watch that the API server allows without being asked for more; no measurement takes that long.
const WATCH_SECONDS: u32 = 290;

const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Finals {
    resets: Api<DynamicObject>,
    shared: Arc<Shared>,
    watch: AbortHandle,
}

#[derive(Default)]
struct Shared {
    ends: Mutex<HashMap<String, Instant>>,
    news: Notify,
}

impl Shared {
    fn end_of(&self, name: &str) -> Option<Instant> {
        self.ends.lock().expect("no panic while holding this lock").get(name).copied()
    }
}

impl Finals {
    /// Begins to watch.
    pub(crate) async fn follow(resets: Api<DynamicObject>) -> Result<Self> {
        let version = resets.list(&ListParams::default().limit(1)).await?.metadata.resource_version;
        let version = version.context("a list without a resourceVersion")?;
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let api = resets.clone();
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
        Ok(Self { resets, shared, watch: watch.abort_handle() })
    }

    /// Waits until the operator has brought a reset to its end.
    pub(crate) async fn of(&self, name: &str, operator: &OperatorProcess) -> Result<Instant> {
        let wait = async {
            loop {
                let news = self.shared.news.notified();
                pin_mut!(news);
                // From here on no end is missed.
                news.as_mut().enable();
                if let Some(end) = self.shared.end_of(name) {
                    return end;
                }
                news.await;
            }
        };
        let Ok(end) = tokio::time::timeout(PATIENCE, wait).await else {
            is_alive(operator)?;
            let stands = self.resets.get(name).await?.data["status"].take();
            bail!("{name} did not end within {PATIENCE:?}; its status: {stands}");
        };
        Ok(end)
    }
}

impl Drop for Finals {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
