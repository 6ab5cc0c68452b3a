//! An API server for the tests of one process: each request waits until the test answers it.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// A request that has not come by then does not come. Under paused time it is over at once.
const SOON: std::time::Duration = std::time::Duration::from_mins(1);

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
    answer: oneshot::Sender<Response<Full<Bytes>>>,
}

impl Call {
    /// Answers with this status and object.
    pub(crate) fn answer(self, status: u16, body: &Value) {
        let body = Full::new(Bytes::from(body.to_string()));
        let response = Response::builder().status(status).body(body).expect("a response");
        // The caller may have given up.
        let _ = self.answer.send(response);
    }

    /// Refuses, as the API server words it.
    pub(crate) fn refuse(self, code: u16, reason: &str) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": reason, "details": {"name": "room"}});
        self.answer(code, &status);
    }

    /// Drops the connection: the caller does not know whether the request was executed.
    pub(crate) fn lose(self) {
        self.refuse(500, "InternalError");
    }
}

/// The requests of one client, in their order. Events are taken at once, and kept.
pub(crate) struct FakeApi {
    called: mpsc::UnboundedReceiver<Call>,
    pub(crate) events: Vec<Value>,
}

impl FakeApi {
    /// An API server, and a client of it.
    pub(crate) fn new() -> (Self, Client) {
        let (calls, called) = mpsc::unbounded_channel();
        let service = tower::service_fn(move |request: Request<Body>| {
            let calls = calls.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("a body in memory").to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (answer, answered) = oneshot::channel();
                let path = head.uri.path().to_owned();
                let _ = calls.send(Call { method: head.method, path, body, answer });
                // A call that the test drops never gets an answer.
                match answered.await {
                    Ok(response) => Ok::<_, Infallible>(response),
                    Err(_) => std::future::pending().await,
                }
            }
        });
        (Self { called, events: Vec::new() }, Client::new(service, "default"))
    }

    /// The next request that is not about an event.
    pub(crate) async fn next(&mut self) -> Call {
        loop {
            let call = timeout(SOON, self.called.recv()).await.expect("a request comes").expect("a client");
            if !call.path.contains("/events") {
                return call;
            }
            let event = call.body.clone();
            call.answer(201, &event);
            self.events.push(event);
        }
    }
}
