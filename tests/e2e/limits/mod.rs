//! Never too fast, whatever happens, and yet as fast as is allowed; and nobody waits for somebody else.
//!
//! | question | file |
//! |---|---|
//! | may a second or an interval ever hold more calls than it should? | `rate_limit` |
//! | is all of the limit used, and what is left undone at a stop? | `throughput` |
//! | what if the vendor allows less than the limit? | `throttling` |
//! | what if the vendor stops answering? | `silent_vendor` |
//! | who waits for whom? | `fairness` |
//! | what does it cost when there is nothing to do? | `idle` |

#![allow(clippy::cast_precision_loss)] // No number here is that large.

mod fairness;
mod idle;
mod rate_limit;
mod silent_vendor;
mod throttling;
mod throughput;

use std::cell::Cell;
use std::time::Duration;

use crate::world::{APP_ID, SOON, World};
use testbed::until_ok;
use testbed::vendor::{Command, Entry};

const SECOND: Duration = Duration::from_secs(1);

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn fullest_second(world: &World, command: Command) -> usize {
    world.vendor.fullest_window(APP_ID, command, SECOND)
}

/// How many clears have arrived, without copying the journal.
fn calls(world: &World) -> usize {
    let count = Cell::new(0);
    world.vendor.entries(|entry| {
        count.set(count.get() + usize::from(entry.command == Command::Clear));
        false
    });
    count.get()
}

async fn until_calls(world: &World, wanted: usize, deadline: Duration) {
    until_ok(deadline, &format!("{wanted} calls"), || async {
        let calls = calls(world);
        if calls >= wanted { Ok(()) } else { Err(calls) }
    })
    .await;
}

/// The same for calls that come as fast as the limit allows.
async fn until_called(world: &World, wanted: usize) {
    until_calls(world, wanted, SOON).await;
}

/// Each write left at least this long after the answer to the one before.
fn assert_interval(writes: &[Entry], least: Duration) {
    for pair in writes.windows(2) {
        let answered = pair[0].answered.expect("an answer");
        let apart = pair[1].arrived.saturating_duration_since(answered);
        assert!(apart >= least, "a write came {apart:?} after the answer to the last one, not {least:?}");
    }
}
