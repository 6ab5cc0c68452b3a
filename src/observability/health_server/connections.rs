//! The connections: never more than a few, each with its time, and room for the next one always.

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

/// Longest head of a request; what has no end by then is answered 431 and closed.
pub(super) const HEAD: usize = 16 * 1024;
/// After a connection could not be accepted, mostly because the process has too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a connection ended, as the metric says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The other side closed it, or its last answer was sent.
    Done,
    /// What came is no HTTP, or its head is too long.
    Malformed,
    /// No whole head in time.
    HeadTimeout,
    /// No next request in time.
    IdleTimeout,
    /// The answer was not read in time.
    ResponseTimeout,
    /// There were too many, and it was the next to go.
    Full,
}

impl End {
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

/// Answers for ever. All connections share this one task, so that a new one is looked at before the next is accepted: a
/// probe whose request is there is answered, however many others press.
pub(super) async fn serve(listener: &TcpListener, pages: &Pages, limits: Limits, counters: &Metrics) {
    for end in End::ALL {
        counters.http_closed(end.label(), 0);
    }
    let mut log_throttle = LogThrottle::default();
    let mut open: HashMap<u64, Open> = HashMap::new();
    let mut running = FuturesUnordered::new();
    let ended = |open: &mut HashMap<u64, Open>, (id, end): (u64, End)| {
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
        let said = format!("a connection to the port of /livez cannot be accepted: {error}");
        if log_throttle.due(&said, Instant::now()) {
            tracing::warn!("{said}");
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
) -> (u64, End) {
    let answering = Abortable::new(answer(stream, pages, limits, progress), registration);
    (id, answering.await.unwrap_or(End::Full))
}

/// Answers one connection until it ends or its time is over.
async fn answer(stream: TcpStream, pages: &Pages, limits: Limits, progress: Arc<Progress>) -> End {
    let service = service_fn(|request: Request<Incoming>| {
        progress.has_request();
        let mut response = pages.answer(&request, limits.metrics);
        // Nobody waits for a body that nobody reads.
        if progress.is_old() || !request.body().is_end_stream() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        ready(Ok::<_, Infallible>(response))
    });
    let watched = Watched { stream, progress: Arc::clone(&progress) };
    let connection = http1::Builder::new()
        .max_buf_size(HEAD)
        // The deadline below knows of answers and pauses as well.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = pin!(connection);
    let mut alarm = pin!(sleep_until(progress.deadline()));
    poll_fn(|context| {
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            let malformed = ended.is_err_and(|error| error.is_parse());
            return Poll::Ready(if malformed { End::Malformed } else { End::Done });
        }
        let deadline = progress.deadline();
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(context).map(|()| match progress.phase() {
            Phase::Head => End::HeadTimeout,
            Phase::Response => End::ResponseTimeout,
            Phase::Idle => End::IdleTimeout,
        })
    })
    .await
}
