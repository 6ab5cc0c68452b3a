//! Applies task results to the state.

use std::time::Duration;

use super::Controller;
use crate::api::{AppKey, GroupAttributeReset};
use crate::chat::codes::lookup;
use crate::chat::{Class, Command};
use crate::controller::reset_cache::{Freshness, version_number};
use crate::controller::task_result::{CallEnded, IntentStored, LastSeen, PermitUse, ResetDone, TaskResult};
use crate::k8s::status_writer::WriteError;
use crate::limits::backoff::exponential;
use crate::limits::check_queue::PROBE_SPACING;
use crate::observability::metrics::{AppLabel, Code};
use crate::protocol::circuit_breaker::CircuitChange;
use crate::protocol::classify::{CallResult, Delivery};

/// Backoff after the first write that Kubernetes rejected.
const MIN_BACKOFF: Duration = Duration::from_secs(1);
/// Longest backoff after writes that Kubernetes rejected.
const MAX_BACKOFF: Duration = Duration::from_secs(20);
/// Longest backoff without the RBAC permission to delete: it may be withheld on purpose, forever, and nothing waits
/// for the deletion.
const MAX_DELETION_BACKOFF: Duration = Duration::from_hours(1);

impl Controller {
    pub(super) fn on_task_result(&mut self, report: TaskResult) {
        match report {
            TaskResult::IntentStored(waiting) => self.on_intent_stored(waiting),
            TaskResult::CallEnded(ended) => self.on_call_ended(ended),
            TaskResult::CredentialsFailed(config, fault) => self.on_no_credentials(&config, fault),
            TaskResult::Signed(config) => self.on_signed(&config),
            TaskResult::Probed(config, outcome) => self.on_probed(&config, outcome),
            TaskResult::ResetDone(done) => self.on_reset_done(done),
            TaskResult::Deleted { uid, version, outcome } => self.on_deleted_reset(&uid, &version, outcome),
            TaskResult::AppDone(key, written) => self.on_app_written(&key, written),
            TaskResult::MalformedWritten => self.release_write_slot(),
            TaskResult::OutcomeUnknown { namespace, uid, turn } => self.queue_outcome(&namespace, uid, turn),
        }
    }

    fn on_intent_stored(&mut self, waiting: IntentStored) {
        // Unless it is gone by now: the answer to an earlier write must not bring it back.
        if self.resets.active(&waiting.uid).is_some() {
            let _ = self.upsert(&waiting.committed, Freshness::OwnWrite);
        }
        let name = waiting.app.account();
        self.account(&name).awaiting_permit.push_back(waiting);
        self.dirty_accounts.insert(name);
    }

    fn on_call_ended(&mut self, ended: CallEnded) {
        let CallEnded { app: config, started, command, group, permit, result } = ended;
        let wrote = command == Command::Clear;
        let sent = permit.call();
        let (name, key) = (config.account(), config.key.clone());
        let now = self.now().mono;
        if let (false, Some((at, _))) = (wrote, sent)
            && !config.gate.allows_clear()
        {
            // The spacing counts from the send, which a slow read of the Secret may have delayed.
            self.check_queue.hold_account_until(&name, at + PROBE_SPACING);
        }
        let account = self.account(&name);
        let permits = if wrote { &mut account.clears } else { &mut account.reads };
        match permit {
            PermitUse::None => account.uncommitted = account.uncommitted.saturating_sub(1),
            PermitUse::Unused => permits.release_unused(),
            PermitUse::Used { over, .. } => permits.release_after_answer(over),
        }
        let delivery = result.as_ref().map(|result| result.delivery);
        if let (Some((at, _)), Some(Delivery::Sent(Class::ThrottledAccount))) = (sent, delivery) {
            permits.on_throttled(at, now);
        }
        if let Some(pause) = result.as_ref().and_then(|result| result.retry_after) {
            account.hold_until(now + pause);
        }
        if wrote {
            match (sent, result.as_ref().is_some_and(CallResult::is_answered)) {
                (None, _) => account.in_flight.on_not_sent(),
                (Some(_), true) => account.in_flight.on_answer(),
                (Some(_), false) => account.in_flight.on_timeout(),
            }
            let interval = account.group(&group);
            interval.end_write(sent.map(|(_, over)| over));
            match delivery {
                Some(Delivery::Sent(Class::ThrottledGroup)) => interval.on_throttled(),
                Some(Delivery::Sent(Class::Success)) => interval.on_success(),
                _ => {}
            }
        }
        if let Some(result) = &result {
            if wrote {
                self.count_attempt(&key, result, sent.map(|(at, _)| now - at));
            }
            // A result for an older configuration says nothing about the current one.
            let moment = self.now();
            let app = self.apps.get_mut(&key).filter(|app| app.uses(&config));
            let (is_newly_accepted, probe_is_earlier, change) =
                app.map_or((false, false, CircuitChange::None), |app| {
                    let is_newly_accepted = app.on_accepted(result, moment);
                    let probe_is_earlier = wrote && app.circuit.on_clear(result);
                    (is_newly_accepted, probe_is_earlier, app.circuit.on_call(result, &group, started, now))
                });
            if is_newly_accepted {
                self.recompute_limits(&name);
            }
            if change != CircuitChange::None {
                self.on_circuit_change(&key, change, false);
            }
            if probe_is_earlier || change != CircuitChange::None {
                self.reconcile_app(&key);
            }
        }
        if wrote {
            self.next_for_group(&name, &group);
        }
        self.dirty_accounts.insert(name);
    }

