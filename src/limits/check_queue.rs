//! Which unverified app is checked next.
//!
//! Anybody who may create an app makes the operator read a Secret and call the vendor. So all unverified apps share one
//! rate limit, however many there are and however long they stay broken. Namespaces are served round-robin, and within
//! a namespace the apps that were never checked go first. In addition, the apps of one account share one call per 5 s:
//! an app that uses somebody else's account must neither load that account nor delay its owner.
//!
//! A namespace whose app was accepted may take a few extra steps at once, so that a platform with a thousand accounts
//! does not wait for minutes. These steps are granted only after the vendor accepted an app.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::fair_queue::FairQueue;
use super::mono::Mono;
use crate::chat::AccountId;

/// Between two steps of all apps: five per second, with some margin for calls that arrive closer together than they
/// were sent.
pub(crate) const CHECK_SPACING: Duration = Duration::from_millis(210);
/// Between two calls for apps of one account.
pub(crate) const PROBE_SPACING: Duration = Duration::from_secs(5);
/// A namespace that is first in the queue of an account, but is busy checking other apps, loses its position to the
/// next namespace after this.
const HEAD_OF_LINE_TIMEOUT: Duration = Duration::from_secs(1);
/// Extra steps that a namespace may take after one of its apps was accepted: the two that the check took, and one more,
/// so that they accumulate as long as checks succeed.
const BONUS_STEPS: usize = 3;
/// The most extra steps that a namespace can accumulate.
const MAX_BONUS_STEPS: usize = 16;
/// If no queued app may go, the queue is not searched again before this, whatever happens meanwhile.
const RECHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The two steps of a check. An app that has taken the first step goes before those that have not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CheckStep {
    /// The second step: one call to the vendor.
    Probe,
    /// The first step: one read of the Secret, whose key signs the call.
    ReadSecret,
}

