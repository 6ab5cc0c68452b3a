//! Objects in the API server: manifests, namespaces, CRDs.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{GroupVersionKind, TypeMeta},
    discovery::{Scope, pinned_kind},
};
use serde_json::{Value, json};

use super::ControlPlane;
use crate::until::poll;

/// The field manager of everything that tests apply.
const MANAGER: &str = "testbed";

impl ControlPlane {
    /// Applies a YAML text of any number of documents, by server-side apply, in the order of the text. Namespaced
    /// objects without a namespace go to `default`. Returns what the server stored.
    ///
    /// # Errors
    /// When a document is no Kubernetes object, its kind is unknown, or the server refuses it.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        self.apply_in("default", yaml).await
    }

    /// Like [`ControlPlane::apply`], with another namespace for objects that name none.
    ///
    /// # Errors
    /// As for [`ControlPlane::apply`].
    pub async fn apply_in(&self, namespace: &str, yaml: &str) -> Result<Vec<DynamicObject>> {
        let client = self.admin().await;
        let mut stored = Vec::new();
        for document in documents(yaml)? {
            stored.push(apply_one(&client, namespace, &document).await?);
        }
        Ok(stored)
    }

    /// Makes a namespace that no other test has.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn namespace(&self) -> Result<String> {
        let number = self.names_given.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{number}");
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        Api::all(self.admin().await).create(&PostParams::default(), &namespace).await?;
        Ok(name)
    }

    /// Applies CRDs and waits until the server serves them. `source` is a YAML text, a file, or a folder of which
    /// every `.yaml` file is taken.
    ///
    /// # Errors
    /// When something in there is refused, or not established within 30 seconds.
    pub async fn install_crds(&self, source: impl AsRef<str>) -> Result<()> {
        let applied = self.apply(&text_of(source.as_ref())?).await?;
        let client = self.admin().await;
        for crd in applied.iter().filter(|object| kind_of(object) == "CustomResourceDefinition") {
            let name = crd.name_any();
            if let Err(last) = poll(Duration::from_secs(30), || established(&client, &name)).await {
                bail!("{name} was not established within 30 s: {last:?}");
            }
        }
        Ok(())
    }
}

/// Whether the server says that it serves a CRD, and does.
async fn established(client: &Client, name: &str) -> Result<(), String> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let crd = crds.get(name).await.map_err(|error| error.to_string())?;
    let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
    if !conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
        return Err(format!("{conditions:?}"));
    }
    // Discovery can lag behind the condition, and clients that start now would miss the kind.
    for version in crd.spec.versions.iter().filter(|version| version.served) {
        let kind = GroupVersionKind::gvk(&crd.spec.group, &version.name, &crd.spec.names.kind);
        pinned_kind(client, &kind).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The documents of a YAML text; empty ones are left out.
pub(super) fn documents(yaml: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("not YAML")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

async fn apply_one(client: &Client, namespace: &str, document: &Value) -> Result<DynamicObject> {
    let object: DynamicObject =
        serde_json::from_value(document.clone()).context("not a Kubernetes object")?;
    let types = object.types.clone().context("an object without apiVersion and kind")?;
    let what = format!("{} {}", types.kind, object.name_any());
    let kind = GroupVersionKind::try_from(&types)?;
    let (resource, capabilities) = pinned_kind(client, &kind)
        .await
        .with_context(|| format!("the server does not know the kind of {what}"))?;
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.namespace().unwrap_or_else(|| namespace.to_owned());
            Api::namespaced_with(client.clone(), &namespace, &resource)
        }
    };
    let patch = PatchParams::apply(MANAGER).force();
    api.patch(&object.name_any(), &patch, &Patch::Apply(document))
        .await
        .with_context(|| format!("the server refuses {what}"))
}

fn kind_of(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |TypeMeta { kind, .. }| kind)
}

/// The text itself, or what the file or folder of that name holds.
fn text_of(source: &str) -> Result<String> {
    let path = Path::new(source);
    if source.contains('\n') || !path.exists() {
        return Ok(source.to_owned());
    }
    if path.is_file() {
        return Ok(fs::read_to_string(path)?);
    }
    let mut files: Vec<PathBuf> =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let texts: Vec<String> = files.iter().map(fs::read_to_string).collect::<std::io::Result<_>>()?;
    Ok(texts.join("\n---\n"))
}
