//! Which apps have series of their own. Everybody who may create an app would otherwise decide how large a scrape is.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;

use super::Metrics;
use crate::api::AppKey;
use crate::api::AppKind;

/// Apps of one namespace that have series of their own; the rest of them share one.
const OF_A_NAMESPACE: usize = 50;
/// The same of all namespaces together.
const OF_ALL_NAMESPACES: usize = 800;
/// Only the platform makes a `ClusterChatApp`, so these do not compete with those of the namespaces.
const OF_THE_CLUSTER: usize = 200;

/// Names an app.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppLabel {
    /// `ChatApp` or `ClusterChatApp`.
    pub app_kind: &'static str,
    /// Empty for a `ClusterChatApp`.
    pub app_namespace: String,
    /// The app's name.
    pub app: String,
}

impl AppLabel {
    /// The label of an app with series of its own.
    #[must_use]
    pub fn of(app: &AppKey) -> Self {
        let app_kind = match app.kind {
            AppKind::ChatApp => "ChatApp",
            AppKind::ClusterChatApp => "ClusterChatApp",
        };
        Self { app_kind, app_namespace: app.namespace.clone(), app: app.name.clone() }
    }

    /// For apps that do not exist, all of them together; otherwise a misspelt name would be a series of its own.
    #[must_use]
    pub fn unknown() -> Self {
        Self { app_kind: "", app_namespace: String::new(), app: String::new() }
    }

    /// For the apps of a namespace that have no series of their own, all of them together.
    fn shared(app: &Self) -> Self {
        Self { app: String::new(), ..app.clone() }
    }
}

/// How an app stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppFigures {
    /// Whether the vendor ever accepted it; such an app gets series of its own before others.
    pub was_verified: bool,
    /// Resets that have not ended.
    pub waiting: usize,
    /// Age of the oldest of them.
    pub oldest: Duration,
    /// Nothing is sent for it.
    pub is_open: bool,
    /// When its signature ends, in seconds of the epoch.
    pub usersig_expiry: Option<i64>,
    /// Permits in use of its account's limit, and the calls a second that it allows now.
    pub limit: Option<(usize, f64)>,
}

impl AppFigures {
    /// What is worst of either; the resets are added.
    fn merge(&mut self, other: &Self) {
        self.waiting += other.waiting;
        self.oldest = self.oldest.max(other.oldest);
        self.is_open |= other.is_open;
        self.usersig_expiry = self.usersig_expiry.into_iter().chain(other.usersig_expiry).min();
        self.limit = match (self.limit, other.limit) {
            (Some((permits, rate)), Some((others, lowest))) => Some((permits.max(others), rate.min(lowest))),
            (own, others) => own.or(others),
        };
    }
}

/// The series of the apps. An app that has its own keeps them until it is deleted, and then another gets its place.
pub struct AppSeries {
    metrics: Metrics,
    own: HashSet<AppKey>,
    of_namespaces: HashMap<String, usize>,
    shared: HashSet<AppLabel>,
}

impl AppSeries {
    /// Nobody has any yet.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, own: HashSet::new(), of_namespaces: HashMap::new(), shared: HashSet::new() }
    }

    /// As metrics name this app from now on.
    pub fn label(&mut self, app: &AppKey) -> AppLabel {
        let label = AppLabel::of(app);
        if self.own.contains(app) || self.take_place(app) {
            return label;
        }
        let label = AppLabel::shared(&label);
        self.shared.insert(label.clone());
        label
    }

    fn take_place(&mut self, app: &AppKey) -> bool {
        let of_the_cluster = self.own_of("");
        let has_room = match app.kind {
            AppKind::ClusterChatApp => of_the_cluster < OF_THE_CLUSTER,
            AppKind::ChatApp => {
                self.own_of(&app.namespace) < OF_A_NAMESPACE
                    && self.own.len() - of_the_cluster < OF_ALL_NAMESPACES
            }
        };
        if has_room {
            self.own.insert(app.clone());
            *self.of_namespaces.entry(app.namespace.clone()).or_default() += 1;
        }
        has_room
    }

    fn own_of(&self, namespace: &str) -> usize {
        self.of_namespaces.get(namespace).copied().unwrap_or_default()
    }

    /// The app was deleted. What it counted in a series that others share stays there.
    pub fn forget(&mut self, app: &AppKey) {
        if !self.own.remove(app) {
            return;
        }
        self.metrics.forget_app(&AppLabel::of(app));
        if let Some(count) = self.of_namespaces.get_mut(&app.namespace) {
            *count -= 1;
            if *count == 0 {
                self.of_namespaces.remove(&app.namespace);
            }
        }
    }

    /// The app's circuit has opened or closed; for those that share their series, [`AppSeries::show`] tells the latter.
    pub fn circuit(&mut self, app: &AppKey, is_open: bool) {
        let label = self.label(app);
        if is_open || !label.app.is_empty() {
            self.metrics.circuit(&label, is_open);
        }
    }

    /// Shows how all apps stand. Shared series that nobody shares any more go away.
    pub fn show(&mut self, mut apps: Vec<(&AppKey, AppFigures)>) {
        apps.sort_unstable_by(|(a, one), (b, other)| {
            let order = other.was_verified.cmp(&one.was_verified);
            if order == Ordering::Equal { a.cmp(b) } else { order }
        });
        let before = std::mem::take(&mut self.shared);
        let mut sharing: HashMap<AppLabel, AppFigures> = HashMap::new();
        let mut sharers = 0;
        for (app, figures) in apps {
            let label = self.label(app);
            if label.app.is_empty() {
                sharers += 1;
                sharing.entry(label).and_modify(|all| all.merge(&figures)).or_insert(figures);
            } else {
                self.show_one(&label, &figures);
            }
        }
        for (label, figures) in &sharing {
            self.show_one(label, figures);
        }
        for label in before.difference(&self.shared) {
            self.metrics.forget_app(label);
        }
        self.metrics.apps_sharing_series(sharers);
    }

    fn show_one(&self, label: &AppLabel, figures: &AppFigures) {
        self.metrics.app(label);
        self.metrics.waiting(label, figures.waiting, figures.oldest);
        self.metrics.circuit(label, figures.is_open);
        if let Some(moment) = figures.usersig_expiry {
            self.metrics.usersig_expiry(label, moment);
        }
        if let Some((permits_in_use, effective_rate)) = figures.limit {
            self.metrics.limit(label, permits_in_use, effective_rate);
        }
    }
}

#[cfg(test)]
mod tests;
