//! What is next for a reset.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Desk, Wake};
use crate::api::{AppKind, GroupAttributeReset, GroupId, NamespacesFrom, ResetStatus};
use crate::chat::Class;
use crate::chat::codes::lookup;
use crate::decide::group_pace::GroupTurn;
use crate::decide::plan::{AccountName, AppState, AppView, Plan, Step, plan};
use crate::decide::turns::Place;
use crate::decide::{Now, status};
use crate::operator::attempt::without_call;
use crate::operator::record;
use crate::operator::resets::{Queued, Stage};

/// Writes under way that are not part of an attempt.
const WRITERS: usize = 32;
/// A deletion of which nothing was heard is tried again after this long.
const DELETE_AGAIN: Duration = Duration::from_secs(30);
/// Explanations a second, in all.
const EXPLANATIONS: u32 = 20;

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
        if let Stage::Finished(end) = tracked.stage {
            return self.look_at_finished(uid, end, now);
        }
        if let Some(status) = self.taken_back(uid) {
            return self.write(uid, "record", status);
        }
        let Some(Plan { step, explain }) = self.plan(uid, now) else { return };
        if explain.is_some() {
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
                self.namespaces.get(namespace).is_some_and(|labels| matches(selector, labels))
            }
            _ => false,
        }
    }

    fn queue_clear(&mut self, uid: &str, now: Now) {
        let Some(open) = self.resets.open(uid) else { return };
        open.recall.could_go_since.get_or_insert(now.mono);
        // Looks again when the limits have to be explained, however long the turn takes.
        let explain_at = now.mono + Duration::from_secs(10);
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

    fn write(&mut self, uid: &str, kind: &'static str, status: ResetStatus) {
        self.leave_queue(uid);
        if !self.take_writer(uid) {
            return;
        }
        let hands = Arc::clone(&self.hands);
        let Some(open) = self.resets.open(uid) else { return };
        open.begin();
        let object = Arc::clone(&open.object);
        self.tasks.spawn(record::record(hands, kind, object, status));
    }

    fn delete(&mut self, uid: &str) {
        if !self.take_writer(uid) {
            return;
        }
        let again = self.now().mono + DELETE_AGAIN;
        let Some(tracked) = self.resets.all.get_mut(uid) else { return };
        tracked.write_at = Some(again);
        let key = (tracked.namespace.clone(), tracked.name.clone());
        let deletion = record::delete(Arc::clone(&self.hands), key, uid.to_owned(), tracked.version.clone());
        self.tasks.spawn(deletion);
        self.wake_at(uid, again);
    }

    /// Takes one of the writers for this reset, or puts it into the backlog, from where it is looked at again.
    fn take_writer(&mut self, uid: &str) -> bool {
        let Some(tracked) = self.resets.all.get_mut(uid) else { return false };
        if self.writers < WRITERS {
            self.writers += 1;
            return true;
        }
        if !std::mem::replace(&mut tracked.in_backlog, true) {
            let since = self.hands.clock.now().wall;
            self.backlog.join(&tracked.namespace, Place { since, uid: uid.to_owned() });
        }
        false
    }

    /// A writer is free: whoever waited for one is looked at, until all are at work again. Namespaces take turns.
    pub(super) fn free_writer(&mut self) {
        self.writers = self.writers.saturating_sub(1);
        while self.writers < WRITERS {
            let Some(Place { uid: next, .. }) = self.backlog.call_next() else { return };
            if let Some(tracked) = self.resets.all.get_mut(&next) {
                tracked.in_backlog = false;
            }
            self.look(&next);
        }
    }

    fn queue_explanation(&mut self, uid: &str) {
        let Some(open) = self.resets.open(uid) else { return };
        let since = open.object.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default();
        let namespace = open.object.metadata.namespace.clone().unwrap_or_default();
        self.explanations.join(&namespace, Place { since, uid: uid.to_owned() });
        self.timers.set(self.explain_at, Wake::Explanation);
    }

    /// Lets the next reset explain itself, if it still has something to explain. Namespaces take turns, and an
    /// explanation waits while other writes need all writers.
    pub(super) fn explain_next(&mut self) {
        let now = self.now();
        if now.mono < self.explain_at {
            return self.timers.set(self.explain_at, Wake::Explanation);
        }
        let pause = Duration::from_secs(1) / EXPLANATIONS;
        if self.writers >= WRITERS {
            return self.timers.set(now.mono + pause, Wake::Explanation);
        }
        while let Some(Place { uid, .. }) = self.explanations.call_next() {
            let Some(tracked) = self.resets.all.get(&uid) else { continue };
            let is_paused = tracked.write_at.is_some_and(|moment| moment > now.mono);
            if is_paused || self.resets.open(&uid).is_none_or(|open| open.busy) {
                continue;
            }
            let Some(explain) = self.plan(&uid, now).and_then(|plan| plan.explain) else { continue };
            self.write(&uid, "explanation", *explain);
            self.explain_at = now.mono + pause;
            return self.timers.set(self.explain_at, Wake::Explanation);
        }
    }
}

/// Its place in every line for a call: by the start of its request's clock. One that the vendor has refused as the
/// account's fault more than once goes behind the others of its namespace, which may fare better: what it draws closes
/// the way for all of them.
fn place_of(object: &GroupAttributeReset, uid: &str) -> Place {
    let status = status::seen(object);
    let refused_again = status.last_attempt.as_ref().filter(|attempt| {
        let class = attempt.error_code.map(|code| lookup(code).class);
        attempt.number > 1 && matches!(class, Some(Class::Account(_)))
    });
    let since = refused_again.map_or(status.start_time, |attempt| attempt.completion_time);
    Place { since: since.unwrap_or_default(), uid: uid.to_owned() }
}

/// Whether labels match a selector, as Kubernetes matches them; an unknown operator matches nothing.
fn matches(selector: &LabelSelector, labels: &std::collections::BTreeMap<String, String>) -> bool {
    let wanted = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector.match_expressions.iter().flatten().all(|expression| {
        let value = labels.get(&expression.key);
        let listed = value.is_some_and(|value| expression.values.iter().flatten().any(|one| one == value));
        match expression.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    wanted && expressions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_matches_as_kubernetes_does() {
        let namespace = |labels: serde_json::Value| serde_json::from_value(labels).expect("labels");
        let gold = namespace(serde_json::json!({"tier": "gold"}));
        let free = namespace(serde_json::json!({"tier": "free"}));
        let none = namespace(serde_json::json!({}));
        for (operator, expected) in [
            ("In", [true, false, false]),
            ("NotIn", [false, true, true]),
            ("Exists", [true, true, false]),
            ("DoesNotExist", [false, false, true]),
            ("Near", [false, false, false]),
        ] {
            let expression =
                serde_json::json!({"key": "tier", "operator": operator, "values": ["silver", "gold"]});
            let with = |labels: serde_json::Value| {
                let selector = serde_json::json!({"matchLabels": labels, "matchExpressions": [expression]});
                serde_json::from_value::<LabelSelector>(selector).expect("a selector")
            };
            let alone = with(serde_json::json!({}));
            assert_eq!([&gold, &free, &none].map(|labels| matches(&alone, labels)), expected, "{operator}");
            let both = with(serde_json::json!({"chat": "live"}));
            assert!(![&gold, &free, &none].into_iter().any(|labels| matches(&both, labels)), "{operator}");
        }
        assert!(matches(&LabelSelector::default(), &none), "an empty selector is open to all");
    }
}
