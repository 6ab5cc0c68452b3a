//! Whether an app's account works. While the circuit breaker of an app is open, only probes are sent for it: one
//! harmless read after 5 s, then at intervals that double up to 60 s.

use std::time::Duration;

use super::classify::{CallResult, Delivery, NotSentCause};
use super::messages;
use crate::api::{AppReason, GroupId};
use crate::chat::{AccountFailure, Class};
use crate::limits::backoff::exponential;
use crate::limits::mono::Mono;

/// Consecutive faults that open the circuit. Calls without a usable answer count once per group: a single group that
/// makes the vendor fail must not close the account.
const FAULTS_TO_OPEN: usize = 3;
const MIN_PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// The longest time between two probes of an open circuit.
pub(crate) const MAX_PROBE_INTERVAL: Duration = Duration::from_mins(1);
/// How long after a failed read of the Secret the key is requested again.
const KEY_RETRY: Duration = Duration::from_secs(2);
/// "Too many requests with invalid signatures": the vendor asks for one minute without calls.
const TOO_MANY_BAD_SIGNATURES: i64 = 70050;

/// Why an app does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppFailure {
    /// Reason of the condition `Ready`.
    pub reason: AppReason,
    /// The vendor's error code, if there was one.
    pub code: Option<i64>,
    /// Cause and remedy.
    pub message: String,
}

impl AppFailure {
    /// A failure that the vendor did not report.
    pub(crate) fn new(reason: AppReason, message: String) -> Self {
        Self { reason, code: None, message }
    }
}

/// The reason of an app whose account the vendor rejects.
#[must_use]
pub(crate) fn app_reason(failure: AccountFailure) -> AppReason {
    match failure {
        AccountFailure::Credentials => AppReason::CredentialsRejected,
        AccountFailure::Unavailable => AppReason::AccountUnavailable,
        AccountFailure::WrongRegion => AppReason::WrongRegion,
        AccountFailure::Endpoint => AppReason::EndpointRejected,
    }
}

/// The circuit breaker of one app.
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    state: State,
    since: Mono,
    network_faults: usize,
    /// The groups whose calls had no usable answer since the last answer that shows that the account works.
    unanswered: Vec<GroupId>,
    expired: u32,
    expired_at: Mono,
    /// The failures in a row when the circuit last closed. Cleared once the vendor accepts a clear.
    failures_before_close: u32,
}

#[derive(Clone, Debug)]
enum State {
    Closed,
    Open { failure: Option<AppFailure>, failures: u32, probe_at: Mono },
}

/// How an event changed the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitChange {
    /// No change that others need to know about.
    None,
    /// It opened, or is open for a different reason now.
    Opened,
    /// It closed.
    Closed,
}

