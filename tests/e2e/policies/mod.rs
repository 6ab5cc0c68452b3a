//! The policies of a reset's spec: when it may start, how often it is repeated, and what becomes of it afterwards.
//!
//! | question | file |
//! |---|---|
//! | what does `suspend` stop? | `suspension` |
//! | until when may it start? | `deadlines` |
//! | what if there is no such group? | `missing_group` |
//! | how often is it tried, and when? | `retries` |
//! | what if nobody saw the outcome? | `unknown_outcome` |
//! | when is it deleted? | `deletion` |

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
