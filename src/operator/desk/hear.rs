//! What came of the tasks.

use std::time::Duration;

use super::Desk;
use crate::api::{GroupAttributeReset, Reason};
use crate::chat::Class;
use crate::chat::codes::lookup;
use crate::cluster::statuses::WriteFault;
use crate::decide::checks::PROBE_SPACING;
use crate::decide::circuit::Change;
use crate::decide::judge::{Ruling, Verdict};
use crate::operator::app_object::AppKey;
use crate::operator::metrics::{AppLabel, Code};
use crate::operator::report::{Armed, CallEnded, Permit, Report, ResetDone, Seen};
use crate::operator::resets::{Origin, number};

/// Longest pause after writes that Kubernetes refused.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// Longest pause without the right to delete: it may be kept back on purpose, for ever, and nobody waits.
const LONGEST_PAUSE_OF_DELETIONS: Duration = Duration::from_hours(1);

impl Desk {
    pub(super) fn hear(&mut self, report: Report) {
        match report {
            Report::Armed(armed) => self.armed(armed),
            Report::CallEnded(ended) => self.call_ended(ended),
            Report::NoCredentials(terms, fault) => self.no_credentials(&terms, fault),
            Report::Signed(terms) => self.signed(&terms),
            Report::Probed(terms, outcome) => self.probed(&terms, outcome),
            Report::ResetDone(done) => self.reset_done(done),
            Report::Deleted { uid, version, outcome } => self.deleted(&uid, &version, outcome),
            Report::AppDone(key, written) => self.app_written(&key, written),
            Report::MalformedExplained => self.malformed_explained(),
            Report::Ended { app, reason, took } => self.count_end(&app, reason, took),
        }
    }

    fn armed(&mut self, armed: Armed) {
        self.runway.measured(self.now().mono.saturating_sub(armed.begun));
        // Unless it is gone by now: the answer to an older write says nothing about that.
        if self.resets.open(&armed.uid).is_some() {
            let _ = self.note(&armed.committed, Origin::Own);
        }
        let name = armed.app.account();
        self.account(&name).armed.push_back(armed);
        self.stirred.insert(name);
    }

    fn call_ended(&mut self, ended: CallEnded) {
        let CallEnded { app: terms, begun, group, permit, verdict } = ended;
        let sent = permit.call();
        let (name, key) = (terms.account(), terms.key.clone());
        let now = self.now().mono;
        if let (None, Some((at, _))) = (&group, sent)
            && !terms.gate.admits_clear()
        {
            // It counts from the send, which a slow Secret may have delayed.
            self.checks.hold(&name, at + PROBE_SPACING);
        }
        let account = self.account(&name);
        let pace = if group.is_some() { &mut account.clears } else { &mut account.reads };
        match permit {
            Permit::None => account.begun = account.begun.saturating_sub(1),
            Permit::Unused => pace.give_back(),
            Permit::Used { over, .. } => pace.answered(over),
        }
        let ruling = verdict.as_ref().map(|verdict| verdict.ruling);
        if let (Some((at, _)), Some(Ruling::Sent(Class::ThrottledAccount))) = (sent, ruling) {
            pace.throttled(at, now);
        }
        if let Some(group) = &group {
            match (sent, verdict.as_ref().is_some_and(Verdict::is_answered)) {
                (None, _) => account.silence.not_sent(),
                (Some(_), true) => account.silence.answered(),
                (Some(_), false) => account.silence.unanswered(),
            }
            let pace = account.group(group);
            pace.end(sent.map(|(_, over)| over));
            match ruling {
                Some(Ruling::Sent(Class::ThrottledGroup)) => pace.throttled(),
                Some(Ruling::Sent(Class::Success)) => pace.relax(),
                _ => {}
            }
        }
        if let Some(verdict) = &verdict {
            if group.is_some() {
                self.count_attempt(&key, verdict, sent.map(|(at, _)| now.saturating_sub(at)));
            }
            // What was heard on terms that are no more says nothing about the app as it is now.
            let moment = self.now();
            let app = self.apps.get_mut(&key).filter(|app| app.is_on(&terms));
            let (has_a_say_now, is_earlier, change) = app.map_or((false, false, Change::None), |app| {
                let has_a_say_now = app.note_accepted(verdict, moment);
                let is_earlier = group.is_some() && app.circuit.heard_of_clear(verdict);
                (has_a_say_now, is_earlier, app.circuit.heard(verdict, begun, now))
            });
            if has_a_say_now {
                self.agree_limits(&name);
            }
            if change != Change::None {
                self.app_changed(&key, change, false);
            }
            if is_earlier || change != Change::None {
                self.app_step(&key);
            }
        }
        if let Some(group) = &group {
            self.next_for_group(&name, group);
        }
        self.stirred.insert(name);
    }

