use futures::FutureExt as _;

use super::*;

fn context(events: mpsc::Sender<WatchEvent>) -> WatchContext {
    WatchContext { events, metrics: Metrics::new().0, lists: Arc::new(Semaphore::new(MAX_CONCURRENT_LISTS)) }
}

/// One list more than the limit waits until another one is complete or has failed.
#[tokio::test]
async fn a_few_lists_are_under_way_at_once() {
    let (events, _received) = mpsc::channel(8);
    let context = context(events);
    let lists = Arc::clone(&context.lists);
    let mut watches = Vec::new();
    let mut senders = Vec::new();
    for number in 0..=MAX_CONCURRENT_LISTS {
        let (sender, stream) = futures::channel::mpsc::unbounded();
        let source = Source { kind: RESET, namespace: number.to_string() };
        let stream: futures::stream::BoxStream<'_, watcher::Result<watcher::Event<GroupAttributeReset>>> =
            stream.boxed();
        watches.push(Box::pin(forward(stream, source, reset, context.clone())));
        sender.unbounded_send(Ok(watcher::Event::Init)).expect("the stream is open");
        senders.push(sender);
    }
    let mut poll_all = || {
        for watch in &mut watches {
            assert!(watch.as_mut().now_or_never().is_none(), "a watch ended");
        }
        lists.available_permits()
    };
    assert_eq!(poll_all(), 0);
    for (done, sender) in senders.iter().enumerate() {
        sender.unbounded_send(Ok(watcher::Event::InitDone)).expect("the stream is open");
        // The waiting list takes over the permit of the first one.
        poll_all();
        assert_eq!(poll_all(), done);
    }
}

/// A list is authoritative even if it is older than the cache: a backup may have been restored.
#[tokio::test]
async fn a_list_tells_the_truth_and_a_stream_only_news() {
    let object = || -> GroupAttributeReset {
        let json = serde_json::json!({"metadata": {"name": "a"}, "spec": {"groupID": "@TGS#a"}});
        serde_json::from_value(json).expect("a reset")
    };
    let raw_events = [
        watcher::Event::Init,
        watcher::Event::InitApply(object()),
        watcher::Event::InitDone,
        watcher::Event::Apply(object()),
    ];
    let (events, mut received) = mpsc::channel(8);
    let source = Source { kind: RESET, namespace: String::new() };
    let stream = futures::stream::iter(raw_events.map(Ok));
    forward(stream, source, reset, context(events)).await;
    let mut seen = Vec::new();
    while let Some(event) = received.recv().await {
        if let WatchEvent::Reset(_, freshness) = event {
            seen.push(freshness);
        }
    }
    assert!(matches!(seen[..], [Freshness::Consistent, Freshness::MaybeStale]), "{}", seen.len());
}

/// Of a reset's watch whose list is answered like this, after each other; how many of them count as errors.
async fn counted(answers: &[(u16, &str, u64)]) -> u64 {
    let (events, _received) = mpsc::channel(8);
    let (metrics, registry) = Metrics::new();
    let context = WatchContext { metrics, ..context(events) };
    let answers: Vec<_> =
        answers.iter().map(|(code, message, after)| (*code, (*message).to_owned(), *after)).collect();
    let stream = futures::stream::iter(answers).then(|(code, message, after)| async move {
        tokio::time::sleep(Duration::from_secs(after)).await;
        let status = kube::core::Status { code, message, ..kube::core::Status::default() };
        Err(watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status))))
    });
    let source = Source { kind: RESET, namespace: String::new() };
    forward(stream, source, reset, context).await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
    let line = text.lines().find(|line| line.starts_with("groupattr_watch_errors_total")).expect("a counter");
    line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a number")
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_seconds_old_is_waited_for_quietly() {
    let young = "storage is (re)initializing";
    assert_eq!(counted(&[(429, young, 0), (429, young, 1), (429, young, 1)]).await, 0);
    assert_eq!(counted(&[(429, young, 0), (429, young, 30)]).await, 1, "it should have started");
    assert_eq!(counted(&[(429, "storage is (re)initializing: etcd is down", 0)]).await, 1);
    assert_eq!(counted(&[(429, "too many requests", 0), (403, young, 0)]).await, 2);
}
