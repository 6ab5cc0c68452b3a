//! Watch streams, line by line: held back, shown again, cut, or made to say what the API server never said.

use std::{collections::BTreeSet, io, sync::Arc};

use futures::stream;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use tokio::sync::{broadcast, mpsc, watch};

use super::Line;

/// What all watch streams are told.
#[derive(Debug, Clone)]
pub(super) enum Tell {
    /// Show every event so far once more, oldest first, so many times.
    Again(usize),
    /// Say this line.
    Say(Bytes),
    /// End in the middle.
    Cut,
    /// Show nothing any more.
    Bury,
}

/// What holds for the watches of one way.
pub(super) struct Watches {
    /// Resources whose events are held back.
    pub(super) held: watch::Sender<BTreeSet<String>>,
    pub(super) tell: broadcast::Sender<(String, Tell)>,
}

impl Default for Watches {
    fn default() -> Self {
        Self { held: watch::Sender::default(), tell: broadcast::channel(64).0 }
    }
}

pub(super) type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// The body of a watch of `resource`, as the client sees it.
pub(super) fn body(
    resource: String,
    upstream: Incoming,
    watches: &Arc<Watches>,
    line: watch::Receiver<Line>,
) -> Answer {
    let (lines, delivered) = mpsc::channel(16);
    let stream = Stream {
        resource,
        upstream,
        lines,
        held: watches.held.subscribe(),
        line,
        shown: Vec::new(),
        rest: Vec::new(),
    };
    tokio::spawn(stream.run(watches.tell.subscribe()));
    let frames =
        stream::unfold(delivered, |mut delivered| async { Some((delivered.recv().await?, delivered)) });
    StreamBody::new(frames).boxed_unsync()
}

struct Stream {
    resource: String,
    upstream: Incoming,
    lines: mpsc::Sender<io::Result<Frame<Bytes>>>,
    held: watch::Receiver<BTreeSet<String>>,
    line: watch::Receiver<Line>,
    /// Every line so far.
    shown: Vec<Bytes>,
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
}

/// The client is gone, or the stream has been cut.
struct Over;

impl Stream {
    /// Until either side ends it.
    async fn run(mut self, mut told: broadcast::Receiver<(String, Tell)>) {
        let gone = self.lines.clone();
        tokio::select! {
            () = gone.closed() => {}
            _ = self.carry(&mut told) => {}
        }
    }

    async fn carry(&mut self, told: &mut broadcast::Receiver<(String, Tell)>) -> Result<(), Over> {
        loop {
            tokio::select! {
                biased;
                Ok((resource, tell)) = told.recv() => {
                    if resource == self.resource {
                        self.obey(tell).await?;
                    }
                }
                frame = self.upstream.frame() => match frame {
                    Some(Ok(frame)) => self.rest.extend_from_slice(&frame.into_data().unwrap_or_default()),
                    Some(Err(error)) => {
                        self.open(told).await?;
                        return self.send(Err(io::Error::other(error))).await;
                    }
                    // A stream that is held back does not show its end either.
                    None => return self.open(told).await,
                },
            }
            // What is held back is held back here; orders are obeyed all the same.
            self.open(told).await?;
        }
    }

    /// Waits until the stream is not held back, and shows what came meanwhile.
    async fn open(&mut self, told: &mut broadcast::Receiver<(String, Tell)>) -> Result<(), Over> {
        loop {
            let is_held = self.held.borrow_and_update().contains(&self.resource);
            if !is_held && *self.line.borrow_and_update() == Line::Up {
                return self.show().await;
            }
            tokio::select! {
                Ok((resource, tell)) = told.recv() => {
                    if resource == self.resource {
                        self.obey(tell).await?;
                    }
                }
                Ok(()) = self.held.changed() => {}
                Ok(()) = self.line.changed() => {}
                else => return Err(Over),
            }
        }
    }

    async fn show(&mut self) -> Result<(), Over> {
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else { return Ok(()) };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        for line in whole.split_inclusive(|&byte| byte == b'\n') {
            let line = Bytes::copy_from_slice(line);
            self.shown.push(line.clone());
            self.send(Ok(Frame::data(line))).await?;
        }
        Ok(())
    }

    async fn obey(&mut self, tell: Tell) -> Result<(), Over> {
        match tell {
            Tell::Again(times) => {
                for _ in 0..times {
                    for line in self.shown.clone() {
                        self.send(Ok(Frame::data(line))).await?;
                    }
                }
                Ok(())
            }
            Tell::Bury => std::future::pending().await,
            Tell::Say(line) => self.send(Ok(Frame::data(line))).await,
            Tell::Cut => {
                let _ = self.send(Err(io::ErrorKind::ConnectionReset.into())).await;
                Err(Over)
            }
        }
    }

    async fn send(&self, frame: io::Result<Frame<Bytes>>) -> Result<(), Over> {
        self.lines.send(frame).await.map_err(|_| Over)
    }
}
