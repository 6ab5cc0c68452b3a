//! The API types: the three kinds, their conditions and reasons, and validated IDs.
//!
//! No I/O and no clock. The `CustomResourceDefinitions` in `crds/` are generated from these types by [`crds()`].

mod app;
mod app_key;
mod app_status;
mod conditions;
mod crds;
mod group_id;
mod reset;
mod reset_status;
mod schema;

pub use app::{
    AllowedNamespaces, AppCredentials, AppLimits, ChatApp, ChatAppSpec, ClusterChatApp, ClusterChatAppSpec,
    NamespacesFrom, Region, SecretKeyRef,
};
pub use app_key::AppKey;
pub use app_status::AppStatus;
pub use conditions::{AppReason, Condition, ConditionStatus, Reason, set_condition};
pub use crds::{crds, crds_yaml};
pub use group_id::{GroupId, InvalidGroupId};
pub use reset::{AppKind, AppRef, GroupAttributeReset, OnGroupNotFound, OnUnknownOutcome, ResetSpec};
pub use reset_status::{Attempt, Outcome, PastRequest, PendingAttempt, ResetStatus};

/// API group of all kinds.
pub const GROUP: &str = "groupattr.dev";
/// The only served version.
pub const VERSION: &str = "v1alpha1";
