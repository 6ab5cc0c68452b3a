//! One type for both kinds of app.

use kube::Resource as _;
use kube::api::ObjectMeta;

use crate::api::{AllowedNamespaces, AppKey, AppKind, AppStatus, ChatApp, ChatAppSpec, ClusterChatApp};

/// Either kind of app.
#[derive(Clone, Debug)]
pub enum AnyChatApp {
    /// A namespaced `ChatApp`.
    Chat(Box<ChatApp>),
    /// A `ClusterChatApp`.
    Cluster(Box<ClusterChatApp>),
}

impl AnyChatApp {
    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Chat(app) => app.meta(),
            Self::Cluster(app) => app.meta(),
        }
    }

    /// The part of the spec that both kinds share.
    #[must_use]
    pub fn spec(&self) -> &ChatAppSpec {
        match self {
            Self::Chat(app) => &app.spec,
            Self::Cluster(app) => &app.spec.app,
        }
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> Option<&AppStatus> {
        match self {
            Self::Chat(app) => app.status.as_ref(),
            Self::Cluster(app) => app.status.as_ref(),
        }
    }

    /// Which namespaces may refer to it; only the cluster kind has this field.
    #[must_use]
    pub fn allowed(&self) -> Option<&AllowedNamespaces> {
        match self {
            Self::Chat(_) => None,
            Self::Cluster(app) => Some(&app.spec.allowed_namespaces),
        }
    }

    /// A reference for an event.
    #[must_use]
    pub fn reference(&self) -> k8s_openapi::api::core::v1::ObjectReference {
        match self {
            Self::Chat(app) => app.object_ref(&()),
            Self::Cluster(app) => app.object_ref(&()),
        }
    }

    /// Its kind, namespace and name.
    #[must_use]
    pub fn key(&self) -> AppKey {
        let kind = match self {
            Self::Chat(_) => AppKind::ChatApp,
            Self::Cluster(_) => AppKind::ClusterChatApp,
        };
        let meta = self.meta();
        AppKey {
            kind,
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        }
    }

    /// Generation of its spec.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.meta().generation.unwrap_or_default()
    }
}
