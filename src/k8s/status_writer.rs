//! Writes statuses and deletes finished resets. Each write carries the uid and resourceVersion of the copy it was
//! planned from, so a write planned from an outdated copy fails with a conflict.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{error::Elapsed, timeout};

use super::client::describe_error;
use crate::api::{AppStatus, ChatApp, ClusterChatApp, Condition, GroupAttributeReset, ResetStatus};

const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const NO_STATUS: &str = "the cluster does not serve the status of GroupAttributeResets. Install the operator's CRDs: \
                         groupattr-operator crd | kubectl apply --server-side -f -";

/// Why a write failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    /// A resourceVersion conflict; nothing was stored.
    #[error("the object has changed in the meantime")]
    Conflict,
    /// The object no longer exists.
    #[error("the object no longer exists")]
    Gone,
    /// Rejected by the API server; nothing was stored.
    #[error("{0}")]
    Refused(String),
    /// An RBAC permission is missing; nothing was stored.
    #[error("{0}")]
    Forbidden(String),
    /// It is unknown whether the write was stored.
    #[error("{0}")]
    Unknown(String),
    /// The object was read and does not decode; retrying is pointless until it is corrected.
    #[error("the stored object cannot be read")]
    Undecodable,
}

impl WriteError {
    /// The label value for metrics.
    #[must_use]
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::Refused(_) | Self::Forbidden(_) => "refused",
            Self::Unknown(_) => "unclear",
            Self::Undecodable => "undecodable",
        }
    }
}

/// Writes statuses. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StatusWriter {
    client: Client,
}

impl StatusWriter {
    /// Writes through `client`, which must not retry requests automatically.
    #[must_use]
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    fn resets(&self, namespace: Option<&str>) -> Api<GroupAttributeReset> {
        Api::namespaced(self.client.clone(), namespace.unwrap_or_default())
    }

    /// Stores `status` if the object has not changed since `reset` was read. Returns the stored object.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; only [`WriteError::Unknown`] leaves open whether the status was stored.
    pub(crate) async fn replace_reset_status(
        &self,
        reset: &GroupAttributeReset,
        status: ResetStatus,
    ) -> Result<GroupAttributeReset, WriteError> {
        let mut body = GroupAttributeReset::new(&reset.name_any(), reset.spec.clone());
        body.status = Some(status);
        match replace(&self.resets(reset.metadata.namespace.as_deref()), reset, body).await {
            // A CRD without the status subresource answers as if the object itself did not exist.
            Err(WriteError::Gone) if self.exists(reset).await => {
                Err(WriteError::Refused(NO_STATUS.to_owned()))
            }
            stored => stored,
        }
    }

    async fn exists(&self, reset: &GroupAttributeReset) -> bool {
        let now = self.get(reset.metadata.namespace.as_deref(), &reset.name_any()).await;
        now.is_ok_and(|now| now.metadata.uid == reset.metadata.uid)
    }

    /// Reads the current object of that name, whatever its uid.
    ///
    /// # Errors
    ///
    /// [`WriteError`], although nothing is written here.
    pub(crate) async fn get(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<GroupAttributeReset, WriteError> {
        match timeout(WRITE_TIMEOUT, self.resets(namespace).get(name)).await {
            Ok(Err(kube::Error::SerdeError(_))) => Err(WriteError::Undecodable),
            answer => answered(answer),
        }
    }

    /// Deletes the object only if it still has this `uid` and `resource_version`.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub(crate) async fn delete(
        &self,
        namespace: Option<&str>,
        name: &str,
        uid: &str,
        resource_version: &str,
    ) -> Result<(), WriteError> {
        let preconditions =
            Preconditions { uid: Some(uid.to_owned()), resource_version: Some(resource_version.to_owned()) };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        within(self.resets(namespace).delete(name, &params)).await.map(drop)
    }

