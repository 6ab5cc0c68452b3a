//! The fault proxy between the operator and the API server or the vendor. It reads every request and injects
//! faults at exactly the moment that a test has planned.
//!
//! ```text
//! proxy.plan(Boundary::intent().about("room-1"), Position::LostAnswer, Fault::Kill9(operator.victim()))
//! ```
//!
//! kills the operator after the intent of the reset `room-1` is stored and before the operator gets the
//! response. Requests trigger faults, not timers, and a planned fault that never fires fails its test.
//!
//! | question | file |
//! |---|---|
//! | what is this request about? | `request` |
//! | which requests does a fault apply to? | `boundary` |
//! | which fault is injected when? | `plan` |
//! | how are requests and answers forwarded? | `link` |
//! | how are watch events held, replayed or cut? | `watching` |
//! | when has an answer been delivered? | `delivered` |
//!
//! Both sides use HTTP/1.1, because ALPN offers nothing else.

mod boundary;
mod delivered;
mod link;
mod plan;
mod request;
mod watching;

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use hyper::body::Bytes;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

pub use rustix::process::Signal;

pub use self::{
    boundary::Boundary,
    plan::{Fault, POSITIONS, Plan, Position, Victim},
    request::Passing,
};
use self::{
    link::{Link, carry},
    watching::WatchCommand,
};
use crate::{
    ControlPlane,
    certificates::Authority,
    control_plane::kubeconfig_text,
    scratch,
    server::{Server, acceptor, connector},
};

/// The state of the whole connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Line {
    /// Traffic passes.
    #[default]
    Up,
    /// New connections are refused, and open ones are closed.
    Refusing,
    /// Connections stay open, but nothing passes: no requests, answers or watch events.
    Silent,
}

/// A proxy to one target, stopped when dropped. It needs no runtime.
pub struct FaultProxy {
    link: Arc<Link>,
    server: Server,
    tls: Option<Tls>,
}

struct Tls {
    ca: PathBuf,
    folder: TempDir,
}

/// Starting the proxy.
impl FaultProxy {
    /// Starts a proxy to the API server, with TLS on both sides.
    ///
    /// # Errors
    /// If no port can be opened.
    pub fn to_api_server(plane: &ControlPlane) -> Result<Self> {
        let authority = Authority::new("fault proxy")?;
        let folder = scratch::folder("proxy-")?;
        let ca = folder.path().join("ca.crt");
        fs::write(&ca, authority.pem())?;
        let certificate = acceptor(&authority.server(&["127.0.0.1"])?)?;
        let target = plane.url().trim_start_matches("https://").to_owned();
        let link = Arc::new(Link::new(target, Some(connector(plane.ca())?)));
        let shared = Arc::clone(&link);
        let server = Server::start("proxy", move |stream, _| {
            carry(stream, Arc::clone(&shared), Some(certificate.clone()))
        })?;
        Ok(Self { link, server, tls: Some(Tls { ca, folder }) })
    }

    /// Starts a proxy to the vendor, without TLS.
    ///
    /// # Errors
    /// If no port can be opened.
    pub fn to_vendor(vendor: SocketAddr) -> Result<Self> {
        let link = Arc::new(Link::new(vendor.to_string(), None));
        let shared = Arc::clone(&link);
        let server = Server::start("proxy", move |stream, _| carry(stream, Arc::clone(&shared), None))?;
        Ok(Self { link, server, tls: None })
    }

    /// The listening address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The URL to use instead of the target's.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.address)
    }

    /// Writes a kubeconfig with this bearer token for the API server behind this proxy. The file lives as
    /// long as the proxy.
    ///
    /// # Errors
    /// If the file cannot be written.
    ///
    /// # Panics
    /// For a proxy to the vendor.
    pub fn kubeconfig(&self, token: &str) -> Result<PathBuf> {
        let Tls { ca, folder } = self.tls.as_ref().expect("a proxy to the API server");
        let file =
            tempfile::Builder::new().suffix(".kubeconfig").tempfile_in(folder.path())?.into_temp_path();
        let file = file.keep()?;
        fs::write(&file, kubeconfig_text(&self.url(), ca, token))?;
        Ok(file)
    }
}

/// Injecting faults.
impl FaultProxy {
    /// Plans a fault. Dropping the returned plan cancels it.
    pub fn plan(&self, boundary: Boundary, position: Position, fault: Fault) -> Plan {
        plan::Plans::add(&self.link.plans, boundary, position, fault)
    }

    /// All requests so far, in order, without their bodies.
    #[must_use]
    pub fn passed(&self) -> Vec<Passing> {
        self.link.passed.lock().expect("no panic while holding this lock").clone()
    }

    /// Interrupts or restores the whole connection.
    pub fn set(&self, line: Line) {
        self.link.line.send_replace(line);
        if line == Line::Refusing {
            self.server.go_down();
        } else {
            self.server.come_back();
        }
    }

    /// Holds back all events, and the end, of every watch of this resource; the connections stay open.
    pub fn hold_watches(&self, resource: &str) {
        self.link.watches.held.send_modify(|held| {
            held.insert(resource.to_owned());
        });
    }

    /// [`FaultProxy::hold_watches`] as an action for a plan ([`Fault::Run`]).
    #[must_use]
    pub fn watch_holder(&self, resource: &'static str) -> Box<dyn FnMut() + Send> {
        let link = Arc::clone(&self.link);
        Box::new(move || {
            link.watches.held.send_modify(|held| {
                held.insert(resource.to_owned());
            })
        })
    }

    /// Delivers the held-back events and stops holding.
    pub fn release_watches(&self, resource: &str) {
        self.link.watches.held.send_modify(|held| {
            held.remove(resource);
        });
    }

    /// Replays all events that the open watches of this resource have delivered so far, oldest first, `times`
    /// times.
    pub fn repeat_watches(&self, resource: &str, times: usize) {
        self.send_command(resource, WatchCommand::Replay(times));
    }

    /// Makes the open watches of this resource half-open: they never deliver anything again, not even their
    /// end, as behind a load balancer that lost their state. Later watches work.
    pub fn freeze_watches(&self, resource: &str) {
        self.send_command(resource, WatchCommand::Freeze);
    }

    /// Cuts the open watches of this resource mid-stream.
    pub fn cut_watches(&self, resource: &str) {
        self.send_command(resource, WatchCommand::Cut);
    }

    /// Sends an error to the open watches of this resource that their resourceVersion is too old (410), as
    /// the API server does after compaction.
    pub fn expire_watches(&self, resource: &str) {
        let object = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410,
            "reason": "Expired", "message": "too old resource version",
        });
        let line = format!("{}\n", json!({"type": "ERROR", "object": object}));
        self.send_command(resource, WatchCommand::Inject(Bytes::from(line)));
    }

    fn send_command(&self, resource: &str, command: WatchCommand) {
        // Sending fails if no watch is open; then there is nothing to do.
        let _ = self.link.watches.commands.send((resource.to_owned(), command));
    }
}

impl Link {
    fn new(target: String, trust: Option<TlsConnector>) -> Self {
        Self {
            target,
            trust,
            plans: Arc::default(),
            watches: Arc::default(),
            line: watch::Sender::default(),
            passed: Mutex::default(),
        }
    }
}
