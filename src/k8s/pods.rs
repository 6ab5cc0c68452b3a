//! Scales a Deployment to zero and waits until its pods are gone.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::object::{NotUsed, Object};
use kube::core::{ApiResource, Selector};
use kube::{Api, Client, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::{Obstacle, describe_error};

/// How many of the remaining pods a message names.
const MAX_NAMED_PODS: usize = 3;

/// The part of a Deployment's spec that is decoded. Decoding full pod templates would noticeably increase the size of
/// the program.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Selects {
    selector: LabelSelector,
}

/// The part of a pod's status that is decoded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Phase {
    phase: Option<String>,
}

/// The pods of one Deployment.
pub(crate) struct Pods {
    deployments: Api<Object<Selects, NotUsed>>,
    all: Api<Object<NotUsed, Phase>>,
    name: String,
    namespace: String,
    /// The Deployment's selector, set once the Deployment is scaled to zero.
    selector: Option<Selector>,
    left: Vec<String>,
}

impl Pods {
    /// The pods of the Deployment `name` in `namespace`.
    #[must_use]
    pub(crate) fn new(client: &Client, namespace: &str, name: &str) -> Self {
        Self {
            deployments: Api::namespaced_with(
                client.clone(),
                namespace,
                &ApiResource::erase::<Deployment>(&()),
            ),
            all: Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<Pod>(&())),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            selector: None,
            left: Vec::new(),
        }
    }

    /// On the first call, scales the Deployment to zero. Returns whether its pods are gone. If `may_be_gone`, a
    /// Deployment that does not exist counts as having no pods.
    ///
    /// # Errors
    ///
    /// An [`Obstacle`] if a call fails, the Deployment does not exist and `may_be_gone` is false, or its selector is
    /// unusable.
    pub(crate) async fn refresh(&mut self, may_be_gone: bool) -> Result<bool, Obstacle> {
        let selector = match &self.selector {
            Some(selector) => selector.clone(),
            None => match self.scale_to_zero().await? {
                Some(selector) => self.selector.insert(selector).clone(),
                None if may_be_gone => {
                    tracing::warn!(
                        name = self.name,
                        "the Deployment does not exist, so it has no pods to wait for"
                    );
                    return Ok(true);
                }
                None => {
                    let line = format!(
                        "the Deployment {} does not exist in namespace {}",
                        self.name, self.namespace
                    );
                    return Err(Obstacle { line, is_final: true });
                }
            },
        };
        let params = ListParams::default().labels_from(&selector);
        let pods = self.all.list(&params).await.map_err(|error| self.obstacle(&error))?;
        let is_running = |pod: &&Object<NotUsed, Phase>| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            !matches!(phase, Some("Succeeded" | "Failed"))
        };
        self.left = pods.items.iter().filter(is_running).map(ResourceExt::name_any).collect();
        Ok(self.left.is_empty())
    }

    async fn scale_to_zero(&self) -> Result<Option<Selector>, Obstacle> {
        let obstacle = |error| self.obstacle(&error);
        let Some(deployment) = self.deployments.get_opt(&self.name).await.map_err(obstacle)? else {
            return Ok(None);
        };
        let selector = deployment.spec.selector;
        let Some(selector) = Selector::try_from(selector).ok().filter(|selector| !selector.selects_all())
        else {
            let line = format!("the selector of the Deployment {} is invalid or selects all pods", self.name);
            return Err(Obstacle { line, is_final: true });
        };
        let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
        self.deployments.patch_scale(&self.name, &PatchParams::default(), &none).await.map_err(obstacle)?;
        tracing::info!(name = self.name, "scaled the Deployment to zero");
        Ok(Some(selector))
    }

    /// The pods that are left, in one line; `None` if there are none.
    #[must_use]
    pub(crate) fn remaining(&self) -> Option<String> {
        let more = self.left.len().saturating_sub(MAX_NAMED_PODS);
        let mut pods = self.left.iter().take(MAX_NAMED_PODS).cloned().collect::<Vec<_>>().join(", ");
        if more > 0 {
            pods = format!("{pods} and {more} more");
        }
        let name = &self.name;
        (!self.left.is_empty())
            .then(|| format!("the Deployment {name} is scaled to zero, but these pods still exist: {pods}"))
    }

    fn obstacle(&self, error: &kube::Error) -> Obstacle {
        let (description, name, namespace) = (describe_error(error), &self.name, &self.namespace);
        let line = match error {
            kube::Error::Api(status) if status.is_forbidden() => format!(
                "{description}; allow this account, in namespace {namespace}, to get the Deployment {name}, to patch \
                 its scale (deployments/scale), and to list pods"
            ),
            _ => description,
        };
        Obstacle::new(error, line)
    }
}
