//! Reads an account's key: a `get` of one named Secret, when it is needed.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::time::timeout;

use crate::api::SecretKeyRef;
use crate::chat::SecretKey;

const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no key. The texts name places, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsFault {
    /// The Secret is not there, or may not be read.
    #[error("{0}")]
    NotFound(String),
    /// The Secret holds no usable key.
    #[error("{0}")]
    KeyMissing(String),
    /// Kubernetes did not answer; this says nothing about the Secret.
    #[error("{0}")]
    NoAnswer(String),
}

/// The key that `reference` names in `namespace`.
pub async fn read_key(
    client: &Client,
    namespace: &str,
    reference: &SecretKeyRef,
) -> Result<SecretKey, CredentialsFault> {
    let SecretKeyRef { name, key } = reference;
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = match timeout(PATIENCE, api.get(name)).await {
        Ok(Ok(secret)) => secret,
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
            let text = format!(
                "Secret {name} does not exist in namespace {namespace}. Create it with the key {key}."
            );
            return Err(CredentialsFault::NotFound(text));
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            let text = format!(
                "Secret {name} in namespace {namespace} may not be read. Give the operator's service account the right \
                 to get it."
            );
            return Err(CredentialsFault::NotFound(text));
        }
        // The text of other errors could quote the body, so only the kind of error is said.
        Ok(Err(kube::Error::Api(status))) => return Err(no_answer(name, &format!("status {}", status.code))),
        Ok(Err(_)) => return Err(no_answer(name, "the answer could not be read")),
        Err(_) => return Err(no_answer(name, "no answer in time")),
    };
    let Some(value) = secret.data.as_ref().and_then(|data| data.get(key)) else {
        return Err(CredentialsFault::KeyMissing(format!(
            "Secret {name} in namespace {namespace} has no entry {key}. Add it, or name another in \
             credentials.secretKeyRef.key."
        )));
    };
    SecretKey::from_bytes(&value.0).map_err(|why| {
        CredentialsFault::KeyMissing(format!(
            "Entry {key} of Secret {name} in namespace {namespace} is no usable key: {why}. Put the account's key there, \
             as the chat console shows it."
        ))
    })
}

fn no_answer(name: &str, why: &str) -> CredentialsFault {
    CredentialsFault::NoAnswer(format!(
        "Secret {name} could not be read from Kubernetes: {why}. It is tried again by itself; if this stays, look at the \
         API server."
    ))
}
