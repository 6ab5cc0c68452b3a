//! The bad days: what happens to the resets, to the calls and to the process when something breaks at exactly the
//! wrong moment. Each row of the fault matrix is a test here; `cargo campaign` runs the same tests very often.
//!
//! | row | question | file |
//! |---|---|---|
//! | A1 | killed at any boundary of an attempt, of the lease, of the watches? | `killed` |
//! | A2 | killed again while it recovers? | `killed_again` |
//! | A3 | told to end, in the middle of something? | `told_to_end` |
//! | A4 | killed again and again, under load? | `storm` |
//! | B1 | shown the past, and the same thing ten times? | `stale` |
//! | B2 | not shown what happened? | `missed` |
//! | C1 | somebody else writes the same objects? | `writers` |
//! | C2 | the API server refuses, hangs, or is not there? | `refused` |
//! | C3 | the API server and etcd restart under load, alone and with everything else? | `servers` |
//! | | shown its own writes late? | `behind` |
//!
//! Besides the point of its test, each world is looked at as a whole when it goes; see `world/oracles`.

mod behind;
mod killed;
mod killed_again;
mod missed;
mod refused;
mod servers;
mod stale;
mod storm;
mod told_to_end;
mod writers;

use std::time::Duration;

use crate::world::replicas::NO_ELECTION;
use crate::world::{APP_ID, DEADLINE, World};

/// All resets are final so long after the last fault.
const AFTER_FAULTS: Duration = Duration::from_mins(1);
/// The plural of the resets.
const RESETS: &str = "groupattributeresets";

async fn until_calls(world: &World, wanted: usize) {
    testbed::until_ok(DEADLINE, &format!("{wanted} calls"), || async {
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
