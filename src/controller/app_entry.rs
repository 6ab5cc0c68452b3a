//! A cached app: its circuit breaker, its verification and its status.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::any_chat_app::AnyChatApp;
pub use super::call_config::AppRules;
use super::call_config::{CallConfig, call_config, endpoint, named_endpoint};
use crate::api::{AppReason, AppStatus, Condition, set_condition};
use crate::chat::AccountId;
use crate::limits::backoff::exponential;
use crate::limits::mono::Mono;
use crate::protocol::Now;
use crate::protocol::circuit_breaker::{AppFailure, CircuitBreaker};
use crate::protocol::classify::CallResult;

/// The progress of an app's next probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeState {
    /// Not started.
    Idle,
    /// Its signature is being created, or the probe is in flight.
    Busy,
    /// Its signature was created; the probe can be sent.
    Signed,
}

/// Minimum time between two status writes of one app, so that a write that does not take effect is not repeated in a
/// busy loop.
const WRITE_SPACING: Duration = Duration::from_millis(500);
/// Wait after the first rewrite of the same status; doubled with each further one.
const MIN_REWRITE_SPACING: Duration = Duration::from_secs(1);
/// Longest wait between two rewrites of the same status.
const MAX_REWRITE_SPACING: Duration = Duration::from_mins(1);
/// After this long without a rewrite, the backoff starts over.
const REWRITES_FORGOTTEN_AFTER: Duration = Duration::from_mins(2);

const WAITING_FOR_CHECK: &str = "Waiting to be checked: only a few never-verified apps are checked per second, \
                                 round-robin across namespaces, and those that name the same account share one check \
                                 per 5 s. Apps with a wrong key or without their Secret delay the others: fix or \
                                 delete them.";

/// A cached app.
#[allow(clippy::struct_excessive_bools)] // They are independent facts.
pub struct AppEntry {
    /// The object as last seen.
    pub object: AnyChatApp,
    /// The call configuration, or what is wrong with the spec.
    pub config: Result<Arc<CallConfig>, AppFailure>,
    /// The account that it names.
    pub account: Option<AccountId>,
    /// The circuit breaker of its account.
    pub circuit: CircuitBreaker,
    /// When the vendor last accepted a probe, by this process or, according to the stored status, by an earlier one.
    pub verified: Option<Timestamp>,
    /// This process itself saw the vendor accept a call or a probe. A stored status may be forged.
    pub accepted: bool,
    /// When an app whose verification comes only from its stored status is to be probed anyway, because other apps
    /// share its account.
    pub confirm_at: Option<Mono>,
    /// While `accepted` is false: its own limit allows the next clear from this moment on.
    pub next_clear: Mono,
    /// The vendor has rejected its key since it was last verified.
    pub rejected: bool,
    /// The progress of its next probe.
    pub probe: ProbeState,
    /// Its check has waited long enough for the status to say so.
    pub reports_queueing: bool,
    /// Why the last probe could not be signed, if the cause was Kubernetes and not the Secret.
    pub key_error: Option<String>,
    /// The status that this process wrote last.
    pub last_written: Option<AppStatus>,
    /// Consecutive writes of the same status, because someone else keeps changing it.
    pub rewrites: u32,
    /// A status write is in flight.
    pub writing: bool,
    /// No further status write before this moment.
    pub next_write_at: Mono,
}