/// What an app waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CheckRequest {
    /// It was checked before, and does not work.
    pub is_broken: bool,
    /// The step that it waits for.
    pub step: CheckStep,
    /// The account that it uses.
    pub account: AccountId,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextCheck<A> {
    /// This app is next. It stays in the queue until [`CheckQueue::start`].
    Ready(A),
    /// No app may go before this moment.
    At(Mono),
    /// No app is queued.
    Empty,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct CheckKey<A> {
    is_broken: bool,
    step: CheckStep,
    since: Mono,
    app: A,
    account: AccountId,
}

/// The probes for one account.
#[derive(Debug)]
struct AccountQueue<A> {
    free_at: Mono,
    queue: FairQueue<CheckKey<A>>,
}

/// The unverified apps that wait for a step of their check.
#[derive(Debug)]
pub(crate) struct CheckQueue<A> {
    keys: HashMap<A, (String, CheckKey<A>)>,
    queue: FairQueue<CheckKey<A>>,
    accounts: HashMap<AccountId, AccountQueue<A>>,
    free_at: Mono,
    recheck_at: Mono,
    bonus: HashMap<String, usize>,
}

impl<A> Default for CheckQueue<A> {
    fn default() -> Self {
        Self {
            keys: HashMap::new(),
            queue: FairQueue::default(),
            accounts: HashMap::new(),
            free_at: Mono::START,
            recheck_at: Mono::START,
            bonus: HashMap::new(),
        }
    }
}

impl<A: Clone + Ord + Hash> CheckQueue<A> {
    /// Queues an app for a step. Returns since when it has been waiting: if it is queued for the same step already, it
    /// keeps its position.
    pub(crate) fn push(&mut self, namespace: &str, app: &A, request: CheckRequest, now: Mono) -> Mono {
        let CheckRequest { is_broken, step, account } = request;
        if let Some((_, key)) = self.keys.get(app) {
            if key.is_broken == is_broken && key.step == step && key.account == account {
                return key.since;
            }
            self.remove(app);
        }
        let key = CheckKey { is_broken, step, since: now, app: app.clone(), account };
        self.queue.push(namespace, key.clone());
        if step == CheckStep::Probe {
            self.account(&key.account).queue.push(namespace, key.clone());
        }
        self.keys.insert(app.clone(), (namespace.to_owned(), key));
        now
    }

    /// Removes an app from the queue. True if it was queued, so that those behind it may go earlier now.
    pub(crate) fn remove(&mut self, app: &A) -> bool {
        let Some((namespace, key)) = self.keys.remove(app) else { return false };
        self.queue.remove(&namespace, &key);
        if let Some(account_queue) = self.accounts.get_mut(&key.account) {
            account_queue.queue.remove(&namespace, &key);
        }
        true
    }

    /// When to call [`next`](Self::next) after an app was queued or removed; before that, no app could go.
    #[must_use]
    pub(crate) fn next_opportunity(&self, now: Mono) -> Mono {
        let moment = if self.bonus.is_empty() { self.free_at } else { now };
        moment.max(self.recheck_at).max(now)
    }

    /// Which app takes its step next.
    #[must_use]
    pub(crate) fn next(&mut self, now: Mono) -> NextCheck<A> {
        let is_free = self.free_at <= now;
        if self.keys.is_empty() {
            return NextCheck::Empty;
        }
        if !is_free && self.bonus.is_empty() {
            return NextCheck::At(self.free_at);
        }
        let mut soonest = if is_free { Mono::MAX } else { self.free_at };
        let may_now = |namespace: &str| is_free || self.bonus.contains_key(namespace);
        let first = self.queue.first_eligible(may_now, |namespace, key| {
            let moment = self.eligible_at(namespace, key);
            soonest = soonest.min(moment);
            moment <= now
        });
        if let Some((_, key)) = first {
            return NextCheck::Ready(key.app.clone());
        }
        self.recheck_at = now + RECHECK_INTERVAL;
        NextCheck::At(soonest.max(self.recheck_at))
    }

    /// The app takes its step: removes it from the queue and uses up the rate limit, or an extra step of its namespace.
    pub(crate) fn start(&mut self, app: &A, now: Mono) {
        let Some((namespace, key)) = self.keys.remove(app) else { return };
        if self.free_at <= now {
            self.free_at = now + CHECK_SPACING;
        } else if let Some(steps) = self.bonus.get_mut(&namespace) {
            *steps -= 1;
            if *steps == 0 {
                self.bonus.remove(&namespace);
            }
        }
        self.queue.take(&namespace, &key);
        if key.step == CheckStep::Probe {
            self.account(&key.account).queue.take(&namespace, &key);
            self.hold_account_until(&key.account, now + PROBE_SPACING);
        }
    }

    /// The vendor accepted an app of this namespace: grants it extra steps.
    pub(crate) fn on_accepted(&mut self, namespace: &str) {
        let steps = self.bonus.entry(namespace.to_owned()).or_default();
        *steps = (*steps + BONUS_STEPS).min(MAX_BONUS_STEPS);
    }

    /// No unverified app of this account is probed before `moment`.
    pub(crate) fn hold_account_until(&mut self, account: &AccountId, moment: Mono) {
        let account_queue = self.account(account);
        account_queue.free_at = account_queue.free_at.max(moment);
    }

    /// Number of queued apps that were never checked.
    #[must_use]
    pub(crate) fn never_checked(&self) -> usize {
        self.keys.values().filter(|(_, key)| !key.is_broken).count()
    }

    /// Forgets accounts that no app waits for and that may be called at once, and the extra steps of namespaces without
    /// a queued app.
    pub(crate) fn forget_idle(&mut self, now: Mono) {
        self.bonus.retain(|namespace, _| self.queue.has_namespace(namespace));
        self.accounts
            .retain(|_, account_queue| !account_queue.queue.is_empty() || account_queue.free_at > now);
    }

    fn account(&mut self, account: &AccountId) -> &mut AccountQueue<A> {
        self.accounts
            .entry(account.clone())
            .or_insert_with(|| AccountQueue { free_at: Mono::START, queue: FairQueue::default() })
    }

    /// When this app may take its step. A namespace that is busy with other apps does not block an account for the
    /// namespaces behind it: each gets `HEAD_OF_LINE_TIMEOUT`.
    fn eligible_at(&self, namespace: &str, key: &CheckKey<A>) -> Mono {
        match (key.step, self.accounts.get(&key.account)) {
            (CheckStep::Probe, Some(account_queue)) => {
                let ahead = u32::try_from(account_queue.queue.ahead_of(namespace)).unwrap_or(u32::MAX);
                account_queue.free_at + HEAD_OF_LINE_TIMEOUT.saturating_mul(ahead)
            }
            _ => Mono::START,
        }
    }
}

#[cfg(test)]
mod tests;
