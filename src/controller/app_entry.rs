//! The apps, as the desk remembers them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::any_chat_app::AnyChatApp;
use super::credential_cache::CredentialCache;
use crate::api::AppKey;
use crate::api::{AppReason, AppStatus, ChatAppSpec, Condition, set_condition};
use crate::chat::AccountId;
use crate::chat::{AllowedEndpoint, Endpoint, KeyFormat};
use crate::limits::backoff::exponential;
use crate::protocol::Now;
use crate::protocol::circuit_breaker::{AppFailure, CircuitBreaker};
use crate::protocol::classify::CallResult;

/// What the command line says about deciding.
pub struct AppRules {
    /// Where the Secrets of `ClusterChatApps` are.
    pub own_namespace: String,
    /// Hosts that apps may name.
    pub allow_endpoints: Vec<AllowedEndpoint>,
    /// For so long after a take-over the predecessor may still record what came of its calls.
    pub predecessor_writes: Duration,
    /// What counts as an account's key.
    pub key_format: KeyFormat,
}

/// What a task needs to call in the name of an app.
pub struct CallConfig {
    /// Which app.
    pub key: AppKey,
    /// Where to.
    pub endpoint: Endpoint,
    /// The vendor's number of the account.
    pub sdk_app_id: u32,
    /// In whose name.
    pub identifier: String,
    /// Signs.
    pub credentials: CredentialCache,
    /// The desk's last word, which tasks read just before they send.
    pub gate: SendGate,
}

/// Whether tasks that are already under way may still send for an app.
#[derive(Debug, Default)]
pub struct SendGate {
    withdrawn: AtomicBool,
    works: AtomicBool,
    was_verified: AtomicBool,
}

impl SendGate {
    /// The app was changed, suspended or deleted: nothing more is sent on these terms.
    pub fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::SeqCst);
    }

    /// Whether it works now, and whether it ever did.
    pub fn set(&self, works: bool, was_verified: bool) {
        self.works.store(works, Ordering::SeqCst);
        self.was_verified.store(was_verified, Ordering::SeqCst);
    }

    /// Whether the vendor ever accepted it. What it needs then does not wait for apps that anybody can make.
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
    /// Whose permits its calls hold.
    #[must_use]
    pub fn account(&self) -> AccountId {
        AccountId { sdk_app_id: i64::from(self.sdk_app_id), host: self.endpoint.authority() }
    }
}

/// How far the next probe of an app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeState {
    /// Nothing has been done for it.
    Idle,
    /// Its signature is being made, or it is under way.
    Busy,
    /// Its signature could be made.
    Signed,
}

/// After a status was written, so that one that does not take effect is not written without end.
const WRITE_SPACING: Duration = Duration::from_millis(500);
/// Between two writes of the same status; doubled each time.
const MIN_REWRITE_SPACING: Duration = Duration::from_secs(1);
/// Longest time between two writes of the same status.
const MAX_REWRITE_SPACING: Duration = Duration::from_mins(1);
/// After this long without a rewrite, the next ones follow quickly again.
const REWRITES_FORGOTTEN_AFTER: Duration = Duration::from_mins(2);

const QUEUED: &str = "Waiting to be checked: of the apps that were never verified only a few are looked at in a second, \
                       namespaces in turn, and those that name the same account share one check in 5 s. Apps with a \
                       wrong key or without their Secret keep the others waiting.";

const NO_ACCOUNT: &str =
    "spec.sdkAppID is not a number that the vendor gives out. Create the app anew with the account's own.";
const NO_IDENTIFIER: &str = "spec.identifier is not 1 to 32 printable ASCII characters without blanks, so nothing is signed in \
                             its name. Write the administrator's UserID as the chat console shows it.";

/// What the process remembers of an app.
#[allow(clippy::struct_excessive_bools)] // Facts that do not depend on one another.
pub struct AppEntry {
    /// As last seen.
    pub object: AnyChatApp,
    /// For tasks; or what is wrong with its spec.
    pub config: Result<Arc<CallConfig>, AppFailure>,
    /// The account that it names.
    pub account: Option<AccountId>,
    /// Whether it works.
    pub circuit: CircuitBreaker,
    /// When the vendor last accepted a probe, of this process or, as the stored status says, of an earlier one.
    pub verified: Option<Timestamp>,
    /// This process itself has seen the vendor accept a call or a probe. A stored status may be forged.
    pub accepted: bool,
    /// When an app that works by a stored proof is to be probed all the same, since others share its account.
    pub confirm_at: Option<Duration>,
    /// While it is not accepted: not before this moment does its own limit allow the next clear.
    pub next_clear: Duration,
    /// The vendor has refused its key since then.
    pub rejected: bool,
    /// How far its next probe is.
    pub probe: ProbeState,
    /// Its probe waits for those of other apps of the account.
    pub is_queued: bool,
    /// Why the last probe could not even be signed, if that was Kubernetes' fault and not the Secret's.
    pub key_error: Option<String>,
    /// The status that this process wrote last.
    pub last_written: Option<AppStatus>,
    /// How often in a row the same was written again, because somebody else had changed it.
    pub rewrites: u32,
    /// A status write is under way.
    pub writing: bool,
    /// Not before this moment is a failed status write repeated.
    pub next_write_at: Duration,
}

