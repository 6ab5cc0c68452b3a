//! What the process shows of itself: log lines, metrics, and the HTTP port of the probes.
//!
//! | question | file |
//! |---|---|
//! | what is logged, and in which shape? | [`logging`] |
//! | how often is the same line logged? | `log_throttle` |
//! | which metrics are there? | [`metrics`] |
//! | who serves `/livez`, `/readyz` and `/metrics`? | [`health_server`] |

pub mod health_server;
pub(crate) mod log_throttle;
pub mod logging;
pub mod metrics;