    fn on_reset_done(&mut self, done: ResetDone) {
        let ResetDone { uid, seen, read_back_at, revoked_attempt, was_writer } = done;
        let mut freshness = Freshness::Consistent;
        if let Some(active) = self.resets.active(&uid) {
            freshness = active.read_freshness();
            active.busy = false;
            active.revoked_attempt = revoked_attempt.or(active.revoked_attempt.take());
        }
        if self.resets.all.contains_key(&uid) {
            match seen {
                LastSeen::Stored(object) => {
                    self.expect_watch_event(&uid, &object);
                    let _ = self.upsert(&object, Freshness::OwnWrite);
                }
                LastSeen::Read(object) => drop(self.upsert(&object, freshness)),
                LastSeen::Unchanged => {}
                LastSeen::Gone => self.reset_is_gone(&uid),
                LastSeen::Fault(fault) => self.back_off(&uid, &fault, MAX_BACKOFF),
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

    /// A deletion has ended. If the object has changed meanwhile, it is already being reconciled, and a failure no
    /// longer matters.
    fn on_deleted_reset(&mut self, uid: &str, version: &str, outcome: Result<(), WriteError>) {
        let is_unchanged = self.resets.all.get(uid).is_some_and(|entry| entry.version == version);
        match outcome {
            Ok(()) | Err(WriteError::Gone) => self.reset_is_gone(uid),
            Err(fault) if is_unchanged => self.back_off(uid, &fault, max_deletion_backoff(&fault)),
            Err(_) => {}
        }
        self.release_write_slot();
        self.reconcile(uid);
    }

    /// Expects the watch to show what was written, unless it already has.
    fn expect_watch_event(&mut self, uid: &str, stored: &GroupAttributeReset) {
        let Some(version) = version_number(stored) else { return };
        let known = self.resets.all.get(uid).and_then(|entry| entry.version.parse::<u64>().ok());
        if known < Some(version) {
            self.watch_lag.expect(self.watch_of(stored), uid, version, self.now().mono);
        }
    }

    /// Kubernetes rejected a read or a write of this reset: backs off exponentially before the retry.
    fn back_off(&mut self, uid: &str, fault: &WriteError, longest: Duration) {
        let now = self.now().mono;
        let Some(entry) = self.resets.all.get_mut(uid) else { return };
        entry.faults = entry.faults.saturating_add(1);
        let pause = exponential(MIN_BACKOFF, longest, entry.faults);
        entry.write_at = Some(now + pause);
        // A missing RBAC permission affects all resets of a namespace: one line a minute is enough.
        let is_forbidden = matches!(fault, WriteError::Forbidden(_));
        if !is_forbidden || self.log_throttle.due(&entry.namespace, self.ctx.clock.instant(now)) {
            tracing::warn!(
                namespace = entry.namespace,
                reset = entry.name,
                seconds = pause.as_secs(),
                "Kubernetes rejected a write; retrying after a backoff: {fault}"
            );
        }
        self.wake_at(uid, now + pause);
    }

    /// The metric label of an app. Resets may name apps that never existed; those share one series.
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

/// Longest backoff after this failure of a deletion. Only a missing RBAC permission justifies an hour; every other
/// failure may be short-lived.
fn max_deletion_backoff(fault: &WriteError) -> Duration {
    if matches!(fault, WriteError::Forbidden(_)) { MAX_DELETION_BACKOFF } else { MAX_BACKOFF }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_right_keeps_a_deletion_waiting_for_an_hour() {
        let text = || "why".to_owned();
        let missing = WriteError::Forbidden(text());
        assert_eq!(max_deletion_backoff(&missing), MAX_DELETION_BACKOFF);
        for fault in [WriteError::Refused(text()), WriteError::Unknown(text()), WriteError::Conflict] {
            assert_eq!(max_deletion_backoff(&fault), MAX_BACKOFF, "{fault:?}");
        }
    }
}
