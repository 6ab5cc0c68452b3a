//! Writes Kubernetes Events about resets and apps. They are informational: nothing waits for an event or fails because
//! of one.

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

/// Maximum number of queued events of all namespaces; further events are dropped.
const MAX_QUEUED: usize = 1_000;
/// Maximum number of queued events of one namespace.
const MAX_QUEUED_PER_NAMESPACE: usize = 250;
/// Events written concurrently, each of a different namespace.
const MAX_CONCURRENT_WRITES: usize = 4;
/// Written events that are remembered, so that repeats can join their series.
const MAX_REMEMBERED: usize = 1_000;
/// Timeout of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest note, in bytes: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>
const MAX_NOTE: usize = 1024;
/// Longest reporting instance, in bytes, from the same page.
const MAX_INSTANCE: usize = 128;
/// Longest object name, less the full stop and the 16 hexadecimal digits that make an event's name unique.
const MAX_NAME_STEM: usize = 253 - 17;

/// An event to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    /// The reason: `UpperCamelCase`, from a fixed set.
    pub reason: &'static str,
    /// The type: `Warning` if true, else `Normal`.
    pub warning: bool,
    /// The text for users. It must not contain counters, because repeats of the same note within 6 minutes form one
    /// series.
    pub note: String,
    /// The object that the event is about, with its uid.
    pub regarding: ObjectReference,
}

/// Writes events in the background. Cheap to clone. Events that are still queued when the process ends are lost.
#[derive(Clone)]
pub(crate) struct EventWriter {
    queue: Arc<Mutex<BoundedQueue<NewEvent>>>,
    /// Holds at most one wake-up. The writer task ends when all senders are dropped.
    wake: mpsc::Sender<()>,
    log_throttle: Arc<Mutex<LogThrottle>>,
}

impl EventWriter {
    /// Starts the writer on the current tokio runtime. `identity` names this process in the events. `written` is called
    /// with the result of each write: `ok`, `gone`, `refused` or `unclear`.
    #[must_use]
    pub(crate) fn new(
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

    /// Queues an event without waiting. Returns false if the queue is full and an event was dropped: this one, or the
    /// newest one of a namespace that has more events queued.
    #[must_use = "count the dropped events"]
    pub(crate) fn send(&self, new_event: NewEvent) -> bool {
        let namespace = new_event.regarding.namespace.clone().unwrap_or_default();
        let dropped = lock(&self.queue).push(&namespace, new_event).is_some();
        // If the channel is full, a wake-up is already pending.
        let _ = self.wake.try_send(());
        let message = "dropping events: there are too many, or the API server accepts them too slowly";
        if dropped && lock(&self.log_throttle).due(message, Instant::now()) {
            tracing::warn!("{message}");
        }
        !dropped
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why an event could not be written.
struct EventError {
    label: &'static str,
    message: String,
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
        // Events about cluster-scoped objects go to the namespace that kubectl and client-go use.
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
                error.message
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

    /// Makes one write with a timeout, and reports its result.
    async fn call(
        &self,
        call: impl Future<Output = Result<Event, kube::Error>>,
    ) -> Result<Event, EventError> {
        let failed = |label, message| Err(EventError { label, message });
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

/// The patch that a repeat applies to the stored event.
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

/// The object's name and the time in hexadecimal nanoseconds, as client-go names events. A long object name is cut so
/// that it still ends in a letter or digit.
fn name(object: &str, now: Timestamp) -> String {
    let stem = &object[..object.floor_char_boundary(MAX_NAME_STEM)];
    let stem = stem.trim_end_matches(|last: char| !last.is_ascii_alphanumeric());
    format!("{stem}.{:x}", now.as_nanosecond())
}

#[cfg(test)]
mod tests;
