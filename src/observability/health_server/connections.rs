//! Accepts and serves connections. Their number is limited, each has deadlines, and a new one can always be accepted.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{poll_fn, ready},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures::{
    StreamExt,
    future::{AbortHandle, AbortRegistration, Abortable},
    stream::FuturesUnordered,
};
use hyper::{
    Request,
    body::{Body, Incoming},
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Limits, Pages,
    progress::{Phase, Progress, Watched},
};
use crate::{observability::log_throttle::LogThrottle, observability::metrics::Metrics};

/// Longest request head, in bytes. A longer one is answered with 431, and the connection is closed.
pub(super) const HEAD: usize = 16 * 1024;
/// Pause after a failed accept, which usually means that the process has too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a connection ended; the label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The peer closed it, or its last response was sent.
    Done,
    /// The request is not HTTP, or its head is too long.
    Malformed,
    /// No complete request head in time.
    HeadTimeout,
    /// No further request in time.
    IdleTimeout,
    /// The response was not read in time.
    ResponseTimeout,
    /// There were too many connections, and this one had the smallest rank.
    Full,
}

impl CloseReason {
    const ALL: [Self; 6] = [
        Self::Done,
        Self::Malformed,
        Self::HeadTimeout,
        Self::IdleTimeout,
        Self::ResponseTimeout,
        Self::Full,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Malformed => "malformed",
            Self::HeadTimeout => "head_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::ResponseTimeout => "response_timeout",
            Self::Full => "full",
        }
    }
}

struct Open {
    progress: Arc<Progress>,
    close: AbortHandle,
}

/// Serves connections forever. All of them share this one task, so that a new connection is polled before the next one
/// is accepted: a probe whose request has arrived is answered, however many other clients connect.
///
/// 1. Wait for a new connection, and remove those that end in the meantime.
/// 2. While there are too many, close the one with the smallest rank.
/// 3. Start serving the new connection.
pub(super) async fn serve(listener: &TcpListener, pages: &Pages, limits: Limits, counters: &Metrics) {
    for end in CloseReason::ALL {
        counters.http_closed(end.label(), 0);
    }
    let mut log_throttle = LogThrottle::default();
    let mut open: HashMap<u64, Open> = HashMap::new();
    let mut running = FuturesUnordered::new();
    let ended = |open: &mut HashMap<u64, Open>, (id, end): (u64, CloseReason)| {
        open.remove(&id);
        counters.http_closed(end.label(), 1);
        counters.http_connections(open.len());
    };
    for id in 0_u64.. {
        let stream = loop {
            tokio::select! {
                biased;
                Some(end) = running.next() => ended(&mut open, end),
                stream = accept(listener, &mut log_throttle) => break stream,
            }
        };
        while open.len() >= limits.connections {
            let now = Instant::now();
            if let Some(next) = open.values().min_by_key(|open| open.progress.rank(now)) {
                next.close.abort();
            }
            if let Some(end) = running.next().await {
                ended(&mut open, end);
            }
        }
        let progress = Arc::new(Progress::new(limits));
        let (close, registration) = AbortHandle::new_pair();
        running.push(hold(id, stream, pages, limits, Arc::clone(&progress), registration));
        open.insert(id, Open { progress, close });
        counters.http_connections(open.len());
    }
}

async fn accept(listener: &TcpListener, log_throttle: &mut LogThrottle) -> TcpStream {
    loop {
        let error = match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => error,
        };
        let message = format!("cannot accept a connection to the port of /livez: {error}");
        if log_throttle.due(&message, Instant::now()) {
            tracing::warn!("{message}");
        }
        sleep(PAUSE).await;
    }
}

async fn hold(
    id: u64,
    stream: TcpStream,
    pages: &Pages,
    limits: Limits,
    progress: Arc<Progress>,
    registration: AbortRegistration,
) -> (u64, CloseReason) {
    let answering = Abortable::new(answer(stream, pages, limits, progress), registration);
    (id, answering.await.unwrap_or(CloseReason::Full))
}

/// Serves one connection until it ends or its deadline passes.
async fn answer(stream: TcpStream, pages: &Pages, limits: Limits, progress: Arc<Progress>) -> CloseReason {
    let service = service_fn(|request: Request<Incoming>| {
        progress.has_request();
        let mut response = pages.answer(&request, limits.metrics);
        // Close the connection if the request has a body, so as not to wait for a body that is never read.
        if progress.is_old() || !request.body().is_end_stream() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        ready(Ok::<_, Infallible>(response))
    });
    let watched = Watched { stream, progress: Arc::clone(&progress) };
    let connection = http1::Builder::new()
        .max_buf_size(HEAD)
        // The deadline below covers responses and idle time as well.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep_until(progress.deadline()));
    poll_fn(|context| {
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            let malformed = ended.is_err_and(|error| error.is_parse());
            return Poll::Ready(if malformed { CloseReason::Malformed } else { CloseReason::Done });
        }
        let deadline = progress.deadline();
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context).map(|()| match progress.phase() {
            Phase::Head => CloseReason::HeadTimeout,
            Phase::Response => CloseReason::ResponseTimeout,
            Phase::Idle => CloseReason::IdleTimeout,
        })
    })
    .await
}
