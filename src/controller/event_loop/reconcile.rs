//! Reconciles a reset: plans its next step and executes it.

use std::sync::Arc;

use super::{Controller, Wake};
use crate::api::{AppKey, AppKind, GroupAttributeReset, GroupId, NamespacesFrom, ResetStatus};
use crate::chat::codes::lookup;
use crate::chat::{AccountId, Class};
use crate::controller::attempt::status_without_call;
use crate::controller::reset_cache::{QueuePosition, Stage};
use crate::limits::fair_queue::QueueKey;
use crate::limits::group_interval::GroupReadiness;
use crate::limits::mono::Mono;
use crate::protocol::circuit_breaker::MAX_PROBE_INTERVAL;
use crate::protocol::classify::NotSentCause;
use crate::protocol::label_selector;
use crate::protocol::plan::{AppState, AppView, EXPLAIN_LIMITS_AFTER, Plan, Step, plan};
use crate::protocol::{Now, status};

impl Controller {
    /// Plans the next step of a reset and executes it.
    pub(super) fn reconcile(&mut self, uid: &str) {
        if !self.is_listed() || self.ctx.stop.is_cancelled() {
            return;
        }
        let now = self.now();
        let Some(entry) = self.resets.all.get(uid) else { return };
        if matches!(&entry.stage, Stage::Active(active) if active.busy) {
            return;
        }
        if let Some(moment) = entry.write_at.filter(|moment| *moment > now.mono) {
            self.dequeue(uid);
            return self.wake_at(uid, moment);
        }
        if let Stage::Finished(delete_at, _) = entry.stage {
            return self.reconcile_finished(uid, delete_at, now);
        }
        if let Some(status) = self.revoked_status(uid) {
            return self.write(uid, "record", status);
        }
        let Some(Plan { step, explain }) = self.plan(uid, now) else { return };
        let is_overwritten =
            self.resets.active(uid).is_some_and(|active| active.status_to_restore().is_some());
        if explain.is_some() || is_overwritten {
            self.queue_explanation(uid);
        }
        self.execute(uid, step, now);
    }

    pub(super) fn plan(&mut self, uid: &str, now: Now) -> Option<Plan> {
        let active = self.resets.active(uid)?;
        let object = Arc::clone(&active.object);
        let mut local = active.local.clone();
        local.clock_ahead = self.ctx.clock_skew.ahead();
        Some(plan(&object, &self.app_view(&object), &local, now))
    }

    pub(super) fn execute(&mut self, uid: &str, step: Step, now: Now) {
        match step {
            Step::Wait(moment) => {
                self.dequeue(uid);
                self.log_wait(uid, moment, now);
                if let Some(active) = self.resets.active(uid) {
                    active.local.eligible_since = None;
                }
                if let Some(moment) = moment {
                    self.wake_at(uid, moment);
                }
                self.resets.compact(uid);
            }
            Step::Record(status) => self.write(uid, "record", *status),
            Step::Delete => {
                self.resets.compact(uid);
                self.delete(uid);
            }
            Step::Send => self.queue_clear(uid, now),
            Step::ReadBack(_) => self.queue_read(uid),
        }
    }

