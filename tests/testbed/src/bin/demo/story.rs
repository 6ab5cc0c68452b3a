//! What happened to the objects, and when: everything that a watch told, kept for the show.
//!
//! Polling would miss what lasts for a moment only, such as `Sending`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use futures::{StreamExt as _, pin_mut};
use kube::{
    Api, Client,
    api::{DynamicObject, WatchEvent, WatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::Value;
use tokio::task::JoinSet;

/// How long anything in the show may take. All of it is far quicker, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(45);

/// An object of which the story tells: `GroupAttributeReset shows/room-42`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Subject(String);

impl Subject {
    pub(crate) fn reset(namespace: &str, name: &str) -> Self {
        Self(format!("GroupAttributeReset {namespace}/{name}"))
    }

    pub(crate) fn app(namespace: &str, name: &str) -> Self {
        Self(format!("ChatApp {namespace}/{name}"))
    }

    pub(crate) fn cluster_app(name: &str) -> Self {
        Self(format!("ClusterChatApp {name}"))
    }
}

/// An object as it was at a moment.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    /// `None` as long as the operator has not looked at this spec.
    pub(crate) reason: Option<String>,
    pub(crate) message: String,
    pub(crate) object: Value,
}

impl Moment {
    fn of(object: Value) -> Self {
        let conditions = object["status"]["conditions"].as_array();
        let main = conditions.into_iter().flatten().find(|condition| {
            let speaks_of = &condition["observedGeneration"];
            matches!(condition["type"].as_str(), Some("Succeeded" | "Ready"))
                && *speaks_of == object["metadata"]["generation"]
        });
        let text = |field| main.and_then(|condition| condition[field].as_str()).map(ToOwned::to_owned);
        Self {
            at: Instant::now(),
            reason: text("reason"),
            message: text("message").unwrap_or_default(),
            object,
        }
    }

    /// Whether nothing more will come.
    fn is_final(&self) -> bool {
        let conditions = self.object["status"]["conditions"].as_array();
        self.reason.is_some()
            && conditions.into_iter().flatten().any(|it| it["type"] == "Finished" && it["status"] == "True")
    }
}

/// A place in the story of one object, to tell only what came after it.
#[derive(Debug, Clone)]
pub(crate) struct Bookmark {
    pub(crate) subject: Subject,
    from: usize,
}

type Moments = Arc<Mutex<HashMap<Subject, Vec<Moment>>>>;

/// Everything so far. The watches end with it.
pub(crate) struct Story {
    moments: Moments,
    _watches: JoinSet<()>,
}

impl Story {
    pub(crate) fn begin(client: &Client) -> Self {
        let moments = Moments::default();
        let mut watches = JoinSet::new();
        for kind in ["GroupAttributeReset", "ChatApp", "ClusterChatApp"] {
            let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("groupattr.dev", "v1alpha1", kind));
            watches.spawn(listen(Api::all_with(client.clone(), &kind), Arc::clone(&moments)));
        }
        Self { moments, _watches: watches }
    }

    /// From here on.
    pub(crate) fn bookmark(&self, subject: &Subject) -> Bookmark {
        let from = self.look(|moments| moments.get(subject).map_or(0, Vec::len));
        Bookmark { subject: subject.clone(), from }
    }

    /// What came after the bookmark.
    pub(crate) fn since(&self, bookmark: &Bookmark) -> Vec<Moment> {
        self.look(|moments| {
            moments.get(&bookmark.subject).map_or(Vec::new(), |all| all[bookmark.from..].to_vec())
        })
    }

    /// Waits until the object has this reason.
    pub(crate) async fn until(&self, bookmark: &Bookmark, reason: &str) -> Result<Moment> {
        let end = Instant::now() + PATIENCE;
        loop {
            let moments = self.since(bookmark);
            if let Some(moment) = moments.iter().find(|moment| moment.reason.as_deref() == Some(reason)) {
                return Ok(moment.clone());
            }
            let last = moments.last();
            let subject = &bookmark.subject.0;
            if let Some(end) = last.filter(|moment| moment.is_final()) {
                bail!("{subject} should have become {reason}, but ended as {}", described(end));
            }
            if Instant::now() >= end {
                let last = last.map_or("nothing at all".to_owned(), described);
                bail!("{subject} should have become {reason} within {PATIENCE:?}; last seen: {last}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many of these objects have this reason now.
    pub(crate) fn count(&self, subjects: &[Subject], reason: &str) -> usize {
        self.look(|moments| {
            let last = subjects.iter().filter_map(|subject| moments.get(subject)?.last());
            last.filter(|moment| moment.reason.as_deref() == Some(reason)).count()
        })
    }

    fn look<T>(&self, at: impl FnOnce(&HashMap<Subject, Vec<Moment>>) -> T) -> T {
        at(&self.moments.lock().expect("no panic while holding this lock"))
    }
}

fn described(moment: &Moment) -> String {
    let reason = moment.reason.as_deref().unwrap_or("not looked at by the operator");
    if moment.message.is_empty() { reason.to_owned() } else { format!("{reason} ({})", moment.message) }
}

/// One watch, begun anew when it ends. Moments that are told twice do no harm.
async fn listen(api: Api<DynamicObject>, moments: Moments) {
    loop {
        if let Ok(events) = api.watch(&WatchParams::default(), "0").await {
            pin_mut!(events);
            while let Some(Ok(event)) = events.next().await {
                let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { continue };
                let subject = Subject(name_of(&object));
                let moment = Moment::of(serde_json::to_value(object).unwrap_or_default());
                let mut moments = moments.lock().expect("no panic while holding this lock");
                moments.entry(subject).or_default().push(moment);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn name_of(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map_or("", |types| &types.kind);
    let name = object.metadata.name.as_deref().unwrap_or_default();
    match &object.metadata.namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}