    /// Stores the status of a `ChatApp`.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub(crate) async fn replace_app_status(
        &self,
        app: &ChatApp,
        status: AppStatus,
    ) -> Result<ChatApp, WriteError> {
        let mut body = ChatApp::new(&app.name_any(), app.spec.clone());
        body.status = Some(status);
        let api = Api::namespaced(self.client.clone(), app.metadata.namespace.as_deref().unwrap_or_default());
        replace(&api, app, body).await
    }

    /// Stores the status of a `ClusterChatApp`.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub(crate) async fn replace_cluster_app_status(
        &self,
        app: &ClusterChatApp,
        status: AppStatus,
    ) -> Result<ClusterChatApp, WriteError> {
        let mut body = ClusterChatApp::new(&app.name_any(), app.spec.clone());
        body.status = Some(status);
        replace(&Api::all(self.client.clone()), app, body).await
    }

    /// Explains in the conditions of a reset that cannot be decoded what is wrong with it.
    ///
    /// 1. Reads the object, and stops unless its status was never written: a status may hold facts that must not be
    ///    lost, above all that the reset has completed. Also stops if the same message is already there, or if the uid
    ///    differs.
    /// 2. Patches the conditions. `observedGeneration` stays -1, so the reset starts as a new one once it is corrected.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub(crate) async fn write_malformed_conditions(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        conditions: &[Condition],
    ) -> Result<(), WriteError> {
        let kind = ApiResource::erase::<GroupAttributeReset>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        let stored = within(api.get(name)).await?;
        // It may have been fixed meanwhile.
        let is_readable = stored.clone().try_parse::<GroupAttributeReset>().is_ok();
        let status = &stored.data["status"];
        let is_new = status["observedGeneration"].as_i64().unwrap_or(-1) < 0
            && status["completionTime"].is_null()
            && status["pendingAttempt"].is_null();
        let message = conditions.first().map(|condition| condition.message.as_str());
        let is_said = status["conditions"][0]["message"].as_str() == message;
        if is_readable || !is_new || is_said || stored.metadata.uid.as_deref() != Some(uid) {
            return Ok(());
        }
        let patch = json!({
            "metadata": { "uid": uid, "resourceVersion": stored.metadata.resource_version },
            "status": { "conditions": conditions },
        });
        within(api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))).await.map(drop)
    }
}

/// PUTs the status with the metadata of `object`. The API server uses only the status from the body.
async fn replace<K>(api: &Api<K>, object: &K, mut body: K) -> Result<K, WriteError>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let from = object.meta();
    let meta = body.meta_mut();
    meta.namespace.clone_from(&from.namespace);
    meta.uid.clone_from(&from.uid);
    meta.resource_version.clone_from(&from.resource_version);
    within(api.replace_status(&object.name_any(), &PostParams::default(), &body)).await
}

async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, WriteError> {
    answered(timeout(WRITE_TIMEOUT, call).await)
}

fn answered<T>(answer: Result<kube::Result<T>, Elapsed>) -> Result<T, WriteError> {
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(classify(&error)),
        Err(_) => Err(WriteError::Unknown("the API server did not answer within 10 s".to_owned())),
    }
}

fn classify(error: &kube::Error) -> WriteError {
    match error {
        kube::Error::Api(status) => match status.code {
            // Without an object name in the details, the path does not exist: the kind or its status subresource.
            404 if status.details.as_ref().is_some_and(|details| !details.name.is_empty()) => {
                WriteError::Gone
            }
            403 => WriteError::Forbidden(describe_error(error)),
            409 => WriteError::Conflict,
            400..=499 => WriteError::Refused(describe_error(error)),
            _ => WriteError::Unknown(describe_error(error)),
        },
        _ => WriteError::Unknown(describe_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::fake_api::FakeApi;

    fn stored(group: &serde_json::Value) -> serde_json::Value {
        json!({"apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset", "spec": {"groupID": group},
            "metadata": {"name": "room", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
            "status": {"observedGeneration": -1, "conditions": []}})
    }

    #[tokio::test]
    async fn an_object_that_was_fixed_meanwhile_is_not_called_unreadable() {
        let (mut api, client) = FakeApi::new();
        let writer = StatusWriter::new(client);
        let explain = writer.write_malformed_conditions("shop", "room", "u", &[]);
        let server = async { api.next().await.answer(200, &stored(&json!("@TGS#room"))) };
        assert_eq!(tokio::join!(explain, server).0, Ok(()), "and nothing is written");
    }

    #[tokio::test]
    async fn an_object_that_does_not_decode_is_not_asked_for_again_and_again() {
        let (mut api, client) = FakeApi::new();
        let writer = StatusWriter::new(client);
        let server = async { api.next().await.answer(200, &stored(&json!(7))) };
        let (read, ()) = tokio::join!(writer.get(Some("shop"), "room"), server);
        assert_eq!(read.err(), Some(WriteError::Undecodable));
    }
}
