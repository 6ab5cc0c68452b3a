//! The event loop alone: watch events and task results in, requests to the API server out, under paused time.

mod bench;

use std::time::Duration;

use serde_json::json;

use self::bench::{Bench, NOW, app, reset};
use crate::chat::Class;
use crate::controller::reset_cache::Freshness;
use crate::controller::task_result::{LastSeen, ResetDone, TaskResult};
use crate::controller::watches::{Identity, Source, WatchEvent};
use crate::protocol::classify::CallResult;

const SECOND: Duration = Duration::from_secs(1);

/// A reset that has waited for longer than it may.
fn overdue(version: u64) -> serde_json::Value {
    let mut object = reset("late", version, &json!({"activeDeadlineSeconds": 60}));
    object["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z".into();
    object
}

#[tokio::test(start_paused = true)]
async fn an_end_whose_write_was_not_answered_is_announced_once_the_watch_shows_it() {
    let mut bench = Bench::listed();
    bench.shows(&overdue(1), Freshness::MaybeStale);
    let put = bench.api.next().await;
    assert_eq!(put.body["status"]["conditions"][0]["reason"], "DeadlineExceeded", "{}", put.body);
    let mut stored = overdue(2);
    stored["status"] = put.body["status"].clone();
    put.lose();
    bench.result().await;
    assert_eq!(bench.ended("DeadlineExceeded"), 0, "nobody knows that it is stored");
    bench.shows(&stored, Freshness::MaybeStale);
    assert_eq!(bench.ended("DeadlineExceeded"), 1);
    bench.shows(&stored, Freshness::Consistent);
    assert_eq!(bench.ended("DeadlineExceeded"), 1, "once");
    assert_eq!(bench.events().await, ["Failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_reset_whose_deadline_is_over_by_a_wrong_clock_alone_gets_its_time() {
    let mut bench = Bench::listed();
    bench.clock_is_ahead(jiff::SignedDuration::from_hours(1));
    bench.event(WatchEvent::App(app("ChatApp", &json!({}))));
    let created = jiff::Timestamp::now() - Duration::from_secs(3602);
    let mut object = reset("room", 1, &json!({"activeDeadlineSeconds": 600}));
    object["metadata"]["creationTimestamp"] = created.to_string().into();
    bench.shows(&object, Freshness::MaybeStale);
    let put = bench.next_at("/groupattributeresets/room/").await;
    assert_eq!(put.body["status"]["conditions"][0]["reason"], "Pending", "{}", put.body);
    object["metadata"]["resourceVersion"] = "2".into();
    object["status"] = put.body["status"].clone();
    put.answer(200, &object);
    bench.result().await;
    bench.shows(&object, Freshness::MaybeStale);
    // Its attempt begins: the account's key is asked for.
    bench.pass(SECOND * 2).await;
    bench.next_at("/secrets/chat").await;

    let mut older = reset("older", 3, &json!({"activeDeadlineSeconds": 600}));
    older["metadata"]["creationTimestamp"] = (created - Duration::from_mins(1)).to_string().into();
    bench.shows(&older, Freshness::MaybeStale);
    let put = bench.next_at("/groupattributeresets/older/").await;
    assert_eq!(put.body["status"]["conditions"][0]["reason"], "DeadlineExceeded", "{}", put.body);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_a_read_shows_after_its_answer_was_lost_is_announced() {
    let mut bench = Bench::listed();
    let sending = json!({"observedGeneration": 1, "startTime": NOW, "pendingAttempt": {"id": "a", "number": 1,
        "startTime": NOW, "deadline": NOW, "holder": bench.identity(), "sdkAppID": 7, "host": "chat:443"}});
    let mut object = reset("room", 1, &json!({}));
    object["status"] = sending;
    bench.shows(&object, Freshness::Consistent);
    object["metadata"]["resourceVersion"] = "2".into();
    object["status"] = json!({"observedGeneration": 1, "attempts": 1, "startTime": NOW, "completionTime": NOW,
        "conditions": [{"type": "Succeeded", "status": "False", "reason": "OutcomeUnknown", "message": "why",
            "lastTransitionTime": NOW}]});
    let stored = serde_json::from_value(object).expect("a reset");
    let done = ResetDone::seen("uid-room", LastSeen::Stored(std::sync::Arc::new(stored)));
    bench.take(TaskResult::ResetDone(done));
    assert_eq!(bench.ended("OutcomeUnknown"), 1);
    assert_eq!(bench.events().await, ["OutcomeUnknown"]);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_a_list_overtook_does_not_bring_the_older_object_back() {
    let mut bench = Bench::listed();
    let started = jiff::Timestamp::now().to_string();
    let asking = |version, request: &str| {
        let mut object = reset("room", version, &json!({"requestID": request}));
        object["status"] = json!({"observedGeneration": 1, "requestID": "one", "startTime": started,
            "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Pending", "message": "",
                "lastTransitionTime": NOW}]});
        object
    };
    // Its app does not exist, which the status is to say.
    bench.shows(&asking(1, "one"), Freshness::MaybeStale);
    let put = bench.api.next().await;
    assert_eq!(put.body["status"]["conditions"][0]["reason"], "AppNotFound");
    put.refuse(409, "Conflict");
    let get = bench.api.next().await;
    bench.shows(&asking(5, "two"), Freshness::Consistent);
    get.answer(200, &asking(3, "one"));
    bench.result().await;
    let put = bench.api.next().await;
    assert_eq!(put.body["status"]["requestID"], "two", "{}", put.body);
    assert_eq!(put.body["metadata"]["resourceVersion"], "5");
}

#[tokio::test(start_paused = true)]
async fn the_next_of_a_group_goes_when_the_one_that_was_woken_does_not_want_to_any_more() {
    let mut bench = Bench::listed();
    bench.event(WatchEvent::App(app("ChatApp", &json!({"limits": {"callsPerSecond": 1}}))));
    let of = |name: &str, group: &str, suspend: bool| {
        reset(name, 1 + u64::from(suspend), &json!({"groupID": group, "suspend": suspend}))
    };
    // Each of them is older than the next. The first takes the only permit of this second.
    for (name, group) in [("a-other", "@TGS#other"), ("b-woken", "@TGS#one"), ("c-next", "@TGS#one")] {
        bench.shows(&of(name, group, false), Freshness::Consistent);
    }
    bench.pass(SECOND + SECOND / 10).await;
    assert!(bench.is_queued("b-woken") && !bench.is_queued("c-next"));
    bench.shows(&of("b-woken", "@TGS#one", true), Freshness::MaybeStale);
    bench.turn();
    assert!(!bench.is_queued("b-woken") && bench.is_queued("c-next"));
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_that_asks_for_a_pause_no_attempt_of_the_account_starts_before_it_is_over() {
    for (status, class) in [(429, Class::ThrottledAccount), (503, Class::Unknown)] {
        let mut bench = Bench::listed();
        bench.event(WatchEvent::App(app("ChatApp", &json!({}))));
        bench.pass(SECOND * 2).await;
        bench.answered(CallResult {
            http_status: Some(status),
            code: None,
            retry_after: Some(SECOND * 8),
            ..CallResult::answered(class, 0)
        });
        bench.shows(&reset("room", 1, &json!({})), Freshness::Consistent);
        bench.pass(SECOND * 7).await;
        assert!(bench.is_queued("room"), "HTTP {status}");
        bench.pass(SECOND * 2).await;
        assert!(!bench.is_queued("room"), "HTTP {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_missing_from_a_list_is_open_to_nothing() {
    let mut bench = Bench::listed();
    let selector =
        json!({"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"chat": "live"}}}});
    bench.event(WatchEvent::App(app("ClusterChatApp", &selector)));
    let namespace =
        Identity { uid: "uid-shop".to_owned(), namespace: String::new(), name: "shop".to_owned() };
    let labels = [("chat".to_owned(), "live".to_owned())];
    bench.event(WatchEvent::Namespace(namespace, labels.into()));
    let object = reset("room", 1, &json!({"appRef": {"kind": "ClusterChatApp", "name": "default"}}));
    bench.shows(&object, Freshness::Consistent);
    bench.pass(SECOND * 6).await;
    assert_eq!(bench.explained("room"), None, "it is open to this namespace");
    let source = Source { kind: crate::controller::watches::NAMESPACE, namespace: String::new() };
    bench.event(WatchEvent::Listed(source, std::collections::HashSet::new()));
    assert_eq!(bench.explained("room").as_deref(), Some("AppNotAllowed"));
}

#[tokio::test(start_paused = true)]
async fn a_status_that_somebody_keeps_changing_is_written_back_less_and_less_often() {
    let mut bench = Bench::listed();
    let ended = |version| {
        let mut object = reset("room", version, &json!({}));
        object["status"] = json!({"observedGeneration": 1, "attempts": 1, "completionTime": NOW, "conditions": [
            {"type": "Succeeded", "status": "True", "reason": "Cleared", "message": "", "lastTransitionTime": NOW}]});
        object
    };
    bench.shows(&ended(1), Freshness::Consistent);
    let (mut version, start) = (1, bench.now());
    let mut restored_at = Vec::new();
    while restored_at.len() < 5 {
        version += 1;
        bench.shows(&reset("room", version, &json!({})), Freshness::MaybeStale);
        let put = loop {
            tokio::select! {
                biased;
                put = bench.api.next() => break put,
                () = tokio::time::sleep(SECOND / 4) => bench.turn(),
            }
        };
        restored_at.push((bench.now() - start).as_secs());
        version += 1;
        let mut stored = reset("room", version, &json!({}));
        stored["status"] = put.body["status"].clone();
        put.answer(200, &stored);
        bench.result().await;
    }
    assert_eq!(restored_at, [0, 1, 3, 7, 15]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_with_many_unanswered_calls_does_not_delay_what_another_one_records() {
    let mut bench = Bench::listed();
    let mut turns = Vec::new();
    for (namespace, uid) in [("flood", "a"), ("flood", "b"), ("flood", "c"), ("calm", "d")] {
        let (turn, comes) = tokio::sync::oneshot::channel();
        let (namespace, uid) = (namespace.to_owned(), uid.to_owned());
        bench.take(TaskResult::OutcomeUnknown { namespace, uid, turn });
        turns.push(comes);
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        let came: Vec<_> = turns.iter_mut().map(|turn| turn.try_recv().is_ok()).collect();
        order.push(came.iter().position(|came| *came).expect("one every 20 ms"));
        assert_eq!(came.iter().filter(|came| **came).count(), 1, "one at a time");
        bench.pass(SECOND / 50).await;
    }
    assert_eq!(order, [0, 1, 3, 2], "before c, which came earlier");
}
