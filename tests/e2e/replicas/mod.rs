//! Two replicas on a bad day: at most one of them calls, the other takes over in time, and nothing is sent twice.
//!
//! | question | file |
//! |---|---|
//! | the leader is killed, frozen or cut off: who calls, and when? | `failover` |
//! | two want the same lease: how many get it? | `lease_race` |
//! | the clock of one of them is wrong: what follows? | `clock_skew`, with the shim in `clock.c` |
//! | everything at once, and both are replaced in the middle: is the limit kept? | `rollout` |

mod clock_skew;
mod failover;
mod lease_race;
mod rollout;
