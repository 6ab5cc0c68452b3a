//! How an app is identified within the cluster.

use kube::ResourceExt as _;

use super::{AppKind, GroupAttributeReset};

/// Identifies an app: kind, namespace and name. The namespace of a `ClusterChatApp` is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppKey {
    /// The kind.
    pub kind: AppKind,
    /// The namespace; empty for a `ClusterChatApp`.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl AppKey {
    /// The app that a reset refers to in `spec.appRef`.
    #[must_use]
    pub fn of(reset: &GroupAttributeReset) -> Self {
        let reference = &reset.spec.app_ref;
        let namespace = match reference.kind {
            AppKind::ChatApp => reset.namespace().unwrap_or_default(),
            AppKind::ClusterChatApp => String::new(),
        };
        Self { kind: reference.kind, namespace, name: reference.name.clone() }
    }
}
