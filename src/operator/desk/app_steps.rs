//! What came of the checks of an app, what its status says, and which limits its account has.

use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Wake};
use crate::api::{AppLimits, AppReason};
use crate::cluster::credentials::CredentialsFault;
use crate::cluster::statuses::WriteFault;
use crate::decide::checks::PROBE_SPACING;
use crate::decide::circuit::{Change, Trouble};
use crate::decide::judge::Verdict;
use crate::decide::plan::AccountName;
use crate::decide::words;
use crate::operator::app_object::{AppKey, AppObject};
use crate::operator::apps::{App, AppTerms, Probe};
use crate::operator::report::Report;
use crate::operator::resets::is_older;

/// Status writes of apps under way.
const APP_WRITERS: usize = 16;
/// After a status was written, so that one that does not take effect is not written without end.
const SHORT_PAUSE: Duration = Duration::from_millis(500);

impl Desk {
    /// Checks an app if that is due, and writes its status if it should be another.
    pub(super) fn app_step(&mut self, key: &AppKey) {
        if !self.is_listed() || self.hands.stop.is_cancelled() {
            return;
        }
        self.check_if_due(key);
        self.write_app_if_due(key);
    }

    fn write_app_if_due(&mut self, key: &AppKey) {
        let now = self.now();
        let Some(app) = self.apps.get_mut(key) else { return };
        if app.writing {
            return;
        }
        let Some(status) = app.due_status(now) else { return };
        if app.write_at > now.mono {
            return self.timers.set(app.write_at, Wake::App(key.clone()));
        }
        if self.app_writers >= APP_WRITERS {
            // Of one namespace, those that were never verified go last.
            return self.app_writes.join(&key.namespace, (app.verified.is_none(), key.clone()));
        }
        self.app_writers += 1;
        app.writing = true;
        let (object, hands, key) = (app.object.clone(), Arc::clone(&self.hands), key.clone());
        self.tasks.spawn(async move {
            let written = match &object {
                AppObject::Chat(app) => {
                    hands.statuses.put_app(app, status).await.map(|app| AppObject::Chat(Box::new(app)))
                }
                AppObject::Cluster(app) => {
                    let written = hands.statuses.put_cluster_app(app, status).await;
                    written.map(|app| AppObject::Cluster(Box::new(app)))
                }
            };
            hands.metrics.api_write("app", written.as_ref().err().map_or("ok", WriteFault::label));
            hands.report(Report::AppDone(key, written));
        });
    }

    pub(super) fn app_written(&mut self, key: &AppKey, written: Result<AppObject, WriteFault>) {
        self.note_app_written(key, written);
        self.app_writers = self.app_writers.saturating_sub(1);
        self.app_step(key);
        while self.app_writers < APP_WRITERS {
            let Some((_, next)) = self.app_writes.call_next() else { return };
            self.app_step(&next);
        }
    }

    fn note_app_written(&mut self, key: &AppKey, written: Result<AppObject, WriteFault>) {
        let now = self.now().mono;
        let Some(app) = self.apps.get_mut(key) else { return };
        app.writing = false;
        match written {
            Ok(object) => {
                if is_newer_of(&object, &app.object) {
                    app.object = object;
                }
                app.write_at = now + SHORT_PAUSE;
            }
            // The watch brings what it changed to, or that it is gone.
            Err(WriteFault::Conflict | WriteFault::Gone) => app.write_at = now + SHORT_PAUSE,
            Err(fault) => {
                app.write_at = now + Duration::from_secs(2);
                let AppKey { kind, namespace, name } = key;
                tracing::warn!(%kind, namespace, name, "status not written, tried again: {fault}");
            }
        }
    }

    pub(super) fn signed(&mut self, terms: &Arc<AppTerms>) {
        if let Some(app) = self.apps.get_mut(&terms.key).filter(|app| app.is_on(terms)) {
            (app.probe, app.without_key) = (Probe::Signed, None);
            self.app_step(&terms.key);
        }
    }

    pub(super) fn probed(&mut self, terms: &Arc<AppTerms>, outcome: Result<Verdict, CredentialsFault>) {
        let now = self.now();
        let key = &terms.key;
        // A probe on other terms says nothing about the app as it is now, which has its own probe.
        let Some(app) = self.apps.get_mut(key).filter(|app| app.is_on(terms)) else { return };
        app.probe = Probe::Idle;
        let had_trouble = app.circuit.trouble().is_some();
        app.without_key = None;
        if let Ok(verdict) = &outcome {
            let AppKey { kind, namespace, name } = key;
            tracing::debug!(%kind, namespace, name, class = verdict.label(), code = verdict.code, "app checked");
        }
        let was_confirmation = app.confirm_at.take().is_some();
        let change = match outcome {
            // Of an app that works by a stored proof: the end of the call has told everybody what it came to.
            Ok(_) if was_confirmation => {
                app.confirm_at = app.is_unconfirmed().then_some(now.mono + PROBE_SPACING);
                Change::None
            }
            Ok(verdict) => app.circuit.probed(&verdict, now.mono),
            Err(fault) => {
                app.circuit.probing(now.mono);
                match trouble(fault) {
                    Ok(trouble) => app.circuit.blocked(trouble, now.mono),
                    Err(why) => {
                        warn_without_key(key, &why);
                        app.without_key = Some(why);
                        Change::None
                    }
                }
            }
        };
        if change == Change::Closed && app.verified.replace(now.second()).is_none() {
            self.checks.accepted(&key.namespace);
            self.stir_checks(now.mono);
        }
        self.app_changed(key, change, had_trouble);
        self.app_step(key);
    }

