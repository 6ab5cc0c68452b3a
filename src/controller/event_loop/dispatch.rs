//! Who goes now: the limits of each account, and whose turn it is.
//!
//! A clear goes in two steps. When it will be its turn by the time that its intent is stored, its attempt is begun;
//! when its intent is stored and a permit is free, it gets the permit. So no permit waits for the API server, and no
//! intent is stored long before its call.

use std::sync::Arc;
use std::time::Duration;

use super::{Controller, Wake};
use crate::api::AppKey;
use crate::api::GroupId;
use crate::chat::AccountId;
use crate::controller::app_entry::CallConfig;
use crate::controller::attempt::{AttemptOrder, attempt};
use crate::controller::read_back::read_back;
use crate::limits::group_interval::GroupReadiness;
use crate::protocol::Now;
use crate::protocol::plan::{AppState, Step};

/// So many intents of one account are under way to the API server at most. It is enough for 200 a second at an API
/// server that takes 80 ms; one that is slower is the limit, and who waits then waits here, where turns are kept, and
/// not in a line at the API server, where the last who came is the last to be served.
const MAX_CONCURRENT_INTENTS: usize = 16;

/// When leadership is in doubt, it is looked at again after this long.
const LEADERSHIP_RECHECK: Duration = Duration::from_secs(1);

impl Controller {
    pub(super) fn dispatch_dirty_accounts(&mut self) {
        while let Some(account) = self.dirty_accounts.pop_first() {
            self.dispatch(&account);
        }
    }

    /// Whatever held back all accounts holds them back no more.
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
            // The lease may just be renewed late; if it is lost, the process ends.
            return self.dispatch_at(name, now.mono + LEADERSHIP_RECHECK);
        }
        self.hand_out_permits(name, now.mono);
        self.start_clears(name, now);
        self.start_reads(name, now);
    }

    fn hand_out_permits(&mut self, name: &AccountId, now: Duration) {
        loop {
            let account = self.account(name);
            if account.awaiting_permit.is_empty() {
                return;
            }
            let moment = account.clears.available_at(0, now);
            if moment > now {
                return self.dispatch_at(name, moment);
            }
            let Some(armed) = account.awaiting_permit.pop_front() else { return };
            // Who has lost its way meanwhile ends without a permit, and who waited too long is not there any more.
            if self.may_still_go(&armed.uid) && armed.permit.send(()).is_ok() {
                let account = self.account(name);
                account.clears.acquire(now);
                account.uncommitted = account.uncommitted.saturating_sub(1);
                self.ctx.metrics.permit_wait(now.saturating_sub(armed.eligible_since));
            }
        }
    }

    /// Whether the object is still there, and its namespace still admitted; what concerns the app is in its gate.
    fn may_still_go(&mut self, uid: &str) -> bool {
        let Some(active) = self.resets.active(uid) else { return false };
        let object = Arc::clone(&active.object);
        object.metadata.deletion_timestamp.is_none() && self.app_view(&object).state != AppState::NotAllowed
    }

    fn start_clears(&mut self, name: &AccountId, now: Now) {
        if let Some(longest) = self.watch_lag.lagging_until(now.mono) {
            return self.dispatch_at(name, longest);
        }
        let ahead = self.intent_lead.lead();
        loop {
            let account = self.account(name);
            let has_room =
                account.intents_in_flight() < MAX_CONCURRENT_INTENTS && account.in_flight.has_room();
            if account.clear_queue.is_empty() || !has_room {
                return;
            }
            let moment = account.clears.available_at(account.uncommitted, now.mono).saturating_sub(ahead);
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

    /// Looks at the queues again at `moment`; one timer for each account.
    fn dispatch_at(&mut self, name: &AccountId, moment: Duration) {
        let account = self.account(name);
        let last = account.timer;
        if last.is_some_and(|last| last <= moment) {
            return;
        }
        account.timer = Some(moment);
        if let Some(last) = last {
            self.timers.clear(last, Wake::Account(name.clone()));
        }
        self.timers.set(moment, Wake::Account(name.clone()));
    }

    /// It is this reset's turn. Much may have changed since it queued, so it is planned once more.
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
        let waits_since = active.local.eligible_since.take().unwrap_or(now.mono);
        let reset = Arc::clone(&active.object);
        let order =
            AttemptOrder { reset, group, app, group_wait, started: now.mono, eligible_since: waits_since };
        self.tasks.spawn(attempt(ctx, order));
    }

    /// An app that works by a stored proof has no say in its account's limits yet, but keeps to its own from the
    /// start: until when those hold its next clear back. If they do not, its next one counts from now.
    fn held_by_own_limits(
        &mut self,
        name: &AccountId,
        key: &AppKey,
        group: &GroupId,
        now: Duration,
    ) -> Option<Duration> {
        let app = self.apps.get(key).filter(|app| app.is_unconfirmed())?;
        let own = &app.object.spec().limits;
        let interval = Duration::from_millis(u64::try_from(own.group_interval_milliseconds).unwrap_or(1000));
        let calls = u32::try_from(own.calls_per_second).unwrap_or(1).max(1);
        if let GroupReadiness::At(moment) = self.account(name).group(group).readiness(interval, now) {
            return Some(moment);
        }
        // The account's own spacing is enough for an app that is no stricter than that.
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

    /// Takes a reset out of its queue and plans it anew. `None` if it is at work, or was taken care of.
    fn dequeue_and_plan(&mut self, uid: &str, now: Now) -> Option<(Step, Arc<CallConfig>, GroupId)> {
        let active = self.resets.active(uid)?;
        active.queued = None;
        if active.busy {
            return None;
        }
        let group = GroupId::parse(&active.object.spec.group_id);
        let key = active.app.clone();
        let step = self.plan(uid, now)?.step;
        let config = self.apps.get(&key).and_then(|app| app.config.as_ref().ok()).map(Arc::clone);
        if let (Some(config), Ok(group)) = (config, group) {
            return Some((step, config, group));
        }
        self.execute(uid, step, now);
        None
    }
}
