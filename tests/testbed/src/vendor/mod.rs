//! A simulated vendor: rooms with attributes, and the two API calls that the operator makes.
//!
//! It validates each request as strictly as the vendor's documentation allows, returns the vendor's error
//! codes, enforces its limits, and keeps a journal of all requests. Tests script its misbehaviour.
//!
//! | file | contents |
//! |---|---|
//! | `verify`, `usersig` | request validation, and the code for each error |
//! | `rooms`, `limits` | accounts, rooms and rate limits |
//! | `answer` | regular answers |
//! | `script`, `delivery` | scripted misbehaviour, and how it looks on the wire |
//! | `journal` | the requests that arrived |
//! | `conversation`, `http` | connections and HTTP |

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
    certificates::{Authority, ServerCertificate},
    scratch,
    server::{Server, acceptor},
};

/// The command of a request, from its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// `clear_group_attr`
    Clear,
    /// `get_group_attr`
    Get,
    /// Anything else.
    Other,
}

/// A running simulator, stopped when dropped. It needs no runtime and may live in a static.
pub struct Vendor {
    shared: Arc<Shared>,
    server: Server,
    tls: Option<Tls>,
}

struct Tls {
    ca: PathBuf,
    _folder: TempDir,
}

/// State shared by connections and tests.
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

/// Starting the simulator.
impl Vendor {
    /// Starts with plain HTTP on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be opened.
    pub fn start() -> Result<Self> {
        Self::listening(None, None)
    }

    /// Starts with TLS and a certificate for 127.0.0.1 and localhost, signed by the authority
    /// [`Vendor::ca_pem`].
    ///
    /// # Errors
    /// If no port can be opened.
    pub fn start_tls() -> Result<Self> {
        Self::start_tls_as(&["127.0.0.1", "localhost"])
    }

    /// Starts with TLS and a certificate for other names, as a misdirected connection would see.
    ///
    /// # Errors
    /// If no port can be opened.
    pub fn start_tls_as(names: &[&str]) -> Result<Self> {
        let authority = Authority::new("testbed vendor")?;
        let certificate = authority.server(names)?;
        Self::over_tls(&authority, &certificate)
    }

    /// Starts with TLS and a self-signed certificate that is a CA's.
    ///
    /// # Errors
    /// If no port can be opened.
    pub fn start_tls_as_authority() -> Result<Self> {
        let authority = Authority::new("testbed vendor")?;
        Self::over_tls(&authority, &authority.as_server())
    }

    fn over_tls(authority: &Authority, certificate: &ServerCertificate) -> Result<Self> {
        let folder = scratch::folder("vendor-")?;
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, authority.pem())?;
        Self::listening(Some(acceptor(certificate)?), Some(Tls { ca, _folder: folder }))
    }

    fn listening(certificate: Option<TlsAcceptor>, tls: Option<Tls>) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let server = Server::start("vendor", move |stream, number| {
            converse(stream, number, Arc::clone(&seen), certificate.clone())
        })?;
        Ok(Self { shared, server, tls })
    }

    /// The listening address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The endpoint for a `ChatApp`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.address)
    }

    /// The certificate authority to trust, for `SSL_CERT_FILE`; `None` without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&Path> {
        self.tls.as_ref().map(|tls| tls.ca.as_path())
    }
}

/// Accounts and rooms.
impl Vendor {
    /// Adds or replaces an account: `key` is the text from the console, `administrators` may call.
    pub fn account(&self, sdkappid: u64, key: &str, administrators: &[&str]) {
        let administrators = administrators.iter().map(|&name| name.to_owned()).collect();
        self.shared.state().world.add_account(sdkappid, Account { key: key.to_owned(), administrators });
    }

    /// Removes an account.
    pub fn remove_account(&self, sdkappid: u64) {
        self.shared.state().world.remove_account(sdkappid);
    }

    /// Adds or replaces a room with these attributes.
    pub fn room(&self, sdkappid: u64, group: &str, attributes: &[(&str, &str)]) {
        let attributes = attributes.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        self.shared.state().world.add_room(sdkappid, group, attributes);
    }

    /// Removes a room.
    pub fn remove_room(&self, sdkappid: u64, group: &str) {
        self.shared.state().world.remove_room(sdkappid, group);
    }

    /// Somebody in the room takes a seat. Unlike [`Vendor::room`], this counts towards the room's write
    /// limit.
    pub fn seat(&self, sdkappid: u64, group: &str, key: &str, value: &str) {
        self.shared.state().world.seat(sdkappid, group, key, value, Instant::now());
    }

    /// The attributes of a room; `None` if there is no such room.
    #[must_use]
    pub fn attributes(&self, sdkappid: u64, group: &str) -> Option<Attributes> {
        self.shared.state().world.attributes(sdkappid, group).cloned()
    }
}

/// Behaviour.
impl Vendor {
    /// Scripts a misbehaviour. The first script that matches a request applies.
    pub fn script(&self, when: When, misbehaviour: Misbehaviour) {
        self.shared.state().scripts.add(when, misbehaviour);
    }

    /// Removes all scripts.
    pub fn clear_scripts(&self) {
        self.shared.state().scripts.clear();
    }

    /// Sets the latency of each call, uniformly distributed; part of it precedes the arrival and adds jitter.
    ///
    /// # Panics
    /// If `least` is greater than `most`.
    pub fn set_latency(&self, least: Duration, most: Duration) {
        assert!(least <= most, "a latency from {least:?} to {most:?}");
        self.shared.state().latency = (least, most);
    }

    /// Replaces the vendor's default limits.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.state().world.limits = limits;
    }

    /// Sets the format of answers to reads of empty rooms.
    pub fn set_empty_shape(&self, shape: EmptyShape) {
        self.shared.state().empty_shape = shape;
    }

    /// Sets the vendor's clock ahead of this machine's (behind, if negative). It decides the age of
    /// signatures.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.shared.state().world.clock_ahead = seconds;
    }

    /// Closes the port and all connections; new ones are refused.
    pub fn go_down(&self) {
        self.server.go_down();
    }

    /// Opens the same port again.
    pub fn come_back(&self) {
        self.server.come_back();
    }
}

/// Received requests.
impl Vendor {
    /// All requests.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.entries(|_| true)
    }

    /// All clears, whatever their result.
    #[must_use]
    pub fn clears(&self) -> Vec<Entry> {
        self.entries(|entry| entry.command == Command::Clear)
    }

    /// All clears of one group, for any account.
    #[must_use]
    pub fn clears_of(&self, group: &str) -> Vec<Entry> {
        self.entries(|entry| entry.command == Command::Clear && entry.group.as_deref() == Some(group))
    }

    /// All reads, whatever their result.
    #[must_use]
    pub fn reads(&self) -> Vec<Entry> {
        self.entries(|entry| entry.command == Command::Get)
    }

    /// The requests that match a predicate, without copying the others.
    pub fn entries(&self, choose: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.shared.state().journal.entries().iter().filter(|entry| choose(entry)).cloned().collect()
    }

    /// The number of connections so far, including failed TLS handshakes.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.state().connections
    }

    /// The maximum number of requests of an account that arrived within any interval of this width.
    #[must_use]
    pub fn fullest_window(&self, sdkappid: u64, command: Command, width: Duration) -> usize {
        self.shared.state().journal.fullest_window(sdkappid, command, width)
    }
}
