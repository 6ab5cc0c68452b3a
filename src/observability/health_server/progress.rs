//! The phase and the deadline of a connection.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use super::Limits;

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The head of a request has not arrived completely.
    Head,
    /// A response is being sent.
    Response,
    /// The last response was sent, and no byte has arrived since.
    Idle,
}

/// The progress of one connection.
#[derive(Debug)]
pub(super) struct Progress {
    limits: Limits,
    opened: Instant,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// When the socket last accepted a byte of a response.
    sent: Instant,
}

impl Progress {
    /// A connection that was just accepted.
    pub(super) fn new(limits: Limits) -> Self {
        let opened = Instant::now();
        let state = Mutex::new(State { phase: Phase::Head, since: opened, sent: opened });
        Self { limits, opened, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// When the connection is closed unless its phase changes. Bytes that trickle in do not extend the deadline.
    pub(super) fn deadline(&self) -> Instant {
        let state = *self.state();
        state.since
            + match state.phase {
                Phase::Head => self.limits.head,
                Phase::Response => self.limits.response,
                Phase::Idle => self.limits.idle,
            }
    }

    /// When there are too many connections, the one with the smallest rank is closed: first the one that has been
    /// without progress for longest, and last those whose response is being read.
    pub(super) fn rank(&self, now: Instant) -> (bool, Instant) {
        let state = *self.state();
        match state.phase {
            Phase::Response => (now.saturating_duration_since(state.sent) < self.limits.stall, state.sent),
            Phase::Head | Phase::Idle => (false, state.since),
        }
    }

    /// Whether the connection is to be closed after its next response.
    pub(super) fn is_old(&self) -> bool {
        self.opened.elapsed() >= self.limits.lifetime
    }

    /// Records that the head of a request has arrived.
    pub(super) fn has_request(&self) {
        let now = Instant::now();
        *self.state() = State { phase: Phase::Response, since: now, sent: now };
    }

    fn received(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            (state.phase, state.since) = (Phase::Head, Instant::now());
        }
    }

    fn sent(&self) {
        self.state().sent = Instant::now();
    }

    fn flushed(&self) {
        let mut state = self.state();
        if state.phase == Phase::Response {
            (state.phase, state.since) = (Phase::Idle, Instant::now());
        }
    }
}

/// A connection whose progress is tracked.
pub(super) struct Watched {
    pub(super) stream: TcpStream,
    pub(super) progress: Arc<Progress>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.progress.received();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            self.progress.sent();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if written.is_ready() {
            self.progress.sent();
        }
        written
    }

    /// Without this, hyper would copy each response into a buffer of the connection.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// A completed flush means that the response was sent: hyper has all of it before it starts to write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.progress.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
