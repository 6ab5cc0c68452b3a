//! The documentation agrees with a running operator and a real API server. Checks that need neither are in
//! `tests/docs`.
//!
//! | question | file |
//! |---|---|
//! | are all metrics documented, and no others? | `metrics` |
//! | do the samples work? | `samples` |

mod metrics;
mod samples;
#[allow(dead_code)] // `tests/docs` uses the rest.
#[path = "../../docs/text.rs"]
mod text;
