//! Decides which apps have series of their own. The number is bounded, because otherwise anyone who may create apps
//! could make a scrape arbitrarily large.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;

use super::Metrics;
use crate::api::AppKey;
use crate::api::AppKind;

/// How many apps of one namespace have series of their own; the rest of the namespace share one.
const MAX_PER_NAMESPACE: usize = 50;
/// How many apps of all namespaces together have series of their own.
const MAX_OF_NAMESPACES: usize = 800;
/// How many `ClusterChatApp`s have series of their own. Only the platform team creates them, so they do not compete
/// with the apps of namespaces.
const MAX_OF_CLUSTER: usize = 200;

/// Labels that identify an app.
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

    /// The label shared by all apps that do not exist, because otherwise each misspelt name would get its own series.
    #[must_use]
    pub fn unknown() -> Self {
        Self { app_kind: "", app_namespace: String::new(), app: String::new() }
    }

    /// The label shared by all apps of a namespace that have no series of their own.
    fn shared(app: &Self) -> Self {
        Self { app: String::new(), ..app.clone() }
    }
}

/// The gauge values of an app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppGauges {
    /// Whether the vendor has ever accepted the app. Such apps get series of their own first.
    pub was_verified: bool,
    /// Resets that have not completed.
    pub waiting: usize,
    /// Age of the oldest of them.
    pub oldest: Duration,
    /// Whether the circuit breaker is open, so that at most a probe is sent for the app.
    pub is_not_closed: bool,
    /// When its signature expires, in Unix seconds.
    pub usersig_expiry: Option<i64>,
    /// Permits in use of its account's limit, and the calls per second that it allows now.
    pub limit: Option<(usize, f64)>,
}

impl AppGauges {
    /// Merges `other` into these gauges: the worse of the two values each, and the sum of the waiting resets.
    fn merge(&mut self, other: &Self) {
        self.waiting += other.waiting;
        self.oldest = self.oldest.max(other.oldest);
        self.is_not_closed |= other.is_not_closed;
        self.usersig_expiry = self.usersig_expiry.into_iter().chain(other.usersig_expiry).min();
        self.limit = match (self.limit, other.limit) {
            (Some((permits, rate)), Some((others, lowest))) => Some((permits.max(others), rate.min(lowest))),
            (own, others) => own.or(others),
        };
    }
}

/// The series of all apps. An app with series of its own keeps them until it is deleted; another app can then get some.
pub struct AppSeries {
    metrics: Metrics,
    own: HashSet<AppKey>,
    of_namespaces: HashMap<String, usize>,
    shared: HashSet<AppLabel>,
}

impl AppSeries {
    /// No app has series yet.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, own: HashSet::new(), of_namespaces: HashMap::new(), shared: HashSet::new() }
    }

    /// The label of this app: its own if it has series of its own or can still get some, else the shared one.
    pub fn label(&mut self, app: &AppKey) -> AppLabel {
        let label = AppLabel::of(app);
        if self.own.contains(app) || self.try_add_own(app) {
            return label;
        }
        let label = AppLabel::shared(&label);
        self.shared.insert(label.clone());
        label
    }

    fn try_add_own(&mut self, app: &AppKey) -> bool {
        let of_cluster = self.own_of("");
        let fits = match app.kind {
            AppKind::ClusterChatApp => of_cluster < MAX_OF_CLUSTER,
            AppKind::ChatApp => {
                self.own_of(&app.namespace) < MAX_PER_NAMESPACE
                    && self.own.len() - of_cluster < MAX_OF_NAMESPACES
            }
        };
        if fits {
            self.own.insert(app.clone());
            *self.of_namespaces.entry(app.namespace.clone()).or_default() += 1;
        }
        fits
    }

    fn own_of(&self, namespace: &str) -> usize {
        self.of_namespaces.get(namespace).copied().unwrap_or_default()
    }

    /// Removes the series of a deleted app. What it contributed to a shared series remains there.
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

    /// Updates the gauge after the app's circuit breaker opened or closed. A shared series is reset only by
    /// [`AppSeries::update`], which sees whether any other breaker is still open.
    pub fn circuit(&mut self, app: &AppKey, is_open: bool) {
        let label = self.label(app);
        if is_open || !label.app.is_empty() {
            self.metrics.circuit(&label, is_open);
        }
    }

    /// Sets the gauges of all apps. Removes shared series that no app uses any more.
    pub fn update(&mut self, mut apps: Vec<(&AppKey, AppGauges)>) {
        apps.sort_unstable_by(|(a, one), (b, other)| {
            let order = other.was_verified.cmp(&one.was_verified);
            if order == Ordering::Equal { a.cmp(b) } else { order }
        });
        let before = std::mem::take(&mut self.shared);
        let mut sharing: HashMap<AppLabel, AppGauges> = HashMap::new();
        let mut sharers = 0;
        for (app, gauges) in apps {
            let label = self.label(app);
            if label.app.is_empty() {
                sharers += 1;
                sharing.entry(label).and_modify(|all| all.merge(&gauges)).or_insert(gauges);
            } else {
                self.show_one(&label, &gauges);
            }
        }
        for (label, gauges) in &sharing {
            self.show_one(label, gauges);
        }
        for label in before.difference(&self.shared) {
            self.metrics.forget_app(label);
        }
        self.metrics.apps_sharing_series(sharers);
    }

    fn show_one(&self, label: &AppLabel, gauges: &AppGauges) {
        self.metrics.app(label);
        self.metrics.waiting(label, gauges.waiting, gauges.oldest);
        self.metrics.circuit(label, gauges.is_not_closed);
        if let Some(moment) = gauges.usersig_expiry {
            self.metrics.usersig_expiry(label, moment);
        }
        if let Some((permits_in_use, effective_rate)) = gauges.limit {
            self.metrics.limit(label, permits_in_use, effective_rate);
        }
    }
}

#[cfg(test)]
mod tests;
