//! What the watches show.

use std::collections::HashSet;
use std::sync::Arc;

use super::Desk;
use crate::api::{AppKind, GroupAttributeReset, GroupId, NamespacesFrom};
use crate::decide::labels::{Unusable, unusable};
use crate::decide::plan::AppState;
use crate::operator::app_object::{AppKey, AppObject};
use crate::operator::apps::App;
use crate::operator::resets::{Foreign, Origin, Shown, number};
use crate::operator::watches::{CHAT_APP, CLUSTER_CHAT_APP, Event, Identity, NAMESPACE, RESET, Source};

impl Desk {
    pub(super) fn observe(&mut self, event: Event) {
        match event {
            Event::Reset(object, origin) => self.show(&Arc::new(*object), origin),
            Event::App(object) => self.show_app(object),
            Event::Namespace(name, labels) => {
                let known = self.namespaces.insert(name.clone(), labels.clone());
                if known.as_ref() != Some(&labels) {
                    self.look_at_namespace(&name);
                }
            }
            Event::Malformed(malformed) => self.show_malformed(malformed),
            Event::Gone(kind, identity) => self.forget(kind, &identity),
            Event::Listed(source, uids) => self.listed(&source, &uids),
        }
    }

    /// Notes an object, and looks what is next for it.
    fn show(&mut self, object: &Arc<GroupAttributeReset>, origin: Origin) {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        self.malformed.remove(&(RESET, uid.clone()));
        self.hear_echo(&uid, object);
        if self.note(object, origin) {
            self.look(&uid);
        }
    }

    /// A watch that was behind has caught up: whoever waited for it may go.
    fn hear_echo(&mut self, uid: &str, object: &GroupAttributeReset) {
        let now = self.now().mono;
        let was_behind = self.echo.behind(now).is_some();
        let Some(version) = number(object) else { return };
        if let Some(took) = self.echo.heard(self.watch_of(object), uid, version, now) {
            self.hands.metrics.watch_delay(took);
            if was_behind {
                self.stir_all();
            }
        }
    }