    /// Logs at debug level why nothing happens; the status explains it to users.
    fn log_wait(&mut self, uid: &str, until: Option<Mono>, now: Now) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let Some(object) = self.resets.active(uid).map(|active| Arc::clone(&active.object)) else { return };
        tracing::debug!(
            namespace = object.metadata.namespace,
            reset = object.metadata.name,
            uid,
            suspended = object.spec.suspend,
            app = ?self.app_view(&object).state,
            seconds = until.map(|moment| (moment - now.mono).as_secs_f64()),
            "nothing to do for now"
        );
    }

    fn reconcile_finished(&mut self, uid: &str, delete_at: Option<jiff::Timestamp>, now: Now) {
        match delete_at {
            Some(moment) if moment <= now.wall => self.delete(uid),
            Some(moment) => self.wake_at(uid, now.until(moment)),
            None => {}
        }
    }

    /// The status for an own attempt whose intent was stored after all, although the write seemed lost: no call
    /// followed it.
    fn revoked_status(&mut self, uid: &str) -> Option<ResetStatus> {
        let ctx = Arc::clone(&self.ctx);
        let active = self.resets.active(uid)?;
        let pending = active.object.status.as_ref()?.pending_attempt.as_ref()?;
        (active.revoked_attempt.as_deref() == Some(pending.id.as_str()))
            .then(|| status_without_call(&ctx, &active.object, pending, NotSentCause::IntentLost))
    }

    /// The app as this reset may see it. A missing or suspended `ClusterChatApp` looks like one that does not admit
    /// the namespace.
    pub(super) fn app_view(&self, reset: &GroupAttributeReset) -> AppView {
        let key = AppKey::of(reset);
        let of_cluster = key.kind == AppKind::ClusterChatApp;
        let Some(app) = self.apps.get(&key) else {
            let state = if of_cluster { AppState::NotAllowed } else { AppState::Missing };
            return AppView { state, account: None };
        };
        let namespace = reset.metadata.namespace.as_deref().unwrap_or_default();
        let is_suspended = app.object.spec().suspend;
        let state = match app.failure() {
            _ if of_cluster && (is_suspended || !self.is_open_to(app, namespace)) => AppState::NotAllowed,
            _ if is_suspended => AppState::Suspended,
            Some(failure) => AppState::NotReady(failure.reason, failure.code),
            None if app.works() => AppState::Working,
            None => AppState::Checking,
        };
        AppView { state, account: app.account.clone() }
    }

    fn is_open_to(&self, app: &crate::controller::app_entry::AppEntry, namespace: &str) -> bool {
        let Some(allowed) = app.object.allowed() else { return true };
        match (allowed.from, &allowed.selector) {
            (NamespacesFrom::All, _) => true,
            (NamespacesFrom::Selector, Some(selector)) => self
                .namespaces
                .get(namespace)
                .is_some_and(|(_, labels)| label_selector::matches(selector, labels)),
            _ => false,
        }
    }

    fn queue_clear(&mut self, uid: &str, now: Now) {
        let Some(active) = self.resets.active(uid) else { return };
        let since = *active.local.eligible_since.get_or_insert(now.mono);
        // Reconcile again when the status has to explain the limits, however long the queue takes.
        let first = since + EXPLAIN_LIMITS_AFTER;
        let explain_at = if first > now.mono { first } else { now.mono + EXPLAIN_LIMITS_AFTER };
        let object = Arc::clone(&active.object);
        let is_queued = active.queued.is_some();
        let Ok(group) = GroupId::parse(&object.spec.group_id) else { return };
        let Some(account) = self.app_view(&object).account else { return };
        match self.account(&account).group_readiness(&group, now.mono) {
            GroupReadiness::Ready if !is_queued => self.enqueue(uid, account, false),
            GroupReadiness::Ready => {}
            not_ready => {
                self.dequeue(uid);
                self.account(&account).wait_for_group(&group, queue_key(&object, uid));
                // While a write is in flight, its end wakes the next reset.
                if let GroupReadiness::At(moment) = not_ready {
                    self.timers.set(moment, Wake::Group(account, group));
                }
            }
        }
        self.wake_at(uid, explain_at);
    }

    /// The group may be written to again, or soon: reconciles the reset that has waited longest for it and, if that
    /// one is not queued any more, the next one. It does not reconcile all of them; otherwise many resets of one group
    /// would delay all other resets.
    pub(super) fn next_for_group(&mut self, name: &AccountId, group: &GroupId) {
        let now = self.now().mono;
        loop {
            match self.account(name).group_readiness(group, now) {
                GroupReadiness::Ready => {}
                GroupReadiness::At(moment) => {
                    return self.timers.set(moment, Wake::Group(name.clone(), group.clone()));
                }
                GroupReadiness::AfterWriteInFlight => return,
            }
            let Some(QueueKey { uid, .. }) = self.account(name).next_waiting_for_group(group) else { return };
            self.reconcile(&uid);
            // Being queued elsewhere, for example at the new account of its app, does not count: the end of that call
            // would not wake the next reset of this group.
            let is_queued_here = |queued: &QueuePosition| !queued.read && queued.account == *name;
            if self
                .resets
                .active(&uid)
                .is_some_and(|active| active.queued.as_ref().is_some_and(is_queued_here))
            {
                return;
            }
        }
    }

    fn queue_read(&mut self, uid: &str) {
        let Some(active) = self.resets.active(uid) else { return };
        if active.queued.as_ref().is_some_and(|queued| queued.read) {
            return;
        }
        let object = Arc::clone(&active.object);
        if let Some(account) = self.app_view(&object).account {
            self.enqueue(uid, account, true);
        }
    }

    fn enqueue(&mut self, uid: &str, account: AccountId, read: bool) {
        self.dequeue(uid);
        let Some(active) = self.resets.active(uid) else { return };
        let key = queue_key(&active.object, uid);
        let namespace = active.object.metadata.namespace.clone().unwrap_or_default();
        active.queued = Some(QueuePosition { account: account.clone(), read, key: key.clone() });
        let limits = self.account(&account);
        let queue = if read { &mut limits.read_queue } else { &mut limits.clear_queue };
        queue.push(&namespace, key);
        self.dirty_accounts.insert(account);
    }

    pub(super) fn dequeue(&mut self, uid: &str) {
        let Some(active) = self.resets.active(uid) else { return };
        let namespace = active.object.metadata.namespace.clone().unwrap_or_default();
        let Some(QueuePosition { account, read, key }) = active.queued.take() else { return };
        let group = GroupId::parse(&active.object.spec.group_id);
        let limits = self.account(&account);
        let queue = if read { &mut limits.read_queue } else { &mut limits.clear_queue };
        queue.remove(&namespace, &key);
        if let (false, Ok(group)) = (read, group) {
            self.wake_next_of_group(&account, &group);
        }
    }

    /// This reset was the one of its group that could go next. If it does not go, another one may.
    pub(super) fn wake_next_of_group(&mut self, account: &AccountId, group: &GroupId) {
        if self.account(account).is_waited_for(group) {
            let now = self.now().mono;
            self.timers.set(now, Wake::Group(account.clone(), group.clone()));
        }
    }

    /// Reconciles a reset again at `moment`; one timer per reset.
    pub(super) fn wake_at(&mut self, uid: &str, moment: Mono) {
        let Some(entry) = self.resets.all.get_mut(uid) else { return };
        if let Some(old) = entry.timer.replace(moment) {
            self.timers.clear(old, Wake::Reset(uid.to_owned()));
        }
        self.timers.set(moment, Wake::Reset(uid.to_owned()));
    }
}

