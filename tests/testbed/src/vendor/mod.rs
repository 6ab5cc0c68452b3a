//! The vendor, simulated: rooms with attributes behind the two calls that the operator makes.
//!
//! It checks each request as strictly as the vendor's pages allow, answers the vendor's codes, enforces its limits,
//! and keeps a journal of everything that arrived. Tests script what it does wrong.
//!
//! | file | what it holds |
//! |---|---|
//! | `verify`, `usersig` | what is looked at before anything is done, and the code for each fault |
//! | `rooms`, `limits` | what the vendor knows, and how fast it may be asked |
//! | `answer` | what it says when it behaves |
//! | `script`, `delivery` | what it does wrong, and what that looks like on the wire |
//! | `journal` | what arrived |
//! | `conversation`, `http` | the network |

mod answer;
mod conversation;
mod delivery;
mod http;
mod journal;
mod limits;
mod rooms;
mod script;
mod usersig;
mod verify;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use anyhow::Result;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

pub use self::{
    answer::EmptyShape,
    journal::{Answer, Entry},
    limits::Limits,
    rooms::Attributes,
    script::{Misbehaviour, When},
    usersig::UserSig,
    verify::Refusal,
};
use self::{
    conversation::converse,
    journal::Journal,
    rooms::{Account, World},
    script::Scripts,
};
use crate::{
    certificates::Authority,
    scratch,
    server::{Server, acceptor},
};

/// What a request asks for, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// `clear_group_attr`
    Clear,
    /// `get_group_attr`
    Get,
    /// Anything else.
    Other,
}

/// A running simulator. It ends with this object; it needs no runtime and may live in a static.
pub struct Vendor {
    shared: Arc<Shared>,
    server: Server,
    tls: Option<Tls>,
}

struct Tls {
    ca: PathBuf,
    _folder: TempDir,
}

/// What the connections and the tests both see.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    world: World,
    journal: Journal,
    scripts: Scripts,
    empty_shape: EmptyShape,
    latency: (Duration, Duration),
    connections: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while holding this lock")
    }

    fn empty_shape(&self) -> EmptyShape {
        self.state().empty_shape
    }

    fn latency(&self) -> (Duration, Duration) {
        self.state().latency
    }

    fn connected(&self) {
        self.state().connections += 1;
    }
}

/// Starting it.
impl Vendor {
    /// Over plain HTTP, on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be opened.
    pub fn start() -> Result<Self> {
        Self::listening(None, None)
    }

    /// Over TLS, with a certificate for 127.0.0.1 and localhost by an authority that [`Vendor::ca_pem`] names.
    ///
    /// # Errors
    /// When no port can be opened.
    pub fn start_tls() -> Result<Self> {
        Self::start_tls_as(&["127.0.0.1", "localhost"])
    }

    /// Over TLS, with a certificate for other names, as a misdirected connection would meet it.
    ///
    /// # Errors
    /// When no port can be opened.
    pub fn start_tls_as(names: &[&str]) -> Result<Self> {
        let authority = Authority::new("testbed vendor")?;
        let folder = scratch::folder("vendor-")?;
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, authority.pem())?;
        let certificate = acceptor(&authority.server(names)?)?;
        Self::listening(Some(certificate), Some(Tls { ca, _folder: folder }))
    }

    fn listening(certificate: Option<TlsAcceptor>, tls: Option<Tls>) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let server = Server::start("vendor", move |stream, number| {
            converse(stream, number, Arc::clone(&seen), certificate.clone())
        })?;
        Ok(Self { shared, server, tls })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The endpoint to name in a `ChatApp`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.address)
    }

    /// The authority to trust, for `SSL_CERT_FILE`; `None` without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&Path> {
        self.tls.as_ref().map(|tls| tls.ca.as_path())
    }
}

