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
//! | gauges and forgetting | `housekeeping` |

mod app_checks;
mod app_steps;
mod dispatch;
mod hear;
mod housekeeping;
mod look;
mod malformed;
mod observe;
mod writing;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::malformed::Unexplained;
use super::accounts::Account;
use super::app_object::AppKey;
use super::apps::{App, Rules};
use super::hands::Hands;
use super::metrics::AppSeries;
use super::report::Report;
use super::resets::{Reader, Resets};
use super::timers::{Timers, Wake};
use super::watches::{Event, Malformed, Source};
use crate::admin::Health;
use crate::decide::Now;
use crate::decide::checks::Checks;
use crate::decide::echo::Echo;
use crate::decide::plan::AccountName;
use crate::decide::runway::Runway;
use crate::decide::turns::Turns;

/// How the desk's work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to stop, and nothing is in flight.
    Stopped,
    /// A task or a watch broke; the process must not go on.
    Broken,
}

/// The memory of the process.
pub struct Desk {
    hands: Arc<Hands>,
    rules: Rules,
    health: Arc<Health>,
    resets: Resets,
    apps: HashMap<AppKey, App>,
    accounts: HashMap<AccountName, Account>,
    /// Apps that were never verified and wait for a check, and when it is looked who is next.
    checks: Checks<AppKey>,
    check_timer: Option<Duration>,
    /// Status writes of apps that are under way, and apps that wait for one.
    app_writers: usize,
    app_writes: Turns<(bool, AppKey)>,
    namespaces: HashMap<String, BTreeMap<String, String>>,
    /// Stored objects that cannot be read, by kind and uid, and whose turn it is to say so in the object.
    malformed: HashMap<(&'static str, String), Malformed>,
    unexplained: Unexplained,
    series: AppSeries,
    timers: Timers,
    tasks: JoinSet<()>,
    unlisted: HashSet<Source>,
    took_over: Duration,
    /// From then on no predecessor can be writing any more.
    alone_from: Duration,
    /// How far attempts run ahead of their permits.
    runway: Runway,
    /// Whether the watch keeps up, and whether each namespace has one of its own.
    echo: Echo,
    one_watch_each: bool,
    /// Writes under way that are not part of an attempt, and resets that wait for one.
    writers: usize,
    backlog: Turns,
    /// Resets that wait for their turn to explain themselves, and when the next may.
    explanations: Turns,
    explain_at: Duration,
    /// Accounts whose queues have to be looked at before the desk rests.
    stirred: BTreeSet<AccountName>,
}

impl Desk {
    /// A desk that begins its work now, with everything still to be listed.
    #[must_use]
    pub fn new(hands: Arc<Hands>, rules: Rules, health: Arc<Health>, sources: Vec<Source>) -> Self {
        let took_over = hands.clock.now().mono;
        let alone_from = took_over + rules.predecessor_writes;
        let reader = Reader { identity: hands.identity.clone(), alone_from };
        let series = AppSeries::new(hands.metrics.clone());
        let one_watch_each = sources.iter().any(|source| !source.namespace.is_empty());
        Self {
            hands,
            rules,
            health,
            resets: Resets::new(reader),
            apps: HashMap::new(),
            accounts: HashMap::new(),
            checks: Checks::default(),
            check_timer: None,
            app_writers: 0,
            app_writes: Turns::default(),
            namespaces: HashMap::new(),
            malformed: HashMap::new(),
            unexplained: Unexplained::default(),
            series,
            timers: Timers::default(),
            tasks: JoinSet::new(),
            unlisted: sources.into_iter().collect(),
            took_over,
            alone_from,
            runway: Runway::default(),
            echo: Echo::default(),
            one_watch_each,
            writers: 0,
            backlog: Turns::default(),
            explanations: Turns::default(),
            explain_at: Duration::ZERO,
            stirred: BTreeSet::new(),
        }
    }

    /// Works until it is told to stop and nothing is in flight any more.
    pub async fn work(
        &mut self,
        mut events: mpsc::Receiver<Event>,
        mut reports: mpsc::UnboundedReceiver<Report>,
    ) -> Ending {
        let stop = self.hands.stop.clone();
        self.timers.set(self.took_over, Wake::Housekeeping);
        loop {
            let ring = self.timers.next().map(|moment| self.hands.clock.instant(moment));
            let stopping = stop.is_cancelled();
            tokio::select! {
                () = stop.cancelled(), if !stopping => {}
                event = events.recv(), if !stopping => match event {
                    Some(event) => self.observe(event),
                    None => return Ending::Broken,
                },
                Some(report) = reports.recv() => self.hear(report),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => if ended.is_err() {
                    return Ending::Broken;
                },
                () = ring_at(ring) => {}
            }
            // Whatever has piled up is looked at before anything is decided.
            while let Ok(report) = reports.try_recv() {
                self.hear(report);
            }
            self.health.beat();
            if stop.is_cancelled() {
                if self.tasks.is_empty() {
                    return Ending::Stopped;
                }
                self.timers = Timers::default();
                // Attempts that have no permit yet are not sent any more.
                self.accounts.values_mut().for_each(|account| account.armed.clear());
                continue;
            }
            self.ring();
            self.dispatch_stirred();
        }
    }

    /// Waits for nothing any more: tasks that are still in flight are dropped.
    pub fn abandon(&mut self) -> usize {
        let left = self.tasks.len();
        self.tasks.abort_all();
        left
    }

    fn is_listed(&self) -> bool {
        self.unlisted.is_empty()
    }

    fn now(&self) -> Now {
        self.hands.clock.now()
    }

    fn ring(&mut self) {
        let now = self.now().mono;
        while let Some(wake) = self.timers.due(now) {
            match wake {
                Wake::Reset(uid) => {
                    if let Some(tracked) = self.resets.all.get_mut(&uid) {
                        tracked.timer = None;
                    }
                    self.look(&uid);
                }
                Wake::Account(name) => {
                    self.account(&name).timer = None;
                    self.stirred.insert(name);
                }
                Wake::Group(name, group) => self.next_for_group(&name, &group),
                Wake::App(key) => self.app_step(&key),
                Wake::Check => self.check_next(),
                Wake::Explanation => self.explain_next(),
                Wake::Malformed => self.explain_malformed(),
                Wake::Housekeeping => self.housekeeping(),
            }
        }
    }

    fn account(&mut self, name: &AccountName) -> &mut Account {
        let took_over = self.took_over;
        self.accounts.entry(name.clone()).or_insert_with(|| Account::new(took_over))
    }
}

async fn ring_at(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
