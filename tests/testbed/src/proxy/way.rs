//! One connection through the proxy: each request meets its faults, goes on, and its answer comes back.

use std::{
    convert::Infallible,
    future::pending,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, header, request::Parts};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    client,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{Mutex as AsyncMutex, watch},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls::pki_types::ServerName};

use super::{
    Line,
    delivered::{Obedient, Orders},
    plan::{Plans, Position, Verdict},
    request::Passing,
    watching::{self, Answer, Watches},
};
use crate::server::Wire;

/// What all connections of one way share.
pub(super) struct Way {
    /// `127.0.0.1:…`
    pub(super) target: String,
    /// For a target that speaks TLS.
    pub(super) trust: Option<TlsConnector>,
    pub(super) plans: Arc<Mutex<Plans>>,
    pub(super) watches: Arc<Watches>,
    pub(super) line: watch::Sender<Line>,
    pub(super) passed: Mutex<Vec<Passing>>,
}

/// How this request ends.
enum End {
    Answer(Response<Answer>),
    /// The connection is closed, perhaps with a reset.
    Close,
}

type Sender = client::conn::http1::SendRequest<Full<Bytes>>;

/// Carries one connection until either side closes it.
pub(super) async fn carry(stream: TcpStream, way: Arc<Way>, tls: Option<TlsAcceptor>) {
    match tls {
        None => serve(stream, way).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, way).await;
            }
        }
    }
}

async fn serve(stream: impl Wire + 'static, way: Arc<Way>) {
    let orders = Orders::default();
    let upstream = Arc::new(AsyncMutex::new(None));
    let stream = TokioIo::new(Obedient { stream, orders: orders.clone() });
    let service = service_fn(move |request: Request<Incoming>| {
        let (way, orders, upstream) = (Arc::clone(&way), orders.clone(), Arc::clone(&upstream));
        async move {
            match way.request(request, &orders, &upstream).await {
                End::Answer(answer) => Ok(answer),
                End::Close => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            }
        }
    });
    // Whatever ends it is the test's doing, or the client's.
    let _ = http1::Builder::new().serve_connection(stream, service).await;
}

impl Way {
    async fn request(
        self: &Arc<Self>,
        request: Request<Incoming>,
        orders: &Orders,
        upstream: &AsyncMutex<Option<Sender>>,
    ) -> End {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return End::Close };
        let body = body.to_bytes();
        let passing = Passing::of(&head, &body);
        self.is_up().await;
        let met = self.plans.lock().expect("no panic while holding this lock").meets(&passing);
        self.passed.lock().expect("no panic while holding this lock").push(Passing {
            // Kept for tests that ask what went this way; the bodies of a long test would fill the memory.
            body: serde_json::Value::Null,
            ..passing.clone()
        });

        if let Some(end) = self.meet(&met, Position::Before, orders).await {
            return end;
        }
        let Ok(answer) = self.forward(head, body, upstream).await else { return End::Close };
        let (mut head, body) = answer.into_parts();
        for hop in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
            head.headers.remove(hop);
        }
        if passing.verb == "watch" && head.status.is_success() {
            if let Some(end) = self.meet(&met, Position::LostAnswer, orders).await {
                return end;
            }
            // A watch has been answered when it has begun.
            self.meet_after(&met, orders);
            orders.body_taken();
            let body = watching::body(passing.resource, body, &self.watches, self.line.subscribe());
            return End::Answer(Response::from_parts(head, body));
        }
        let Ok(body) = body.collect().await else { return End::Close };
        if let Some(end) = self.meet(&met, Position::LostAnswer, orders).await {
            return end;
        }
        self.is_up().await;
        self.meet_after(&met, orders);
        End::Answer(Response::from_parts(head, whole(body.to_bytes(), orders.clone())))
    }

    /// Nothing passes while the way is silent.
    async fn is_up(&self) {
        let mut line = self.line.subscribe();
        let _ = line.wait_for(|line| *line == Line::Up).await;
    }

    /// Lets the faults of this position happen, one after another; `None` when the request goes on after them.
    async fn meet(&self, met: &[(u64, Position)], here: Position, orders: &Orders) -> Option<End> {
        for (number, _) in met.iter().filter(|(_, position)| *position == here) {
            let verdict = self.plans.lock().expect("no panic while holding this lock").fire(*number);
            match verdict {
                Verdict::GoOn => {}
                Verdict::Vanish => pending().await,
                Verdict::Reset => {
                    orders.reset();
                    return Some(End::Close);
                }
                Verdict::Answer(code, headers, body) => {
                    return Some(End::Answer(invented(code, headers, body)));
                }
                Verdict::Wait(delay) => tokio::time::sleep(delay).await,
                Verdict::WaitForRelease(mut state) => {
                    let _ = state.wait_for(super::plan::State::is_released).await;
                }
            }
        }
        None
    }

    /// Faults that come after the answer wait until it has left.
    fn meet_after(&self, met: &[(u64, Position)], orders: &Orders) {
        let due: Vec<u64> = met
            .iter()
            .filter(|(_, position)| *position == Position::After)
            .map(|(number, _)| *number)
            .collect();
        if !due.is_empty() {
            let plans = Arc::clone(&self.plans);
            orders.after_this_answer(Box::new(move || {
                for number in due {
                    let _ = plans.lock().expect("no panic while holding this lock").fire(number);
                }
            }));
        }
    }

    /// Sends the request on the one connection behind this one.
    async fn forward(
        &self,
        head: Parts,
        body: Bytes,
        upstream: &AsyncMutex<Option<Sender>>,
    ) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
        let mut sender = upstream.lock().await;
        // The target closes connections that have been idle; this one has then never been used for this request.
        if let Some(used) = sender.as_mut()
            && used.ready().await.is_err()
        {
            *sender = None;
        }
        if sender.is_none() {
            *sender = Some(self.connect().await?);
        }
        let mut request = Request::from_parts(head, Full::new(body));
        request.headers_mut().insert(header::HOST, self.target.parse()?);
        let Some(open) = sender.as_mut() else { return Err("no connection".into()) };
        Ok(open.send_request(request).await?)
    }

    async fn connect(&self) -> Result<Sender, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.target).await?;
        stream.set_nodelay(true)?;
        match &self.trust {
            None => shake_hands(stream).await,
            Some(trust) => {
                let host = self.target.split(':').next().unwrap_or_default().to_owned();
                shake_hands(trust.connect(ServerName::try_from(host)?, stream).await?).await
            }
        }
    }
}

async fn shake_hands(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Sender, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    tokio::time::timeout(Duration::from_secs(5), sender.ready()).await??;
    Ok(sender)
}

/// A body that says when it has been taken.
fn whole(bytes: Bytes, orders: Orders) -> Answer {
    if bytes.is_empty() {
        orders.body_taken();
    }
    let told = Full::new(bytes).map_frame(move |frame| {
        orders.body_taken();
        frame
    });
    told.map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// An answer that the target never gave.
fn invented(code: u16, headers: Vec<(&'static str, String)>, body: String) -> Response<Answer> {
    let body = if body.is_empty() {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
            "message": "the fault proxy says so", "reason": reason(code),
        })
        .to_string()
    } else {
        body
    };
    let mut answer = Response::builder().status(code).header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        answer = answer.header(name, value);
    }
    let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {}).boxed_unsync();
    answer.body(body).expect("a code and headers that a test has chosen")
}

/// As the API server words them (`k8s.io/apimachinery`, `metav1.StatusReason`).
fn reason(code: u16) -> &'static str {
    match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    }
}
