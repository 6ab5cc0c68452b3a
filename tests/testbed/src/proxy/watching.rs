//! Forwards watch streams line by line, and can hold, replay, cut or inject lines.

use std::{collections::BTreeSet, io, sync::Arc};

use futures::stream;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use tokio::sync::{broadcast, mpsc, watch};

use super::Line;

/// A command for the open watch streams of a resource.
#[derive(Debug, Clone)]
pub(super) enum WatchCommand {
    /// Replays all events so far, oldest first, this many times.
    Replay(usize),
    /// Injects this line.
    Inject(Bytes),
    /// Cuts the stream.
    Cut,
    /// Delivers nothing any more.
    Freeze,
}

/// The shared state of all watches of one proxy.
pub(super) struct Watches {
    /// Resources whose events are held back.
    pub(super) held: watch::Sender<BTreeSet<String>>,
    pub(super) commands: broadcast::Sender<(String, WatchCommand)>,
}

impl Default for Watches {
    fn default() -> Self {
        Self { held: watch::Sender::default(), commands: broadcast::channel(64).0 }
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
    tokio::spawn(stream.run(watches.commands.subscribe()));
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
    /// All lines delivered so far.
    shown: Vec<Bytes>,
    /// The start of an incomplete line.
    rest: Vec<u8>,
}

/// The client has disconnected, or the stream has been cut.
struct Closed;

impl Stream {
    /// Runs until either side closes the stream.
    async fn run(mut self, mut commands: broadcast::Receiver<(String, WatchCommand)>) {
        let gone = self.lines.clone();
        tokio::select! {
            () = gone.closed() => {}
            _ = self.carry(&mut commands) => {}
        }
    }

    async fn carry(
        &mut self,
        commands: &mut broadcast::Receiver<(String, WatchCommand)>,
    ) -> Result<(), Closed> {
        loop {
            tokio::select! {
                biased;
                Ok((resource, command)) = commands.recv() => {
                    if resource == self.resource {
                        self.execute(command).await?;
                    }
                }
                frame = self.upstream.frame() => match frame {
                    Some(Ok(frame)) => self.rest.extend_from_slice(&frame.into_data().unwrap_or_default()),
                    Some(Err(error)) => {
                        self.until_released(commands).await?;
                        return self.send(Err(io::Error::other(error))).await;
                    }
                    // A held stream does not show its end either.
                    None => return self.until_released(commands).await,
                },
            }
            // Waits here while the stream is held; commands still work.
            self.until_released(commands).await?;
        }
    }

    /// Waits until the stream is no longer held, then delivers what has arrived.
    async fn until_released(
        &mut self,
        commands: &mut broadcast::Receiver<(String, WatchCommand)>,
    ) -> Result<(), Closed> {
        loop {
            let is_held = self.held.borrow_and_update().contains(&self.resource);
            if !is_held && *self.line.borrow_and_update() == Line::Up {
                return self.deliver().await;
            }
            tokio::select! {
                Ok((resource, command)) = commands.recv() => {
                    if resource == self.resource {
                        self.execute(command).await?;
                    }
                }
                Ok(()) = self.held.changed() => {}
                Ok(()) = self.line.changed() => {}
                else => return Err(Closed),
            }
        }
    }

    async fn deliver(&mut self) -> Result<(), Closed> {
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else { return Ok(()) };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        for line in whole.split_inclusive(|&byte| byte == b'\n') {
            let line = Bytes::copy_from_slice(line);
            self.shown.push(line.clone());
            self.send(Ok(Frame::data(line))).await?;
        }
        Ok(())
    }

    async fn execute(&mut self, command: WatchCommand) -> Result<(), Closed> {
        match command {
            WatchCommand::Replay(times) => {
                for _ in 0..times {
                    for line in self.shown.clone() {
                        self.send(Ok(Frame::data(line))).await?;
                    }
                }
                Ok(())
            }
            WatchCommand::Freeze => std::future::pending().await,
            WatchCommand::Inject(line) => self.send(Ok(Frame::data(line))).await,
            WatchCommand::Cut => {
                let _ = self.send(Err(io::ErrorKind::ConnectionReset.into())).await;
                Err(Closed)
            }
        }
    }

    async fn send(&self, frame: io::Result<Frame<Bytes>>) -> Result<(), Closed> {
        self.lines.send(frame).await.map_err(|_| Closed)
    }
}
