//! The policies in a reset's spec: when it may start, how often it is retried, and when it is deleted.
//!
//! | question | file |
//! |---|---|
//! | what does `suspend` stop? | `suspension` |
//! | when is it too late to start? | `deadlines` |
//! | what if the group does not exist? | `missing_group` |
//! | how often is it retried, and when? | `retries` |
//! | what if the outcome is unknown? | `unknown_outcome` |
//! | when is it deleted after it finished? | `deletion` |

mod deadlines;
mod deletion;
mod missing_group;
mod retries;
mod suspension;
mod unknown_outcome;

use jiff::{SignedDuration, Timestamp};

use crate::world::time;

fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap() + SignedDuration::from_secs(seconds)
}

fn seconds_between(earlier: Timestamp, later: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs_f64()
}
