//! When an app is checked: a read of its Secret, and one harmless call to the vendor.
//!
//! An app that was verified before is probed as soon as its own circuit breaker is due. Never-verified apps share one
//! budget, which [`CheckQueue`](crate::limits::check_queue::CheckQueue) hands out.

use std::sync::Arc;
use std::time::Duration;

use super::{Controller, Wake};
use crate::api::AppKey;
use crate::controller::app_entry::{AppEntry, ProbeState};
use crate::controller::call_config::CallConfig;
use crate::controller::read_back::{probe, sign};
use crate::limits::check_queue::{CheckRequest, CheckStep, NextCheck};
use crate::limits::mono::Mono;

/// An app that waits longer than this for its check says so in its status.
const REPORT_QUEUED_AFTER: Duration = Duration::from_secs(2);

impl Controller {
    /// If a probe is due: probes a verified app at once, and queues a never-verified one.
    pub(super) fn check_if_due(&mut self, key: &AppKey) {
        let now = self.now().mono;
        let due = self.apps.get(key).and_then(AppEntry::probe_due_at);
        if let Some(due) = due.filter(|due| *due > now) {
            self.timers.set(due, Wake::App(key.clone()));
        }
        match self.apps.get(key).filter(|_| due.is_some_and(|due| due <= now)) {
            Some(app) if app.verified.is_none() => self.queue_check(key, now),
            Some(app) => {
                let Ok(config) = &app.config else { return };
                let config = Arc::clone(config);
                self.check_queue.remove(key);
                let moment = self.account(&config.account()).reads.available_at(0, now);
                if moment > now {
                    return self.timers.set(moment, Wake::App(key.clone()));
                }
                self.probe(key, config, now);
            }
            None if self.check_queue.remove(key) => self.schedule_check(now),
            None => {}
        }
    }

    fn queue_check(&mut self, key: &AppKey, now: Mono) {
        let Some(app) = self.apps.get_mut(key) else { return };
        let Some(account) = app.account.clone() else { return };
        let is_broken = app.circuit.failure().is_some();
        let step = if app.probe == ProbeState::Signed { CheckStep::Probe } else { CheckStep::ReadSecret };
        let since =
            self.check_queue.push(&key.namespace, key, CheckRequest { is_broken, step, account }, now);
        let report_at = since + REPORT_QUEUED_AFTER;
        app.reports_queueing = report_at <= now;
        if !app.reports_queueing && !is_broken {
            self.timers.set(report_at, Wake::App(key.clone()));
        }
        self.schedule_check(now);
    }

    /// Sets the timer for the next check to the moment the budget allows it.
    pub(super) fn schedule_check(&mut self, now: Mono) {
        let moment = self.check_queue.next_opportunity(now);
        if self.check_timer.is_some_and(|timer| timer <= moment) {
            return;
        }
        if let Some(timer) = self.check_timer.replace(moment) {
            self.timers.clear(timer, Wake::Check);
        }
        self.timers.set(moment, Wake::Check);
    }

    /// Starts the next step of the next app's check.
    pub(super) fn check_next(&mut self) {
        self.check_timer = None;
        loop {
            let now = self.now().mono;
            match self.check_queue.next(now) {
                NextCheck::Empty => return,
                NextCheck::At(moment) => {
                    self.check_timer = Some(moment);
                    return self.timers.set(moment, Wake::Check);
                }
                NextCheck::Ready(key) => self.check(&key, now),
            }
        }
    }

    fn check(&mut self, key: &AppKey, now: Mono) {
        let is_waiting =
            |app: &&mut AppEntry| app.probe_due_at().is_some_and(|due| due <= now) && app.verified.is_none();
        let app = self.apps.get_mut(key).filter(is_waiting);
        let Some((app, config)) = app.and_then(|app| app.config.clone().ok().map(|config| (app, config)))
        else {
            self.check_queue.remove(key);
            return;
        };
        if app.probe != ProbeState::Signed {
            (app.probe, app.reports_queueing) = (ProbeState::Busy, false);
            self.check_queue.start(key, now);
            self.tasks.spawn(sign(Arc::clone(&self.ctx), config));
            return;
        }
        let name = config.account();
        let permit = self.account(&name).reads.available_at(0, now);
        if permit > now {
            return self.check_queue.hold_account_until(&name, permit);
        }
        self.check_queue.start(key, now);
        self.probe(key, config, now);
    }

    /// Sends the probe; a permit must be available.
    fn probe(&mut self, key: &AppKey, config: Arc<CallConfig>, now: Mono) {
        self.account(&config.account()).reads.acquire(now);
        if let Some(app) = self.apps.get_mut(key) {
            (app.probe, app.reports_queueing) = (ProbeState::Busy, false);
            app.confirm_at = app.confirm_at.filter(|_| app.is_unconfirmed());
            app.circuit.on_probe_started(now);
        }
        self.tasks.spawn(probe(Arc::clone(&self.ctx), config));
    }
}
