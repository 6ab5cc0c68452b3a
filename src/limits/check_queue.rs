//! Which app is looked at next of those that were never verified.
//!
//! Anybody who may create an app makes the operator read a Secret and ask the vendor. So all apps that were never
//! verified share one budget, however many there are and however long they stay broken; namespaces take turns, and
//! within a namespace those that nobody has looked at go first. The apps of one account share one call in 5 s
//! besides: whoever names somebody else's account must neither burden it nor keep its owner waiting.
//!
//! A namespace whose app was accepted may take a few more steps at once, so that a platform with a thousand accounts is
//! not kept waiting for minutes. Nobody gets that without the vendor's word.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::fair_queue::FairQueue;
use crate::chat::AccountId;

/// Between two steps of all apps: five a second, with a little left for those that arrive closer together than they left.
pub const CHECK_SPACING: Duration = Duration::from_millis(210);
/// Between two calls for apps of one account.
pub const PROBE_SPACING: Duration = Duration::from_secs(5);
/// A namespace whose turn at an account it is, and which has others to look at first, loses it to the next one after this.
const HEAD_OF_LINE_TIMEOUT: Duration = Duration::from_secs(1);
/// Steps besides the budget that a namespace may take after an app of it was accepted: the two that this took, and one
/// more, so that they become more for as long as all is well.
const BONUS_STEPS: usize = 3;
/// No namespace has more of them than this.
const MAX_BONUS_STEPS: usize = 16;
/// If none of those that wait may go, it is not looked again before this, whatever happens meanwhile.
const RECHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The two steps of a check; an app that has taken the first goes before those that have not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckStep {
    /// One call to the vendor.
    Probe,
    /// One read of the Secret, to sign with its key.
    ReadSecret,
}

