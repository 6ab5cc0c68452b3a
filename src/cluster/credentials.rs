//! Reads an account's key: a `get` of one named Secret, when it is needed.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::time::timeout;

use crate::api::SecretKeyRef;
use crate::chat::{KeyFormat, SecretKey};
use crate::text::one_line;

const PATIENCE: Duration = Duration::from_secs(10);
/// Of a name, so many bytes are said.
const LONGEST_NAME: usize = 63;

/// Why there is no key. The texts name places, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsFault {
    /// The Secret is not there, or may not be read.
    #[error("{0}")]
    NotFound(String),
    /// The Secret has no such entry.
    #[error("{0}")]
    KeyMissing(String),
    /// The entry is no key.
    #[error("{0}")]
    KeyInvalid(String),
    /// Kubernetes did not answer; this says nothing about the Secret.
    #[error("{0}")]
    NoAnswer(String),
}

/// The key that `reference` names in `namespace`, if it has this format.
pub async fn read_key(
    client: &Client,
    namespace: &str,
    reference: &SecretKeyRef,
    format: KeyFormat,
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
    SecretKey::parse(&value.0, format).map_err(|why| {
        let place = place(namespace, reference);
        CredentialsFault::KeyInvalid(format!("{place} is no usable key: {why}."))
    })
}

/// Names the entry. Names can be so long that the message would be cut before it says what to do.
fn place(namespace: &str, SecretKeyRef { name, key }: &SecretKeyRef) -> String {
    let short = |text: &str| match one_line(text, LONGEST_NAME) {
        cut if cut.len() < text.len() => cut + "…",
        whole => whole,
    };
    format!("Entry {} of Secret {} in namespace {}", short(key), short(name), short(namespace))
}

fn no_answer(name: &str, why: &str) -> CredentialsFault {
    CredentialsFault::NoAnswer(format!(
        "Secret {name} could not be read from Kubernetes: {why}. It is tried again by itself; if this stays, look at the \
         API server."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::InvalidKey;

    #[test]
    fn the_longest_names_leave_room_for_cause_and_remedy() {
        let reference = SecretKeyRef { name: "s".repeat(253), key: "k".repeat(253) };
        let place = place(&"n".repeat(63), &reference);
        for why in [InvalidKey::Pem, InvalidKey::Base64OfBytes, InvalidKey::Other, InvalidKey::Long(16)] {
            let said = format!("{place} is no usable key: {why}.");
            assert!(said.len() <= 512, "{} bytes: {said}", said.len());
        }
        let plain = SecretKeyRef { name: "chat".to_owned(), key: "secretKey".to_owned() };
        assert_eq!(super::place("shop", &plain), "Entry secretKey of Secret chat in namespace shop");
    }
}
