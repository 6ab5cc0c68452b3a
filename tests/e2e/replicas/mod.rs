//! Two replicas on a bad day: at most one of them calls, the other takes over in time, and nothing is sent twice.
//!
//! | question | file |
//! |---|---|
//! | the leader is killed, frozen or cut off: who calls, and when? | `take_over` |
//! | two want the same lease: how many get it? | `race` |
//! | the clock of one of them is wrong: what follows? | `clocks`, with the shim in `clock.c` |
//! | everything at once, and both are replaced in the middle: is the limit kept? | `crowd` |

mod clocks;
mod crowd;
mod race;
mod take_over;
