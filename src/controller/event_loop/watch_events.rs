//! Applies watch events to the state.

use std::sync::Arc;

use super::Controller;
use crate::api::{AppKey, AppKind, GroupAttributeReset, GroupId, NamespacesFrom};
use crate::controller::any_chat_app::AnyChatApp;
use crate::controller::app_entry::AppEntry;
use crate::controller::reset_cache::{ForeignAttempt, Freshness, Upserted, version_number};
use crate::controller::watches::{CHAT_APP, CLUSTER_CHAT_APP, Identity, NAMESPACE, RESET, WatchEvent};
use crate::protocol::label_selector::{InvalidSelector, invalid};
use crate::protocol::plan::AppState;

impl Controller {
    pub(super) fn on_watch_event(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Reset(object, freshness) => self.on_reset(&Arc::new(*object), freshness),
            WatchEvent::App(object) => self.on_app(object),
            WatchEvent::Namespace(Identity { uid, name, .. }, labels) => {
                let known = self.namespaces.insert(name.clone(), (uid, labels.clone()));
                if known.is_none_or(|(_, known)| known != labels) {
                    self.reconcile_resets_of_namespace(&name);
                }
            }
            WatchEvent::Malformed(malformed) => self.on_malformed(malformed),
            WatchEvent::Gone(kind, identity) => self.on_deleted(kind, &identity),
            WatchEvent::Listed(source, uids) => self.on_listed(&source, &uids),
        }
    }

    /// Caches an object and reconciles it.
    fn on_reset(&mut self, object: &Arc<GroupAttributeReset>, freshness: Freshness) {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        self.malformed.remove(&(RESET, uid.clone()));
        self.update_watch_lag(&uid, object);
        if self.upsert(object, freshness) {
            self.reconcile(&uid);
        }
    }

    /// Updates the watch lag. If a lagging watch has caught up, all accounts are dispatched again.
    fn update_watch_lag(&mut self, uid: &str, object: &GroupAttributeReset) {
        let now = self.now().mono;
        let was_lagging = self.watch_lag.lagging_until(now).is_some();
        let Some(version) = version_number(object) else { return };
        if let Some(took) = self.watch_lag.observed(self.watch_of(object), uid, version, now) {
            self.ctx.metrics.watch_delay(took);
            if was_lagging {
                self.mark_all_dirty();
            }
        }
    }

    /// The watch that shows this object, named by its namespace; empty for the one watch of all namespaces.
    pub(super) fn watch_of<'a>(&self, object: &'a GroupAttributeReset) -> &'a str {
        object.metadata.namespace.as_deref().filter(|_| self.watches_per_namespace).unwrap_or_default()
    }

    /// Caches an object; false if the cached one is newer. An attempt of another process, seen for the first time,
    /// holds a permit and its group.
    pub(super) fn upsert(&mut self, object: &Arc<GroupAttributeReset>, freshness: Freshness) -> bool {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let now = self.now();
        let was_due_for_deletion = self.resets.has_deletion_due(&uid) == Some(true);
        let before = self.resets.active(&uid).map(|active| Arc::clone(&active.object));
        let (foreign, is_own) = match self.resets.upsert(Arc::clone(object), freshness, now) {
            Upserted::Stale => return false,
            Upserted::Stored { foreign, is_own } => (foreign, is_own),
        };
        if let Some(before) = before.filter(|_| is_own) {
            self.announce(&before, object);
        }
        if was_due_for_deletion && self.resets.has_deletion_due(&uid) == Some(false) {
            self.ctx.report_ttl_skipped(object);
        }
        // Foreign attempts in the initial lists are applied once the apps are known.
        if let Some(foreign) = foreign
            && self.is_listed()
        {
            self.hold_for_predecessor(&uid, &foreign);
        }
        true
    }

    /// A call of the predecessor may still be in flight: it holds a permit of its account, and its group. A status is
    /// trusted to say so only while a predecessor may still write, and only for the account that the reset could use
    /// itself: a client that can write statuses must not delay others.
    pub(super) fn hold_for_predecessor(&mut self, uid: &str, foreign: &ForeignAttempt) {
        let now = self.now().mono;
        let Some(active) = self.resets.active(uid) else { return };
        let (object, key) = (Arc::clone(&active.object), active.app.clone());
        let is_verified = self.apps.get(&key).is_some_and(|app| app.verified.is_some());
        let view = self.app_view(&object);
        if now >= self.alone_from
            || !is_verified
            || view.state == AppState::NotAllowed
            || view.account.as_ref() != Some(&foreign.account)
        {
            return;
        }
        let account = self.account(&foreign.account);
        account.clears.hold_for_predecessor(foreign.deadline, now);
        if let Ok(group) = GroupId::parse(&object.spec.group_id) {
            account.group(&group).hold_until(foreign.deadline);
        }
    }

    fn on_app(&mut self, object: AnyChatApp) {
        let key = object.key();
        let uid = object.meta().uid.clone().unwrap_or_default();
        self.malformed.remove(&(kind_of(&key), uid));
        let now = self.now();
        let known = self.apps.get_mut(&key).filter(|app| {
            app.object.meta().uid == object.meta().uid && app.object.generation() == object.generation()
        });
        if let Some(app) = known {
            app.object = object;
            return self.reconcile_app(&key);
        }
        let mut app = AppEntry::new(object, &self.rules, now);
        if let Some(before) = self.apps.get(&key) {
            app.inherit(before);
        }
        app.update_gate();
        warn_of_spec(&key, &app);
        // Tenants can create apps by the thousands. The limits of most of them do not apply, and then the limits of
        // the account need not be recomputed.
        let affected_account =
            |app: &AppEntry| app.account.clone().filter(|_| app.limits_apply() || app.is_unconfirmed());
        let after = affected_account(&app);
        let before = self.apps.insert(key.clone(), app).and_then(|app| {
            app.withdraw();
            affected_account(&app)
        });
        for account in before.into_iter().chain(after) {
            self.recompute_limits(&account);
        }
        self.reconcile_app(&key);
        self.reconcile_resets_of_app(&key);
    }

    fn on_deleted(&mut self, kind: &'static str, identity: &Identity) {
        self.malformed.remove(&(kind, identity.uid.clone()));
        if kind == NAMESPACE {
            self.namespaces.remove(&identity.name);
            return self.reconcile_resets_of_namespace(&identity.name);
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
                let is_same =
                    |app: &AppEntry| app.object.meta().uid.as_deref() == Some(identity.uid.as_str());
                if self.apps.get(&key).is_some_and(is_same) {
                    self.forget_app(&key);
                }
            }
            _ => {}
        }
    }

    pub(super) fn forget_reset(&mut self, uid: &str) {
        self.reset_is_gone(uid);
        self.resets.forget(uid);
    }

    /// The reset does not exist any more, according to a watch, a list or the answer to a request.
    pub(super) fn reset_is_gone(&mut self, uid: &str) {
        self.stop_waiting(uid);
        self.resets.mark_gone(uid);
    }

    /// Removes a reset from the queues, the watch lag and the timers.
    pub(super) fn stop_waiting(&mut self, uid: &str) {
        self.dequeue(uid);
        if self.watch_lag.forget(uid) {
            self.mark_all_dirty();
        }
        if let Some(moment) = self.resets.all.get_mut(uid).and_then(|entry| entry.timer.take()) {
            self.timers.clear(moment, super::Wake::Reset(uid.to_owned()));
        }
    }

    pub(super) fn forget_app(&mut self, key: &AppKey) {
        if let Some(app) = self.apps.remove(key) {
            app.withdraw();
            if (app.limits_apply() || app.is_unconfirmed())
                && let Some(account) = app.account
            {
                self.recompute_limits(&account);
            }
        }
        self.check_if_due(key);
        self.series.forget(key);
        self.reconcile_resets_of_app(key);
    }

    pub(super) fn reconcile_resets_of_app(&mut self, key: &AppKey) {
        for uid in &self.resets.of_app(key) {
            self.reconcile(uid);
        }
    }

    /// Whether a `ClusterChatApp` is open to a namespace can change with the namespace's labels.
    pub(super) fn reconcile_resets_of_namespace(&mut self, name: &str) {
        for uid in &self.resets.of_cluster_apps(name) {
            self.reconcile(uid);
        }
    }
}

/// Logs what is wrong with a spec, once per generation.
fn warn_of_spec(AppKey { kind, namespace, name }: &AppKey, app: &AppEntry) {
    if let Err(failure) = &app.config {
        tracing::warn!(%kind, namespace, name, "nothing is sent for this app: {}", failure.message);
    }
    let selector = app.object.allowed().filter(|allowed| allowed.from == NamespacesFrom::Selector);
    if let Some(why) =
        selector.and_then(|allowed| allowed.selector.as_ref().map_or(Some(InvalidSelector::Empty), invalid))
    {
        tracing::warn!(
            %kind, namespace, name,
            "spec.allowedNamespaces.selector admits no namespace: {why}. Select labels of the namespaces, or set \
             from: All to admit all of them"
        );
    }
}

pub(super) fn kind_of(key: &AppKey) -> &'static str {
    match key.kind {
        AppKind::ChatApp => CHAT_APP,
        AppKind::ClusterChatApp => CLUSTER_CHAT_APP,
    }
}
