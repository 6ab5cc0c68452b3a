//! How much may be sent, and what is next. Pure: no I/O, no clock; the time is an argument, a [`Mono`](mono::Mono).
//!
//! | question | file |
//! |---|---|
//! | may an account be called now? | [`permits`], with its [`adaptive_rate`] |
//! | may a group be written to now? | [`group_interval`] |
//! | how many clears may be in flight while the vendor does not answer? | [`in_flight_window`] |
//! | does the watch keep up with our own writes? | [`watch_lag`] |
//! | how long to wait after consecutive failures? | [`backoff`] |
//! | what is next in a queue? | [`fair_queue`]; with a bound, [`bounded_queue`] |
//! | which unverified app is checked next? | [`check_queue`] |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub(crate) mod adaptive_rate;
pub(crate) mod backoff;
pub(crate) mod bounded_queue;
pub(crate) mod check_queue;
pub mod fair_queue;
pub(crate) mod group_interval;
pub(crate) mod in_flight_window;
pub mod mono;
pub mod permits;
pub(crate) mod watch_lag;