    fn reset_done(&mut self, done: ResetDone) {
        let ResetDone { uid, seen, read_back_at, never_called, was_writer } = done;
        let mut origin = Origin::Truth;
        if let Some(open) = self.resets.open(&uid) {
            origin = open.origin_of_read();
            open.busy = false;
            open.never_called = never_called.or(open.never_called.take());
        }
        if self.resets.all.contains_key(&uid) {
            match seen {
                Seen::Stored(object) => {
                    self.expect_echo(&uid, &object);
                    let _ = self.note(&object, Origin::Own);
                }
                Seen::Read(object) => drop(self.note(&object, origin)),
                Seen::Unchanged => {}
                Seen::Gone => self.reset_is_gone(&uid),
                Seen::Fault(fault) => self.pause(&uid, &fault, LONGEST_PAUSE),
            }
        }
        if let (Some(open), Some(moment)) = (self.resets.open(&uid), read_back_at) {
            open.recall.read_back_at = Some(moment);
        }
        self.resets.settle(&uid);
        if was_writer {
            self.free_writer();
        }
        self.look(&uid);
    }

    /// A deletion is over. If its object has changed meanwhile, others are at work on it by now.
    fn deleted(&mut self, uid: &str, version: &str, outcome: Result<(), WriteFault>) {
        let is_unchanged = self.resets.all.get(uid).is_some_and(|tracked| tracked.version == version);
        match outcome {
            Ok(()) | Err(WriteFault::Gone) => self.reset_is_gone(uid),
            Err(fault) if is_unchanged => self.pause(uid, &fault, longest_before_deletion(&fault)),
            Err(_) => {}
        }
        self.free_writer();
        self.look(uid);
    }

    /// The watch will show what was written, unless it was faster than the answer to the write.
    fn expect_echo(&mut self, uid: &str, stored: &GroupAttributeReset) {
        let Some(version) = number(stored) else { return };
        let known = self.resets.all.get(uid).and_then(|tracked| tracked.version.parse::<u64>().ok());
        if known < Some(version) {
            self.echo.wrote(self.watch_of(stored), uid, version, self.now().mono);
        }
    }

    /// Kubernetes refused something about this reset; it is tried again after a pause that grows.
    fn pause(&mut self, uid: &str, fault: &WriteFault, longest: Duration) {
        let now = self.now().mono;
        let Some(tracked) = self.resets.all.get_mut(uid) else { return };
        let pause = pause_after(tracked.faults, longest);
        tracked.faults += 1;
        tracked.write_at = Some(now + pause);
        tracing::warn!(
            namespace = tracked.namespace,
            reset = tracked.name,
            seconds = pause.as_secs(),
            "Kubernetes did not take a step, tried again after a pause: {fault}"
        );
        self.wake_at(uid, now + pause);
    }

    /// As metrics name an app. Resets may name apps that never existed; those share one series.
    fn label(&mut self, key: &AppKey) -> AppLabel {
        if self.apps.contains_key(key) { self.series.label(key) } else { AppLabel::unknown() }
    }

    fn count_attempt(&mut self, key: &AppKey, verdict: &Verdict, took: Option<Duration>) {
        let app = self.label(key);
        let metrics = &self.hands.metrics;
        let code = match verdict.code {
            None => Code::Absent,
            Some(code) if lookup(code).listed => Code::Listed(code),
            Some(code) => Code::Unlisted(code),
        };
        metrics.attempt(&app, verdict.label(), code);
        if let Some(took) = took {
            metrics.call_duration(&app, took);
        }
        if verdict.ruling == Ruling::Sent(Class::Unknown) {
            metrics.unknown_outcome();
        }
    }

    fn count_end(&mut self, key: &AppKey, reason: Reason, took: Option<jiff::SignedDuration>) {
        let took = took.and_then(|took| Duration::try_from(took).ok()).unwrap_or_default();
        let app = self.label(key);
        self.hands.metrics.result(&app, reason.word(), took);
    }
}

/// Longest pause after this fault of a deletion. Only a missing right is worth an hour: all else may pass soon.
fn longest_before_deletion(fault: &WriteFault) -> Duration {
    if matches!(fault, WriteFault::Forbidden(_)) { LONGEST_PAUSE_OF_DELETIONS } else { LONGEST_PAUSE }
}

/// Doubled from one second on.
fn pause_after(faults: u32, longest: Duration) -> Duration {
    Duration::from_secs(1 << faults.min(12)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_those_of_deletions_grow_on() {
        let seconds =
            |longest| [0, 4, 5, 11, 12, u32::MAX].map(|faults| pause_after(faults, longest).as_secs());
        assert_eq!(seconds(LONGEST_PAUSE), [1, 16, 20, 20, 20, 20]);
        assert_eq!(seconds(LONGEST_PAUSE_OF_DELETIONS), [1, 16, 32, 2048, 3600, 3600]);
    }

    #[test]
    fn only_a_missing_right_keeps_a_deletion_waiting_for_an_hour() {
        let text = || "why".to_owned();
        let missing = WriteFault::Forbidden(text());
        assert_eq!(longest_before_deletion(&missing), LONGEST_PAUSE_OF_DELETIONS);
        for fault in [WriteFault::Refused(text()), WriteFault::Unclear(text()), WriteFault::Conflict] {
            assert_eq!(longest_before_deletion(&fault), LONGEST_PAUSE, "{fault:?}");
        }
    }
}
