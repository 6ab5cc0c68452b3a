//! Ends the pods of a Deployment, and waits until they are gone.

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

/// So many pods are named.
const NAMED: usize = 3;

/// What is read of a Deployment. To decode all that a pod can be would make up much of the program.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Selects {
    selector: LabelSelector,
}

/// What is read of a pod.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Phase {
    phase: Option<String>,
}

/// The pods of one Deployment.
pub struct Pods {
    deployments: Api<Object<Selects, NotUsed>>,
    all: Api<Object<NotUsed, Phase>>,
    name: String,
    namespace: String,
    /// What selects them, once the Deployment is scaled to zero.
    selector: Option<Selector>,
    left: Vec<String>,
}

impl Pods {
    /// Those of the Deployment `name`.
    #[must_use]
    pub fn new(client: &Client, namespace: &str, name: &str) -> Self {
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

    /// Scales the Deployment to zero, the first time, and says whether its pods are gone. A Deployment that does not
    /// exist has none, if `may_be_gone`.
    pub async fn look(&mut self, may_be_gone: bool) -> Result<bool, Obstacle> {
        let selector = match &self.selector {
            Some(selector) => selector.clone(),
            None => match self.scale_to_zero().await? {
                Some(selector) => self.selector.insert(selector).clone(),
                None if may_be_gone => {
                    tracing::warn!(name = self.name, "there is no such Deployment, so it has no pods");
                    return Ok(true);
                }
                None => {
                    let line =
                        format!("there is no Deployment {} in namespace {}", self.name, self.namespace);
                    return Err(Obstacle { line, is_final: true });
                }
            },
        };
        let params = ListParams::default().labels_from(&selector);
        let pods = self.all.list(&params).await.map_err(|error| self.obstacle(&error))?;
        let runs = |pod: &&Object<NotUsed, Phase>| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            !matches!(phase, Some("Succeeded" | "Failed"))
        };
        self.left = pods.items.iter().filter(runs).map(ResourceExt::name_any).collect();
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
            let line = format!("the selector of the Deployment {} cannot be read", self.name);
            return Err(Obstacle { line, is_final: true });
        };
        let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
        self.deployments.patch_scale(&self.name, &PatchParams::default(), &none).await.map_err(obstacle)?;
        tracing::info!(name = self.name, "the Deployment is scaled to zero");
        Ok(Some(selector))
    }

    /// Which pods are left, in words.
    #[must_use]
    pub fn left(&self) -> Option<String> {
        let (named, more) = (self.left.iter().take(NAMED), self.left.len().saturating_sub(NAMED));
        let mut said = named.cloned().collect::<Vec<_>>().join(", ");
        if more > 0 {
            said = format!("{said} and {more} more");
        }
        let name = &self.name;
        (!self.left.is_empty())
            .then(|| format!("the Deployment {name} is scaled to zero and still has the pods {said}"))
    }

    fn obstacle(&self, error: &kube::Error) -> Obstacle {
        let (said, name, namespace) = (describe_error(error), &self.name, &self.namespace);
        let line = match error {
            kube::Error::Api(status) if status.is_forbidden() => format!(
                "{said}; allow this account to get deployments.apps named {name}, to patch its scale \
                 (deployments/scale), and to list pods, in namespace {namespace}"
            ),
            _ => said,
        };
        Obstacle::new(error, line)
    }
}
