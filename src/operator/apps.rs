//! The apps, as the desk remembers them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::app_object::{AppKey, AppObject};
use super::signer::Signer;
use crate::api::{AppReason, AppStatus, ChatAppSpec, Condition, set_condition};
use crate::chat::{AllowedEndpoint, Endpoint};
use crate::decide::Now;
use crate::decide::circuit::{Circuit, Trouble};
use crate::decide::plan::AccountName;

/// What a task needs to call in the name of an app.
pub struct AppTerms {
    /// Which app.
    pub key: AppKey,
    /// Where to.
    pub endpoint: Endpoint,
    /// The vendor's number of the account.
    pub sdk_app_id: u32,
    /// In whose name.
    pub identifier: String,
    /// Signs.
    pub signer: Signer,
    /// The desk's last word, which tasks read just before they send.
    pub gate: Gate,
}

/// Whether tasks that are already under way may still send for an app.
#[derive(Debug, Default)]
pub struct Gate {
    withdrawn: AtomicBool,
    works: AtomicBool,
    was_verified: AtomicBool,
}

impl Gate {
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
    pub fn admits_clear(&self) -> bool {
        self.admits_read() && self.works.load(Ordering::SeqCst)
    }

    /// Whether a read may be sent; probes are reads for apps that do not work yet.
    pub fn admits_read(&self) -> bool {
        !self.withdrawn.load(Ordering::SeqCst)
    }
}

impl AppTerms {
    /// Whose permits its calls hold.
    #[must_use]
    pub fn account(&self) -> AccountName {
        AccountName { sdk_app_id: i64::from(self.sdk_app_id), host: self.endpoint.authority() }
    }
}

/// How far the next probe of an app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Nothing has been done for it.
    Idle,
    /// Its signature is being made, or it is under way.
    Busy,
    /// Its signature could be made.
    Signed,
}

const IN_LINE: &str = "Waiting to be checked: of the apps that were never verified only a few are looked at in a second, \
                       namespaces in turn, and those that name the same account share one check in 5 s. Apps with a \
                       wrong key or without their Secret keep the others waiting.";

/// What the process remembers of an app.
pub struct App {
    /// As last seen.
    pub object: AppObject,
    /// For tasks; or why its endpoint cannot be used.
    pub terms: Result<Arc<AppTerms>, String>,
    /// The account that it names.
    pub account: Option<AccountName>,
    /// Whether it works.
    pub circuit: Circuit,
    /// When the vendor last accepted a probe.
    pub verified: Option<Timestamp>,
    /// The vendor has refused its key since then.
    pub rejected: bool,
    /// How far its next probe is.
    pub probe: Probe,
    /// Its probe waits for those of other apps of the account.
    pub in_line: bool,
    /// Why the last probe could not even be signed, if that was Kubernetes' fault and not the Secret's.
    pub without_key: Option<String>,
    /// A status write is under way.
    pub writing: bool,
    /// Not before this moment is a failed status write repeated.
    pub write_at: Duration,
}

impl App {
    /// An app as it is first seen, or seen with a new spec.
    #[must_use]
    pub fn new(object: AppObject, own_namespace: &str, allowed: &[AllowedEndpoint], now: Now) -> Self {
        let spec = object.spec();
        let endpoint = endpoint(spec, allowed);
        let account = named_endpoint(spec)
            .map(|endpoint| AccountName { sdk_app_id: spec.sdk_app_id, host: endpoint.authority() });
        let terms = endpoint.and_then(|endpoint| terms(&object, endpoint, own_namespace));
        let status = object.status().cloned().unwrap_or_default();
        let is_current = status.observed_generation == object.generation();
        let circuit = match status.reason() {
            AppReason::Verified if is_current => Circuit::closed(),
            AppReason::Pending
            | AppReason::Verified
            | AppReason::Suspended
            | AppReason::EndpointNotAllowed => Circuit::unproved(None, now.mono),
            _ if !is_current => Circuit::unproved(None, now.mono),
            reason => {
                let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
                let message = ready.map(|c| c.message.clone()).unwrap_or_default();
                Circuit::unproved(Some(Trouble { reason, code: status.last_error_code, message }), now.mono)
            }
        };
        Self {
            terms,
            account,
            circuit,
            // A proof of an older spec may be of another account: `remember` knows, and after a restart nobody does.
            verified: status.last_verified_time.filter(|_| is_current),
            rejected: is_rejection(status.reason()),
            probe: Probe::Idle,
            in_line: false,
            without_key: None,
            writing: false,
            write_at: Duration::ZERO,
            object,
        }
    }

    /// Takes over what is known of the same object with its spec of before: a new one does not undo a proof, unless it
    /// names another account.
    pub fn remember(&mut self, before: &Self) {
        if before.object.meta().uid == self.object.meta().uid && before.account == self.account {
            self.verified = before.verified.max(self.verified);
            self.rejected = before.rejected;
        }
    }