/// What an app waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckRequest {
    /// It was looked at before, and does not work.
    pub is_broken: bool,
    /// The step that it waits for.
    pub step: CheckStep,
    /// Its account.
    pub account: AccountId,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextCheck<A> {
    /// It is this app's turn; it waits on until it is [taken](Checks::take).
    Go(A),
    /// Nobody may go before this moment.
    At(Duration),
    /// Nobody waits.
    Nobody,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct CheckKey<A> {
    is_broken: bool,
    step: CheckStep,
    since: Duration,
    app: A,
    account: AccountId,
}

/// The calls for one account.
#[derive(Debug)]
struct AccountQueue<A> {
    free_at: Duration,
    queue: FairQueue<CheckKey<A>>,
}

/// The apps that were never verified and wait for a step of their check. Moments are durations since the process started.
#[derive(Debug)]
pub struct CheckQueue<A> {
    keys: HashMap<A, (String, CheckKey<A>)>,
    queue: FairQueue<CheckKey<A>>,
    accounts: HashMap<AccountId, AccountQueue<A>>,
    free_at: Duration,
    recheck_at: Duration,
    bonus: HashMap<String, usize>,
}

impl<A> Default for CheckQueue<A> {
    fn default() -> Self {
        Self {
            keys: HashMap::new(),
            queue: FairQueue::default(),
            accounts: HashMap::new(),
            free_at: Duration::ZERO,
            recheck_at: Duration::ZERO,
            bonus: HashMap::new(),
        }
    }
}

impl<A: Clone + Ord + Hash> CheckQueue<A> {
    /// Lets an app wait for a step, and tells since when it does. If it waits for that already, it keeps its place.
    pub fn push(&mut self, namespace: &str, app: &A, wish: CheckRequest, now: Duration) -> Duration {
        let CheckRequest { is_broken, step, account } = wish;
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

    /// The app waits for nothing any more. True if it did: whoever is behind it may go earlier now.
    pub fn remove(&mut self, app: &A) -> bool {
        let Some((namespace, key)) = self.keys.remove(app) else { return false };
        self.queue.remove(&namespace, &key);
        if let Some(queue_of_account) = self.accounts.get_mut(&key.account) {
            queue_of_account.queue.remove(&namespace, &key);
        }
        true
    }

    /// When it is worth asking whose turn it is, because somebody has joined or left.
    #[must_use]
    pub fn next_opportunity(&self, now: Duration) -> Duration {
        let moment = if self.bonus.is_empty() { self.free_at } else { now };
        moment.max(self.recheck_at).max(now)
    }

    /// Whose turn it is.
    #[must_use]
    pub fn next(&mut self, now: Duration) -> NextCheck<A> {
        let is_free = self.free_at <= now;
        if self.keys.is_empty() {
            return NextCheck::Nobody;
        }
        if !is_free && self.bonus.is_empty() {
            return NextCheck::At(self.free_at);
        }
        let mut soonest = if is_free { Duration::MAX } else { self.free_at };
        let may_now = |namespace: &str| is_free || self.bonus.contains_key(namespace);
        let first = self.queue.first_eligible(may_now, |namespace, key| {
            let moment = self.eligible_at(namespace, key);
            soonest = soonest.min(moment);
            moment <= now
        });
        if let Some((_, key)) = first {
            return NextCheck::Go(key.app.clone());
        }
        self.recheck_at = now + RECHECK_INTERVAL;
        NextCheck::At(soonest.max(self.recheck_at))
    }

    /// The app takes the step that it waits for.
    pub fn start(&mut self, app: &A, now: Duration) {
        let Some((namespace, key)) = self.keys.remove(app) else { return };
        if self.free_at <= now {
            self.free_at = now + CHECK_SPACING;
        } else if let Some(earned) = self.bonus.get_mut(&namespace) {
            *earned -= 1;
            if *earned == 0 {
                self.bonus.remove(&namespace);
            }
        }
        self.queue.take(&namespace, &key);
        if key.step == CheckStep::Probe {
            self.account(&key.account).queue.take(&namespace, &key);
            self.hold_account_until(&key.account, now + PROBE_SPACING);
        }
    }

    /// The vendor has accepted an app of this namespace.
    pub fn on_accepted(&mut self, namespace: &str) {
        let earned = self.bonus.entry(namespace.to_owned()).or_default();
        *earned = (*earned + BONUS_STEPS).min(MAX_BONUS_STEPS);
    }

    /// No app of this account that was never verified is called for before `moment`.
    pub fn hold_account_until(&mut self, account: &AccountId, moment: Duration) {
        let queue_of_account = self.account(account);
        queue_of_account.free_at = queue_of_account.free_at.max(moment);
    }

    /// How many apps wait that nobody has ever looked at.
    #[must_use]
    pub fn never_checked(&self) -> usize {
        self.keys.values().filter(|(_, key)| !key.is_broken).count()
    }

    /// Forgets the accounts that nobody waits for and that may be called at once, and what namespaces have earned of which
    /// nobody waits.
    pub fn forget_idle(&mut self, now: Duration) {
        self.bonus.retain(|namespace, _| self.queue.has_namespace(namespace));
        self.accounts.retain(|_, queue_of_account| {
            !queue_of_account.queue.is_empty() || queue_of_account.free_at > now
        });
    }

    fn account(&mut self, account: &AccountId) -> &mut AccountQueue<A> {
        self.accounts
            .entry(account.clone())
            .or_insert_with(|| AccountQueue { free_at: Duration::ZERO, queue: FairQueue::default() })
    }

    /// A namespace that has others to look at first does not keep an account for which the next one waits.
    fn eligible_at(&self, namespace: &str, key: &CheckKey<A>) -> Duration {
        match (key.step, self.accounts.get(&key.account)) {
            (CheckStep::Probe, Some(queue_of_account)) => {
                let ahead = u32::try_from(queue_of_account.queue.ahead_of(namespace)).unwrap_or(u32::MAX);
                queue_of_account.free_at.saturating_add(HEAD_OF_LINE_TIMEOUT.saturating_mul(ahead))
            }
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
