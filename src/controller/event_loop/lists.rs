//! Applies complete lists: objects that are missing from one are gone.

use std::collections::HashSet;

use super::Controller;
use super::watch_events::kind_of;
use crate::controller::watches::{CHAT_APP, CLUSTER_CHAT_APP, NAMESPACE, RESET, Source};

impl Controller {
    pub(super) fn on_listed(&mut self, source: &Source, uids: &HashSet<String>) {
        let inside = |namespace: &str| source.namespace.is_empty() || source.namespace == namespace;
        let is_gone = |uid: Option<&String>, namespace: &str| {
            inside(namespace) && uid.is_none_or(|uid| !uids.contains(uid))
        };
        match source.kind {
            RESET => {
                let all = self.resets.all.iter();
                let gone: Vec<_> = all
                    .filter(|(uid, entry)| is_gone(Some(uid), &entry.namespace))
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
            NAMESPACE => {
                let gone = |(_, (uid, _)): &(&String, &(String, _))| !uids.contains(uid);
                let gone: Vec<_> =
                    self.namespaces.iter().filter(gone).map(|(name, _)| name.clone()).collect();
                for name in &gone {
                    self.namespaces.remove(name);
                    self.reconcile_resets_of_namespace(name);
                }
            }
            _ => {}
        }
        self.malformed.retain(|(kind, uid), malformed| {
            *kind != source.kind || !inside(&malformed.identity.namespace) || uids.contains(uid)
        });
        if self.pending_lists.remove(source) && self.is_listed() {
            tracing::info!(
                resets = self.resets.all.len(),
                apps = self.apps.len(),
                "the initial lists are complete"
            );
            self.health.ready();
            self.start();
        }
    }

    /// Reconciles everything for the first time, once the initial lists are complete.
    fn start(&mut self) {
        let apps: Vec<_> = self.apps.keys().cloned().collect();
        for key in &apps {
            self.reconcile_app(key);
        }
        let now = self.now().mono;
        let foreign: Vec<_> = self.resets.foreign_attempts(now);
        for (uid, foreign) in &foreign {
            self.hold_for_predecessor(uid, foreign);
        }
        let uids: Vec<_> = self.resets.all.keys().cloned().collect();
        for uid in &uids {
            self.reconcile(uid);
        }
    }
}
