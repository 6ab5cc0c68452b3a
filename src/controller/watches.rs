//! What Kubernetes shows: a watch for each kind.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Namespace;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::any_chat_app::AnyChatApp;
use super::reset_cache::Freshness;
use crate::api::{ChatApp, ClusterChatApp, GroupAttributeReset};
use crate::k8s::client::describe_error;
use crate::observability::metrics::Metrics;
use crate::protocol::deadlines::prune_metadata;
use crate::text::one_line;

/// A watch: of what, and where. An empty namespace means all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Of which kind.
    pub kind: &'static str,
    /// In which namespace.
    pub namespace: String,
}

/// What the watches tell the desk.
pub enum WatchEvent {
    /// A reset as it stands, or as it changed.
    Reset(Box<GroupAttributeReset>, Freshness),
    /// An app as it stands.
    App(AnyChatApp),
    /// A namespace with its labels.
    Namespace(Identity, BTreeMap<String, String>),
    /// An object that cannot be decoded.
    Malformed(Malformed),
    /// The object with this kind, uid, namespace and name is gone.
    Gone(&'static str, Identity),
    /// A list is complete; objects of this source that are not in it are gone.
    Listed(Source, HashSet<String>),
}

/// What is always known of an object.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its uid.
    pub uid: String,
    /// Its namespace, empty for a cluster-scoped one.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// An object that cannot be decoded.
#[derive(Clone, Debug)]
pub struct Malformed {
    /// Of which kind.
    pub kind: &'static str,
    /// Which one.
    pub identity: Identity,
    /// Generation of its spec.
    pub generation: i64,
    /// What is wrong with it, in one line.
    pub error: String,
}

/// Kinds, as events and metrics name them.
pub const RESET: &str = "GroupAttributeReset";
/// See [`RESET`].
pub const CHAT_APP: &str = "ChatApp";
/// See [`RESET`].
pub const CLUSTER_CHAT_APP: &str = "ClusterChatApp";
/// See [`RESET`].
pub const NAMESPACE: &str = "Namespace";

/// Starts all watches: of the given namespaces only, or of all with the cluster's kinds. Returns the sources, all of
/// which have to be listed before anything is decided.
pub fn start(
    client: &Client,
    namespaces: &[String],
    tasks: &mut JoinSet<()>,
    events: &mpsc::Sender<WatchEvent>,
    metrics: &Metrics,
) -> Vec<Source> {
    let (events, metrics) = (events.clone(), metrics.clone());
    let outlet = WatchContext { events, metrics, lists: Arc::new(Semaphore::new(MAX_CONCURRENT_LISTS)) };
    let outlet = || outlet.clone();
    let mut sources = Vec::new();
    let mut begin = |kind, namespace: &str| {
        let source = Source { kind, namespace: namespace.to_owned() };
        sources.push(source.clone());
        source
    };
    if namespaces.is_empty() {
        let client = || client.clone();
        tasks.spawn(watch_kind(Api::all(client()), begin(RESET, ""), reset, outlet()));
        tasks.spawn(watch_kind(Api::all(client()), begin(CHAT_APP, ""), chat_app, outlet()));
        tasks.spawn(watch_kind(Api::all(client()), begin(CLUSTER_CHAT_APP, ""), cluster_chat_app, outlet()));
        let labels = watcher(Api::<PartialObjectMeta<Namespace>>::all(client()), config());
        tasks.spawn(forward(labels, begin(NAMESPACE, ""), namespace, outlet()));
    }
    for name in namespaces {
        let (resets, apps) = (Api::namespaced(client.clone(), name), Api::namespaced(client.clone(), name));
        tasks.spawn(watch_kind(resets, begin(RESET, name), reset, outlet()));
        tasks.spawn(watch_kind(apps, begin(CHAT_APP, name), chat_app, outlet()));
    }
    sources
}

/// A page is in memory as a whole, and people decide how large the objects are: up to a megabyte and a half each.
const LIST_PAGE_SIZE: u32 = 50;
/// Lists under way; there is one of each kind, or two for each namespace.
const MAX_CONCURRENT_LISTS: usize = 4;

/// Watches die silently behind load balancers, so the server is asked to end them after a while.
fn config() -> watcher::Config {
    watcher::Config::default().timeout(200).page_size(LIST_PAGE_SIZE)
}

fn reset(object: GroupAttributeReset, origin: Freshness) -> WatchEvent {
    WatchEvent::Reset(Box::new(object), origin)
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

/// What all watches have in common.
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
    outlet: WatchContext,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let kind = source.kind;
    let stream = watcher(api, config());
    let event = move |DeserializeGuard(object), origin| decoded(kind, object, origin, event);
    forward(stream, source, event, outlet).await;
}

fn decoded<K: Resource<DynamicType = ()>>(
    kind: &'static str,
    object: Result<K, kube::core::error_boundary::InvalidObject>,
    origin: Freshness,
    event: fn(K, Freshness) -> WatchEvent,
) -> WatchEvent {
    match object {
        Ok(mut object) => {
            prune_metadata(object.meta_mut());
            event(object, origin)
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

/// Hands events on for as long as somebody listens; the stream itself never ends.
async fn forward<K>(
    stream: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    source: Source,
    event: impl Fn(K, Freshness) -> WatchEvent,
    outlet: WatchContext,
) where
    K: ResourceExt,
{
    let WatchContext { events, metrics, lists } = outlet;
    metrics.watching(source.kind);
    let stream = stream.default_backoff();
    pin_mut!(stream);
    let mut listed = HashSet::new();
    let mut turn = None;
    while let Some(next) = stream.next().await {
        let event = match next {
            Ok(watcher::Event::Init) => {
                listed.clear();
                // The first page is asked for when the stream is looked at again.
                drop(turn.take());
                turn = lists.acquire().await.ok();
                continue;
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed.insert(object.uid().unwrap_or_default());
                event(object, Freshness::Consistent)
            }
            Ok(watcher::Event::InitDone) => {
                turn = None;
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
            Err(error) => {
                turn = None;
                let Source { kind, namespace } = &source;
                metrics.watch_error(kind);
                tracing::warn!(kind, namespace, "watch interrupted, goes on by itself: {}", trouble(&error));
                continue;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// What is wrong with a watch; a missing right is named by the API server.
fn trouble(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => describe_error(error),
        watcher::Error::WatchError(status) => one_line(&status.message, 300),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn outlet(events: mpsc::Sender<WatchEvent>) -> WatchContext {
        WatchContext {
            events,
            metrics: Metrics::new().0,
            lists: Arc::new(Semaphore::new(MAX_CONCURRENT_LISTS)),
        }
    }

    /// One more than may be under way at once waits, until one of them is complete or has failed.
    #[tokio::test]
    async fn a_few_lists_are_under_way_at_once() {
        let (events, _heard) = mpsc::channel(8);
        let outlet = outlet(events);
        let lists = Arc::clone(&outlet.lists);
        let mut watches = Vec::new();
        let mut shows = Vec::new();
        for number in 0..=MAX_CONCURRENT_LISTS {
            let (show, stream) = futures::channel::mpsc::unbounded();
            let source = Source { kind: RESET, namespace: number.to_string() };
            let stream: futures::stream::BoxStream<'_, watcher::Result<watcher::Event<GroupAttributeReset>>> =
                stream.boxed();
            watches.push(Box::pin(forward(stream, source, reset, outlet.clone())));
            show.unbounded_send(Ok(watcher::Event::Init)).expect("it listens");
            shows.push(show);
        }
        let mut turn = || {
            for watch in &mut watches {
                assert!(watch.as_mut().now_or_never().is_none(), "a watch ended");
            }
            lists.available_permits()
        };
        assert_eq!(turn(), 0);
        for (done, show) in shows.iter().enumerate() {
            show.unbounded_send(Ok(watcher::Event::InitDone)).expect("it listens");
            // The last one takes the place of the first.
            turn();
            assert_eq!(turn(), done);
        }
    }

    /// What a list shows is so, even if it is older than what was known: somebody may have restored a backup.
    #[tokio::test]
    async fn a_list_tells_the_truth_and_a_stream_only_news() {
        let object = || -> GroupAttributeReset {
            let json = serde_json::json!({"metadata": {"name": "a"}, "spec": {"groupID": "@TGS#a"}});
            serde_json::from_value(json).expect("a reset")
        };
        let told = [
            watcher::Event::Init,
            watcher::Event::InitApply(object()),
            watcher::Event::InitDone,
            watcher::Event::Apply(object()),
        ];
        let (events, mut heard) = mpsc::channel(8);
        let source = Source { kind: RESET, namespace: String::new() };
        let stream = futures::stream::iter(told.map(Ok));
        forward(stream, source, reset, outlet(events)).await;
        let mut origins = Vec::new();
        while let Some(event) = heard.recv().await {
            if let WatchEvent::Reset(_, origin) = event {
                origins.push(origin);
            }
        }
        assert!(matches!(origins[..], [Freshness::Consistent, Freshness::MaybeStale]), "{}", origins.len());
    }
}
