use std::{convert::Infallible, net::SocketAddr};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::sleep,
};

use super::*;

/// Longer than any step takes, even on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// One request to the mock API server.
#[derive(Debug)]
struct Recorded {
    method: Method,
    path: String,
    body: Value,
}

fn new_event(namespace: &str, note: &str) -> NewEvent {
    let regarding = ObjectReference {
        namespace: Some(namespace.to_owned()),
        name: Some("room".to_owned()),
        uid: Some(format!("uid in {namespace}")),
        ..ObjectReference::default()
    };
    NewEvent { reason: "Failed", warning: true, note: note.to_owned(), regarding }
}

fn client(address: SocketAddr) -> Client {
    Client::try_from(kube::Config::new(format!("http://{address}").parse().unwrap())).unwrap()
}

/// A mock API server that records its requests. It answers with `status(request)`; `None` means that it never answers.
async fn server(status: fn(&Recorded) -> Option<u16>) -> (SocketAddr, UnboundedReceiver<Recorded>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (record, requests) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let record = record.clone();
            let service = service_fn(move |request| answer(request, status, record.clone()));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, requests)
}

async fn answer(
    request: Request<hyper::body::Incoming>,
    status: fn(&Recorded) -> Option<u16>,
    record: UnboundedSender<Recorded>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    let recorded = Recorded { method: head.method, path: head.uri.path().to_owned(), body };
    let status = status(&recorded);
    let mut body = recorded.body.clone();
    record.send(recorded).unwrap();
    let Some(status) = status else {
        sleep(Duration::from_hours(1)).await;
        unreachable!("longer than any test");
    };
    if status >= 300 {
        body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status,
                      "reason": "NotFound", "message": "no such event"});
    } else {
        // The answer to a PATCH is the whole event.
        body["regarding"] = json!({});
        body["metadata"]["name"] = json!("any");
        body["eventTime"] = json!(null);
    }
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status.try_into().unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    Ok(response)
}

async fn next(requests: &mut UnboundedReceiver<Recorded>) -> Recorded {
    timeout(SOON, requests.recv()).await.expect("no request").unwrap()
}