/// The position of a reset in every queue for a call: by the start time of its request. A reset that the vendor has
/// rejected more than once with an account error goes behind the others of its namespace, which may fare better,
/// because its errors open the circuit breaker for all of them. It also goes behind those that are created while the
/// circuit breaker is open.
fn queue_key(object: &GroupAttributeReset, uid: &str) -> QueueKey {
    let status = status::current(object);
    let refused_again = status.last_attempt.as_ref().filter(|attempt| {
        let class = attempt.error_code.map(|code| lookup(code).class);
        attempt.number > 1 && matches!(class, Some(Class::Account(_)))
    });
    let since = refused_again.map_or(status.start_time, |attempt| {
        attempt.completion_time.map(|refused| refused.saturating_add(MAX_PROBE_INTERVAL).unwrap_or(refused))
    });
    QueueKey { since: since.unwrap_or_default(), uid: uid.to_owned() }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn who_was_refused_again_goes_behind_those_that_come_while_the_way_is_closed() {
        let key = |status: serde_json::Value| {
            let object = json!({
                "apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset",
                "metadata": {"name": "room"}, "spec": {"groupID": "@TGS#room"}, "status": status,
            });
            queue_key(&serde_json::from_value(object).unwrap(), "uid").since
        };
        let refused = |number: i32, code: i64| {
            key(json!({"observedGeneration": 1, "startTime": "1970-01-01T00:00:10Z", "lastAttempt": {
                "id": "a", "number": number, "startTime": "1970-01-01T00:01:39Z",
                "completionTime": "1970-01-01T00:01:40Z", "outcome": "Rejected", "errorCode": code,
                "sdkAppID": 7, "host": "chat:443",
            }}))
        };
        let second = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(refused(1, 10026), second(10), "once may be an accident");
        assert_eq!(refused(2, 10010), second(10), "not an account error");
        assert_eq!(refused(2, 10026), second(100 + 60));
    }
}
