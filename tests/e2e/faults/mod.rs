//! The bad days: what happens to the resets, to the calls and to the process when something breaks at exactly the
//! wrong moment. Each row of the fault matrix is a test here; `cargo campaign` runs the same tests very often.
//!
//! | row | question | file |
//! |---|---|---|
//! | A1 | killed at any boundary of an attempt, of the lease, of the watches? | `sigkill` |
//! | A2 | killed again while it recovers? | `second_sigkill` |
//! | A3 | told to end, in the middle of something? | `sigterm` |
//! | A4 | killed again and again, under load? | `crash_loop` |
//! | B1 | shown the past, and the same thing ten times? | `late_events` |
//! | B2 | not shown what happened? | `missed_events` |
//! | C1 | somebody else writes the same objects? | `concurrent_edits` |
//! | C2 | the API server refuses, hangs, or is not there? | `api_errors` |
//! | C3 | the API server and etcd restart under load, alone and with everything else? | `restarts` |
//! | | shown its own writes late? | `watch_lag` |
//!
//! Besides the point of its test, each world is looked at as a whole when it goes; see `world/finish`.

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

use crate::world::replicas::ALONE;
use crate::world::{APP_ID, SOON, World};

/// All resets are final so long after the last fault.
const AFTER_FAULTS: Duration = Duration::from_mins(1);
/// The plural of the resets.
const RESETS: &str = "groupattributeresets";

async fn until_calls(world: &World, wanted: usize) {
    testbed::until_ok(SOON, &format!("{wanted} calls"), || async {
        let calls = world.vendor.clears().len();
        if calls >= wanted { Ok(()) } else { Err(calls) }
    })
    .await;
}

/// The room has been cleared: nothing was lost.
fn assert_empty(world: &World, group: &str) {
    let left = world.vendor.attributes(APP_ID, group).expect("the room");
    assert!(left.is_empty(), "{group} still has {left:?}");
}
