//! Handles one connection: reads requests, sends answers or faults.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::Rng as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Shared,
    delivery::{self, Delivery},
    http::{Request, Requests, response},
    journal::Answer,
    rooms::Reply,
    script::Misbehaviour,
};
use crate::server::Wire;

/// Whether the connection can be reused.
#[derive(PartialEq, Eq)]
enum Next {
    KeepAlive,
    Close,
}

/// Serves a connection, over TLS if configured, until either side closes it.
pub(super) async fn converse(stream: TcpStream, number: u64, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    shared.connected();
    match tls {
        None => serve(stream, number, shared).await,
        Some(tls) => {
            // A client that does not trust the certificate disconnects here.
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, number, shared).await;
            }
        }
    }
}

async fn serve(mut stream: impl Wire, number: u64, shared: Arc<Shared>) {
    let mut requests = Requests::new();
    loop {
        let request = match requests.next(&mut stream).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(_) => {
                let _ = stream.write_all(&response(400, "text/plain", "Connection: close\r\n", 0, b"")).await;
                return;
            }
        };
        let wants_to_close =
            request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        match answer(&mut stream, number, &request, &shared).await {
            Ok(Next::KeepAlive) if !wants_to_close => {}
            Ok(_) => {
                let _ = stream.shutdown().await;
                return;
            }
            // A connection that is to be reset gets no orderly shutdown.
            Err(_) => return,
        }
    }
}

async fn answer(stream: &mut impl Wire, number: u64, request: &Request, shared: &Shared) -> io::Result<Next> {
    let (way_in, way_out) = latency(shared);
    pause(way_in).await;
    let arrived = Instant::now();
    let (sequence, misbehaviour) = shared.enter(number, request, arrived);
    let is_told = request.header("accept-encoding") == Some("identity");
    let misbehaviour = misbehaviour.filter(|fault| !(is_told && *fault == Misbehaviour::CompressUnlessTold));

    if let Some(Misbehaviour::DelayBefore(delay)) = misbehaviour {
        sleep(delay).await;
    }
    let executes = misbehaviour.as_ref().is_none_or(Misbehaviour::executes);
    let reply = executes.then(|| shared.execute(sequence, request));
    if let Some(Misbehaviour::DelayAfter(delay)) = misbehaviour {
        sleep(delay).await;
    }
    pause(way_out).await;

    let delivery = delivery::delivery(misbehaviour, reply.as_ref(), shared.empty_shape());
    // Before sending, so that a client that has the answer finds it in the journal.
    shared.answered(sequence, delivery.answer());
    deliver(stream, delivery).await
}

/// Splits the latency between request and answer, so that arrivals have jitter, too.
fn latency(shared: &Shared) -> (Duration, Duration) {
    let (least, most) = shared.latency();
    if most.is_zero() {
        return (Duration::ZERO, Duration::ZERO);
    }
    let mut random = rand::rng();
    let whole = random.random_range(least..=most);
    let way_in = whole.mul_f64(random.random_range(0.0..=1.0));
    (way_in, whole - way_in)
}

/// Skips a zero duration, because that sleep would wait for the timer's next tick.
async fn pause(length: Duration) {
    if !length.is_zero() {
        sleep(length).await;
    }
}

async fn deliver(stream: &mut impl Wire, delivery: Delivery) -> io::Result<Next> {
    match delivery {
        Delivery::Whole { response, .. } => {
            stream.write_all(&response).await?;
            stream.flush().await?;
            Ok(Next::KeepAlive)
        }
        Delivery::ThenClose { response, .. } => {
            stream.write_all(&response).await?;
            stream.flush().await?;
            Ok(Next::Close)
        }
        Delivery::Slowly { response } => {
            for byte in response {
                stream.write_all(&[byte]).await?;
                stream.flush().await?;
                sleep(Duration::from_millis(250)).await;
            }
            Ok(Next::KeepAlive)
        }
        Delivery::Stream { head, length } => {
            stream.write_all(&head).await?;
            let chunk = [b'a'; 64 * 1024];
            let mut left = length;
            while left > 0 {
                let part = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
                stream.write_all(&chunk[..part]).await?;
                left -= part as u64;
            }
            Ok(Next::Close)
        }
        Delivery::Hang => {
            let mut ignored = [0; 1024];
            while stream.read(&mut ignored).await? > 0 {}
            Ok(Next::Close)
        }
        Delivery::Reset => {
            stream.reset_when_closed()?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}

impl Shared {
    fn enter(&self, connection: u64, request: &Request, arrived: Instant) -> (usize, Option<Misbehaviour>) {
        let state = &mut *self.state();
        let entry = state.journal.enter(connection, request, arrived);
        let misbehaviour = state.scripts.play(entry.command, entry.group.as_deref(), entry.sdkappid);
        (entry.sequence, misbehaviour)
    }

    fn execute(&self, sequence: usize, request: &Request) -> Reply {
        let state = &mut *self.state();
        // Not the arrival time: the limits apply to execution, and a script may have delayed this call.
        let reply = state.world.execute(request, Instant::now());
        state.journal.entry(sequence).executed = !matches!(reply, Reply::Refused(_));
        reply
    }

    fn answered(&self, sequence: usize, answer: Answer) {
        let state = &mut *self.state();
        let entry = state.journal.entry(sequence);
        entry.answer = answer;
        entry.answered = matches!(answer, Answer::Code(_) | Answer::Status(_)).then(Instant::now);
    }
}
