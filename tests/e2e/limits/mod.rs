//! Rate limits: never exceeded, fully used, and fair between namespaces and accounts.
//!
//! | question | file |
//! |---|---|
//! | is a rate limit or a group interval ever exceeded? | `rate_limit` |
//! | is the whole limit used, and what is left at shutdown? | `throughput` |
//! | what if the vendor allows less than the configured limit? | `throttling` |
//! | what if the vendor stops answering? | `silent_vendor` |
//! | who can delay whom? | `fairness` |
//! | what does an idle operator cost? | `idle` |

#![allow(clippy::cast_precision_loss)] // All numbers here are small.

mod fairness;
mod idle;
mod rate_limit;
mod silent_vendor;
mod throttling;
mod throughput;

use std::cell::Cell;
use std::time::Duration;

use crate::world::{APP_ID, DEADLINE, World};
use testbed::until_ok;
use testbed::vendor::{Command, Entry};

const SECOND: Duration = Duration::from_secs(1);

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn fullest_second(world: &World, command: Command) -> usize {
    world.vendor.fullest_window(APP_ID, command, SECOND)
}

/// The number of clears that arrived, without copying the journal.
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

/// Like [`until_calls`], for calls at the full rate.
async fn until_called(world: &World, wanted: usize) {
    until_calls(world, wanted, DEADLINE).await;
}

/// Asserts that each write arrived at least this long after the answer to the previous one.
fn assert_interval(writes: &[Entry], least: Duration) {
    for pair in writes.windows(2) {
        let answered = pair[0].answered.expect("an answer");
        let apart = pair[1].arrived.saturating_duration_since(answered);
        assert!(apart >= least, "a write came {apart:?} after the last answer, not {least:?}");
    }
}
