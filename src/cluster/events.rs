//! Kubernetes Events about resets and apps: a courtesy to readers, never a reason to wait or to fail.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::kubernetes::{Complaints, explain};
use crate::text::one_line;

/// Events that may wait to be written; what comes on top is dropped.
const QUEUE: usize = 256;
/// Events written at the same time.
const WRITERS: usize = 4;
/// Limit of one call.
const CALL: Duration = Duration::from_secs(5);
/// Longest note: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>
const NOTE: usize = 1024;
/// Longest name of a reporting instance, by the same page.
const INSTANCE: usize = 128;

/// One event to be.
#[derive(Clone, Debug)]
pub struct Notice {
    /// `UpperCamelCase`, from a fixed set.
    pub reason: &'static str,
    /// A warning, or just news.
    pub warning: bool,
    /// For people. Without counters: within 6 minutes, repeats of a reason join the first one's note.
    pub note: String,
    /// The object it is about, with its uid.
    pub regarding: ObjectReference,
}

/// Writes events in the background. Cheap to clone; what is queued when the process ends is lost.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Notice>,
    complaints: Arc<Mutex<Complaints>>,
}

impl Events {
    /// Starts the writers on the current tokio runtime. `identity` names this process in the events; `written` hears of
    /// each write how it went: `ok` or what was wrong.
    #[must_use]
    pub fn new(
        client: Client,
        identity: &str,
        written: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        let reporter = Reporter {
            controller: "groupattr-operator".to_owned(),
            instance: Some(one_line(identity, INSTANCE)),
        };
        let (queue, mut waiting) = mpsc::channel(QUEUE);
        let recorder = Recorder::new(client, reporter);
        tokio::spawn(async move {
            let waiting = stream::poll_fn(move |context| waiting.poll_recv(context));
            waiting
                .for_each_concurrent(WRITERS, |notice| async { written(write(&recorder, notice).await) })
                .await;
        });
        Self { queue, complaints: Arc::default() }
    }

    /// Queues an event without waiting; false if the queue is full and it was dropped.
    #[must_use = "count the dropped ones"]
    pub fn send(&self, notice: Notice) -> bool {
        let sent = self.queue.try_send(notice).is_ok();
        let said = "events are dropped: the API server takes them too slowly";
        if !sent && self.complaints.lock().unwrap_or_else(PoisonError::into_inner).due(said, Instant::now()) {
            tracing::warn!("{said}");
        }
        sent
    }
}

async fn write(recorder: &Recorder, notice: Notice) -> &'static str {
    let (event, regarding) = event(notice);
    let (trouble, label) = match timeout(CALL, recorder.publish(&event, &regarding)).await {
        Ok(Ok(())) => return "ok",
        Ok(Err(error @ kube::Error::Api(_))) => (explain(&error), "refused"),
        Ok(Err(error)) => (explain(&error), "unclear"),
        Err(_) => (format!("no answer within {CALL:?}"), "unclear"),
    };
    tracing::warn!(
        reason = event.reason,
        kind = regarding.kind,
        namespace = regarding.namespace,
        name = regarding.name,
        "event not written: {trouble}"
    );
    label
}

fn event(notice: Notice) -> (Event, ObjectReference) {
    let Notice { reason, warning, note, regarding } = notice;
    let event = Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason: reason.to_owned(),
        note: Some(one_line(&note, NOTE)),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    (event, regarding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(note: &str) -> Notice {
        Notice {
            reason: "Failed",
            warning: true,
            note: note.to_owned(),
            regarding: ObjectReference::default(),
        }
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let note = event(notice(&"房".repeat(400))).0.note.unwrap();
        assert_eq!((note.len(), note.chars().count()), (1023, 341));
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_never_waits() {
        // A server that accepts and never answers.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", silent.local_addr().unwrap());
        let client = Client::try_from(kube::Config::new(address.parse().unwrap())).unwrap();
        let events = Events::new(client, "pod-x", |_| ());
        let sent = (0..2 * QUEUE).filter(|_| events.send(notice("x"))).count();
        assert_eq!(sent, QUEUE);
    }
}
