//! Kubernetes Events about resets and apps: a courtesy to readers, never a reason to wait or to fail.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::client::describe_error;
use crate::limits::bounded_queue::BoundedQueue;
use crate::observability::log_throttle::LogThrottle;

mod series;

use self::series::{EventKey, RecentEvents, StoredEvent};
use crate::text::one_line;

/// Events that may wait to be written, of all namespaces; what comes on top is dropped.
const MAX_QUEUED: usize = 1_000;
/// Events of one namespace that may wait.
const MAX_QUEUED_PER_NAMESPACE: usize = 250;
/// Events written at the same time, each of another namespace.
const MAX_CONCURRENT_WRITES: usize = 4;
/// Written events that are remembered, so that repeats can join them.
const MAX_REMEMBERED: usize = 1_000;
/// Limit of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest note: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>
const MAX_NOTE: usize = 1024;
/// Longest name of a reporting instance, by the same page.
const MAX_INSTANCE: usize = 128;
/// Longest name of an object, less a full stop and the 16 digits that make the name of an event unique.
const MAX_NAME_STEM: usize = 253 - 17;

/// One event to be.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// `UpperCamelCase`, from a fixed set.
    pub reason: &'static str,
    /// A warning, or just news.
    pub warning: bool,
    /// For people. Without counters: within 6 minutes, repeats of the same note form one series.
    pub note: String,
    /// The object it is about, with its uid.
    pub regarding: ObjectReference,
}

/// Writes events in the background. Cheap to clone; what is queued when the process ends is lost.
#[derive(Clone)]
pub struct EventWriter {
    queue: Arc<Mutex<BoundedQueue<NewEvent>>>,
    /// Holds at most one wake-up; the writer ends when nobody can send one any more.
    wake: mpsc::Sender<()>,
    log_throttle: Arc<Mutex<LogThrottle>>,
}

impl EventWriter {
    /// Starts the writer on the current tokio runtime. `identity` names this process in the events; `written` hears of
    /// each write how it went: `ok` or what was wrong.
    #[must_use]
    pub fn new(
        client: Client,
        identity: &str,
        written: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        let queue = Arc::new(Mutex::new(BoundedQueue::new(MAX_QUEUED, MAX_QUEUED_PER_NAMESPACE)));
        let (wake, woken) = mpsc::channel(1);
        let writer = WriterTask {
            client,
            instance: one_line(identity, MAX_INSTANCE),
            recent: Mutex::new(RecentEvents::new(MAX_REMEMBERED)),
            written: Box::new(written),
        };
        tokio::spawn(writer.run(Arc::clone(&queue), woken));
        Self { queue, wake, log_throttle: Arc::default() }
    }

