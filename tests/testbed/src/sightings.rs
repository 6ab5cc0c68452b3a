//! An independent watch with administrator access: every version of every object of one kind in one
//! namespace.

use std::{
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams},
    core::GroupVersionKind,
};
use serde_json::Value;
use tokio::{runtime, sync::oneshot};

use crate::{ControlPlane, until::poll};

/// The retry interval while there is no API server or no such kind.
const PAUSE: Duration = Duration::from_millis(500);

/// One version of an object.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// When it was seen, by the monotonic clock.
    pub seen: Instant,
    /// The same by the wall clock.
    pub seen_at: Timestamp,
    /// Whether this is a deletion.
    pub deleted: bool,
    /// The object.
    pub object: Value,
}

#[derive(Debug, Default)]
struct Seen {
    all: Vec<Sighting>,
    /// The newest resourceVersion up to which nothing is missing.
    version: u64,
    /// How often part of the history was no longer available.
    gaps: u32,
}

/// A watch on its own thread, stopped when dropped.
pub struct Sightings {
    seen: Arc<Mutex<Seen>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sightings {
    /// Starts the watch. `kind` and `plural` belong to the API group `groupattr.dev`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub async fn begin(plane: &ControlPlane, namespace: &str, kind: &str, plural: &str) -> Result<Self> {
        let resource = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("groupattr.dev", "v1alpha1", kind),
            plural,
        );
        let config = plane.admin_config().await?;
        let (stop, stopped) = oneshot::channel();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (noted, namespace) = (Arc::clone(&seen), namespace.to_owned());
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("sightings".into()).spawn(move || {
            runtime.block_on(async move {
                let client = Client::try_from(config).expect("the administrator's kubeconfig is well-formed");
                let api = Api::namespaced_with(client, &namespace, &resource);
                tokio::select! {
                    _ = stopped => {}
                    () = look(&api, &noted) => {}
                }
            });
        })?;
        Ok(Self { seen, stop: Some(stop), thread: Some(thread) })
    }

    /// All versions seen so far, in watch order.
    #[must_use]
    pub fn all(&self) -> Vec<Sighting> {
        self.lock().all.clone()
    }

    /// How often the watch had to start over and may have missed versions.
    #[must_use]
    pub fn gaps(&self) -> u32 {
        self.lock().gaps
    }

    /// Waits until everything up to this resourceVersion has been seen; false on timeout.
    pub async fn reach(&self, version: u64, deadline: Duration) -> bool {
        poll(deadline, || async { (self.lock().version >= version).then_some(()).ok_or(()) }).await.is_ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic while holding this lock")
    }
}

impl Drop for Sightings {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Lists and watches; resumes when a watch ends.
async fn look(api: &Api<DynamicObject>, seen: &Mutex<Seen>) {
    let mut version = None;
    loop {
        let from = match version.take() {
            Some(version) => version,
            None => match begin(api, seen).await {
                Some(version) => version,
                None => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        version = follow(api, seen, from).await;
    }
}

/// Lists the objects and returns the version to watch from.
async fn begin(api: &Api<DynamicObject>, seen: &Mutex<Seen>) -> Option<String> {
    let list = api.list(&ListParams::default()).await.ok()?;
    let version = list.metadata.resource_version?;
    for object in list.items {
        note(seen, &object, false);
    }
    reach(seen, &version);
    Some(version)
}

/// Watches and returns the version to resume from; `None` if its history is gone.
async fn follow(api: &Api<DynamicObject>, seen: &Mutex<Seen>, mut version: String) -> Option<String> {
    // Bookmarks, which are requested by default, show progress while nothing happens.
    let Ok(stream) = api.watch(&WatchParams::default(), &version).await else {
        tokio::time::sleep(PAUSE).await;
        return Some(version);
    };
    let mut stream = stream.boxed();
    while let Some(Ok(event)) = stream.next().await {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                version = object.metadata.resource_version.clone()?;
                note(seen, &object, false);
            }
            WatchEvent::Deleted(object) => {
                version = object.metadata.resource_version.clone()?;
                note(seen, &object, true);
            }
            WatchEvent::Bookmark(bookmark) => {
                version = bookmark.metadata.resource_version;
                reach(seen, &version);
            }
            WatchEvent::Error(_) => {
                seen.lock().expect("no panic while holding this lock").gaps += 1;
                return None;
            }
        }
    }
    Some(version)
}

fn note(seen: &Mutex<Seen>, object: &DynamicObject, deleted: bool) {
    let version = object.metadata.resource_version.clone().unwrap_or_default();
    let mut all = seen.lock().expect("no panic while holding this lock");
    all.all.push(Sighting {
        seen: Instant::now(),
        seen_at: Timestamp::now(),
        deleted,
        object: serde_json::to_value(object).unwrap_or_default(),
    });
    drop(all);
    reach(seen, &version);
}

fn reach(seen: &Mutex<Seen>, version: &str) {
    let mut seen = seen.lock().expect("no panic while holding this lock");
    seen.version = seen.version.max(version.parse().unwrap_or_default());
}