    /// The watch that shows this object, by its namespace, which is empty for the one that shows all.
    pub(super) fn watch_of<'a>(&self, object: &'a GroupAttributeReset) -> &'a str {
        object.metadata.namespace.as_deref().filter(|_| self.one_watch_each).unwrap_or_default()
    }

    /// Remembers an object; false if something newer is remembered. An attempt of another process, seen for the
    /// first time, holds a permit and its group.
    pub(super) fn note(&mut self, object: &Arc<GroupAttributeReset>, origin: Origin) -> bool {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let now = self.now();
        let was_to_go = self.resets.is_to_be_deleted(&uid) == Some(true);
        let foreign = match self.resets.show(Arc::clone(object), origin, now) {
            Shown::Stale => return false,
            Shown::Noted(foreign) => foreign,
        };
        if was_to_go && self.resets.is_to_be_deleted(&uid) == Some(false) {
            self.hands.say_if_kept(object);
        }
        // Those of the first lists count once the apps are known.
        if let Some(foreign) = foreign
            && self.is_listed()
        {
            self.hold_for_another(&uid, &foreign);
        }
        true
    }

    /// A call of the predecessor may still be on its way: it holds a permit of its account, and its group. That is
    /// believed of a status only while a predecessor may still write, and of no other account than the one that the
    /// reset could use itself: whoever can write statuses must not hold up others.
    fn hold_for_another(&mut self, uid: &str, foreign: &Foreign) {
        let now = self.now().mono;
        let Some(open) = self.resets.open(uid) else { return };
        let (object, key) = (Arc::clone(&open.object), open.app.clone());
        let is_proved = self.apps.get(&key).is_some_and(|app| app.verified.is_some());
        let view = self.view(&object);
        if now >= self.alone_from
            || !is_proved
            || view.state == AppState::NotAllowed
            || view.account.as_ref() != Some(&foreign.account)
        {
            return;
        }
        let account = self.account(&foreign.account);
        account.clears.hold_for_another(foreign.deadline, now);
        if let Ok(group) = GroupId::parse(&object.spec.group_id) {
            account.group(&group).held_until(foreign.deadline);
        }
    }

    fn show_app(&mut self, object: AppObject) {
        let key = object.key();
        let uid = object.meta().uid.clone().unwrap_or_default();
        self.malformed.remove(&(kind_of(&key), uid));
        let now = self.now();
        let known = self.apps.get_mut(&key).filter(|app| {
            app.object.meta().uid == object.meta().uid && app.object.generation() == object.generation()
        });
        if let Some(app) = known {
            app.object = object;
            return self.app_step(&key);
        }
        let mut app = App::new(object, &self.rules, now);
        if let Some(before) = self.apps.get(&key) {
            app.remember(before);
        }
        app.set_gate();
        warn_of_spec(&key, &app);
        // Most apps that tenants can make by thousands have no say, and then all others need not be asked for theirs.
        let heard = |app: &App| app.account.clone().filter(|_| app.has_a_say() || app.is_unconfirmed());
        let after = heard(&app);
        let before = self.apps.insert(key.clone(), app).and_then(|app| {
            app.withdraw();
            heard(&app)
        });
        for account in before.into_iter().chain(after) {
            self.agree_limits(&account);
        }
        self.app_step(&key);
        self.look_at_app(&key);
    }

    fn forget(&mut self, kind: &'static str, identity: &Identity) {
        self.malformed.remove(&(kind, identity.uid.clone()));
        if kind == NAMESPACE {
            self.namespaces.remove(&identity.name);
            return self.look_at_namespace(&identity.name);
        }
        self.forget_object(kind, identity);
    }

    pub(super) fn forget_object(&mut self, kind: &'static str, identity: &Identity) {
        match kind {
            RESET => self.forget_reset(&identity.uid),
            CHAT_APP | CLUSTER_CHAT_APP => {
                let app_kind = if kind == CHAT_APP { AppKind::ChatApp } else { AppKind::ClusterChatApp };
                let key = AppKey {
                    kind: app_kind,
                    namespace: identity.namespace.clone(),
                    name: identity.name.clone(),
                };
                let is_same = |app: &App| app.object.meta().uid.as_deref() == Some(identity.uid.as_str());
                if self.apps.get(&key).is_some_and(is_same) {
                    self.forget_app(&key);
                }
            }
            _ => {}
        }
    }

    fn forget_reset(&mut self, uid: &str) {
        self.reset_is_gone(uid);
        self.resets.forget(uid);
    }

    /// As the answer to a request of ours says.
    pub(super) fn reset_is_gone(&mut self, uid: &str) {
        self.leave(uid);
        self.resets.gone(uid);
    }

    /// It waits for nothing any more.
    pub(super) fn leave(&mut self, uid: &str) {
        self.leave_queue(uid);
        if self.echo.gone(uid) {
            self.stir_all();
        }
        if let Some(moment) = self.resets.all.get_mut(uid).and_then(|tracked| tracked.timer.take()) {
            self.timers.clear(moment, super::Wake::Reset(uid.to_owned()));
        }
    }

    fn forget_app(&mut self, key: &AppKey) {
        if let Some(app) = self.apps.remove(key) {
            app.withdraw();
            if (app.has_a_say() || app.is_unconfirmed())
                && let Some(account) = app.account
            {
                self.agree_limits(&account);
            }
        }
        self.check_if_due(key);
        self.series.forget(key);
        self.look_at_app(key);
    }

    fn listed(&mut self, source: &Source, uids: &HashSet<String>) {
        let inside = |namespace: &str| source.namespace.is_empty() || source.namespace == namespace;
        let is_gone = |uid: Option<&String>, namespace: &str| {
            inside(namespace) && uid.is_none_or(|uid| !uids.contains(uid))
        };
        match source.kind {
            RESET => {
                let all = self.resets.all.iter();
                let gone: Vec<_> = all
                    .filter(|(uid, tracked)| is_gone(Some(uid), &tracked.namespace))
                    .map(|(uid, _)| uid.clone())
                    .collect();
                for uid in &gone {
                    self.forget_reset(uid);
                }
            }
            CHAT_APP | CLUSTER_CHAT_APP => {
                let apps = self.apps.iter().filter(|(key, _)| kind_of(key) == source.kind);
                let gone: Vec<_> = apps
                    .filter(|(key, app)| is_gone(app.object.meta().uid.as_ref(), &key.namespace))
                    .map(|(key, _)| key.clone())
                    .collect();
                for key in &gone {
                    self.forget_app(key);
                }
            }
            _ => {}
        }
        self.malformed.retain(|(kind, uid), malformed| {
            *kind != source.kind || !inside(&malformed.identity.namespace) || uids.contains(uid)
        });
        if self.unlisted.remove(source) && self.is_listed() {
            tracing::info!(resets = self.resets.all.len(), apps = self.apps.len(), "all objects are known");
            self.health.ready();
            self.begin();
        }
    }

    /// The first look at everything, once everything is known.
    fn begin(&mut self) {
        let apps: Vec<_> = self.apps.keys().cloned().collect();
        for key in &apps {
            self.app_step(key);
        }
        let now = self.now().mono;
        let foreign: Vec<_> = self.resets.foreign_attempts(now);
        for (uid, foreign) in &foreign {
            self.hold_for_another(uid, foreign);
        }
        let uids: Vec<_> = self.resets.all.keys().cloned().collect();
        for uid in &uids {
            self.look(uid);
        }
    }

    pub(super) fn look_at_app(&mut self, key: &AppKey) {
        for uid in &self.resets.of_app(key) {
            self.look(uid);
        }
    }

    /// Whether a `ClusterChatApp` is open to a namespace can change with the namespace's labels.
    fn look_at_namespace(&mut self, name: &str) {
        for uid in &self.resets.of_cluster_apps(name) {
            self.look(uid);
        }
    }
}

/// Says in the log what is wrong with a spec, once for each.
fn warn_of_spec(AppKey { kind, namespace, name }: &AppKey, app: &App) {
    if let Err(trouble) = &app.terms {
        tracing::warn!(%kind, namespace, name, "nothing is sent for this app: {}", trouble.message);
    }
    let selector = app.object.allowed().filter(|allowed| allowed.from == NamespacesFrom::Selector);
    if let Some(why) =
        selector.and_then(|allowed| allowed.selector.as_ref().map_or(Some(Unusable::Empty), unusable))
    {
        tracing::warn!(
            %kind, namespace, name,
            "spec.allowedNamespaces.selector admits no namespace: {why}. Name labels of the namespaces, or write from: All \
             for all of them"
        );
    }
}

fn kind_of(key: &AppKey) -> &'static str {
    match key.kind {
        AppKind::ChatApp => CHAT_APP,
        AppKind::ClusterChatApp => CLUSTER_CHAT_APP,
    }
}
