//! Where a connection stands, and when its time is over.

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

/// What a connection is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The head of a request has not come in whole.
    Head,
    /// An answer is being sent.
    Response,
    /// Its last answer was sent, and nothing has come since.
    Idle,
}

/// How far one connection has come.
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
    /// When a byte of an answer was last taken by the other side.
    sent: Instant,
}

impl Progress {
    /// A connection that was accepted now.
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

    /// When it is closed unless it gets on. Bytes that trickle in move nothing.
    pub(super) fn deadline(&self) -> Instant {
        let state = *self.state();
        state.since
            + match state.phase {
                Phase::Head => self.limits.head,
                Phase::Response => self.limits.response,
                Phase::Idle => self.limits.idle,
            }
    }

    /// Who is in nobody's way comes last: the connection with the smallest rank is closed when there are too many.
    pub(super) fn rank(&self, now: Instant) -> (bool, Instant) {
        let state = *self.state();
        match state.phase {
            Phase::Response => (now.saturating_duration_since(state.sent) < self.limits.stall, state.sent),
            Phase::Head | Phase::Idle => (false, state.since),
        }
    }

    /// Whether its next answer is its last.
    pub(super) fn is_old(&self) -> bool {
        self.opened.elapsed() >= self.limits.lifetime
    }

    /// The head of a request is there.
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

/// A connection whose progress is noted.
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

    /// Without it hyper would copy each answer into a buffer of the connection.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when everything was written: an answer is one piece, which hyper has whole before it writes.
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
