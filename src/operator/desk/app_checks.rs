//! When an app is checked: a read of its Secret, and one harmless call to the vendor.
//!
//! One that was verified before is called for as soon as its own circuit wants it. Those that never were share one
//! budget, which `decide::checks` hands out.

use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Wake};
use crate::decide::checks::{Next, Step, Wish};
use crate::operator::app_object::AppKey;
use crate::operator::apps::{App, AppTerms, Probe};
use crate::operator::read_back::{probe, sign};

/// An app that waits longer than this for its check says so.
const WORTH_TELLING: Duration = Duration::from_secs(2);

impl Desk {
    /// Checks a verified app, and lets another wait for its turn, if that is due.
    pub(super) fn check_if_due(&mut self, key: &AppKey) {
        let now = self.now().mono;
        let due = self.apps.get(key).and_then(App::probe_due);
        if let Some(due) = due.filter(|due| *due > now) {
            self.timers.set(due, Wake::App(key.clone()));
        }
        match self.apps.get(key).filter(|_| due.is_some_and(|due| due <= now)) {
            Some(app) if app.verified.is_none() => self.wait_for_check(key, now),
            Some(app) => {
                let Ok(terms) = &app.terms else { return };
                let terms = Arc::clone(terms);
                self.checks.leave(key);
                let moment = self.account(&terms.account()).reads.free_at(0, now);
                if moment > now {
                    return self.timers.set(moment, Wake::App(key.clone()));
                }
                self.probe(key, terms, now);
            }
            None if self.checks.leave(key) => self.stir_checks(now),
            None => {}
        }
    }

    fn wait_for_check(&mut self, key: &AppKey, now: Duration) {
        let Some(app) = self.apps.get_mut(key) else { return };
        let Some(account) = app.account.clone() else { return };
        let is_broken = app.circuit.trouble().is_some();
        let step = if app.probe == Probe::Signed { Step::Probe } else { Step::ReadSecret };
        let since = self.checks.join(&key.namespace, key, Wish { is_broken, step, account }, now);
        let tell_at = since + WORTH_TELLING;
        app.in_line = tell_at <= now;
        if !app.in_line && !is_broken {
            self.timers.set(tell_at, Wake::App(key.clone()));
        }
        self.stir_checks(now);
    }

    /// Looks who is next as soon as the budget allows it.
    pub(super) fn stir_checks(&mut self, now: Duration) {
        let moment = self.checks.open_at(now);
        if self.check_timer.is_some_and(|timer| timer <= moment) {
            return;
        }
        if let Some(timer) = self.check_timer.replace(moment) {
            self.timers.clear(timer, Wake::Check);
        }
        self.timers.set(moment, Wake::Check);
    }

    /// Lets the next app take a step of its check.
    pub(super) fn check_next(&mut self) {
        self.check_timer = None;
        loop {
            let now = self.now().mono;
            match self.checks.next(now) {
                Next::Nobody => return,
                Next::At(moment) => {
                    self.check_timer = Some(moment);
                    return self.timers.set(moment, Wake::Check);
                }
                Next::Go(key) => self.check(&key, now),
            }
        }
    }

    fn check(&mut self, key: &AppKey, now: Duration) {
        let waits = |app: &&mut App| app.probe_due().is_some_and(|due| due <= now) && app.verified.is_none();
        let app = self.apps.get_mut(key).filter(waits);
        let Some((app, terms)) = app.and_then(|app| app.terms.clone().ok().map(|terms| (app, terms))) else {
            self.checks.leave(key);
            return;
        };
        if app.probe != Probe::Signed {
            (app.probe, app.in_line) = (Probe::Busy, false);
            self.checks.take(key, now);
            self.tasks.spawn(sign(Arc::clone(&self.hands), terms));
            return;
        }
        let name = terms.account();
        let permit = self.account(&name).reads.free_at(0, now);
        if permit > now {
            return self.checks.hold(&name, permit);
        }
        self.checks.take(key, now);
        self.probe(key, terms, now);
    }

    /// Calls the vendor for it; a permit is free.
    fn probe(&mut self, key: &AppKey, terms: Arc<AppTerms>, now: Duration) {
        self.account(&terms.account()).reads.take(now);
        if let Some(app) = self.apps.get_mut(key) {
            (app.probe, app.in_line) = (Probe::Busy, false);
            app.confirm_at = app.confirm_at.filter(|_| app.is_unconfirmed());
            app.circuit.probing(now);
        }
        self.tasks.spawn(probe(Arc::clone(&self.hands), terms));
    }
}
