//! The hands: one kind of Kubernetes I/O in each file, and no decisions.

pub mod access;
pub mod credentials;
pub mod discovery;
pub mod events;
pub mod kubernetes;
pub mod lease;
pub mod pods;
pub mod statuses;