    pub(super) fn no_credentials(&mut self, terms: &Arc<AppTerms>, fault: CredentialsFault) {
        let now = self.now().mono;
        let app = self.apps.get_mut(&terms.key).filter(|app| app.is_on(terms) && app.circuit.is_closed());
        let Some(app) = app else { return };
        match trouble(fault) {
            Ok(trouble) => {
                let change = app.circuit.blocked(trouble, now);
                self.app_changed(&terms.key, change, false);
            }
            // Those who have a signature go on; the others wait until the next probe has one.
            Err(why) => {
                warn_without_key(&terms.key, &why);
                app.circuit.without_key(now);
            }
        }
        self.app_step(&terms.key);
    }

    /// Tells everybody whom the change of a circuit concerns.
    pub(super) fn app_changed(&mut self, key: &AppKey, change: Change, had_trouble: bool) {
        let Some(app) = self.apps.get_mut(key) else { return };
        app.note_rejection();
        app.set_gate();
        let AppKey { kind, namespace, name } = key;
        let reference = app.object.reference();
        match (change, app.circuit.trouble()) {
            (Change::None, _) => return,
            (Change::Opened, Some(Trouble { reason, code, message })) => {
                tracing::warn!(%kind, namespace, name, %reason, code, "circuit open, nothing is sent: {message}");
                let note = words::circuit_opened(*kind, name, *reason, *code, message);
                self.hands.event(reference, "CircuitOpened", true, note);
            }
            (Change::Opened, None) | (Change::Closed, _) => {
                tracing::info!(%kind, namespace, name, "the account works");
                if had_trouble {
                    let note = "The vendor accepts the account again; resets go on.".to_owned();
                    self.hands.event(reference, "CircuitClosed", false, note);
                }
            }
        }
        let account = app.account.clone();
        self.series.circuit(key, change == Change::Opened);
        if let Some(account) = account {
            self.agree_limits(&account);
        }
        self.look_at_app(key);
    }

    /// The lowest rate and the longest interval of the apps that name the account and have a say in it. While none has,
    /// as after a restart, apps that work by a stored proof keep to limits of their own, and the account allows what the
    /// most generous of them does.
    pub(super) fn agree_limits(&mut self, name: &AccountName) {
        self.stirred.insert(name.clone());
        let now = self.now().mono;
        let limits = |app: &App| app.object.spec().limits.clone();
        let strictest = |a: AppLimits, b: AppLimits| AppLimits {
            calls_per_second: a.calls_per_second.min(b.calls_per_second),
            group_interval_milliseconds: a.group_interval_milliseconds.max(b.group_interval_milliseconds),
        };
        let loosest = |a: AppLimits, b: AppLimits| AppLimits {
            calls_per_second: a.calls_per_second.max(b.calls_per_second),
            group_interval_milliseconds: a.group_interval_milliseconds.min(b.group_interval_milliseconds),
        };
        let mut sharers: Vec<_> =
            self.apps.values_mut().filter(|app| app.account.as_ref() == Some(name)).collect();
        if sharers.len() > 1 {
            for app in &mut sharers {
                app.confirm(now);
            }
        }
        // The others are woken by their own circuits.
        let is_due = |app: &&&mut App| app.is_unconfirmed() && app.probe_due().is_some_and(|due| due <= now);
        let due: Vec<AppKey> = sharers.iter().filter(is_due).map(|app| app.object.key()).collect();
        let heard = sharers.iter().filter(|app| app.has_a_say()).map(|app| limits(app)).reduce(strictest);
        let stored =
            || sharers.iter().filter(|app| app.is_unconfirmed()).map(|app| limits(app)).reduce(loosest);
        if let Some(agreed) = heard.or_else(stored) {
            let calls = u32::try_from(agreed.calls_per_second).unwrap_or(1);
            let interval = u64::try_from(agreed.group_interval_milliseconds).unwrap_or(1000);
            self.account(name).set_limits(calls, Duration::from_millis(interval));
        }
        for key in due {
            self.timers.set(now, Wake::App(key));
        }
    }
}

/// Whether `object` is the same app as `known`, with the same spec, and not older.
fn is_newer_of(object: &AppObject, known: &AppObject) -> bool {
    let version = |object: &AppObject| object.meta().resource_version.clone().unwrap_or_default();
    object.meta().uid == known.meta().uid
        && object.generation() == known.generation()
        && !is_older(&version(object), &version(known))
}

/// What a Secret that cannot be used means for the app. If Kubernetes just did not hand it out, that is no trouble of the
/// app, and the error says why it did not.
fn trouble(fault: CredentialsFault) -> Result<Trouble, String> {
    let (reason, message) = match fault {
        CredentialsFault::NotFound(message) => (AppReason::SecretNotFound, message),
        CredentialsFault::KeyMissing(message) => (AppReason::SecretKeyMissing, message),
        CredentialsFault::KeyInvalid(message) => (AppReason::SecretKeyInvalid, message),
        CredentialsFault::NoAnswer(why) => return Err(why),
    };
    Ok(Trouble { reason, code: None, message })
}

fn warn_without_key(AppKey { kind, namespace, name }: &AppKey, why: &str) {
    tracing::warn!(%kind, namespace, name, "nothing can be signed for this app: {why}");
}
