//! The event loop: one task that owns the state of the process. It receives watch events and task results, decides
//! with the pure functions in [`protocol`](crate::protocol) and [`limits`](crate::limits), and spawns tasks for the
//! work. Nothing here waits for I/O.
//!
//! | question | file |
//! |---|---|
//! | what does a watch event change? | `watch_events`; a complete list, `lists` |
//! | what if an object cannot be decoded? | `malformed` |
//! | what is the next step for a reset? | `reconcile` |
//! | which status writes and deletions are not part of an attempt? | `status_writes`; those that can wait, `low_priority` |
//! | which call may go now under the limits? | `dispatch` |
//! | when is an app checked? | `app_checks` |
//! | does an app work, and what does its status say? | `apps` |
//! | what does a task result change? | `task_results` |
//! | which events, log lines and metrics follow from a status change? | `announcements` |
//! | gauges and eviction | `housekeeping` |

mod announcements;
mod app_checks;
mod apps;
mod dispatch;
mod housekeeping;
mod lists;
mod low_priority;
mod malformed;
mod reconcile;
mod status_writes;
mod task_results;
mod watch_events;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::low_priority::LowPriority;
use super::account_limits::AccountLimits;
use super::app_entry::{AppEntry, AppRules};
use super::context::Context;
use super::reset_cache::{CacheOwner, ResetCache};
use super::task_result::TaskResult;
use super::timers::{Timers, Wake};
use super::watches::{Malformed, Source, WatchEvent};
use crate::api::AppKey;
use crate::chat::AccountId;
use crate::limits::check_queue::CheckQueue;
use crate::limits::fair_queue::FairQueue;
use crate::limits::mono::Mono;
use crate::limits::watch_lag::WatchLag;
use crate::observability::health_server::Health;
use crate::observability::log_throttle::LogThrottle;
use crate::observability::metrics::AppSeries;
use crate::protocol::Now;

/// How the event loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoopExit {
    /// It was asked to stop, and nothing is in flight.
    Stopped,
    /// A task or a watch failed; the process must exit.
    Broken,
}

/// The state of the process.
pub(crate) struct Controller {
    ctx: Arc<Context>,
    rules: AppRules,
    health: Arc<Health>,
    resets: ResetCache,
    apps: HashMap<AppKey, AppEntry>,
    accounts: HashMap<AccountId, AccountLimits>,
    /// Never-verified apps that wait for a check, and when the next one is selected.
    check_queue: CheckQueue<AppKey>,
    check_timer: Option<Mono>,
    /// App status writes in flight, and apps that wait for one.
    app_writes_in_flight: usize,
    app_write_queue: FairQueue<(bool, AppKey)>,
    /// uid and labels of each namespace, by name.
    namespaces: HashMap<String, (String, BTreeMap<String, String>)>,
    /// Stored objects that cannot be decoded, by kind and uid.
    malformed: HashMap<(&'static str, String), Malformed>,
    series: AppSeries,
    timers: Timers,
    /// Keeps the log readable while an RBAC permission is missing.
    log_throttle: LogThrottle,
    tasks: JoinSet<()>,
    pending_lists: HashSet<Source>,
    took_over: Mono,
    /// From this moment on no predecessor can still be writing.
    alone_from: Mono,
    /// Whether the watches lag, and whether each namespace has its own.
    watch_lag: WatchLag,
    watches_per_namespace: bool,
    /// Status writes in flight that are not part of an attempt, and resets that wait for one.
    writes_in_flight: usize,
    write_queue: FairQueue,
    low_priority: LowPriority,
    /// Accounts whose queues have to be dispatched before the loop sleeps.
    dirty_accounts: BTreeSet<AccountId>,
}

impl Controller {
    /// A controller that starts now and still has to receive the initial list of every source.
    #[must_use]
    pub(crate) fn new(ctx: Arc<Context>, rules: AppRules, health: Arc<Health>, sources: Vec<Source>) -> Self {
        let took_over = ctx.clock.now().mono;
        let alone_from = took_over + rules.predecessor_writes;
        let reader = CacheOwner { identity: ctx.identity.clone(), alone_from };
        let series = AppSeries::new(ctx.metrics.clone());
        let watches_per_namespace = sources.iter().any(|source| !source.namespace.is_empty());
        Self {
            ctx,
            rules,
            health,
            resets: ResetCache::new(reader),
            apps: HashMap::new(),
            accounts: HashMap::new(),
            check_queue: CheckQueue::default(),
            check_timer: None,
            app_writes_in_flight: 0,
            app_write_queue: FairQueue::default(),
            namespaces: HashMap::new(),
            malformed: HashMap::new(),
            series,
            timers: Timers::default(),
            log_throttle: LogThrottle::default(),
            tasks: JoinSet::new(),
            pending_lists: sources.into_iter().collect(),
            took_over,
            alone_from,
            watch_lag: WatchLag::default(),
            watches_per_namespace,
            writes_in_flight: 0,
            write_queue: FairQueue::default(),
            low_priority: LowPriority::default(),
            dirty_accounts: BTreeSet::new(),
        }
    }

