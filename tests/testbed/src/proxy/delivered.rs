//! Knows when an answer has left for good, so that a fault "after" really comes after.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::Wire;

/// What is to happen when the answer that is being written has been handed to the kernel.
type Then = Box<dyn FnOnce() + Send>;

/// What a connection is told from within.
#[derive(Clone, Default)]
pub(super) struct Orders(Arc<Mutex<Order>>);

#[derive(Default)]
struct Order {
    /// Waits for the body to be taken.
    armed: Option<Then>,
    /// Waits for the next flush.
    due: Option<Then>,
    reset: bool,
}

impl Orders {
    /// `then` is to happen after the answer that is returned next.
    pub(super) fn after_this_answer(&self, then: Then) {
        self.0.lock().expect("no panic while holding this lock").armed = Some(then);
    }

    /// The body of the answer has been taken: what is written with the next flush is all of it.
    pub(super) fn body_taken(&self) {
        let mut order = self.0.lock().expect("no panic while holding this lock");
        order.due = order.armed.take();
    }

    /// The connection ends with RST.
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

/// A connection that obeys its [`Orders`].
pub(super) struct Obedient<S: Wire> {
    pub(super) stream: S,
    pub(super) orders: Orders,
}

impl<S: Wire> AsyncRead for Obedient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: Wire> AsyncWrite for Obedient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    /// Called when everything has been written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.orders.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Wire> Drop for Obedient<S> {
    fn drop(&mut self) {
        if self.orders.0.lock().expect("no panic while holding this lock").reset {
            let _ = self.stream.reset_when_closed();
        }
    }
}
