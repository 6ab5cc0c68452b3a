//! Fault injection: what happens to resets, calls and the process when something breaks at exactly the wrong
//! moment. Each row of the fault matrix is a test; `cargo campaign` repeats the same tests many times.
//!
//! | row | fault | file |
//! |---|---|---|
//! | A1 | SIGKILL at any boundary of an attempt, the lease or the watches | `sigkill` |
//! | A2 | a second SIGKILL during recovery | `second_sigkill` |
//! | A3 | SIGTERM in the middle of work | `sigterm` |
//! | A4 | repeated SIGKILL under load | `crash_loop` |
//! | B1 | late and duplicated watch events | `late_events` |
//! | B2 | missed watch events | `missed_events` |
//! | C1 | another writer edits the same objects | `concurrent_edits` |
//! | C2 | the API server returns errors, hangs or is unreachable | `api_errors` |
//! | C3 | the API server and etcd restart under load, alone and with other faults | `restarts` |
//! | | the watch shows the operator's own writes late | `watch_lag` |
//!
//! In addition, the oracles check every world when it is dropped; see `world/finish`.

mod api_errors;
mod concurrent_edits;
mod crash_loop;
mod late_events;
mod missed_events;
mod restarts;
mod second_sigkill;
mod sigkill;
mod sigterm;
mod watch_lag;

use std::time::Duration;

use crate::world::replicas::NO_ELECTION;
use crate::world::{APP_ID, DEADLINE, World};

/// All resets must be final this long after the last fault.
const AFTER_FAULTS: Duration = Duration::from_mins(1);
/// The plural of `GroupAttributeReset`.
const RESETS: &str = "groupattributeresets";

async fn until_calls(world: &World, wanted: usize) {
    testbed::until_ok(DEADLINE, &format!("{wanted} calls"), || async {
        let calls = world.vendor.clears().len();
        if calls >= wanted { Ok(()) } else { Err(calls) }
    })
    .await;
}

/// Asserts that the room has been cleared, so nothing was lost.
fn assert_empty(world: &World, group: &str) {
    let left = world.vendor.attributes(APP_ID, group).expect("the room");
    assert!(left.is_empty(), "{group} still has {left:?}");
}