    /// Runs until [`Context::stop`] is cancelled and nothing is in flight any more.
    pub(crate) async fn run(
        &mut self,
        mut events: mpsc::Receiver<WatchEvent>,
        mut reports: mpsc::UnboundedReceiver<TaskResult>,
    ) -> LoopExit {
        let stop = self.ctx.stop.clone();
        self.timers.set(self.took_over, Wake::Housekeeping);
        loop {
            let wake_at = self.timers.next().map(|moment| self.ctx.clock.instant(moment));
            let stopping = stop.is_cancelled();
            tokio::select! {
                () = stop.cancelled(), if !stopping => {}
                event = events.recv(), if !stopping => match event {
                    Some(event) => self.on_watch_event(event),
                    None => return LoopExit::Broken,
                },
                Some(report) = reports.recv() => self.on_task_result(report),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => if ended.is_err() {
                    return LoopExit::Broken;
                },
                () = sleep_until(wake_at) => {}
            }
            // Apply every queued task result before deciding anything.
            while let Ok(report) = reports.try_recv() {
                self.on_task_result(report);
            }
            self.health.beat();
            if stop.is_cancelled() {
                if self.tasks.is_empty() {
                    return LoopExit::Stopped;
                }
                self.timers = Timers::default();
                // Attempts without a permit are not sent any more, and known outcomes are stored at once.
                self.low_priority.outcomes.clear();
                self.accounts.values_mut().for_each(|account| account.awaiting_permit.clear());
                continue;
            }
            self.fire_timers();
            self.dispatch_dirty_accounts();
        }
    }

    /// Aborts the tasks that are still in flight and returns their number.
    pub(crate) fn abandon(&mut self) -> usize {
        let left = self.tasks.len();
        self.tasks.abort_all();
        left
    }

    fn is_listed(&self) -> bool {
        self.pending_lists.is_empty()
    }

    fn now(&self) -> Now {
        self.ctx.clock.now()
    }

    fn fire_timers(&mut self) {
        let now = self.now().mono;
        while let Some(wake) = self.timers.due(now) {
            match wake {
                Wake::Reset(uid) => {
                    if let Some(entry) = self.resets.all.get_mut(&uid) {
                        entry.timer = None;
                    }
                    self.reconcile(&uid);
                }
                Wake::Account(name) => {
                    self.account(&name).timer = None;
                    self.dirty_accounts.insert(name);
                }
                Wake::Group(name, group) => self.next_for_group(&name, &group),
                Wake::App(key) => self.reconcile_app(&key),
                Wake::Check => self.check_next(),
                Wake::LowPriority => self.write_low_priority(),
                Wake::Housekeeping => self.housekeeping(),
            }
        }
    }

    fn account(&mut self, name: &AccountId) -> &mut AccountLimits {
        let took_over = self.took_over;
        self.accounts.entry(name.clone()).or_insert_with(|| AccountLimits::new(took_over))
    }
}

/// Sleeps until `moment`; forever if there is none.
async fn sleep_until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
