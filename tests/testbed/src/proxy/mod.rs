//! The fault proxy: stands between the operator and the API server, or between the operator and the vendor, reads
//! every request, and breaks the way at exactly the moment that a test has planned.
//!
//! ```text
//! proxy.plan(Boundary::intent().about("room-1"), Position::LostAnswer, Fault::Kill9(operator.victim()))
//! ```
//!
//! kills the operator when the intent of the reset `room-1` is stored and before the operator hears of it. No test
//! waits a while and hopes: faults are triggered by what passes, and a planned fault that never happens fails its test.
//!
//! | question | file |
//! |---|---|
//! | what is this request about? | `request` |
//! | which requests is a fault for? | `boundary` |
//! | when does which fault happen? | `plan` |
//! | how does a request pass, and its answer come back? | `way` |
//! | what happens to watch events? | `watching` |
//! | when has an answer been delivered? | `delivered` |
//!
//! Both sides speak HTTP/1.1, because ALPN offers nothing else.

mod boundary;
mod delivered;
mod plan;
mod request;
mod watching;
mod way;

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
    watching::Tell,
    way::{Way, carry},
};
use crate::{
    ControlPlane,
    certificates::Authority,
    control_plane::kubeconfig_text,
    scratch,
    server::{Server, acceptor, connector},
};

/// What becomes of everything on this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Line {
    /// It passes.
    #[default]
    Up,
    /// Connections are refused, and those that were open are closed.
    Refusing,
    /// Connections are taken and kept, and nothing passes: neither requests nor answers nor watch events.
    Silent,
}

/// A proxy on one way. It ends with this object; it needs no runtime.
pub struct FaultProxy {
    way: Arc<Way>,
    server: Server,
    tls: Option<Tls>,
}

struct Tls {
    ca: PathBuf,
    folder: TempDir,
}

/// Starting it.
impl FaultProxy {
    /// Before the API server, with TLS on both sides.
    ///
    /// # Errors
    /// When no port can be opened.
    pub fn to_api_server(plane: &ControlPlane) -> Result<Self> {
        let authority = Authority::new("fault proxy")?;
        let folder = scratch::folder("proxy-")?;
        let ca = folder.path().join("ca.crt");
        fs::write(&ca, authority.pem())?;
        let certificate = acceptor(&authority.server(&["127.0.0.1"])?)?;
        let target = plane.url().trim_start_matches("https://").to_owned();
        let way = Arc::new(Way::new(target, Some(connector(plane.ca())?)));
        let shared = Arc::clone(&way);
        let server = Server::start("proxy", move |stream, _| {
            carry(stream, Arc::clone(&shared), Some(certificate.clone()))
        })?;
        Ok(Self { way, server, tls: Some(Tls { ca, folder }) })
    }

    /// Before the vendor, without TLS.
    ///
    /// # Errors
    /// When no port can be opened.
    pub fn to_vendor(vendor: SocketAddr) -> Result<Self> {
        let way = Arc::new(Way::new(vendor.to_string(), None));
        let shared = Arc::clone(&way);
        let server = Server::start("proxy", move |stream, _| carry(stream, Arc::clone(&shared), None))?;
        Ok(Self { way, server, tls: None })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// What to name instead of the target.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.address)
    }

    /// Writes a kubeconfig with this bearer token that leads through this proxy to the API server. The file lives as
    /// long as the proxy.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// For a proxy before the vendor.
    pub fn kubeconfig(&self, token: &str) -> Result<PathBuf> {
        let Tls { ca, folder } = self.tls.as_ref().expect("a proxy before the API server");
        let file =
            tempfile::Builder::new().suffix(".kubeconfig").tempfile_in(folder.path())?.into_temp_path();
        let file = file.keep()?;
        fs::write(&file, kubeconfig_text(&self.url(), ca, token))?;
        Ok(file)
    }
}

/// Breaking it.
impl FaultProxy {
    /// Plans a fault. It is called off when the returned plan is dropped.
    pub fn plan(&self, boundary: Boundary, position: Position, fault: Fault) -> Plan {
        plan::Plans::add(&self.way.plans, boundary, position, fault)
    }

    /// Everything that passed so far, in its order, without the bodies.
    #[must_use]
    pub fn passed(&self) -> Vec<Passing> {
        self.way.passed.lock().expect("no panic while holding this lock").clone()
    }

    /// Cuts the whole way off, or restores it.
    pub fn set(&self, line: Line) {
        self.way.line.send_replace(line);
        if line == Line::Refusing {
            self.server.go_down();
        } else {
            self.server.come_back();
        }
    }

    /// From now on no event of a watch of this resource is delivered, and no end of one; the connections stay open.
    pub fn hold_watches(&self, resource: &str) {
        self.way.watches.held.send_modify(|held| {
            held.insert(resource.to_owned());
        });
    }

    /// [`FaultProxy::hold_watches`] as something that a plan can do ([`Fault::Tell`]).
    #[must_use]
    pub fn watch_holder(&self, resource: &'static str) -> Box<dyn FnMut() + Send> {
        let way = Arc::clone(&self.way);
        Box::new(move || {
            way.watches.held.send_modify(|held| {
                held.insert(resource.to_owned());
            })
        })
    }

    /// Delivers what was held back, and holds back nothing more.
    pub fn release_watches(&self, resource: &str) {
        self.way.watches.held.send_modify(|held| {
            held.remove(resource);
        });
    }

    /// Delivers every event that the open watches of this resource have shown so far once more, oldest first, so many
    /// times.
    pub fn repeat_watches(&self, resource: &str, times: usize) {
        self.tell(resource, Tell::Again(times));
    }

    /// The open watches of this resource stay open and never show anything again, not even their end: half-open, as
    /// behind a load balancer that forgot them. Those that begin later are well.
    pub fn bury_watches(&self, resource: &str) {
        self.tell(resource, Tell::Bury);
    }

    /// Ends the open watches of this resource in the middle.
    pub fn cut_watches(&self, resource: &str) {
        self.tell(resource, Tell::Cut);
    }

    /// Tells the open watches of this resource that what they have seen is too old (410), as the API server does when
    /// it has forgotten that part of the history.
    pub fn expire_watches(&self, resource: &str) {
        let object = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410,
            "reason": "Expired", "message": "too old resource version",
        });
        let line = format!("{}\n", json!({"type": "ERROR", "object": object}));
        self.tell(resource, Tell::Say(Bytes::from(line)));
    }

    fn tell(&self, resource: &str, tell: Tell) {
        // Nobody listens while no watch is open, and then there is nothing to break.
        let _ = self.way.watches.tell.send((resource.to_owned(), tell));
    }
}

impl Way {
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