impl AppEntry {
    /// An app as it is first seen, or seen with a new spec.
    #[must_use]
    pub fn new(object: AnyChatApp, rules: &AppRules, now: Now) -> Self {
        let spec = object.spec();
        let endpoint = endpoint(spec, &rules.allow_endpoints);
        let account = named_endpoint(spec)
            .map(|endpoint| AccountId { sdk_app_id: spec.sdk_app_id, host: endpoint.authority() });
        let config = endpoint.and_then(|endpoint| call_config(&object, endpoint, rules));
        let status = object.status().cloned().unwrap_or_default();
        let is_current = status.observed_generation == object.generation();
        let circuit = match status.reason() {
            AppReason::Verified if is_current => CircuitBreaker::closed(),
            AppReason::Pending
            | AppReason::Verified
            | AppReason::Suspended
            | AppReason::EndpointNotAllowed => CircuitBreaker::unverified(None, now.mono),
            _ if !is_current => CircuitBreaker::unverified(None, now.mono),
            reason => {
                let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
                let message = ready.map(|c| c.message.clone()).unwrap_or_default();
                CircuitBreaker::unverified(
                    Some(AppFailure { reason, code: status.last_error_code, message }),
                    now.mono,
                )
            }
        };
        Self {
            config: config,
            account,
            circuit,
            // A proof of an older spec may be of another account: `remember` knows, and after a restart nobody does.
            verified: status.last_verified_time.filter(|_| is_current),
            accepted: false,
            confirm_at: None,
            next_clear: Duration::ZERO,
            rejected: is_rejection(status.reason()),
            probe: ProbeState::Idle,
            is_queued: false,
            key_error: None,
            last_written: None,
            rewrites: 0,
            writing: false,
            next_write_at: Duration::ZERO,
            object,
        }
    }

    /// Takes over what is known of the same object with its spec of before: a new one does not undo a proof, unless it
    /// names another account.
    pub fn inherit(&mut self, before: &Self) {
        if before.object.meta().uid == self.object.meta().uid && before.account == self.account {
            self.verified = before.verified.max(self.verified);
            self.accepted = before.accepted;
            self.rejected = before.rejected;
        }
    }

    /// Its circuit has opened or closed.
    pub fn update_rejected(&mut self) {
        match self.circuit.failure() {
            Some(failure) if is_rejection(failure.reason) => {
                self.rejected = true;
                // A stored proof that the vendor contradicts is worth nothing any more.
                self.verified = self.verified.filter(|_| self.accepted);
            }
            None if self.circuit.is_closed() => self.rejected = false,
            _ => {}
        }
    }

    /// A call or a probe on its present terms came to this. True if it is the first that this process saw accepted.
    pub fn on_accepted(&mut self, result: &CallResult, now: Now) -> bool {
        let is_first = result.accepts_account() && !self.accepted;
        if is_first {
            self.accepted = true;
            // Of one whose circuit is open, the end of its probe says when.
            if self.circuit.is_closed() {
                self.verified = self.verified.or(Some(now.second()));
            }
        }
        is_first
    }

