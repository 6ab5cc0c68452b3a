//! What a task needs to call the vendor for an app, and what may be wrong with a spec.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::any_chat_app::AnyChatApp;
use super::credential_cache::CredentialCache;
use crate::api::{AppKey, AppReason, ChatAppSpec};
use crate::chat::{AccountId, AllowedEndpoint, Endpoint, KeyFormat};
use crate::protocol::circuit_breaker::AppFailure;

/// Command-line settings that affect apps and leadership.
pub struct AppRules {
    /// The namespace that holds the Secrets of `ClusterChatApps`.
    pub own_namespace: String,
    /// Hosts that apps may name in `spec.endpoint`.
    pub allow_endpoints: Vec<AllowedEndpoint>,
    /// How long after a take-over the predecessor may still record the outcomes of its calls.
    pub predecessor_writes: Duration,
    /// What a valid account key looks like.
    pub key_format: KeyFormat,
}

/// What a task needs to call the vendor for an app. Replaced when the spec changes.
pub struct CallConfig {
    /// The app.
    pub key: AppKey,
    /// The vendor host to call.
    pub endpoint: Endpoint,
    /// The vendor's account number (`SDKAppID`).
    pub sdk_app_id: u32,
    /// The administrator's `UserID` that signs.
    pub identifier: String,
    /// Creates the signatures.
    pub credentials: CredentialCache,
    /// Set by the event loop, read by tasks just before they send.
    pub gate: SendGate,
}

/// Whether tasks that are already running may still send for an app.
#[derive(Debug, Default)]
pub struct SendGate {
    withdrawn: AtomicBool,
    works: AtomicBool,
    was_verified: AtomicBool,
}

impl SendGate {
    /// The app was changed, suspended or deleted: nothing more is sent with this configuration.
    pub fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::SeqCst);
    }

    /// Sets whether the app works now and whether it was ever verified.
    pub fn set(&self, works: bool, was_verified: bool) {
        self.works.store(works, Ordering::SeqCst);
        self.was_verified.store(was_verified, Ordering::SeqCst);
    }

    /// Whether the vendor ever accepted it. If so, its reads do not queue behind never-verified apps, which any
    /// tenant can create.
    pub fn was_verified(&self) -> bool {
        self.was_verified.load(Ordering::SeqCst)
    }

    /// Whether a clear may be sent.
    pub fn allows_clear(&self) -> bool {
        self.allows_read() && self.works.load(Ordering::SeqCst)
    }

    /// Whether a read may be sent; probes are reads for apps that do not work yet.
    pub fn allows_read(&self) -> bool {
        !self.withdrawn.load(Ordering::SeqCst)
    }
}

impl CallConfig {
    /// The account whose permits its calls use.
    #[must_use]
    pub fn account(&self) -> AccountId {
        AccountId { sdk_app_id: i64::from(self.sdk_app_id), host: self.endpoint.authority() }
    }
}

const INVALID_SDK_APP_ID: &str =
    "spec.sdkAppID is not a valid SDKAppID of the vendor. Re-create the app with the account's own SDKAppID.";
const INVALID_IDENTIFIER: &str = "spec.identifier is not 1 to 32 printable ASCII characters without blanks, so \
                                  nothing is signed for it. Set it to the administrator's UserID as shown in the \
                                  chat console.";

pub(super) fn named_endpoint(spec: &ChatAppSpec) -> Option<Endpoint> {
    match (spec.region, &spec.endpoint) {
        (Some(region), None) => Some(Endpoint::of_region(region)),
        (None, Some(url)) => Endpoint::parse(url).ok(),
        _ => None,
    }
}

/// Only the vendor's own hosts, and those given with `--allow-endpoint`, are ever called.
pub(super) fn endpoint(spec: &ChatAppSpec, allowed: &[AllowedEndpoint]) -> Result<Endpoint, AppFailure> {
    let refused = |message| Err(AppFailure::new(AppReason::EndpointNotAllowed, message));
    match (spec.region, &spec.endpoint) {
        (Some(region), None) => Ok(Endpoint::of_region(region)),
        (None, Some(url)) => {
            let endpoint = match Endpoint::parse(url) {
                Ok(endpoint) => endpoint,
                Err(why) => return refused(format!("spec.endpoint cannot be used: {why}")),
            };
            if allowed.iter().any(|host| host.admits(&endpoint)) {
                return Ok(endpoint);
            }
            let authority = endpoint.authority();
            refused(format!(
                "The operator does not allow this endpoint. Set spec.region, or start the operator with \
                 --allow-endpoint {authority}"
            ))
        }
        _ => refused("Set exactly one of spec.region and spec.endpoint.".to_owned()),
    }
}

/// The spec is validated here too: an older or a loosened CRD may have let an invalid one be stored. Nothing is
/// signed for such a spec.
pub(super) fn call_config(
    object: &AnyChatApp,
    endpoint: Endpoint,
    rules: &AppRules,
) -> Result<Arc<CallConfig>, AppFailure> {
    let spec = object.spec();
    let refused = |message: &str| AppFailure::new(AppReason::CredentialsRejected, message.to_owned());
    let sdk_app_id = u32::try_from(spec.sdk_app_id).map_err(|_| refused(INVALID_SDK_APP_ID))?;
    if !spec.has_valid_identifier() {
        return Err(refused(INVALID_IDENTIFIER));
    }
    let namespace = object.meta().namespace.clone().unwrap_or_else(|| rules.own_namespace.clone());
    let reference = spec.credentials.secret_key_ref.clone();
    let credentials =
        CredentialCache::new(namespace, reference, rules.key_format, sdk_app_id, spec.identifier.clone());
    let gate = SendGate::default();
    if spec.suspend {
        gate.withdraw();
    }
    Ok(Arc::new(CallConfig {
        gate,
        key: object.key(),
        endpoint,
        sdk_app_id,
        identifier: spec.identifier.clone(),
        credentials,
    }))
}
