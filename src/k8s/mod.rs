//! Access to Kubernetes: one kind of I/O per file, and no decisions.
//!
//! | question | file |
//! |---|---|
//! | how is the API server reached, and how are its errors worded? | [`client`] |
//! | are the CRDs installed? | [`discovery`] |
//! | which RBAC permissions does the operator use, and does it have them? | [`access_review`] |
//! | which process is the leader? | [`lease`] |
//! | how is an account's key read? | [`secrets`] |
//! | how are statuses written and finished resets deleted? | [`status_writer`] |
//! | how are Events written? | [`event_writer`] |
//! | how does a drain end the operator's pods? | [`pods`] |

pub mod access_review;
pub mod client;
pub mod discovery;
pub mod event_writer;
pub mod lease;
pub mod pods;
pub mod secrets;
pub mod status_writer;

#[cfg(test)]
pub(crate) mod fake_api;
