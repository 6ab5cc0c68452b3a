//! Free ports for processes that cannot choose one themselves.

use std::{collections::HashSet, net::TcpListener, sync::Mutex};

use rand::Rng as _;

/// Below the range from which the kernel takes ports for outgoing connections, so that none of those can take the
/// port between this look and the start of the process.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A TCP port on 127.0.0.1 that nobody listens on and that this process has not given away before.
///
/// # Panics
/// When a thousand tries find none.
#[must_use]
pub fn free_port() -> u16 {
    listen().local_addr().expect("it listens").port()
}

/// The same for whoever listens itself. Opening the port anew could fail: a child that is just being started holds a copy
/// of each listener until it becomes another program.
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