    /// Its circuit has opened or closed.
    pub fn note_rejection(&mut self) {
        match self.circuit.trouble() {
            Some(trouble) if is_rejection(trouble.reason) => self.rejected = true,
            None if self.circuit.is_closed() => self.rejected = false,
            _ => {}
        }
    }

    /// When its circuit wants a probe, if it wants one and may have one.
    #[must_use]
    pub fn probe_due(&self) -> Option<Duration> {
        let may = self.terms.is_ok() && self.probe != Probe::Busy && !self.object.spec().suspend;
        self.circuit.probe_at().filter(|_| may)
    }

    /// Whether its limits count for its account. Not before the vendor has accepted its key, or anybody could slow down
    /// somebody else's account by naming it; but from then on until the vendor refuses it, whatever else befalls
    /// it: the other apps must not go faster while this one is edited, suspended or cut off.
    #[must_use]
    pub fn has_a_say(&self) -> bool {
        self.terms.is_ok() && self.verified.is_some() && !self.rejected
    }

    /// It is replaced or gone: tasks that are under way send nothing more on its terms.
    pub fn withdraw(&self) {
        if let Ok(terms) = &self.terms {
            terms.gate.withdraw();
        }
    }

    /// Tells the tasks that are under way what the desk knows by now.
    pub fn set_gate(&self) {
        if let Ok(terms) = &self.terms {
            terms.gate.set(self.works(), self.verified.is_some());
        }
    }

    /// Whether these are the terms that this app is used on: not those of another spec, or of another app that had
    /// its name before.
    #[must_use]
    pub fn is_on(&self, terms: &Arc<AppTerms>) -> bool {
        self.terms.as_ref().is_ok_and(|own| Arc::ptr_eq(own, terms))
    }

    /// Whether clears may be sent for it.
    #[must_use]
    pub fn works(&self) -> bool {
        self.terms.is_ok() && !self.object.spec().suspend && self.circuit.is_closed()
    }

    /// What keeps it from working; `None` while it works or is being proved.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let trouble = |reason, message: String| Some(Trouble { reason, code: None, message });
        if let Err(why) = &self.terms {
            return trouble(AppReason::EndpointNotAllowed, why.clone());
        }
        if self.object.spec().suspend {
            let message =
                "No calls are made while spec.suspend is true. Set it to false to go on.".to_owned();
            return trouble(AppReason::Suspended, message);
        }
        self.circuit.trouble().cloned()
    }

    /// The status it should have, if that is another than it has.
    #[must_use]
    pub fn due_status(&self, now: Now) -> Option<AppStatus> {
        let old = self.object.status().cloned().unwrap_or_default();
        let (reason, message, code) = match self.trouble() {
            Some(trouble) => (trouble.reason, trouble.message, trouble.code),
            None if self.circuit.is_closed() => {
                (AppReason::Verified, "The vendor accepts the account's signature.".to_owned(), None)
            }
            None if self.in_line => (AppReason::Pending, IN_LINE.to_owned(), None),
            None => (AppReason::Pending, self.without_key.clone()?, None),
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

fn named_endpoint(spec: &ChatAppSpec) -> Option<Endpoint> {
    match (spec.region, &spec.endpoint) {
        (Some(region), None) => Some(Endpoint::of_region(region)),
        (None, Some(url)) => Endpoint::parse(url).ok(),
        _ => None,
    }
}

/// Only the vendor's own hosts, and those that the operator was started with, are ever called.
fn endpoint(spec: &ChatAppSpec, allowed: &[AllowedEndpoint]) -> Result<Endpoint, String> {
    match (spec.region, &spec.endpoint) {
        (Some(region), None) => Ok(Endpoint::of_region(region)),
        (None, Some(url)) => {
            let endpoint =
                Endpoint::parse(url).map_err(|why| format!("spec.endpoint cannot be used: {why}"))?;
            if allowed.iter().any(|host| host.admits(&endpoint)) {
                return Ok(endpoint);
            }
            let authority = endpoint.authority();
            Err(format!(
                "The operator was not started for this endpoint. Name a region, or start it with \
                 --allow-endpoint {authority}"
            ))
        }
        _ => Err("Set exactly one of spec.region and spec.endpoint.".to_owned()),
    }
}

fn terms(object: &AppObject, endpoint: Endpoint, own_namespace: &str) -> Result<Arc<AppTerms>, String> {
    let spec = object.spec();
    let sdk_app_id = u32::try_from(spec.sdk_app_id)
        .map_err(|_| "spec.sdkAppID is not a number that the vendor gives out.".to_owned())?;
    let namespace = object.meta().namespace.clone().unwrap_or_else(|| own_namespace.to_owned());
    let reference = spec.credentials.secret_key_ref.clone();
    let signer = Signer::new(namespace, reference, sdk_app_id, spec.identifier.clone());
    let gate = Gate::default();
    if spec.suspend {
        gate.withdraw();
    }
    Ok(Arc::new(AppTerms {
        gate,
        key: object.key(),
        endpoint,
        sdk_app_id,
        identifier: spec.identifier.clone(),
        signer,
    }))
}

#[cfg(test)]
mod tests;
