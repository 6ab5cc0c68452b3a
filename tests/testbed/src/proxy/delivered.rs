//! Detects when an answer has been written completely, so that a fault "after" it really comes after.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::Wire;

/// An action to run when the current answer has been passed to the kernel.
type Then = Box<dyn FnOnce() + Send>;

/// Controls a connection from within its service.
#[derive(Clone, Default)]
pub(super) struct Control(Arc<Mutex<ControlState>>);

#[derive(Default)]
struct ControlState {
    /// Moves to `due` once the body has been taken.
    armed: Option<Then>,
    /// Runs at the next flush.
    due: Option<Then>,
    reset: bool,
}

impl Control {
    /// Runs `then` after the next answer.
    pub(super) fn after_this_answer(&self, then: Then) {
        self.0.lock().expect("no panic while holding this lock").armed = Some(then);
    }

    /// The answer's body has been taken, so the next flush completes the answer.
    pub(super) fn body_taken(&self) {
        let mut state = self.0.lock().expect("no panic while holding this lock");
        state.due = state.armed.take();
    }

    /// Closes the connection with RST.
    pub(super) fn reset(&self) {
        self.0.lock().expect("no panic while holding this lock").reset = true;
    }

    fn flushed(&self) {
        let due = self.0.lock().expect("no panic while holding this lock").due.take();
        if let Some(then) = due {
            then();
        }
    }
}

/// A connection with a [`Control`].
pub(super) struct Controlled<S: Wire> {
    pub(super) stream: S,
    pub(super) control: Control,
}

impl<S: Wire> AsyncRead for Controlled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: Wire> AsyncWrite for Controlled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    /// Called after everything has been written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.control.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Wire> Drop for Controlled<S> {
    fn drop(&mut self) {
        if self.control.0.lock().expect("no panic while holding this lock").reset {
            let _ = self.stream.reset_when_closed();
        }
    }
}
