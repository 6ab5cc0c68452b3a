//! Service accounts, and the rights that the operator's own manifests give them.
//!
//! Tests read those manifests instead of stating rights of their own: a missing rule then shows as a failing test.

use std::{fs, path::Path, sync::atomic::Ordering, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    authorization::v1::SubjectAccessReview,
    core::v1,
    rbac::v1::PolicyRule,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use super::{ControlPlane, objects::documents};
use crate::until::poll;

/// How long a token is good for: longer than any test campaign.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// The API group of the marks; nothing of it is served.
const MARKS: &str = "testbed";

/// A service account with a token of its own.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// A bearer token from the TokenRequest API.
    pub token: String,
}

impl ServiceAccount {
    /// Its name in the audit log.
    #[must_use]
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    /// The name of all roles and bindings of this account.
    fn role(&self) -> String {
        format!("{}-{}", self.namespace, self.name)
    }
}

/// For which namespaces the cluster-wide rules hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All, by a `ClusterRole`.
    Cluster,
    /// These only, by a `Role` in each; what cannot be said in a `Role` is left out.
    Namespaces(Vec<String>),
}

/// The rules of the operator's manifests.
#[derive(Debug, Clone, Default)]
pub struct OperatorRights {
    /// From the `ClusterRole` objects.
    pub everywhere: Vec<PolicyRule>,
    /// From the `Role` objects: what holds in the operator's own namespace.
    pub at_home: Vec<PolicyRule>,
}

impl OperatorRights {
    /// Takes the rules of all `ClusterRole` and `Role` objects in a manifest; other objects are skipped.
    ///
    /// # Errors
    /// When the file cannot be read, is not YAML, or holds no rule at all.
    pub fn from_file(manifest: &Path) -> Result<Self> {
        let yaml =
            fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        Self::from_yaml(&yaml).with_context(|| format!("in {}", manifest.display()))
    }

    /// The same from a text.
    ///
    /// # Errors
    /// When it is not YAML or holds no rule at all.
    pub fn from_yaml(yaml: &str) -> Result<Self> {
        let mut rights = Self::default();
        for document in documents(yaml)? {
            let list = match document["kind"].as_str() {
                Some("ClusterRole") => &mut rights.everywhere,
                Some("Role") => &mut rights.at_home,
                _ => continue,
            };
            let rules: Vec<PolicyRule> = serde_json::from_value(document["rules"].clone())?;
            list.extend(rules);
        }
        if rights.everywhere.is_empty() && rights.at_home.is_empty() {
            bail!("no ClusterRole and no Role with rules");
        }
        Ok(rights)
    }

    /// How many rules there are, for [`OperatorRights::without`].
    #[must_use]
    pub fn count(&self) -> usize {
        self.everywhere.len() + self.at_home.len()
    }

    /// The same without the `index`-th rule, counted through both lists, and that rule.
    ///
    /// # Panics
    /// When there is no such rule.
    #[must_use]
    pub fn without(&self, index: usize) -> (Self, PolicyRule) {
        let mut fewer = self.clone();
        let split = fewer.everywhere.len();
        let removed =
            if index < split { fewer.everywhere.remove(index) } else { fewer.at_home.remove(index - split) };
        (fewer, removed)
    }

    /// What of the cluster-wide rules can be said in a `Role`: not namespaces themselves, and no URLs.
    fn within_a_namespace(&self) -> Vec<PolicyRule> {
        let namespaced = self.everywhere.iter().cloned().filter_map(|mut rule| {
            let resources = rule.resources.as_mut()?;
            resources.retain(|resource| resource != "namespaces" && !resource.starts_with("namespaces/"));
            let empty = resources.is_empty();
            (!empty).then_some(rule)
        });
        namespaced.collect()
    }
}

