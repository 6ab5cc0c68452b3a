//! Housekeeping: gauges, and eviction of what need not be cached.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Controller, Wake};
use crate::api::{AppKey, ResetStatus};
use crate::chat::AccountId;
use crate::controller::watches::{CHAT_APP, CLUSTER_CHAT_APP, RESET};
use crate::observability::metrics::{AppGauges, AppLabel};
use crate::protocol::Now;

const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(2);

impl Controller {
    pub(super) fn housekeeping(&mut self) {
        let now = self.now();
        self.timers.set(now.mono + HOUSEKEEPING_INTERVAL, Wake::Housekeeping);
        self.forget_idle(now);
        self.gauges(now);
    }

    /// Evicts what need not be cached.
    fn forget_idle(&mut self, now: Now) {
        for config in self.apps.values().filter_map(|app| app.config.as_ref().ok()) {
            config.credentials.drop_expired_key(now.mono);
        }
        self.check_queue.forget_idle(now.mono);
        let named: HashSet<&AccountId> = self.apps.values().filter_map(|app| app.account.as_ref()).collect();
        self.accounts.retain(|name, account| {
            account.forget_idle_groups(now.mono);
            named.contains(name) || !account.is_forgettable(now.mono)
        });
    }

    /// Sets the gauges.
    fn gauges(&mut self, now: Now) {
        let mut waiting: HashMap<&AppKey, (usize, Duration)> = HashMap::new();
        for (_, active) in self.resets.all_active() {
            let status = active.object.status.as_ref();
            if status.is_some_and(ResetStatus::is_final) {
                continue;
            }
            let (count, oldest) = waiting.entry(&active.app).or_default();
            *count += 1;
            // A suspended reset may have been prepared months ahead; its age must not raise an alert.
            if !active.object.spec.suspend {
                let created = active.object.metadata.creation_timestamp.as_ref().map(|time| time.0);
                let start = status.and_then(|status| status.start_time).or(created);
                let age = start.map(|start| now.wall.duration_since(start));
                *oldest = (*oldest).max(age.and_then(|age| age.try_into().ok()).unwrap_or_default());
            }
        }
        let metrics = &self.ctx.metrics;
        metrics.accounts(self.accounts.len());
        let without_app =
            waiting.iter().filter(|(key, _)| !self.apps.contains_key(key)).map(|(_, numbers)| numbers);
        let (count, oldest) =
            without_app.fold((0, Duration::ZERO), |all, one| (all.0 + one.0, all.1.max(one.1)));
        // The series must exist before the first increment; otherwise an alert on its increase would miss that one.
        metrics.app(&AppLabel::unknown());
        metrics.waiting(&AppLabel::unknown(), count, oldest);
        let mut apps = Vec::with_capacity(self.apps.len());
        for (key, app) in &self.apps {
            let (waiting, oldest) = waiting.get(key).copied().unwrap_or_default();
            let account = app.account.as_ref().and_then(|name| self.accounts.get_mut(name));
            let gauges = AppGauges {
                was_verified: app.verified.is_some(),
                waiting,
                oldest,
                is_not_closed: !app.circuit.is_closed(),
                usersig_expiry: app.config.as_ref().ok().and_then(|config| config.credentials.expires()),
                limit: account
                    .map(|account| (account.clears.in_use(now.mono), account.clears.rate(now.mono))),
            };
            apps.push((key, gauges));
        }
        self.series.update(apps);
        metrics.apps_waiting(self.check_queue.never_checked(), self.app_write_queue.len());
        metrics.secret_reads(self.ctx.secret_reads.in_flight());
        for kind in [RESET, CHAT_APP, CLUSTER_CHAT_APP] {
            metrics
                .malformed_objects(kind, self.malformed.keys().filter(|(known, _)| *known == kind).count());
        }
    }
}
