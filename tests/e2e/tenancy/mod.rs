//! Attacks of a tenant: somebody who may create resets and apps in one namespace, with a token of their own and the
//! rights that people are given, and who wants what is not theirs.
//!
//! | what is tried | file |
//! |---|---|
//! | to read the platform's key, its app, or another namespace | `read_access` |
//! | to write a status by hand, to refer to another namespace, to open a door | `isolation` |
//! | to make the operator call another host | `endpoints` |
//! | to have a password signed with | `passwords` |
//! | to learn from texts what others do | `messages` |
//! | to take all the memory | `large_objects` |
//! | to make the operator work for nothing | `check_budget` |
//!
//! Further attacks are where their subject is: who may use a `ClusterChatApp`, and that a missing, a closed and a
//! switched-off one read alike, in `tests/e2e/cluster_apps`; slowing an account by naming it, in its `sharing`; the
//! vendor's hostile texts in `tests/e2e/vendor_faults` and `tests/e2e/secrecy`; floods of resets in `tests/e2e/limits`.

mod check_budget;
mod endpoints;
mod forged_proofs;
mod forged_statuses;
mod isolation;
mod large_objects;
mod messages;
mod passwords;
mod read_access;
pub(crate) mod tenant;

use super::cluster_apps::platform;
