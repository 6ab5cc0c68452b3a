//! What came of the tasks.

use std::time::Duration;

use super::Controller;
use crate::api::AppKey;
use crate::api::GroupAttributeReset;
use crate::chat::Class;
use crate::chat::codes::lookup;
use crate::controller::reset_cache::{Freshness, version_number};
use crate::controller::task_result::{CallEnded, IntentStored, LastSeen, PermitUse, ResetDone, TaskResult};
use crate::k8s::status_writer::WriteError;
use crate::limits::backoff::exponential;
use crate::limits::check_queue::PROBE_SPACING;
use crate::observability::metrics::{AppLabel, Code};
use crate::protocol::circuit_breaker::CircuitChange;
use crate::protocol::classify::{CallResult, Delivery};

/// Wait after the first write that Kubernetes rejected.
const MIN_WRITE_RETRY: Duration = Duration::from_secs(1);
/// Longest pause after writes that Kubernetes refused.
const MAX_WRITE_RETRY: Duration = Duration::from_secs(20);
/// Longest pause without the right to delete: it may be kept back on purpose, for ever, and nobody waits.
const MAX_DELETE_RETRY: Duration = Duration::from_hours(1);

impl Controller {
    pub(super) fn on_task_result(&mut self, report: TaskResult) {
        match report {
            TaskResult::IntentStored(armed) => self.on_intent_stored(armed),
            TaskResult::CallEnded(ended) => self.on_call_ended(ended),
            TaskResult::CredentialsFailed(config, fault) => self.on_no_credentials(&config, fault),
            TaskResult::Signed(config) => self.on_signed(&config),
            TaskResult::Probed(config, outcome) => self.on_probed(&config, outcome),
            TaskResult::ResetDone(done) => self.on_reset_done(done),
            TaskResult::Deleted { uid, version, outcome } => self.on_deleted_reset(&uid, &version, outcome),
            TaskResult::AppDone(key, written) => self.on_app_written(&key, written),
            TaskResult::MalformedExplained => self.on_malformed_explained(),
        }
    }

    fn on_intent_stored(&mut self, armed: IntentStored) {
        self.intent_lead.observe(self.now().mono.saturating_sub(armed.started));
        // Unless it is gone by now: the answer to an older write says nothing about that.
        if self.resets.active(&armed.uid).is_some() {
            let _ = self.upsert(&armed.committed, Freshness::OwnWrite);
        }
        let name = armed.app.account();
        self.account(&name).awaiting_permit.push_back(armed);
        self.dirty_accounts.insert(name);
    }

    fn on_call_ended(&mut self, ended: CallEnded) {
        let CallEnded { app: config, started: begun, group, permit, result } = ended;
        let sent = permit.call();
        let (name, key) = (config.account(), config.key.clone());
        let now = self.now().mono;
        if let (None, Some((at, _))) = (&group, sent)
            && !config.gate.allows_clear()
        {
            // It counts from the send, which a slow Secret may have delayed.
            self.check_queue.hold_account_until(&name, at + PROBE_SPACING);
        }
        let account = self.account(&name);
        let pace = if group.is_some() { &mut account.clears } else { &mut account.reads };
        match permit {
            PermitUse::None => account.uncommitted = account.uncommitted.saturating_sub(1),
            PermitUse::Unused => pace.release_unused(),
            PermitUse::Used { over, .. } => pace.release_after_answer(over),
        }
        let delivery = result.as_ref().map(|result| result.delivery);
        if let (Some((at, _)), Some(Delivery::Sent(Class::ThrottledAccount))) = (sent, delivery) {
            pace.on_throttled(at, now);
        }
        if let Some(group) = &group {
            match (sent, result.as_ref().is_some_and(CallResult::is_answered)) {
                (None, _) => account.in_flight.on_not_sent(),
                (Some(_), true) => account.in_flight.on_answer(),
                (Some(_), false) => account.in_flight.on_timeout(),
            }
            let pace = account.group(group);
            pace.end_write(sent.map(|(_, over)| over));
            match delivery {
                Some(Delivery::Sent(Class::ThrottledGroup)) => pace.on_throttled(),
                Some(Delivery::Sent(Class::Success)) => pace.on_success(),
                _ => {}
            }
        }
        if let Some(result) = &result {
            if group.is_some() {
                self.count_attempt(&key, result, sent.map(|(at, _)| now.saturating_sub(at)));
            }
            // What was heard on terms that are no more says nothing about the app as it is now.
            let moment = self.now();
            let app = self.apps.get_mut(&key).filter(|app| app.uses(&config));
            let (has_a_say_now, is_earlier, change) =
                app.map_or((false, false, CircuitChange::None), |app| {
                    let has_a_say_now = app.on_accepted(result, moment);
                    let is_earlier = group.is_some() && app.circuit.on_clear(result);
                    (has_a_say_now, is_earlier, app.circuit.on_call(result, begun, now))
                });
            if has_a_say_now {
                self.recompute_limits(&name);
            }
            if change != CircuitChange::None {
                self.on_circuit_change(&key, change, false);
            }
            if is_earlier || change != CircuitChange::None {
                self.reconcile_app(&key);
            }
        }
        if let Some(group) = &group {
            self.next_for_group(&name, group);
        }
        self.dirty_accounts.insert(name);
    }

