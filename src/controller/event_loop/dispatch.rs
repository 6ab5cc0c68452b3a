//! Dispatch: which attempt or read may go now under the limits of its account.
//!
//! A clear is dispatched in two steps:
//!
//! 1. Its attempt is started as soon as a permit is expected to be free by the time its intent is stored.
//! 2. It gets the permit once its intent is stored and a permit is free.
//!
//! So no permit waits for the API server, and no intent is stored long before its call.

use std::sync::Arc;
use std::time::Duration;

use super::{Controller, Wake};
use crate::api::{AppKey, GroupId};
use crate::chat::AccountId;
use crate::controller::attempt::{AttemptOrder, attempt};
use crate::controller::call_config::CallConfig;
use crate::controller::read_back::read_back;
use crate::controller::reset_cache::QueuePosition;
use crate::limits::group_interval::GroupReadiness;
use crate::limits::in_flight_window::{INTENT_LEAD, MAX_UNANSWERED};
use crate::limits::mono::Mono;
use crate::protocol::Now;
use crate::protocol::plan::{AppState, Step};

/// While the lease renewal is overdue, leadership is checked again after this long.
const LEADERSHIP_RECHECK: Duration = Duration::from_secs(1);

impl Controller {
    pub(super) fn dispatch_dirty_accounts(&mut self) {
        while let Some(account) = self.dirty_accounts.pop_first() {
            self.dispatch(&account);
        }
    }

    /// Dispatches all accounts again, after the cause that held all of them back is gone.
    pub(super) fn mark_all_dirty(&mut self) {
        self.dirty_accounts.extend(self.accounts.keys().cloned());
    }

    fn dispatch(&mut self, name: &AccountId) {
        if !self.is_listed() || !self.accounts.contains_key(name) {
            return;
        }
        let now = self.now();
        self.account(name).drop_attempts_of_failed_apps();
        if !self.ctx.leads() {
            // The lease renewal may just be late; if the lease is lost, the process exits.
            return self.dispatch_at(name, now.mono + LEADERSHIP_RECHECK);
        }
        self.grant_permits(name, now.mono);
        self.start_clears(name, now);
        self.start_reads(name, now);
    }

    fn grant_permits(&mut self, name: &AccountId, now: Mono) {
        loop {
            let account = self.account(name);
            if account.awaiting_permit.is_empty() {
                return;
            }
            let moment = account.clears.available_at(0, now);
            if moment > now {
                return self.dispatch_at(name, moment);
            }
            let Some(waiting) = account.awaiting_permit.pop_front() else { return };
            // An attempt that may no longer go ends without a permit; one that waited too long has dropped its
            // receiver.
            if self.may_still_go(&waiting.uid) && waiting.permit.send(()).is_ok() {
                let account = self.account(name);
                account.clears.acquire(now);
                account.uncommitted = account.uncommitted.saturating_sub(1);
                self.ctx.metrics.permit_wait(now - waiting.eligible_since);
            }
        }
    }

    /// Whether the object still exists and its namespace is still admitted. Whether the app still works is in its
    /// gate.
    fn may_still_go(&mut self, uid: &str) -> bool {
        let Some(active) = self.resets.active(uid) else { return false };
        let object = Arc::clone(&active.object);
        object.metadata.deletion_timestamp.is_none() && self.app_view(&object).state != AppState::NotAllowed
    }

    fn start_clears(&mut self, name: &AccountId, now: Now) {
        if let Some(lagging_until) = self.watch_lag.lagging_until(now.mono) {
            return self.dispatch_at(name, lagging_until);
        }
        loop {
            let account = self.account(name);
            // If a slow API server becomes the bottleneck, resets wait here, in the fair queue, rather than there, in
            // the order of arrival.
            let may_start = account.intents_in_flight() < MAX_UNANSWERED && account.in_flight.has_room();
            if account.clear_queue.is_empty() || !may_start {
                return;
            }
            let permit = account.clears.available_at(account.uncommitted, now.mono);
            let moment = permit - INTENT_LEAD;
            if moment > now.mono {
                return self.dispatch_at(name, moment);
            }
            let Some(key) = account.clear_queue.pop() else { return };
            self.start_clear(name, &key.uid, now);
        }
    }

    fn start_reads(&mut self, name: &AccountId, now: Now) {
        loop {
            let account = self.account(name);
            if account.read_queue.is_empty() {
                return;
            }
            let moment = account.reads.available_at(0, now.mono);
            if moment > now.mono {
                return self.dispatch_at(name, moment);
            }
            let Some(key) = account.read_queue.pop() else { return };
            self.start_read(name, &key.uid, now);
        }
    }

