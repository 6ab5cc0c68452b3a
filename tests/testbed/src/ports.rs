//! Free ports for processes that cannot bind port 0.

use std::{collections::HashSet, net::TcpListener, sync::Mutex};

use rand::Rng as _;

/// Below the kernel's ephemeral port range, so that no outgoing connection can take the port before the
/// process starts.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A free TCP port on 127.0.0.1 that this process has not handed out before.
///
/// # Panics
/// If a thousand tries find none.
#[must_use]
pub fn free_port() -> u16 {
    listen().local_addr().expect("it listens").port()
}

/// The same, already bound. Binding the port later could fail, because a child between fork and exec holds a
/// copy of each listener.
pub(crate) fn listen() -> TcpListener {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().expect("no panic while holding this lock");
    let given = given.get_or_insert_default();
    (0..1000)
        .map(|_| rand::rng().random_range(RANGE))
        .filter(|port| given.insert(*port))
        .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .expect("a free port among 12,000")
}
