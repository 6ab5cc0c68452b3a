//! The watches: one for each kind and, where namespaces are given, for each namespace.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Namespace;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::any_chat_app::AnyChatApp;
use super::reset_cache::Freshness;
use crate::api::{ChatApp, ClusterChatApp, GroupAttributeReset};
use crate::k8s::client::{WATCH_SECONDS, describe_error};
use crate::observability::metrics::Metrics;
use crate::protocol::deadlines::prune_metadata;
use crate::text::one_line;

/// What a watch covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    /// The kind.
    pub kind: &'static str,
    /// The namespace; empty for all.
    pub namespace: String,
}

/// What the watches send to the event loop.
pub(crate) enum WatchEvent {
    /// A reset from a list, or a change of one.
    Reset(Box<GroupAttributeReset>, Freshness),
    /// An app, listed or changed.
    App(AnyChatApp),
    /// A namespace with its labels.
    Namespace(Identity, BTreeMap<String, String>),
    /// An object that cannot be decoded.
    Malformed(Malformed),
    /// The object with this kind and identity was deleted.
    Gone(&'static str, Identity),
    /// A list is complete; objects of this source whose uid is not in it are gone.
    Listed(Source, HashSet<String>),
}

/// What is known of every object, even if it cannot be decoded.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Its uid.
    pub uid: String,
    /// Its namespace, empty for a cluster-scoped one.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// An object that cannot be decoded.
#[derive(Clone, Debug)]
pub(crate) struct Malformed {
    /// The kind.
    pub kind: &'static str,
    /// The object.
    pub identity: Identity,
    /// Generation of its spec.
    pub generation: i64,
    /// The decoding error, in one line.
    pub error: String,
}

/// The kind as used in logs and metrics.
pub(crate) const RESET: &str = "GroupAttributeReset";
/// See [`RESET`].
pub(crate) const CHAT_APP: &str = "ChatApp";
/// See [`RESET`].
pub(crate) const CLUSTER_CHAT_APP: &str = "ClusterChatApp";
/// See [`RESET`].
pub(crate) const NAMESPACE: &str = "Namespace";

/// Starts all watches: of the given namespaces only, or of all namespaces and the cluster-scoped kinds. Returns the
/// sources, all of which have to be listed before anything is decided.
pub(crate) fn start(
    client: &Client,
    namespaces: &[String],
    tasks: &mut JoinSet<()>,
    events: &mpsc::Sender<WatchEvent>,
    metrics: &Metrics,
) -> Vec<Source> {
    let (events, metrics) = (events.clone(), metrics.clone());
    let context = WatchContext { events, metrics, lists: Arc::new(Semaphore::new(MAX_CONCURRENT_LISTS)) };
    let context = || context.clone();
    let mut sources = Vec::new();
    let mut begin = |kind, namespace: &str| {
        let source = Source { kind, namespace: namespace.to_owned() };
        sources.push(source.clone());
        source
    };
    if namespaces.is_empty() {
        let client = || client.clone();
        tasks.spawn(watch_kind(Api::all(client()), begin(RESET, ""), reset, context()));
        tasks.spawn(watch_kind(Api::all(client()), begin(CHAT_APP, ""), chat_app, context()));
        tasks.spawn(watch_kind(Api::all(client()), begin(CLUSTER_CHAT_APP, ""), cluster_chat_app, context()));
        let labels = watcher(Api::<PartialObjectMeta<Namespace>>::all(client()), config());
        tasks.spawn(forward(labels, begin(NAMESPACE, ""), namespace, context()));
    }
    for name in namespaces {
        let (resets, apps) = (Api::namespaced(client.clone(), name), Api::namespaced(client.clone(), name));
        tasks.spawn(watch_kind(resets, begin(RESET, name), reset, context()));
        tasks.spawn(watch_kind(apps, begin(CHAT_APP, name), chat_app, context()));
    }
    sources
}

/// Objects per list page. A page is held in memory as a whole, and users decide how large the objects are: up to
/// 1.5 MB each.
const LIST_PAGE_SIZE: u32 = 50;
/// Lists in flight at once. There is one list per kind, or two per namespace.
const MAX_CONCURRENT_LISTS: usize = 4;

/// Every fresh installation sees a CRD whose storage has not started. After this long it is a fault.
const STORAGE_STARTS_WITHIN: Duration = Duration::from_secs(30);

fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(LIST_PAGE_SIZE)
}

fn reset(object: GroupAttributeReset, freshness: Freshness) -> WatchEvent {
    WatchEvent::Reset(Box::new(object), freshness)
}