impl ControlPlane {
    /// Makes a service account with a token that lasts a day. It may do nothing yet.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<ServiceAccount> {
        let yaml = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        self.apply_in(namespace, &yaml.to_string()).await?;
        let accounts: Api<v1::ServiceAccount> = Api::namespaced(self.admin().await, namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..Default::default() }),
            ..Default::default()
        };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await?;
        let token =
            answer.status.and_then(|status| status.token).context("a token request without a token")?;
        Ok(ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned(), token })
    }

    /// Gives the account exactly these rights, and waits until the server goes by them. A second call replaces the
    /// rights of the first for the same scope.
    ///
    /// # Errors
    /// When the server refuses, or does not go by them within 10 seconds.
    pub async fn grant(
        &self,
        account: &ServiceAccount,
        rights: &OperatorRights,
        scope: &Scope,
    ) -> Result<()> {
        let home = format!("{}-home", account.role());
        self.bind(account, Some(&account.namespace), &home, &rights.at_home).await?;
        match scope {
            Scope::Cluster => self.bind(account, None, &account.role(), &rights.everywhere).await,
            Scope::Namespaces(namespaces) => {
                let watched = format!("{}-watched", account.role());
                let rules = rights.within_a_namespace();
                for namespace in namespaces {
                    self.bind(account, Some(namespace), &watched, &rules).await?;
                }
                Ok(())
            }
        }
    }

    /// Takes all cluster-wide rights away from the account.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn revoke_everywhere(&self, account: &ServiceAccount) -> Result<()> {
        let bindings: Api<k8s_openapi::api::rbac::v1::ClusterRoleBinding> = Api::all(self.admin().await);
        bindings.delete(&account.role(), &DeleteParams::default()).await?;
        Ok(())
    }

    /// Gives rules to the account by a role and a binding of this name: in one namespace, or in all.
    async fn bind(
        &self,
        account: &ServiceAccount,
        namespace: Option<&str>,
        name: &str,
        rules: &[PolicyRule],
    ) -> Result<()> {
        let (role_kind, binding_kind) =
            if namespace.is_some() { ("Role", "RoleBinding") } else { ("ClusterRole", "ClusterRoleBinding") };
        let mark = self.mark();
        let role = rbac(role_kind, namespace, name, json!({"rules": with_mark(rules, &mark)}));
        self.apply(&role.to_string()).await?;
        let binding = rbac(binding_kind, namespace, name, binding_to(role_kind, name, account));
        self.apply(&binding.to_string()).await?;
        self.is_in_force(account, namespace, &mark).await
    }

    /// The name of a resource that does not exist. Every version of a role allows to read one of its own.
    fn mark(&self) -> String {
        format!("mark-{}", self.names_given.fetch_add(1, Ordering::Relaxed))
    }

    /// The server learns of roles by watching them, so for a moment it goes by what they were before.
    async fn is_in_force(&self, account: &ServiceAccount, namespace: Option<&str>, mark: &str) -> Result<()> {
        let reviews: Api<SubjectAccessReview> = Api::all(self.admin().await);
        let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
            "user": account.user(),
            "resourceAttributes": {"group": MARKS, "resource": mark, "verb": "get", "namespace": namespace},
        }}))?;
        let allowed = poll(Duration::from_secs(10), || async {
            let answer =
                reviews.create(&PostParams::default(), &review).await.map_err(|why| why.to_string())?;
            let status = answer.status.unwrap_or_default();
            if status.allowed { Ok(()) } else { Err(format!("{status:?}")) }
        });
        let name = account.user();
        allowed.await.map_err(|why| anyhow!("the rights of {name} are not in force after 10 s: {why:?}"))
    }
}

fn with_mark(rules: &[PolicyRule], mark: &str) -> Vec<PolicyRule> {
    let list = |text: &str| vec![text.to_owned()];
    let marked = PolicyRule {
        api_groups: Some(list(MARKS)),
        resources: Some(list(mark)),
        verbs: list("get"),
        ..Default::default()
    };
    [rules, &[marked]].concat()
}

fn rbac(kind: &str, namespace: Option<&str>, name: &str, mut rest: Value) -> Value {
    rest["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
    rest["kind"] = json!(kind);
    rest["metadata"] = json!({"name": name});
    if let Some(namespace) = namespace {
        rest["metadata"]["namespace"] = json!(namespace);
    }
    rest
}

fn binding_to(role_kind: &str, role: &str, account: &ServiceAccount) -> Value {
    json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "
kind: ClusterRole
rules:
- { apiGroups: [groupattr.dev], resources: [chatapps, groupattributeresets], verbs: [list, watch] }
- { apiGroups: [''], resources: [namespaces], verbs: [list, watch] }
- { nonResourceURLs: [/metrics], verbs: [get] }
---
kind: ServiceAccount
---
kind: Role
rules:
- { apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create] }
";

    #[test]
    fn the_rules_of_a_manifest_are_read_by_kind() {
        let rights = OperatorRights::from_yaml(MANIFEST).unwrap();
        assert_eq!((rights.everywhere.len(), rights.at_home.len()), (3, 1));
    }

    #[test]
    fn in_a_namespace_neither_namespaces_nor_urls_can_be_granted() {
        let rules = OperatorRights::from_yaml(MANIFEST).unwrap().within_a_namespace();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].resources.as_deref().unwrap(), ["chatapps", "groupattributeresets"]);
    }

    #[test]
    fn rules_can_be_taken_away_one_by_one() {
        let rights = OperatorRights::from_yaml(MANIFEST).unwrap();
        let (fewer, removed) = rights.without(3);
        assert_eq!(removed.resources.unwrap(), ["leases"]);
        assert_eq!(fewer.count(), 3);
    }
}
