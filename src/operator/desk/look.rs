//! What is next for a reset.

use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Wake};
use crate::api::{AppKind, GroupAttributeReset, GroupId, NamespacesFrom, ResetStatus};
use crate::chat::Class;
use crate::chat::codes::lookup;
use crate::decide::circuit::LONGEST_WAIT;
use crate::decide::group_pace::GroupTurn;
use crate::decide::labels;
use crate::decide::plan::{AccountName, AppState, AppView, EXPLAIN_LIMITS_AFTER, Plan, Step, plan};
use crate::decide::turns::Place;
use crate::decide::{Now, status};
use crate::operator::attempt::without_call;
use crate::operator::resets::{Queued, Stage};

impl Desk {
    /// Plans the next step of a reset and takes it.
    pub(super) fn look(&mut self, uid: &str) {
        if !self.is_listed() || self.hands.stop.is_cancelled() {
            return;
        }
        let now = self.now();
        let Some(tracked) = self.resets.all.get(uid) else { return };
        if matches!(&tracked.stage, Stage::Open(open) if open.busy) {
            return;
        }
        if let Some(moment) = tracked.write_at.filter(|moment| *moment > now.mono) {
            self.leave_queue(uid);
            return self.wake_at(uid, moment);
        }
        if let Stage::Finished(delete_at, _) = tracked.stage {
            return self.look_at_finished(uid, delete_at, now);
        }
        if let Some(status) = self.taken_back(uid) {
            return self.write(uid, "record", status);
        }
        let Some(Plan { step, explain }) = self.plan(uid, now) else { return };
        let is_overwritten = self.resets.open(uid).is_some_and(|open| open.restoration().is_some());
        if explain.is_some() || is_overwritten {
            self.queue_explanation(uid);
        }
        self.take(uid, step, now);
    }

    pub(super) fn plan(&mut self, uid: &str, now: Now) -> Option<Plan> {
        let open = self.resets.open(uid)?;
        let (object, recall) = (Arc::clone(&open.object), open.recall.clone());
        Some(plan(&object, &self.view(&object), &recall, now))
    }

    pub(super) fn take(&mut self, uid: &str, step: Step, now: Now) {
        match step {
            Step::Wait(moment) => {
                self.leave_queue(uid);
                self.tell_why(uid, moment, now);
                if let Some(open) = self.resets.open(uid) {
                    open.recall.could_go_since = None;
                }
                if let Some(moment) = moment {
                    self.wake_at(uid, moment);
                }
                self.resets.settle(uid);
            }
            Step::Record(status) => self.write(uid, "record", *status),
            Step::Delete => {
                self.resets.settle(uid);
                self.delete(uid);
            }
            Step::Send => self.queue_clear(uid, now),
            Step::ReadBack(_) => self.queue_read(uid),
        }
    }

