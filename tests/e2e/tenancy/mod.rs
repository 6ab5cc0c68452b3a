//! Attacks by a tenant: a user with RBAC permissions for resets and apps in one namespace, who tries to get
//! more.
//!
//! | attack | file |
//! |---|---|
//! | read the platform's key, its app, or another namespace | `read_access` |
//! | write a status, refer to another namespace, gain access to a `ClusterChatApp` | `isolation` |
//! | make the operator call another host | `endpoints` |
//! | have a password used as a key | `passwords` |
//! | learn from messages what others do | `messages` |
//! | exhaust the operator's memory | `large_objects` |
//! | keep the operator busy with apps that cannot work | `check_budget` |
//! | forge or erase a status with unintended permissions | `forged_proofs`, `forged_statuses` |
//!
//! Other attacks are tested with their subject: use of a `ClusterChatApp`, and that missing, closed and
//! suspended ones look alike, in `tests/e2e/cluster_apps`; slowing down an account by naming it, in its
//! `shared_limits`; hostile messages of the vendor in `tests/e2e/vendor_faults` and `tests/e2e/secrecy`;
//! floods of resets in `tests/e2e/limits`.

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
