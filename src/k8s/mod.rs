//! The hands: one kind of Kubernetes I/O in each file, and no decisions.

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