    /// For those who ask why nothing happens; the status says it in words.
    fn tell_why(&mut self, uid: &str, until: Option<Duration>, now: Now) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let Some(object) = self.resets.open(uid).map(|open| Arc::clone(&open.object)) else { return };
        tracing::debug!(
            namespace = object.metadata.namespace,
            reset = object.metadata.name,
            uid,
            suspended = object.spec.suspend,
            app = ?self.view(&object).state,
            seconds = until.map(|moment| moment.saturating_sub(now.mono).as_secs_f64()),
            "nothing to do for now"
        );
    }

    fn look_at_finished(&mut self, uid: &str, end: Option<jiff::Timestamp>, now: Now) {
        match end {
            Some(end) if end <= now.wall => self.delete(uid),
            Some(end) => self.wake_at(uid, now.until(end)),
            None => {}
        }
    }

    /// An attempt of ours whose intent turned up after all, though its write seemed lost: it was never called.
    fn taken_back(&mut self, uid: &str) -> Option<ResetStatus> {
        let hands = Arc::clone(&self.hands);
        let open = self.resets.open(uid)?;
        let pending = open.object.status.as_ref()?.pending_attempt.as_ref()?;
        (open.never_called.as_deref() == Some(pending.id.as_str()))
            .then(|| without_call(&hands, &open.object, pending))
    }

    /// What a reset sees of its app.
    pub(super) fn view(&self, reset: &GroupAttributeReset) -> AppView {
        let key = crate::operator::app_object::key_of(reset);
        let of_cluster = key.kind == AppKind::ClusterChatApp;
        let Some(app) = self.apps.get(&key) else {
            let state = if of_cluster { AppState::NotAllowed } else { AppState::Missing };
            return AppView { state, account: None };
        };
        let namespace = reset.metadata.namespace.as_deref().unwrap_or_default();
        let is_suspended = app.object.spec().suspend;
        let state = match app.trouble() {
            _ if of_cluster && (is_suspended || !self.is_open_to(app, namespace)) => AppState::NotAllowed,
            _ if is_suspended => AppState::Suspended,
            Some(trouble) => AppState::NotReady(trouble.reason, trouble.code),
            None if app.works() => AppState::Working,
            None => AppState::Checking,
        };
        AppView { state, account: app.account.clone() }
    }

    fn is_open_to(&self, app: &crate::operator::apps::App, namespace: &str) -> bool {
        let Some(allowed) = app.object.allowed() else { return true };
        match (allowed.from, &allowed.selector) {
            (NamespacesFrom::All, _) => true,
            (NamespacesFrom::Selector, Some(selector)) => {
                self.namespaces.get(namespace).is_some_and(|labels| labels::matches(selector, labels))
            }
            _ => false,
        }
    }

    fn queue_clear(&mut self, uid: &str, now: Now) {
        let Some(open) = self.resets.open(uid) else { return };
        let since = *open.recall.could_go_since.get_or_insert(now.mono);
        // Looks again when the limits have to be explained, however long the turn takes.
        let first = since + EXPLAIN_LIMITS_AFTER;
        let explain_at = if first > now.mono { first } else { now.mono + EXPLAIN_LIMITS_AFTER };
        let object = Arc::clone(&open.object);
        let is_queued = open.queued.is_some();
        let Ok(group) = GroupId::parse(&object.spec.group_id) else { return };
        let Some(account) = self.view(&object).account else { return };
        match self.account(&account).group_turn(&group, now.mono) {
            GroupTurn::Free if !is_queued => self.join_queue(uid, account, false),
            GroupTurn::Free => {}
            turn => {
                self.leave_queue(uid);
                self.account(&account).park(&group, place_of(&object, uid));
                // After another write, its end looks who is next.
                if let GroupTurn::At(moment) = turn {
                    self.timers.set(moment, Wake::Group(account, group));
                }
            }
        }
        self.wake_at(uid, explain_at);
    }

    /// The group may be written to again, or soon: the one that waits longest for it is looked at, and if that one does
    /// not want to go any more, the next. Not all of them, or many resets of one group would keep everybody else waiting.
    pub(super) fn next_for_group(&mut self, name: &AccountName, group: &GroupId) {
        let now = self.now().mono;
        loop {
            match self.account(name).group_turn(group, now) {
                GroupTurn::Free => {}
                GroupTurn::At(moment) => {
                    return self.timers.set(moment, Wake::Group(name.clone(), group.clone()));
                }
                GroupTurn::AfterAnother => return,
            }
            let Some(Place { uid, .. }) = self.account(name).unpark(group) else { return };
            self.look(&uid);
            // A place in another line, of its app's new account say, leads to no end that would look who is next here.
            let goes = |queued: &Queued| !queued.read && queued.account == *name;
            if self.resets.open(&uid).is_some_and(|open| open.queued.as_ref().is_some_and(goes)) {
                return;
            }
        }
    }

    fn queue_read(&mut self, uid: &str) {
        let Some(open) = self.resets.open(uid) else { return };
        if open.queued.as_ref().is_some_and(|queued| queued.read) {
            return;
        }
        let object = Arc::clone(&open.object);
        if let Some(account) = self.view(&object).account {
            self.join_queue(uid, account, true);
        }
    }

    fn join_queue(&mut self, uid: &str, account: AccountName, read: bool) {
        self.leave_queue(uid);
        let Some(open) = self.resets.open(uid) else { return };
        let place = place_of(&open.object, uid);
        let namespace = open.object.metadata.namespace.clone().unwrap_or_default();
        open.queued = Some(Queued { account: account.clone(), read, place: place.clone() });
        let limits = self.account(&account);
        let turns = if read { &mut limits.read_turns } else { &mut limits.turns };
        turns.join(&namespace, place);
        self.stirred.insert(account);
    }

    pub(super) fn leave_queue(&mut self, uid: &str) {
        let Some(open) = self.resets.open(uid) else { return };
        let namespace = open.object.metadata.namespace.clone().unwrap_or_default();
        let Some(Queued { account, read, place }) = open.queued.take() else { return };
        let limits = self.account(&account);
        let turns = if read { &mut limits.read_turns } else { &mut limits.turns };
        turns.leave(&namespace, &place);
    }

    /// Looks at a reset again at `moment`; one timer each.
    pub(super) fn wake_at(&mut self, uid: &str, moment: Duration) {
        let Some(tracked) = self.resets.all.get_mut(uid) else { return };
        if let Some(old) = tracked.timer.replace(moment) {
            self.timers.clear(old, Wake::Reset(uid.to_owned()));
        }
        self.timers.set(moment, Wake::Reset(uid.to_owned()));
    }
}

/// Its place in every line for a call: by the start of its request's clock. One that the vendor has refused as the
/// account's fault more than once goes behind the others of its namespace, which may fare better: what it draws closes
/// the way for all of them. Also behind those that come while the way is closed.
fn place_of(object: &GroupAttributeReset, uid: &str) -> Place {
    let status = status::seen(object);
    let refused_again = status.last_attempt.as_ref().filter(|attempt| {
        let class = attempt.error_code.map(|code| lookup(code).class);
        attempt.number > 1 && matches!(class, Some(Class::Account(_)))
    });
    let since = refused_again.map_or(status.start_time, |attempt| {
        attempt.completion_time.map(|refused| refused.saturating_add(LONGEST_WAIT).unwrap_or(refused))
    });
    Place { since: since.unwrap_or_default(), uid: uid.to_owned() }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn who_was_refused_again_goes_behind_those_that_come_while_the_way_is_closed() {
        let place = |status: serde_json::Value| {
            let object = json!({
                "apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset", "metadata": {"name": "room"},
                "spec": {"groupID": "@TGS#room"}, "status": status,
            });
            place_of(&serde_json::from_value(object).unwrap(), "uid").since
        };
        let refused = |number: i32, code: i64| {
            place(json!({"observedGeneration": 1, "startTime": "1970-01-01T00:00:10Z", "lastAttempt": {
                "id": "a", "number": number, "startTime": "1970-01-01T00:01:39Z", "completionTime": "1970-01-01T00:01:40Z",
                "outcome": "Rejected", "errorCode": code, "sdkAppID": 7, "host": "chat:443",
            }}))
        };
        let second = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(refused(1, 10026), second(10), "once may be an accident");
        assert_eq!(refused(2, 10010), second(10), "not the account's fault");
        assert_eq!(refused(2, 10026), second(100 + 60));
    }
}