impl AppEntry {
    /// An app seen for the first time, or with a new spec.
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
            config,
            account,
            circuit,
            // The verification of an older spec may be of another account: `inherit` can tell; after a
            // restart there is no way to.
            verified: status.last_verified_time.filter(|_| is_current),
            accepted: false,
            confirm_at: None,
            next_clear: Mono::START,
            rejected: is_rejection(status.reason()),
            probe: ProbeState::Idle,
            reports_queueing: false,
            key_error: None,
            last_written: None,
            rewrites: 0,
            writing: false,
            next_write_at: Mono::START,
            object,
        }
    }

    /// Inherits what is known of the same object with its previous spec: a spec change does not undo a verification,
    /// unless it names another account.
    pub fn inherit(&mut self, before: &Self) {
        if before.object.meta().uid == self.object.meta().uid && before.account == self.account {
            self.verified = before.verified.max(self.verified);
            self.accepted = before.accepted;
            self.rejected = before.rejected;
        }
    }

    /// Updates `rejected` after the circuit breaker has opened or closed.
    pub fn update_rejected(&mut self) {
        match self.circuit.failure() {
            Some(failure) if is_rejection(failure.reason) => {
                self.rejected = true;
                // A stored verification that the vendor contradicts is void.
                self.verified = self.verified.filter(|_| self.accepted);
            }
            None if self.circuit.is_closed() => self.rejected = false,
            _ => {}
        }
    }

    /// Notes the result of a call or a probe with its current configuration. True if it is the first one that this
    /// process saw accepted.
    pub fn on_accepted(&mut self, result: &CallResult, now: Now) -> bool {
        let is_first = result.accepts_account() && !self.accepted;
        if is_first {
            self.accepted = true;
            // While the circuit is open, the end of the probe sets the time.
            if self.circuit.is_closed() {
                self.verified = self.verified.or(Some(now.second()));
            }
        }
        is_first
    }

    /// Whether it works only because its stored status says so, and nothing in this process has confirmed that yet.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.circuit.is_closed() && !self.accepted
    }

    /// Other apps share its account, so its limits affect them: schedules a probe, unless it is already confirmed.
    pub fn confirm(&mut self, now: Mono) {
        if self.is_unconfirmed() && self.confirm_at.is_none() {
            self.confirm_at = Some(now);
        }
    }

    /// Counts a write of `status`. Returns how long to wait before the next one: longer and longer while someone else
    /// keeps changing what this process writes.
    pub fn wait_after_write(&mut self, status: &AppStatus, now: Mono) -> Duration {
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

    /// When its next probe is due; `None` if no probe is needed or allowed.
    #[must_use]
    pub fn probe_due_at(&self) -> Option<Mono> {
        let may = self.config.is_ok() && self.probe != ProbeState::Busy && !self.object.spec().suspend;
        let confirmation = self.confirm_at.filter(|_| self.is_unconfirmed());
        self.circuit.next_probe_at().or(confirmation).filter(|_| may)
    }

    /// Whether its limits count for its account. They count only after this process has seen the vendor accept its
    /// key; otherwise any tenant could slow down another tenant's account by naming it, with a forged status if need be.
    /// From then on they count until the vendor rejects the key, whatever else happens: the other apps must not go
    /// faster while this one is edited or suspended, or while its circuit breaker is open.
    #[must_use]
    pub fn limits_apply(&self) -> bool {
        self.config.is_ok() && self.accepted && !self.rejected
    }

    /// It was replaced or deleted: running tasks send nothing more with its configuration.
    pub fn withdraw(&self) {
        if let Ok(config) = &self.config {
            config.gate.withdraw();
        }
    }

    /// Publishes the current state to the tasks that are already running.
    pub fn update_gate(&self) {
        if let Ok(config) = &self.config {
            config.gate.set(self.works(), self.verified.is_some());
        }
    }

    /// Whether this is the app's current configuration, and not that of an earlier spec or of an earlier app with the
    /// same name.
    #[must_use]
    pub fn uses(&self, config: &Arc<CallConfig>) -> bool {
        self.config.as_ref().is_ok_and(|own| Arc::ptr_eq(own, config))
    }

    /// Whether clears may be sent for it.
    #[must_use]
    pub fn works(&self) -> bool {
        self.config.is_ok() && !self.object.spec().suspend && self.circuit.is_closed()
    }

    /// Why it does not work; `None` while it works or is being checked.
    #[must_use]
    pub fn failure(&self) -> Option<AppFailure> {
        if let Err(failure) = &self.config {
            return Some(failure.clone());
        }
        if self.object.spec().suspend {
            let message = "No calls are made while spec.suspend is true. Set it to false to resume.";
            return Some(AppFailure::new(AppReason::Suspended, message.to_owned()));
        }
        self.circuit.failure().cloned()
    }

    /// The status it should have, if it differs from the stored one.
    #[must_use]
    pub fn due_status(&self, now: Now) -> Option<AppStatus> {
        let old = self.object.status().cloned().unwrap_or_default();
        let (reason, message, code) = match self.failure() {
            Some(failure) => (failure.reason, failure.message, failure.code),
            None if self.circuit.is_closed() => {
                (AppReason::Verified, "The vendor accepts the account's signature.".to_owned(), None)
            }
            None if self.reports_queueing => (AppReason::Pending, WAITING_FOR_CHECK.to_owned(), None),
            None => (AppReason::Pending, self.key_error.clone()?, None),
        };
        let mut next = AppStatus {
            observed_generation: self.object.generation(),
            conditions: old.conditions.clone(),
            last_error_code: code,
            // If the reason no longer shows a rejection, the verification is dropped too, so that the next process
            // knows.
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

/// Whether the vendor knows the account but does not accept the key.
fn is_rejection(reason: AppReason) -> bool {
    matches!(reason, AppReason::CredentialsRejected | AppReason::WrongRegion)
}

#[cfg(test)]
mod tests;