impl CircuitBreaker {
    /// The circuit of an app that was verified since its last spec change.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            state: State::Closed,
            since: Mono::START,
            network_faults: 0,
            unanswered: Vec::new(),
            expired: 0,
            expired_at: Mono::START,
            failures_before_close: 0,
        }
    }

    /// The circuit of an app that has yet to be verified, with the failure that it last had. The first probe is due at
    /// once, or after a minute if the vendor asked for that.
    #[must_use]
    pub fn unverified(last: Option<AppFailure>, now: Mono) -> Self {
        let must_pause = last.as_ref().is_some_and(|failure| failure.code == Some(TOO_MANY_BAD_SIGNATURES));
        let probe_at = if must_pause { now + MAX_PROBE_INTERVAL } else { now };
        let state = State::Open { failure: last, failures: 1, probe_at };
        Self { state, since: now, ..Self::closed() }
    }

    /// Whether clears may be sent.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Why the app does not work, if known.
    #[must_use]
    pub fn failure(&self) -> Option<&AppFailure> {
        match &self.state {
            State::Open { failure, .. } => failure.as_ref(),
            State::Closed => None,
        }
    }

    /// When the next probe is due; `None` while closed.
    #[must_use]
    pub fn next_probe_at(&self) -> Option<Mono> {
        match self.state {
            State::Open { probe_at, .. } => Some(probe_at),
            State::Closed => None,
        }
    }

    /// A probe started. The next one is due after the interval, even if this one never ends.
    pub fn on_probe_started(&mut self, now: Mono) {
        if let State::Open { failures, probe_at, .. } = &mut self.state {
            *probe_at = now + probe_interval(*failures);
        }
    }

    /// The key of a working app could not be read from Kubernetes: the app is verified again as soon as possible.
    pub fn on_key_unavailable(&mut self, now: Mono) {
        if self.is_closed() {
            *self = Self::unverified(None, now);
            self.probe_again_at(now + KEY_RETRY);
        }
    }

    /// Something other than the vendor keeps the app from working, for example its Secret.
    pub fn on_failure(&mut self, failure: AppFailure, now: Mono) -> CircuitChange {
        self.open(failure, self.failures(), now)
    }

    /// A clear ended with `result`. If the vendor accepted it, the account works for more than probes, even if another
    /// clear has been rejected since: the next probe follows after the shortest interval. Returns true if it is now due
    /// earlier.
    pub fn on_clear(&mut self, result: &CallResult) -> bool {
        if !result.accepts_account() {
            return false;
        }
        self.failures_before_close = 0;
        let earliest = self.since + MIN_PROBE_INTERVAL;
        match &mut self.state {
            State::Open { failure: Some(failure), failures, probe_at }
                if failure.code != Some(TOO_MANY_BAD_SIGNATURES) && *probe_at > earliest =>
            {
                (*failures, *probe_at) = (1, earliest);
                true
            }
            _ => false,
        }
    }

    /// A clear or a read of `group` that was started and signed at `started_at` ended with `result`.
    pub fn on_call(
        &mut self,
        result: &CallResult,
        group: &GroupId,
        started_at: Mono,
        now: Mono,
    ) -> CircuitChange {
        if !self.is_closed() || started_at < self.since {
            return CircuitChange::None;
        }
        match result.delivery {
            Delivery::Sent(Class::Account(failure)) => self.reject(failure, result, now),
            // Calls that used the same old signature count once.
            Delivery::Sent(Class::SignatureExpired) if self.expired > 0 && started_at < self.expired_at => {
                CircuitChange::None
            }
            Delivery::Sent(Class::SignatureExpired) => {
                (self.expired, self.expired_at) = (self.expired + 1, now);
                if self.expired >= 2 {
                    self.reject(AccountFailure::Credentials, result, now)
                } else {
                    CircuitChange::None
                }
            }
            Delivery::NotSent(NotSentCause::Network(_)) => {
                self.network_faults += 1;
                if self.network_faults >= FAULTS_TO_OPEN {
                    self.mark_unreachable(result, now)
                } else {
                    CircuitChange::None
                }
            }
            Delivery::Sent(Class::Unknown) if !result.accepts_account() => {
                if result.is_gateway_fault() && !self.unanswered.contains(group) {
                    self.unanswered.push(group.clone());
                }
                if self.unanswered.len() >= FAULTS_TO_OPEN {
                    self.mark_unreachable(result, now)
                } else {
                    CircuitChange::None
                }
            }
            Delivery::Sent(_) => {
                (self.network_faults, self.expired) = (0, 0);
                self.unanswered.clear();
                CircuitChange::None
            }
            Delivery::NotSent(
                NotSentCause::TooLate(_) | NotSentCause::IntentLost | NotSentCause::Deleted,
            ) => CircuitChange::None,
        }
    }

    /// A probe ended with `result`. Any answer that shows that the vendor accepted the signature closes the circuit.
    pub fn on_probe(&mut self, result: &CallResult, now: Mono) -> CircuitChange {
        if self.is_closed() {
            return CircuitChange::None;
        }
        match result.delivery {
            Delivery::Sent(Class::ThrottledGroup | Class::ThrottledAccount) => {
                self.probe_again_at(now + MIN_PROBE_INTERVAL);
                CircuitChange::None
            }
            Delivery::Sent(_) if result.accepts_account() => {
                *self = Self { since: now, failures_before_close: self.failures(), ..Self::closed() };
                CircuitChange::Closed
            }
            Delivery::Sent(Class::Account(failure)) => self.reject(failure, result, now),
            Delivery::Sent(Class::SignatureExpired) => {
                self.expired += 1;
                if self.expired >= 2 {
                    return self.reject(AccountFailure::Credentials, result, now);
                }
                self.probe_again_at(now);
                CircuitChange::None
            }
            Delivery::Sent(_) | Delivery::NotSent(NotSentCause::Network(_)) => {
                self.mark_unreachable(result, now)
            }
            Delivery::NotSent(
                NotSentCause::TooLate(_) | NotSentCause::IntentLost | NotSentCause::Deleted,
            ) => CircuitChange::None,
        }
    }

    fn probe_again_at(&mut self, moment: Mono) {
        if let State::Open { probe_at, .. } = &mut self.state {
            *probe_at = moment;
        }
    }

    fn reject(&mut self, failure: AccountFailure, result: &CallResult, now: Mono) -> CircuitChange {
        // Continue with the earlier interval: otherwise a vendor that accepts reads and rejects clears would get a
        // probe every five seconds forever.
        let before = if now < self.since + MAX_PROBE_INTERVAL { self.failures_before_close } else { 0 };
        let must_pause = result.code == Some(TOO_MANY_BAD_SIGNATURES);
        let earlier = if must_pause { u32::MAX } else { self.failures().max(before) };
        let what = match failure {
            AccountFailure::Endpoint => "What answers at this address does not understand the calls",
            _ => "The vendor rejects the account",
        };
        let message = format!("{what}, {}", messages::result(result));
        self.open(AppFailure { reason: app_reason(failure), code: result.code, message }, earlier, now)
    }

    fn mark_unreachable(&mut self, result: &CallResult, now: Mono) -> CircuitChange {
        let remedy = match result.delivery {
            // Its own text says what to do.
            Delivery::NotSent(NotSentCause::Network(fault)) if fault.is_of_proxy() => "",
            // Whoever answers with a code was reached.
            _ if result.code.is_some() => "",
            _ => " Check the region or endpoint, DNS, and network policies for port 443.",
        };
        let message = format!(
            "No usable answer from the vendor. {}{remedy}",
            messages::capital(&messages::result(result))
        );
        let failure = AppFailure { reason: AppReason::Unreachable, code: result.code, message };
        self.open(failure, self.failures(), now)
    }

    /// How often in a row it failed, while the app has a known failure.
    fn failures(&self) -> u32 {
        match self.state {
            State::Open { failure: Some(_), failures, .. } => failures,
            _ => 0,
        }
    }

    /// Opens it after a failure that follows `earlier` ones.
    fn open(&mut self, failure: AppFailure, earlier: u32, now: Mono) -> CircuitChange {
        let failures = earlier.saturating_add(1);
        let change =
            if self.failure() == Some(&failure) { CircuitChange::None } else { CircuitChange::Opened };
        let probe_at = now + probe_interval(failures);
        let state = State::Open { failure: Some(failure), failures, probe_at };
        *self = Self { state, since: now, ..Self::closed() };
        change
    }
}

/// The time until the next probe after this many failures in a row.
fn probe_interval(failures: u32) -> Duration {
    exponential(MIN_PROBE_INTERVAL, MAX_PROBE_INTERVAL, failures)
}

#[cfg(test)]
mod tests;