    /// Queues an event without waiting; false if the queue is full and one was dropped, this one or a later one of a
    /// namespace of which more wait.
    #[must_use = "count the dropped ones"]
    pub fn send(&self, new_event: NewEvent) -> bool {
        let namespace = new_event.regarding.namespace.clone().unwrap_or_default();
        let dropped = lock(&self.queue).push(&namespace, new_event).is_some();
        // If it is full, the writer is about to look anyway.
        let _ = self.wake.try_send(());
        let said = "events are dropped: there are too many, or the API server takes them too slowly";
        if dropped && lock(&self.log_throttle).due(said, Instant::now()) {
            tracing::warn!("{said}");
        }
        !dropped
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a call did not do what it should.
struct EventError {
    label: &'static str,
    said: String,
}

struct WriterTask {
    client: Client,
    instance: String,
    recent: Mutex<RecentEvents>,
    written: Box<dyn Fn(&'static str) + Send + Sync>,
}

impl WriterTask {
    async fn run(self, queue: Arc<Mutex<BoundedQueue<NewEvent>>>, mut woken: mpsc::Receiver<()>) {
        let writer = &self;
        let mut writing = FuturesUnordered::new();
        loop {
            while writing.len() < MAX_CONCURRENT_WRITES
                && let Some((namespace, new_event)) = lock(&queue).pop()
            {
                writing.push(async move {
                    writer.write(new_event).await;
                    namespace
                });
            }
            tokio::select! {
                Some(namespace) = writing.next() => lock(&queue).done(&namespace),
                more = woken.recv() => if more.is_none() { return },
            }
        }
    }

    async fn write(&self, new_event: NewEvent) {
        let (NewEvent { reason, regarding, .. }, key) = (&new_event, key(&new_event));
        let now = Timestamp::now();
        // Events about objects of the cluster stand where those of kubectl and client-go do.
        let namespace = regarding.namespace.as_deref().unwrap_or("default");
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let known = lock(&self.recent).find(&key, now).cloned();
        let mut repeated = None;
        if let Some(known) = known {
            match self.repeat(&events, known, now).await {
                Err(error) if error.label == "gone" => lock(&self.recent).forget(&key),
                other => repeated = Some(other),
            }
        }
        let outcome = if let Some(repeated) = repeated {
            repeated
        } else {
            self.create(&events, event(&key, regarding, namespace, &self.instance, now), now).await
        };
        match outcome {
            Ok(stored) => lock(&self.recent).remember(key, stored),
            Err(error) => tracing::warn!(
                reason,
                kind = regarding.kind,
                namespace = regarding.namespace,
                name = regarding.name,
                "event not written: {}",
                error.said
            ),
        }
    }

    async fn repeat(
        &self,
        events: &Api<Event>,
        known: StoredEvent,
        now: Timestamp,
    ) -> Result<StoredEvent, EventError> {
        let next = StoredEvent { count: known.count.saturating_add(1), last: now, ..known };
        let patch = Patch::Merge(series(next.count, now));
        self.call(events.patch(&next.name, &PatchParams::default(), &patch)).await?;
        Ok(next)
    }

    async fn create(
        &self,
        events: &Api<Event>,
        event: Event,
        now: Timestamp,
    ) -> Result<StoredEvent, EventError> {
        self.call(events.create(&PostParams::default(), &event)).await?;
        Ok(StoredEvent { name: event.metadata.name.unwrap_or_default(), count: 1, last: now })
    }

    /// One write, in limited time.
    async fn call(
        &self,
        call: impl Future<Output = Result<Event, kube::Error>>,
    ) -> Result<Event, EventError> {
        let failed = |label, said| Err(EventError { label, said });
        let result = match timeout(CALL_TIMEOUT, call).await {
            Ok(Ok(event)) => Ok(event),
            Ok(Err(error)) => match &error {
                kube::Error::Api(status) if status.code == 404 => failed("gone", describe_error(&error)),
                kube::Error::Api(_) => failed("refused", describe_error(&error)),
                _ => failed("unclear", describe_error(&error)),
            },
            Err(_) => failed("unclear", format!("no answer within {CALL_TIMEOUT:?}")),
        };
        (self.written)(result.as_ref().err().map_or("ok", |error| error.label));
        result
    }
}

fn key(new_event: &NewEvent) -> EventKey {
    EventKey {
        uid: new_event.regarding.uid.clone().unwrap_or_default(),
        reason: new_event.reason,
        warning: new_event.warning,
        note: one_line(&new_event.note, MAX_NOTE),
    }
}

/// What a repeat changes in the stored event.
fn series(count: i32, last: Timestamp) -> serde_json::Value {
    json!({ "series": EventSeries { count, last_observed_time: MicroTime(last) } })
}

fn event(
    key: &EventKey,
    regarding: &ObjectReference,
    namespace: &str,
    instance: &str,
    now: Timestamp,
) -> Event {
    Event {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            name: Some(name(regarding.name.as_deref().unwrap_or_default(), now)),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        type_: Some(if key.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(key.reason.to_owned()),
        note: Some(key.note.clone()),
        action: Some("Reconcile".to_owned()),
        regarding: Some(regarding.clone()),
        reporting_controller: Some("groupattr-operator".to_owned()),
        reporting_instance: Some(instance.to_owned()),
        ..Event::default()
    }
}

/// The object's name and the moment, as client-go names events; a long name is cut where a name may end.
fn name(object: &str, now: Timestamp) -> String {
    let stem = &object[..object.floor_char_boundary(MAX_NAME_STEM)];
    let stem = stem.trim_end_matches(|last: char| !last.is_ascii_alphanumeric());
    format!("{stem}.{:x}", now.as_nanosecond())
}

#[cfg(test)]
mod tests;
