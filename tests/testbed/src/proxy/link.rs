//! One connection through the proxy: applies faults to each request and forwards it and its answer.

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
    delivered::{Control, Controlled},
    plan::{Plans, Position, Verdict},
    request::Passing,
    watching::{self, Answer, Watches},
};
use crate::server::Wire;

/// State shared by all connections of one proxy.
pub(super) struct Link {
    /// `127.0.0.1:…`
    pub(super) target: String,
    /// Set if the target uses TLS.
    pub(super) trust: Option<TlsConnector>,
    pub(super) plans: Arc<Mutex<Plans>>,
    pub(super) watches: Arc<Watches>,
    pub(super) line: watch::Sender<Line>,
    pub(super) passed: Mutex<Vec<Passing>>,
}

/// The end of a request.
enum End {
    Answer(Response<Answer>),
    /// Close the connection, possibly with a reset.
    Close,
}

type Sender = client::conn::http1::SendRequest<Full<Bytes>>;

/// Serves one connection until either side closes it.
pub(super) async fn carry(stream: TcpStream, link: Arc<Link>, tls: Option<TlsAcceptor>) {
    match tls {
        None => serve(stream, link).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, link).await;
            }
        }
    }
}

async fn serve(stream: impl Wire + 'static, link: Arc<Link>) {
    let control = Control::default();
    let upstream = Arc::new(AsyncMutex::new(None));
    let stream = TokioIo::new(Controlled { stream, control: control.clone() });
    let service = service_fn(move |request: Request<Incoming>| {
        let (link, control, upstream) = (Arc::clone(&link), control.clone(), Arc::clone(&upstream));
        async move {
            match link.request(request, &control, &upstream).await {
                End::Answer(answer) => Ok(answer),
                End::Close => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            }
        }
    });
    // An error is caused by the test or the client.
    let _ = http1::Builder::new().serve_connection(stream, service).await;
}

impl Link {
    async fn request(
        self: &Arc<Self>,
        request: Request<Incoming>,
        control: &Control,
        upstream: &AsyncMutex<Option<Sender>>,
    ) -> End {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return End::Close };
        let body = body.to_bytes();
        let passing = Passing::of(&head, &body);
        self.wait_until_up().await;
        let met = self.plans.lock().expect("no panic while holding this lock").meets(&passing);
        self.passed.lock().expect("no panic while holding this lock").push(Passing {
            // For tests that look at past requests; the bodies of a long test would use too much memory.
            body: serde_json::Value::Null,
            ..passing.clone()
        });

        if let Some(end) = self.apply_faults(&met, Position::Before, control).await {
            return end;
        }
        let Ok(answer) = self.forward(head, body, upstream).await else { return End::Close };
        let (mut head, body) = answer.into_parts();
        for hop in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
            head.headers.remove(hop);
        }
        if passing.verb == "watch" && head.status.is_success() {
            if let Some(end) = self.apply_faults(&met, Position::LostAnswer, control).await {
                return end;
            }
            // A watch counts as answered once it has started.
            self.apply_after(&met, control);
            control.body_taken();
            let body = watching::body(passing.resource, body, &self.watches, self.line.subscribe());
            return End::Answer(Response::from_parts(head, body));
        }
        let Ok(body) = body.collect().await else { return End::Close };
        if let Some(end) = self.apply_faults(&met, Position::LostAnswer, control).await {
            return end;
        }
        self.wait_until_up().await;
        self.apply_after(&met, control);
        End::Answer(Response::from_parts(head, whole(body.to_bytes(), control.clone())))
    }

    /// Nothing passes while the line is silent.
    async fn wait_until_up(&self) {
        let mut line = self.line.subscribe();
        let _ = line.wait_for(|line| *line == Line::Up).await;
    }

    /// Fires the faults of this position in order; `None` if the request continues.
    async fn apply_faults(&self, met: &[(u64, Position)], here: Position, control: &Control) -> Option<End> {
        for (number, _) in met.iter().filter(|(_, position)| *position == here) {
            let verdict = self.plans.lock().expect("no panic while holding this lock").fire(*number);
            match verdict {
                Verdict::GoOn => {}
                Verdict::Vanish => pending().await,
                Verdict::Reset => {
                    control.reset();
                    return Some(End::Close);
                }
                Verdict::Answer(code, headers, body) => {
                    return Some(End::Answer(synthetic(code, headers, body)));
                }
                Verdict::Wait(delay) => tokio::time::sleep(delay).await,
                Verdict::WaitForRelease(mut state) => {
                    let _ = state.wait_for(super::plan::State::is_released).await;
                }
            }
        }
        None
    }

    /// Fires the faults of [`Position::After`] once the answer has been sent.
    fn apply_after(&self, met: &[(u64, Position)], control: &Control) {
        let due: Vec<u64> = met
            .iter()
            .filter(|(_, position)| *position == Position::After)
            .map(|(number, _)| *number)
            .collect();
        if !due.is_empty() {
            let plans = Arc::clone(&self.plans);
            control.after_this_answer(Box::new(move || {
                for number in due {
                    let _ = plans.lock().expect("no panic while holding this lock").fire(number);
                }
            }));
        }
    }

    /// Forwards the request on this connection's upstream connection.
    async fn forward(
        &self,
        head: Parts,
        body: Bytes,
        upstream: &AsyncMutex<Option<Sender>>,
    ) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
        let mut sender = upstream.lock().await;
        // The target may have closed an idle connection; then the request has not been sent on it.
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
            None => http_handshake(stream).await,
            Some(trust) => {
                let host = self.target.split(':').next().unwrap_or_default().to_owned();
                http_handshake(trust.connect(ServerName::try_from(host)?, stream).await?).await
            }
        }
    }
}

async fn http_handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Sender, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    tokio::time::timeout(Duration::from_secs(5), sender.ready()).await??;
    Ok(sender)
}

/// A body that reports when it has been taken.
fn whole(bytes: Bytes, control: Control) -> Answer {
    if bytes.is_empty() {
        control.body_taken();
    }
    let observed = Full::new(bytes).map_frame(move |frame| {
        control.body_taken();
        frame
    });
    observed.map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// An answer made up by the proxy.
fn synthetic(code: u16, headers: Vec<(&'static str, String)>, body: String) -> Response<Answer> {
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

/// The API server's reason for a code (`metav1.StatusReason` of `k8s.io/apimachinery`).
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