    fn on_reset_done(&mut self, done: ResetDone) {
        let ResetDone { uid, seen, read_back_at, revoked_attempt: never_called, was_writer } = done;
        let mut origin = Freshness::Consistent;
        if let Some(active) = self.resets.active(&uid) {
            origin = active.read_freshness();
            active.busy = false;
            active.revoked_attempt = never_called.or(active.revoked_attempt.take());
        }
        if self.resets.all.contains_key(&uid) {
            match seen {
                LastSeen::Stored(object) => {
                    self.expect_watch_event(&uid, &object);
                    let _ = self.upsert(&object, Freshness::OwnWrite);
                }
                LastSeen::Read(object) => drop(self.upsert(&object, origin)),
                LastSeen::Unchanged => {}
                LastSeen::Gone => self.reset_is_gone(&uid),
                LastSeen::Fault(fault) => self.back_off(&uid, &fault, MAX_WRITE_RETRY),
            }
        }
        if let (Some(active), Some(moment)) = (self.resets.active(&uid), read_back_at) {
            active.local.read_back_at = Some(moment);
        }
        self.resets.compact(&uid);
        if was_writer {
            self.release_write_slot();
        }
        self.reconcile(&uid);
    }

    /// A deletion is over. If its object has changed meanwhile, others are at work on it by now.
    fn on_deleted_reset(&mut self, uid: &str, version: &str, outcome: Result<(), WriteError>) {
        let is_unchanged = self.resets.all.get(uid).is_some_and(|entry| entry.version == version);
        match outcome {
            Ok(()) | Err(WriteError::Gone) => self.reset_is_gone(uid),
            Err(fault) if is_unchanged => self.back_off(uid, &fault, longest_before_deletion(&fault)),
            Err(_) => {}
        }
        self.release_write_slot();
        self.reconcile(uid);
    }

    /// The watch will show what was written, unless it was faster than the answer to the write.
    fn expect_watch_event(&mut self, uid: &str, stored: &GroupAttributeReset) {
        let Some(version) = version_number(stored) else { return };
        let known = self.resets.all.get(uid).and_then(|entry| entry.version.parse::<u64>().ok());
        if known < Some(version) {
            self.watch_lag.expect(self.watch_of(stored), uid, version, self.now().mono);
        }
    }

    /// Kubernetes refused something about this reset; it is tried again after a pause that grows.
    fn back_off(&mut self, uid: &str, fault: &WriteError, longest: Duration) {
        let now = self.now().mono;
        let Some(entry) = self.resets.all.get_mut(uid) else { return };
        entry.faults = entry.faults.saturating_add(1);
        let pause = exponential(MIN_WRITE_RETRY, longest, entry.faults);
        entry.write_at = Some(now + pause);
        // A missing RBAC permission concerns all resets of a namespace: one line a minute tells it.
        let is_forbidden = matches!(fault, WriteError::Forbidden(_));
        if !is_forbidden || self.log_throttle.due(&entry.namespace, self.ctx.clock.instant(now)) {
            tracing::warn!(
                namespace = entry.namespace,
                reset = entry.name,
                seconds = pause.as_secs(),
                "Kubernetes did not take a step, tried again after a pause: {fault}"
            );
        }
        self.wake_at(uid, now + pause);
    }

    /// As metrics name an app. Resets may name apps that never existed; those share one series.
    pub(super) fn label(&mut self, key: &AppKey) -> AppLabel {
        if self.apps.contains_key(key) { self.series.label(key) } else { AppLabel::unknown() }
    }

    fn count_attempt(&mut self, key: &AppKey, result: &CallResult, took: Option<Duration>) {
        let app = self.label(key);
        let metrics = &self.ctx.metrics;
        let code = match result.code {
            None => Code::Absent,
            Some(code) if lookup(code).listed => Code::Listed(code),
            Some(code) => Code::Unlisted(code),
        };
        metrics.attempt(&app, result.label(), code);
        if let Some(took) = took {
            metrics.call_duration(&app, took);
        }
        if result.delivery == Delivery::Sent(Class::Unknown) {
            metrics.unknown_outcome();
        }
    }
}

/// Longest pause after this fault of a deletion. Only a missing right is worth an hour: all else may pass soon.
fn longest_before_deletion(fault: &WriteError) -> Duration {
    if matches!(fault, WriteError::Forbidden(_)) { MAX_DELETE_RETRY } else { MAX_WRITE_RETRY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_right_keeps_a_deletion_waiting_for_an_hour() {
        let text = || "why".to_owned();
        let missing = WriteError::Forbidden(text());
        assert_eq!(longest_before_deletion(&missing), MAX_DELETE_RETRY);
        for fault in [WriteError::Refused(text()), WriteError::Unclear(text()), WriteError::Conflict] {
            assert_eq!(longest_before_deletion(&fault), MAX_WRITE_RETRY, "{fault:?}");
        }
    }
}