fn chat_app(object: ChatApp, _: Freshness) -> WatchEvent {
    WatchEvent::App(AnyChatApp::Chat(Box::new(object)))
}

fn cluster_chat_app(object: ClusterChatApp, _: Freshness) -> WatchEvent {
    WatchEvent::App(AnyChatApp::Cluster(Box::new(object)))
}

fn namespace(object: PartialObjectMeta<Namespace>, _: Freshness) -> WatchEvent {
    let identity =
        Identity { uid: object.uid().unwrap_or_default(), namespace: String::new(), name: object.name_any() };
    WatchEvent::Namespace(identity, object.metadata.labels.unwrap_or_default())
}

/// What all watches share.
#[derive(Clone)]
struct WatchContext {
    events: mpsc::Sender<WatchEvent>,
    metrics: Metrics,
    lists: Arc<Semaphore>,
}

async fn watch_kind<K>(
    api: Api<DeserializeGuard<K>>,
    source: Source,
    event: fn(K, Freshness) -> WatchEvent,
    context: WatchContext,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let kind = source.kind;
    let stream = watcher(api, config());
    let event = move |DeserializeGuard(object), freshness| decoded(kind, object, freshness, event);
    forward(stream, source, event, context).await;
}

fn decoded<K: Resource<DynamicType = ()>>(
    kind: &'static str,
    object: Result<K, kube::core::error_boundary::InvalidObject>,
    freshness: Freshness,
    event: fn(K, Freshness) -> WatchEvent,
) -> WatchEvent {
    match object {
        Ok(mut object) => {
            prune_metadata(object.meta_mut());
            event(object, freshness)
        }
        Err(invalid) => WatchEvent::Malformed(Malformed {
            kind,
            identity: Identity {
                uid: invalid.metadata.uid.unwrap_or_default(),
                namespace: invalid.metadata.namespace.unwrap_or_default(),
                name: invalid.metadata.name.unwrap_or_default(),
            },
            generation: invalid.metadata.generation.unwrap_or_default(),
            error: one_line(&invalid.error, 200),
        }),
    }
}

/// Forwards events until the receiver is dropped; the stream itself never ends.
async fn forward<K>(
    stream: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    source: Source,
    event: impl Fn(K, Freshness) -> WatchEvent,
    context: WatchContext,
) where
    K: ResourceExt,
{
    let WatchContext { events, metrics, lists } = context;
    metrics.watching(source.kind);
    let stream = stream.default_backoff();
    pin_mut!(stream);
    let mut listed = HashSet::new();
    let mut list_permit = None;
    let watching_since = Instant::now();
    while let Some(next) = stream.next().await {
        let event = match next {
            Ok(watcher::Event::Init) => {
                listed.clear();
                // The first page is requested when the stream is polled next, so this holds it back.
                drop(list_permit.take());
                list_permit = lists.acquire().await.ok();
                continue;
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed.insert(object.uid().unwrap_or_default());
                event(object, Freshness::Consistent)
            }
            Ok(watcher::Event::InitDone) => {
                list_permit = None;
                WatchEvent::Listed(source.clone(), std::mem::take(&mut listed))
            }
            Ok(watcher::Event::Apply(object)) => event(object, Freshness::MaybeStale),
            Ok(watcher::Event::Delete(object)) => WatchEvent::Gone(
                source.kind,
                Identity {
                    uid: object.uid().unwrap_or_default(),
                    namespace: object.namespace().unwrap_or_default(),
                    name: object.name_any(),
                },
            ),
            Err(error) if is_initializing(&error) && watching_since.elapsed() < STORAGE_STARTS_WITHIN => {
                list_permit = None;
                let Source { kind, namespace } = &source;
                tracing::debug!(kind, namespace, "the API server is not ready to serve this new kind yet");
                continue;
            }
            Err(error) => {
                list_permit = None;
                let Source { kind, namespace } = &source;
                metrics.watch_error(kind);
                tracing::warn!(
                    kind,
                    namespace,
                    "watch interrupted, reconnecting automatically: {}",
                    describe(&error)
                );
                continue;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// Whether the API server has known the kind for a moment only: it answers 429 until its storage has started. If the
/// storage cannot start, the message goes on with the cause.
fn is_initializing(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return false;
    };
    status.code == 429 && status.message.ends_with("storage is (re)initializing")
}

/// Describes a watch error. The API server's message names a missing RBAC permission.
fn describe(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => describe_error(error),
        watcher::Error::WatchError(status) => one_line(&status.message, 300),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
