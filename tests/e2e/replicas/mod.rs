//! Two replicas under faults: at most one of them calls, failover is timely, and nothing is sent twice.
//!
//! | question | file |
//! |---|---|
//! | who calls, and when, after the leader is killed, frozen or cut off? | `failover` |
//! | how many of two candidates get the lease? | `lease_race` |
//! | what if the clock of a replica is wrong? | `clock_skew`, with the shim in `clock.c` |
//! | does the rate limit hold while both replicas are replaced under load? | `rollout` |

mod clock_skew;
mod failover;
mod lease_race;
mod rollout;
