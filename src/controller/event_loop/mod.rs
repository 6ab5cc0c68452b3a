//! The desk: one task that owns the memory of the process. Watches and tasks tell it what happened, it decides with
//! the pure functions of `decide`, and hands the work to tasks. Nothing here waits for I/O.
//!
//! | question | file |
//! |---|---|
//! | what did a watch show? | `observe` |
//! | and if it cannot be decoded? | `malformed` |
//! | what is next for a reset? | `look` |
//! | who writes what is no part of an attempt? | `writing` |
//! | who goes now under the limits? | `dispatch` |
//! | when is an app checked? | `app_checks` |
//! | does it work, and what does its status say? | `app_steps` |
//! | what came of a task? | `hear` |
//! | what is said about a change of a status? | `announcements` |
//! | gauges and forgetting | `housekeeping` |

mod announcements;
mod app_checks;
mod apps;
mod dispatch;
mod housekeeping;
mod malformed;
mod reconcile;
mod status_writes;
mod task_results;
mod watch_events;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::malformed::Unexplained;
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
use crate::limits::intent_lead::IntentLead;
use crate::limits::watch_lag::WatchLag;
use crate::observability::health_server::Health;
use crate::observability::log_throttle::LogThrottle;
use crate::observability::metrics::AppSeries;
use crate::protocol::Now;

/// How the desk's work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopExit {
    /// It was told to stop, and nothing is in flight.
    Stopped,
    /// A task or a watch broke; the process must not go on.
    Broken,
}

/// The memory of the process.
pub struct Controller {
    ctx: Arc<Context>,
    rules: AppRules,
    health: Arc<Health>,
    resets: ResetCache,
    apps: HashMap<AppKey, AppEntry>,
    accounts: HashMap<AccountId, AccountLimits>,
    /// Apps that were never verified and wait for a check, and when it is looked who is next.
    check_queue: CheckQueue<AppKey>,
    check_timer: Option<Duration>,
    /// Status writes of apps that are under way, and apps that wait for one.
    app_writes_in_flight: usize,
    app_write_queue: FairQueue<(bool, AppKey)>,
    /// uid and labels of each namespace, by name.
    namespaces: HashMap<String, (String, BTreeMap<String, String>)>,
    /// Stored objects that cannot be read, by kind and uid, and whose turn it is to say so in the object.
    malformed: HashMap<(&'static str, String), Malformed>,
    unexplained: Unexplained,
    series: AppSeries,
    timers: Timers,
    /// Keeps the log readable while an RBAC permission is missing.
    log_throttle: LogThrottle,
    tasks: JoinSet<()>,
    pending_lists: HashSet<Source>,
    took_over: Duration,
    /// From then on no predecessor can be writing any more.
    alone_from: Duration,
    /// How far attempts run ahead of their permits.
    intent_lead: IntentLead,
    /// Whether the watch keeps up, and whether each namespace has one of its own.
    watch_lag: WatchLag,
    watches_per_namespace: bool,
    /// Writes under way that are not part of an attempt, and resets that wait for one.
    writes_in_flight: usize,
    write_queue: FairQueue,
    /// Resets that wait for their turn to explain themselves, and when the next may.
    explanation_queue: FairQueue,
    explain_at: Duration,
    /// Accounts whose queues have to be looked at before the desk rests.
    dirty_accounts: BTreeSet<AccountId>,
}

impl Controller {
    /// A desk that begins its work now, with everything still to be listed.
    #[must_use]
    pub fn new(ctx: Arc<Context>, rules: AppRules, health: Arc<Health>, sources: Vec<Source>) -> Self {
        let took_over = ctx.clock.now().mono;
        let alone_from = took_over + rules.predecessor_writes;
        let reader = CacheOwner { identity: ctx.identity.clone(), alone_from };
        let series = AppSeries::new(ctx.metrics.clone());
        let one_watch_each = sources.iter().any(|source| !source.namespace.is_empty());
        Self {
            ctx: ctx,
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
            unexplained: Unexplained::default(),
            series,
            timers: Timers::default(),
            log_throttle: LogThrottle::default(),
            tasks: JoinSet::new(),
            pending_lists: sources.into_iter().collect(),
            took_over,
            alone_from,
            intent_lead: IntentLead::default(),
            watch_lag: WatchLag::default(),
            watches_per_namespace: one_watch_each,
            writes_in_flight: 0,
            write_queue: FairQueue::default(),
            explanation_queue: FairQueue::default(),
            explain_at: Duration::ZERO,
            dirty_accounts: BTreeSet::new(),
        }
    }

    /// Works until it is told to stop and nothing is in flight any more.
    pub async fn run(
        &mut self,
        mut events: mpsc::Receiver<WatchEvent>,
        mut reports: mpsc::UnboundedReceiver<TaskResult>,
    ) -> LoopExit {
        let stop = self.ctx.stop.clone();
        self.timers.set(self.took_over, Wake::Housekeeping);
        loop {
            let ring = self.timers.next().map(|moment| self.ctx.clock.instant(moment));
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
                () = ring_at(ring) => {}
            }
            // Whatever has piled up is looked at before anything is decided.
            while let Ok(report) = reports.try_recv() {
                self.on_task_result(report);
            }
            self.health.beat();
            if stop.is_cancelled() {
                if self.tasks.is_empty() {
                    return LoopExit::Stopped;
                }
                self.timers = Timers::default();
                // Attempts that have no permit yet are not sent any more.
                self.accounts.values_mut().for_each(|account| account.awaiting_permit.clear());
                continue;
            }
            self.fire_timers();
            self.dispatch_dirty_accounts();
        }
    }

    /// Waits for nothing any more: tasks that are still in flight are dropped.
    pub fn abandon(&mut self) -> usize {
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
                Wake::Explanation => self.explain_next(),
                Wake::Malformed => self.explain_malformed(),
                Wake::Housekeeping => self.housekeeping(),
            }
        }
    }

    fn account(&mut self, name: &AccountId) -> &mut AccountLimits {
        let took_over = self.took_over;
        self.accounts.entry(name.clone()).or_insert_with(|| AccountLimits::new(took_over))
    }
}

async fn ring_at(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