/// Waits for the result of the last write: a repeat that is sent earlier could not join its series.
async fn result_of_write(results: &mut UnboundedReceiver<&'static str>) -> &'static str {
    timeout(SOON, results.recv()).await.expect("no result").unwrap()
}

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces";

#[tokio::test]
async fn repeats_of_the_same_thing_join_one_series_and_other_things_do_not() {
    let (address, mut requests) = server(|_| Some(200)).await;
    let (result, mut results) = unbounded_channel();
    let events = EventWriter::new(client(address), "pod-x", move |label| result.send(label).unwrap());

    assert!(events.send(new_event("shop", "it failed")));
    let first = next(&mut requests).await;
    let at = first.body["eventTime"].as_str().unwrap();
    assert!(at.parse::<Timestamp>().is_ok() && at.ends_with('Z'), "{at}");
    assert_eq!((first.method, first.path), (Method::POST, format!("{EVENTS}/shop/events")));
    for (field, value) in [
        ("type", "Warning"),
        ("reason", "Failed"),
        ("note", "it failed"),
        ("action", "Reconcile"),
        ("reportingController", "groupattr-operator"),
        ("reportingInstance", "pod-x"),
    ] {
        assert_eq!(first.body[field], value, "{field}");
    }
    assert_eq!(first.body["regarding"]["uid"], "uid in shop");
    let name = first.body["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("room."), "{name}");
    assert_eq!(result_of_write(&mut results).await, "ok");

    for count in [2, 3] {
        assert!(events.send(new_event("shop", "it failed")));
        let repeat = next(&mut requests).await;
        assert_eq!((repeat.method, repeat.path), (Method::PATCH, format!("{EVENTS}/shop/events/{name}")));
        assert_eq!(repeat.body["series"]["count"], count);
        assert!(repeat.body["series"]["lastObservedTime"].as_str().unwrap() > at);
        assert_eq!(repeat.body.as_object().unwrap().len(), 1, "nothing else is changed");
        assert_eq!(result_of_write(&mut results).await, "ok");
    }
    // Two in a row: the second is sent while the first is being written.
    assert!(
        events.send(new_event("shop", "it failed otherwise"))
            && events.send(new_event("shop", "it failed otherwise"))
    );
    assert_eq!(next(&mut requests).await.method, Method::POST);
    assert_eq!(next(&mut requests).await.method, Method::PATCH);
}

#[tokio::test]
async fn an_event_that_is_gone_is_written_anew() {
    let (address, mut requests) =
        server(|request| Some(if request.method == Method::PATCH { 404 } else { 200 })).await;
    let (result, mut results) = unbounded_channel();
    let events = EventWriter::new(client(address), "pod-x", move |label| result.send(label).unwrap());
    for _ in 0..2 {
        assert!(events.send(new_event("shop", "it failed")));
    }
    let requests = [next(&mut requests).await, next(&mut requests).await, next(&mut requests).await];
    let methods: Vec<_> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["POST", "PATCH", "POST"]);
    assert_ne!(requests[0].body["metadata"]["name"], requests[2].body["metadata"]["name"]);
    let labels = [
        result_of_write(&mut results).await,
        result_of_write(&mut results).await,
        result_of_write(&mut results).await,
    ];
    assert_eq!(labels, ["ok", "gone", "ok"]);
}

#[tokio::test]
async fn a_namespace_with_100_000_events_does_not_delay_those_of_its_neighbour() {
    let (address, mut requests) = server(|_| Some(200)).await;
    let events = EventWriter::new(client(address), "pod-x", |_| ());
    let sent = (0..100_000).filter(|number| events.send(new_event("flood", &number.to_string()))).count();
    assert_eq!(sent, MAX_QUEUED_PER_NAMESPACE);
    assert!(events.send(new_event("quiet", "it failed")));
    let first = [next(&mut requests).await.path, next(&mut requests).await.path];
    assert!(first.contains(&format!("{EVENTS}/quiet/events")), "{first:?}");
}

#[tokio::test]
async fn a_namespace_whose_events_are_not_answered_holds_up_nobody_else() {
    let (address, mut requests) = server(|request| (!request.path.contains("/slow/")).then_some(200)).await;
    let events = EventWriter::new(client(address), "pod-x", |_| ());
    for number in 0..10 {
        assert!(events.send(new_event("slow", &number.to_string())));
        assert!(events.send(new_event("fast", &number.to_string())));
    }
    let mut slow = 0;
    let fast = async {
        for _ in 0..11 {
            slow += usize::from(next(&mut requests).await.path.contains("/slow/"));
        }
    };
    // Shorter than the timeout of the first slow write.
    timeout(CALL_TIMEOUT * 4 / 5, fast).await.expect("the events of the fast namespace are delayed");
    assert_eq!(slow, 1);
}

#[tokio::test]
async fn a_full_queue_drops_and_never_waits() {
    // A server that accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let events = EventWriter::new(client(silent.local_addr().unwrap()), "pod-x", |_| ());
    let sent =
        (0..2 * MAX_QUEUED).filter(|number| events.send(new_event(&(number % 10).to_string(), "x"))).count();
    let queued = std::iter::from_fn(|| {
        let (namespace, _) = lock(&events.queue).pop()?;
        lock(&events.queue).done(&namespace);
        Some(())
    });
    assert_eq!((sent, queued.count()), (MAX_QUEUED, MAX_QUEUED));
}

#[test]
fn the_name_of_an_event_is_one_that_kubernetes_takes() {
    let now = Timestamp::from_second(4_000_000_000).unwrap();
    assert_eq!(name("room-42", now), format!("room-42.{:x}", 4_000_000_000_000_000_000_u64));
    let longest = name(&"a".repeat(253), now);
    assert_eq!(longest.len(), 253);
    let cut_at_a_stop = name(&format!("{}.{}", "a".repeat(MAX_NAME_STEM - 1), "b".repeat(16)), now);
    assert!(!cut_at_a_stop.contains(".."), "{cut_at_a_stop}");
}

#[test]
fn a_long_note_is_cut_between_characters() {
    let note = key(&new_event("shop", &"房".repeat(400))).note;
    assert_eq!((note.len(), note.chars().count()), (1023, 341));
}
