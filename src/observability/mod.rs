//! Observability of the process: log lines, metrics, and the HTTP port of the probes.
//!
//! | question | file |
//! |---|---|
//! | what is logged, and in which format? | [`logging`] |
//! | how often is the same line logged? | `log_throttle` |
//! | which metrics are there? | [`metrics`] |
//! | what serves `/livez`, `/readyz` and `/metrics`? | [`health_server`] |

pub mod health_server;
pub(crate) mod log_throttle;
pub mod logging;
pub mod metrics;