    /// Dispatches the account again at `moment`; one timer per account.
    fn dispatch_at(&mut self, name: &AccountId, moment: Mono) {
        let account = self.account(name);
        let current = account.timer;
        if current.is_some_and(|current| current <= moment) {
            return;
        }
        account.timer = Some(moment);
        if let Some(current) = current {
            self.timers.clear(current, Wake::Account(name.clone()));
        }
        self.timers.set(moment, Wake::Account(name.clone()));
    }

    /// Starts the attempt of the next reset. Much may have changed since it was queued, so it is planned again.
    fn start_clear(&mut self, name: &AccountId, uid: &str, now: Now) {
        let Some((step, app, group)) = self.dequeue_and_plan(uid, now) else { return };
        if step != Step::Send || app.account() != *name {
            return self.execute(uid, step, now);
        }
        if self.account(name).group_readiness(&group, now.mono) != GroupReadiness::Ready {
            return self.execute(uid, Step::Send, now);
        }
        if let Some(moment) = self.held_by_own_limits(name, &app.key, &group, now.mono) {
            return self.wake_at(uid, moment);
        }
        let account = self.account(name);
        account.uncommitted += 1;
        account.in_flight.on_start();
        let interval = account.group(&group);
        interval.start_write();
        let mut throttled = interval.clone();
        throttled.on_throttled();
        let group_wait = throttled.interval(account.interval);
        let ctx = Arc::clone(&self.ctx);
        let Some(active) = self.resets.active(uid) else { return };
        active.start_task();
        let eligible_since = active.local.eligible_since.take().unwrap_or(now.mono);
        let reset = Arc::clone(&active.object);
        let order = AttemptOrder { reset, group, app, group_wait, started: now.mono, eligible_since };
        self.tasks.spawn(attempt(ctx, order));
    }

    /// The limits of an app with only a stored verification do not apply to its account yet, but the app keeps to
    /// them from the start. Returns until when they delay its next clear; if they do not, notes a clear at `now`.
    fn held_by_own_limits(
        &mut self,
        name: &AccountId,
        key: &AppKey,
        group: &GroupId,
        now: Mono,
    ) -> Option<Mono> {
        let app = self.apps.get(key).filter(|app| app.is_unconfirmed())?;
        let own = &app.object.spec().limits;
        let interval = Duration::from_millis(u64::try_from(own.group_interval_milliseconds).unwrap_or(1000));
        let calls = u32::try_from(own.calls_per_second).unwrap_or(1).max(1);
        if let GroupReadiness::At(moment) = self.account(name).group(group).readiness(interval, now) {
            return Some(moment);
        }
        // The account's own spacing is enough for an app whose limit is not stricter.
        if f64::from(calls) >= self.account(name).clears.limit() {
            return None;
        }
        let app = self.apps.get_mut(key)?;
        if app.next_clear > now {
            return Some(app.next_clear);
        }
        app.next_clear = now + Duration::from_secs(1) / calls;
        None
    }

    fn start_read(&mut self, name: &AccountId, uid: &str, now: Now) {
        let Some((step, app, group)) = self.dequeue_and_plan(uid, now) else { return };
        let Step::ReadBack(pending) = step else { return self.execute(uid, step, now) };
        if app.account() != *name {
            return self.execute(uid, Step::ReadBack(pending), now);
        }
        self.account(name).reads.acquire(now.mono);
        let ctx = Arc::clone(&self.ctx);
        let Some(active) = self.resets.active(uid) else { return };
        active.start_task();
        let reset = Arc::clone(&active.object);
        self.tasks.spawn(read_back(ctx, reset, *pending, group, app));
    }

    /// Takes a reset out of its queue and plans it again. `None` if a task is working on it, or the step was executed
    /// here.
    fn dequeue_and_plan(&mut self, uid: &str, now: Now) -> Option<(Step, Arc<CallConfig>, GroupId)> {
        let active = self.resets.active(uid)?;
        let (position, object) = (active.queued.take(), Arc::clone(&active.object));
        if active.busy {
            return None;
        }
        let group = GroupId::parse(&object.spec.group_id);
        if let (Some(QueuePosition { account, read: false, .. }), Ok(group)) = (position, &group) {
            self.wake_next_of_group(&account, group);
        }
        let key = AppKey::of(&object);
        let step = self.plan(uid, now)?.step;
        let config = self.apps.get(&key).and_then(|app| app.config.as_ref().ok()).map(Arc::clone);
        if let (Some(config), Ok(group)) = (config, group) {
            return Some((step, config, group));
        }
        self.execute(uid, step, now);
        None
    }
}