/// What the vendor knows.
impl Vendor {
    /// Adds an account or replaces it: `key` is the console's text, `administrators` may call.
    pub fn account(&self, sdkappid: u64, key: &str, administrators: &[&str]) {
        let administrators = administrators.iter().map(|&name| name.to_owned()).collect();
        self.shared.state().world.add_account(sdkappid, Account { key: key.to_owned(), administrators });
    }

    /// Closes an account.
    pub fn remove_account(&self, sdkappid: u64) {
        self.shared.state().world.remove_account(sdkappid);
    }

    /// Adds a room, or makes it anew with these attributes.
    pub fn room(&self, sdkappid: u64, group: &str, attributes: &[(&str, &str)]) {
        let attributes = attributes.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        self.shared.state().world.add_room(sdkappid, group, attributes);
    }

    /// Dismisses a room.
    pub fn remove_room(&self, sdkappid: u64, group: &str) {
        self.shared.state().world.remove_room(sdkappid, group);
    }

    /// Somebody in the room takes a seat. Unlike [`Vendor::room`], this counts against the room's limit of writes.
    pub fn seat(&self, sdkappid: u64, group: &str, key: &str, value: &str) {
        self.shared.state().world.seat(sdkappid, group, key, value, Instant::now());
    }

    /// The attributes of a room; `None` when there is no such room.
    #[must_use]
    pub fn attributes(&self, sdkappid: u64, group: &str) -> Option<Attributes> {
        self.shared.state().world.attributes(sdkappid, group).cloned()
    }
}

/// How the vendor behaves.
impl Vendor {
    /// Scripts a misbehaviour. The first script that matches a request is played.
    pub fn script(&self, when: When, misbehaviour: Misbehaviour) {
        self.shared.state().scripts.add(when, misbehaviour);
    }

    /// Behaves again.
    pub fn clear_scripts(&self) {
        self.shared.state().scripts.clear();
    }

    /// Each call takes so long, evenly spread; part of it before the arrival, so that calls arrive with jitter.
    ///
    /// # Panics
    /// When `least` is more than `most`.
    pub fn set_latency(&self, least: Duration, most: Duration) {
        assert!(least <= most, "a latency from {least:?} to {most:?}");
        self.shared.state().latency = (least, most);
    }

    /// Other limits than the vendor's.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.state().world.limits = limits;
    }

    /// How reads of empty rooms are answered.
    pub fn set_empty_shape(&self, shape: EmptyShape) {
        self.shared.state().empty_shape = shape;
    }

    /// Puts the vendor's clock ahead of (or, if negative, behind) this machine's. It judges the age of signatures.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.shared.state().world.clock_ahead = seconds;
    }

    /// Closes the port and all connections: from now on, "connection refused".
    pub fn go_down(&self) {
        self.server.go_down();
    }

    /// Opens the same port again.
    pub fn come_back(&self) {
        self.server.come_back();
    }
}

/// What arrived.
impl Vendor {
    /// All requests.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.entries(|_| true)
    }

    /// All clears, whatever became of them.
    #[must_use]
    pub fn clears(&self) -> Vec<Entry> {
        self.entries(|entry| entry.command == Command::Clear)
    }

    /// All clears of one group, of whichever account.
    #[must_use]
    pub fn clears_of(&self, group: &str) -> Vec<Entry> {
        self.entries(|entry| entry.command == Command::Clear && entry.group.as_deref() == Some(group))
    }

    /// All reads, whatever became of them.
    #[must_use]
    pub fn reads(&self) -> Vec<Entry> {
        self.entries(|entry| entry.command == Command::Get)
    }

    /// The requests that a test chooses, without copying the others.
    pub fn entries(&self, choose: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.shared.state().journal.entries().iter().filter(|entry| choose(entry)).cloned().collect()
    }

    /// How many connections were opened so far, failed TLS handshakes included.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.state().connections
    }

    /// The greatest number of requests of an account that arrived within any span of this width.
    #[must_use]
    pub fn fullest_window(&self, sdkappid: u64, command: Command, width: Duration) -> usize {
        self.shared.state().journal.fullest_window(sdkappid, command, width)
    }
}
