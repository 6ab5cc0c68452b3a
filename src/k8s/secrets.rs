//! Reads an account's key with a `get` of one named Secret, only when the key is needed. Secrets are never listed or
//! watched.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::time::timeout;

use crate::api::{AppReason, SecretKeyRef};
use crate::chat::{InvalidKey, KeyFormat, SecretKey};
use crate::protocol::circuit_breaker::AppFailure;
use crate::text::one_line;

const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest name in a message, in bytes.
const MAX_NAME: usize = 63;

/// Why there is no key. The messages name objects and entries, never values.
#[derive(Clone, Debug)]
pub(crate) enum CredentialsError {
    /// The Secret has no usable key, so the app does not work.
    Unusable(AppFailure),
    /// Kubernetes did not answer, which says nothing about the app.
    NoAnswer(String),
}

/// Reads the key that `reference` names in `namespace`.
///
/// # Errors
///
/// [`CredentialsError`] if the Secret cannot be read or the entry is not a key of this format.
pub(crate) async fn read_key(
    client: &Client,
    namespace: &str,
    reference: &SecretKeyRef,
    format: KeyFormat,
) -> Result<SecretKey, CredentialsError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let answer = timeout(READ_TIMEOUT, api.get(&reference.name)).await;
    let (name, key) = (short(&reference.name), short(&reference.key));
    let secret = match answer {
        Ok(Ok(secret)) => secret,
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
            let text = format!(
                "Secret {name} does not exist in namespace {namespace}. Create it with the key {key}."
            );
            return Err(unusable(AppReason::SecretNotFound, text));
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            let text = format!(
                "The operator may not read Secret {name} in namespace {namespace}. Grant its service account the RBAC \
                 permission to get it."
            );
            return Err(unusable(AppReason::SecretNotFound, text));
        }
        // The text of other errors could quote the body, so the message gives only the kind of error.
        Ok(Err(kube::Error::Api(status))) => {
            return Err(no_answer(&name, &format!("status {}", status.code)));
        }
        Ok(Err(_)) => return Err(no_answer(&name, "the answer could not be read")),
        Err(_) => return Err(no_answer(&name, "no answer within 10 s")),
    };
    let Some(value) = secret.data.as_ref().and_then(|data| data.get(&reference.key)) else {
        let text = format!(
            "Secret {name} in namespace {namespace} has no entry {key}. Add it, or name another entry in \
             credentials.secretKeyRef.key."
        );
        return Err(unusable(AppReason::SecretKeyMissing, text));
    };
    SecretKey::parse(&value.0, format)
        .map_err(|why| unusable(AppReason::SecretKeyInvalid, invalid(namespace, &name, &key, why)))
}

fn unusable(reason: AppReason, message: String) -> CredentialsError {
    CredentialsError::Unusable(AppFailure::new(reason, message))
}

fn invalid(namespace: &str, name: &str, key: &str, why: InvalidKey) -> String {
    format!("Entry {key} of Secret {name} in namespace {namespace} is not a valid key: {why}.")
}

/// Shortens a name, so that a long one does not cut the remedy off the message.
fn short(name: &str) -> String {
    match one_line(name, MAX_NAME) {
        cut if cut.len() < name.len() => cut + "…",
        whole => whole,
    }
}

fn no_answer(name: &str, why: &str) -> CredentialsError {
    CredentialsError::NoAnswer(format!(
        "Secret {name} could not be read from Kubernetes: {why}. It will be retried automatically. If this persists, \
         check the API server."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_leave_room_for_cause_and_remedy() {
        let (namespace, name, key) = ("n".repeat(63), short(&"s".repeat(253)), short(&"k".repeat(253)));
        for why in [InvalidKey::Pem, InvalidKey::Base64OfBytes, InvalidKey::Other, InvalidKey::Long(16)] {
            let message = invalid(&namespace, &name, &key, why);
            assert!(message.len() <= 512, "{} bytes: {message}", message.len());
        }
        assert_eq!((short("chat"), short(&"n".repeat(63))), ("chat".to_owned(), "n".repeat(63)));
    }
}
