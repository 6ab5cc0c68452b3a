//! Apps: the results of their checks, their status, and the limits of their accounts.

use std::sync::Arc;
use std::time::Duration;

use super::{Controller, Wake};
use crate::api::{AppKey, AppLimits};
use crate::chat::AccountId;
use crate::controller::any_chat_app::AnyChatApp;
use crate::controller::app_entry::{AppEntry, ProbeState};
use crate::controller::call_config::CallConfig;
use crate::controller::reset_cache::is_older;
use crate::controller::task_result::TaskResult;
use crate::k8s::secrets::CredentialsError;
use crate::k8s::status_writer::WriteError;
use crate::limits::check_queue::PROBE_SPACING;
use crate::protocol::circuit_breaker::{AppFailure, CircuitChange};
use crate::protocol::classify::CallResult;
use crate::protocol::messages;

/// App status writes in flight at once.
const MAX_CONCURRENT_APP_WRITES: usize = 16;
/// Wait after a write that the API server rejected or did not answer.
const WRITE_RETRY: Duration = Duration::from_secs(2);
/// Consecutive writes of the same status after which a warning is logged: another client keeps changing it.
const WARN_AFTER_REWRITES: u32 = 3;

impl Controller {
    /// Checks an app if a check is due, and writes its status if it should change.
    pub(super) fn reconcile_app(&mut self, key: &AppKey) {
        if !self.is_listed() || self.ctx.stop.is_cancelled() {
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
        if app.next_write_at > now.mono {
            return self.timers.set(app.next_write_at, Wake::App(key.clone()));
        }
        if self.app_writes_in_flight >= MAX_CONCURRENT_APP_WRITES {
            // Within a namespace, never-verified apps go last.
            return self.app_write_queue.push(&key.namespace, (app.verified.is_none(), key.clone()));
        }
        self.app_writes_in_flight += 1;
        app.writing = true;
        app.next_write_at = now.mono + app.wait_after_write(&status, now.mono);
        if app.rewrites == WARN_AFTER_REWRITES {
            let AppKey { kind, namespace, name } = key;
            tracing::warn!(
                %kind, namespace, name,
                "someone else keeps changing the status of this app; only one operator may watch its namespace"
            );
        }
        app.last_written = Some(status.clone());
        let (object, ctx, key) = (app.object.clone(), Arc::clone(&self.ctx), key.clone());
        self.tasks.spawn(async move {
            let written = match &object {
                AnyChatApp::Chat(app) => ctx
                    .statuses
                    .replace_app_status(app, status)
                    .await
                    .map(|app| AnyChatApp::Chat(Box::new(app))),
                AnyChatApp::Cluster(app) => {
                    let written = ctx.statuses.replace_cluster_app_status(app, status).await;
                    written.map(|app| AnyChatApp::Cluster(Box::new(app)))
                }
            };
            ctx.metrics.api_write("app", written.as_ref().err().map_or("ok", WriteError::label));
            ctx.report(TaskResult::AppDone(key, written));
        });
    }

    pub(super) fn on_app_written(&mut self, key: &AppKey, written: Result<AnyChatApp, WriteError>) {
        self.apply_app_write(key, written);
        self.app_writes_in_flight = self.app_writes_in_flight.saturating_sub(1);
        self.reconcile_app(key);
        while self.app_writes_in_flight < MAX_CONCURRENT_APP_WRITES {
            let Some((_, next)) = self.app_write_queue.pop() else { return };
            self.reconcile_app(&next);
        }
    }

    fn apply_app_write(&mut self, key: &AppKey, written: Result<AnyChatApp, WriteError>) {
        let now = self.now().mono;
        let Some(app) = self.apps.get_mut(key) else { return };
        app.writing = false;
        match written {
            Ok(object) => {
                if is_newer_of(&object, &app.object) {
                    app.object = object;
                }
            }
            // The watch will show the change or the deletion.
            Err(WriteError::Conflict | WriteError::Gone) => app.last_written = None,
            Err(fault) => {
                app.last_written = None;
                app.next_write_at = now + WRITE_RETRY;
                let AppKey { kind, namespace, name } = key;
                tracing::warn!(%kind, namespace, name, "the status could not be written; retrying: {fault}");
            }
        }
    }

    pub(super) fn on_signed(&mut self, config: &Arc<CallConfig>) {
        if let Some(app) = self.apps.get_mut(&config.key).filter(|app| app.uses(config)) {
            (app.probe, app.key_error) = (ProbeState::Signed, None);
            self.reconcile_app(&config.key);
        }
    }

    pub(super) fn on_probed(
        &mut self,
        config: &Arc<CallConfig>,
        outcome: Result<CallResult, CredentialsError>,
    ) {
        let now = self.now();
        let key = &config.key;
        // A probe with an older configuration says nothing about the current one, which gets its own probe.
        let Some(app) = self.apps.get_mut(key).filter(|app| app.uses(config)) else { return };
        app.probe = ProbeState::Idle;
        let had_failure = app.circuit.failure().is_some();
        app.key_error = None;
        if let Ok(result) = &outcome {
            let AppKey { kind, namespace, name } = key;
            tracing::debug!(%kind, namespace, name, class = result.label(), code = result.code, "app checked");
        }
        let was_confirmation = app.confirm_at.take().is_some();
        let change = match outcome {
            // A confirmation of a stored verification: `on_call_ended` has already applied its result.
            Ok(_) if was_confirmation => {
                app.confirm_at = app.is_unconfirmed().then_some(now.mono + PROBE_SPACING);
                CircuitChange::None
            }
            Ok(result) => app.circuit.on_probe(&result, now.mono),
            Err(CredentialsError::Unusable(failure)) => app.circuit.on_failure(failure, now.mono),
            Err(CredentialsError::NoAnswer(why)) => {
                app.circuit.on_probe_started(now.mono);
                warn_without_key(key, &why);
                app.key_error = Some(why);
                CircuitChange::None
            }
        };
        if change == CircuitChange::Closed && app.verified.replace(now.second()).is_none() {
            self.check_queue.on_accepted(&key.namespace);
            self.schedule_check(now.mono);
        }
        self.on_circuit_change(key, change, had_failure);
        self.reconcile_app(key);
    }

    pub(super) fn on_no_credentials(&mut self, config: &Arc<CallConfig>, fault: CredentialsError) {
        let now = self.now().mono;
        let app = self.apps.get_mut(&config.key).filter(|app| app.uses(config) && app.circuit.is_closed());
        let Some(app) = app else { return };
        match fault {
            CredentialsError::Unusable(failure) => {
                let change = app.circuit.on_failure(failure, now);
                self.on_circuit_change(&config.key, change, false);
            }
            // Attempts that have a signature continue; the others wait until the next probe has one.
            CredentialsError::NoAnswer(why) => {
                warn_without_key(&config.key, &why);
                app.circuit.on_key_unavailable(now);
            }
        }
        self.reconcile_app(&config.key);
    }

    /// Applies a change of the circuit breaker: log, event, metrics, limits and the app's resets.
    pub(super) fn on_circuit_change(&mut self, key: &AppKey, change: CircuitChange, had_failure: bool) {
        let Some(app) = self.apps.get_mut(key) else { return };
        app.update_rejected();
        app.update_gate();
        let AppKey { kind, namespace, name } = key;
        let reference = app.object.reference();
        match (change, app.circuit.failure()) {
            (CircuitChange::None, _) => return,
            (CircuitChange::Opened, Some(AppFailure { reason, code, message })) => {
                tracing::warn!(
                    %kind, namespace, name, %reason, code,
                    "circuit breaker open, nothing is sent: {message}"
                );
                let note = messages::circuit_opened(*kind, name, *reason, *code, message);
                self.ctx.event(reference, "CircuitOpened", true, note);
            }
            (CircuitChange::Opened, None) | (CircuitChange::Closed, _) => {
                tracing::info!(%kind, namespace, name, "circuit breaker closed, the account works");
                if had_failure {
                    let note = "The vendor accepts the account again; resets resume.".to_owned();
                    self.ctx.event(reference, "CircuitClosed", false, note);
                }
            }
        }
        let account = app.account.clone();
        self.series.circuit(key, change == CircuitChange::Opened);
        if let Some(account) = account {
            self.recompute_limits(&account);
        }
        self.reconcile_resets_of_app(key);
    }

    /// Sets the account's limits: the lowest rate and the longest interval of the apps that name it and whose limits
    /// apply. While no app's limits apply, as after a restart, apps with only a stored verification keep to their own
    /// limits, and the account allows what the most generous of them does.
    pub(super) fn recompute_limits(&mut self, name: &AccountId) {
        self.dirty_accounts.insert(name.clone());
        let now = self.now().mono;
        let limits = |app: &AppEntry| app.object.spec().limits.clone();
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
        // The others are woken by their own circuit breakers.
        let is_due =
            |app: &&&mut AppEntry| app.is_unconfirmed() && app.probe_due_at().is_some_and(|due| due <= now);
        let due: Vec<AppKey> = sharers.iter().filter(is_due).map(|app| app.object.key()).collect();
        let applied =
            sharers.iter().filter(|app| app.limits_apply()).map(|app| limits(app)).reduce(strictest);
        let stored =
            || sharers.iter().filter(|app| app.is_unconfirmed()).map(|app| limits(app)).reduce(loosest);
        if let Some(agreed) = applied.or_else(stored) {
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
fn is_newer_of(object: &AnyChatApp, known: &AnyChatApp) -> bool {
    let version = |object: &AnyChatApp| object.meta().resource_version.clone().unwrap_or_default();
    object.meta().uid == known.meta().uid
        && object.generation() == known.generation()
        && !is_older(&version(object), &version(known))
}

fn warn_without_key(AppKey { kind, namespace, name }: &AppKey, why: &str) {
    tracing::warn!(
        %kind, namespace, name,
        "the Secret could not be read, so nothing can be signed for this app: {why}"
    );
}