    /// Whether it works by a stored proof alone, which nothing in this process has confirmed yet.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.circuit.is_closed() && !self.accepted
    }

    /// Others share its account, so its limits matter to them: it is probed, if nothing else has confirmed it.
    pub fn confirm(&mut self, now: Duration) {
        if self.is_unconfirmed() && self.confirm_at.is_none() {
            self.confirm_at = Some(now);
        }
    }

    /// `status` is about to be written. Returns how long to wait with the write after that, because somebody else keeps
    /// changing what this process writes.
    pub fn wait_after_write(&mut self, status: &AppStatus, now: Duration) -> Duration {
        let says = |status: &AppStatus| {
            let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
            ready.map(|ready| (status.observed_generation, ready.reason.clone(), ready.message.clone()))
        };
        let is_rewrite = self.last_written.as_ref().is_some_and(|last| says(last) == says(status));
        let is_recent = now < self.next_write_at + REWRITES_FORGOTTEN_AFTER;
        self.rewrites = if is_rewrite && is_recent { self.rewrites.saturating_add(1) } else { 0 };
        if self.rewrites == 0 {
            WRITE_SPACING
        } else {
            exponential(MIN_REWRITE_SPACING, MAX_REWRITE_SPACING, self.rewrites)
        }
    }

    /// When its circuit wants a probe, if it wants one and may have one.
    #[must_use]
    pub fn probe_due_at(&self) -> Option<Duration> {
        let may = self.config.is_ok() && self.probe != ProbeState::Busy && !self.object.spec().suspend;
        let confirmation = self.confirm_at.filter(|_| self.is_unconfirmed());
        self.circuit.next_probe_at().or(confirmation).filter(|_| may)
    }

    /// Whether its limits count for its account. Not before this process has seen the vendor accept its key, or anybody
    /// could slow down somebody else's account by naming it, with a forged status if need be; but from then on until the
    /// vendor refuses it, whatever else befalls it: the other apps must not go faster while this one is edited,
    /// suspended or cut off.
    #[must_use]
    pub fn limits_apply(&self) -> bool {
        self.config.is_ok() && self.accepted && !self.rejected
    }

    /// It is replaced or gone: tasks that are under way send nothing more on its terms.
    pub fn withdraw(&self) {
        if let Ok(config) = &self.config {
            config.gate.withdraw();
        }
    }

    /// Tells the tasks that are under way what the desk knows by now.
    pub fn update_gate(&self) {
        if let Ok(config) = &self.config {
            config.gate.set(self.works(), self.verified.is_some());
        }
    }

    /// Whether these are the terms that this app is used on: not those of another spec, or of another app that had
    /// its name before.
    #[must_use]
    pub fn uses(&self, config: &Arc<CallConfig>) -> bool {
        self.config.as_ref().is_ok_and(|own| Arc::ptr_eq(own, config))
    }

    /// Whether clears may be sent for it.
    #[must_use]
    pub fn works(&self) -> bool {
        self.config.is_ok() && !self.object.spec().suspend && self.circuit.is_closed()
    }

    /// What keeps it from working; `None` while it works or is being proved.
    #[must_use]
    pub fn failure(&self) -> Option<AppFailure> {
        if let Err(failure) = &self.config {
            return Some(failure.clone());
        }
        if self.object.spec().suspend {
            let message = "No calls are made while spec.suspend is true. Set it to false to go on.";
            return Some(failure(AppReason::Suspended, message.to_owned()));
        }
        self.circuit.failure().cloned()
    }

    /// The status it should have, if that is another than it has.
    #[must_use]
    pub fn due_status(&self, now: Now) -> Option<AppStatus> {
        let old = self.object.status().cloned().unwrap_or_default();
        let (reason, message, code) = match self.failure() {
            Some(failure) => (failure.reason, failure.message, failure.code),
            None if self.circuit.is_closed() => {
                (AppReason::Verified, "The vendor accepts the account's signature.".to_owned(), None)
            }
            None if self.is_queued => (AppReason::Pending, QUEUED.to_owned(), None),
            None => (AppReason::Pending, self.key_error.clone()?, None),
        };
        let mut next = AppStatus {
            observed_generation: self.object.generation(),
            conditions: old.conditions.clone(),
            last_error_code: code,
            // A refusal that the reason does not tell any more takes the proof with it, so that the next process knows.
            last_verified_time: self.verified.filter(|_| !self.rejected || is_rejection(reason)),
        };
        let condition = Condition {
            type_: "Ready".to_owned(),
            status: reason.ready(),
            reason: reason.to_string(),
            message,
            last_transition_time: now.second(),
            observed_generation: Some(self.object.generation()),
        };
        set_condition(&mut next.conditions, condition);
        (next != old).then_some(next)
    }
}

/// Whether this says that the vendor knows the account and does not accept the key.
fn is_rejection(reason: AppReason) -> bool {
    matches!(reason, AppReason::CredentialsRejected | AppReason::WrongRegion)
}

fn failure(reason: AppReason, message: String) -> AppFailure {
    AppFailure { reason, code: None, message }
}

fn named_endpoint(spec: &ChatAppSpec) -> Option<Endpoint> {
    match (spec.region, &spec.endpoint) {
        (Some(region), None) => Some(Endpoint::of_region(region)),
        (None, Some(url)) => Endpoint::parse(url).ok(),
        _ => None,
    }
}

/// Only the vendor's own hosts, and those that the operator was started with, are ever called.
fn endpoint(spec: &ChatAppSpec, allowed: &[AllowedEndpoint]) -> Result<Endpoint, AppFailure> {
    let refused = |message| Err(failure(AppReason::EndpointNotAllowed, message));
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
                "The operator was not started for this endpoint. Name a region, or start it with \
                 --allow-endpoint {authority}"
            ))
        }
        _ => refused("Set exactly one of spec.region and spec.endpoint.".to_owned()),
    }
}

/// A spec that no CRD of ours would have let pass can still be stored, by an older or a loosened one. Nothing is signed
/// for it.
fn call_config(
    object: &AnyChatApp,
    endpoint: Endpoint,
    rules: &AppRules,
) -> Result<Arc<CallConfig>, AppFailure> {
    let spec = object.spec();
    let refused = |message: &str| failure(AppReason::CredentialsRejected, message.to_owned());
    let sdk_app_id = u32::try_from(spec.sdk_app_id).map_err(|_| refused(NO_ACCOUNT))?;
    if !spec.has_valid_identifier() {
        return Err(refused(NO_IDENTIFIER));
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
        credentials: credentials,
    }))
}

#[cfg(test)]
mod tests;
