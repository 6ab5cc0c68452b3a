//! Whether an app's account works. While its circuit is open nothing is sent for it but probes: one harmless read
//! after 5 s, then doubling up to 60 s.

use std::time::Duration;

use super::classify::{CallResult, Delivery, NotSentCause};
use super::messages;
use crate::api::AppReason;
use crate::chat::{AccountFailure, Class};

/// Faults in a row that open the circuit.
const FAULTS_TO_OPEN: u32 = 3;
const MIN_PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// No circuit is open for longer without a probe.
pub const MAX_PROBE_INTERVAL: Duration = Duration::from_mins(1);
/// A key that Kubernetes did not hand out is asked for again after this long.
const KEY_RETRY: Duration = Duration::from_secs(2);
/// "Failing signatures asked too often": the vendor wants a minute of silence.
const TOO_MANY_BAD_SIGNATURES: i64 = 70050;

/// Why an app does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppFailure {
    /// One word.
    pub reason: AppReason,
    /// The vendor's code, if one came.
    pub code: Option<i64>,
    /// Cause and remedy.
    pub message: String,
}

/// The reason of an app whose account the vendor refuses.
#[must_use]
pub fn app_reason(failure: AccountFailure) -> AppReason {
    match failure {
        AccountFailure::Credentials => AppReason::CredentialsRejected,
        AccountFailure::Unavailable => AppReason::AccountUnavailable,
        AccountFailure::WrongRegion => AppReason::WrongRegion,
    }
}

/// The circuit of one app. Moments are durations since the process started.
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    state: State,
    since: Duration,
    network_faults: u32,
    unknown: u32,
    expired: u32,
    expired_at: Duration,
    /// How long the probe that closed it was waited for, until the vendor accepts a clear.
    last_wait: Option<Duration>,
}

#[derive(Clone, Debug)]
enum State {
    Closed,
    Open { failure: Option<AppFailure>, wait: Duration, probe_at: Duration },
}

/// What an event did to the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitChange {
    /// Nothing that others need to know.
    None,
    /// It opened, or is open for another reason.
    Opened,
    /// It closed.
    Closed,
}

impl CircuitBreaker {
    /// Of an app that was proved since its last spec change.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            state: State::Closed,
            since: Duration::ZERO,
            network_faults: 0,
            unknown: 0,
            expired: 0,
            expired_at: Duration::ZERO,
            last_wait: None,
        }
    }

    /// Of an app that has to be proved, with the trouble it was last seen in.
    #[must_use]
    pub fn unverified(last: Option<AppFailure>, now: Duration) -> Self {
        let silence = last.as_ref().is_some_and(|failure| failure.code == Some(TOO_MANY_BAD_SIGNATURES));
        let probe_at = if silence { now + MAX_PROBE_INTERVAL } else { now };
        let state = State::Open { failure: last, wait: MIN_PROBE_INTERVAL, probe_at };
        Self { state, since: now, ..Self::closed() }
    }

    /// Whether clears may be sent.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// What is wrong, if that is known.
    #[must_use]
    pub fn failure(&self) -> Option<&AppFailure> {
        match &self.state {
            State::Open { failure, .. } => failure.as_ref(),
            State::Closed => None,
        }
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next_probe_at(&self) -> Option<Duration> {
        match self.state {
            State::Open { probe_at, .. } => Some(probe_at),
            State::Closed => None,
        }
    }

    /// A probe begins; the next one is due after the wait even if this one never ends.
    pub fn on_probe_started(&mut self, now: Duration) {
        if let State::Open { wait, probe_at, .. } = &mut self.state {
            *probe_at = now + *wait;
        }
    }

    /// Kubernetes did not hand out the key of a working app: it has to be proved again, as soon as the key can be read.
    pub fn on_key_unavailable(&mut self, now: Duration) {
        if self.is_closed() {
            *self = Self::unverified(None, now);
            self.probe_again_at(now + KEY_RETRY);
        }
    }

    /// Something else than the vendor keeps the app from working: its Secret, for example.
    pub fn on_failure(&mut self, failure: AppFailure, now: Duration) -> CircuitChange {
        self.open(failure, next_interval(self.probe_interval()), now)
    }

    /// A clear came to this. If the vendor took it, the account works for more than probes, also when that is heard only
    /// after what another clear drew: the next probe then follows after the shortest wait. True if it is due earlier.
    pub fn on_clear(&mut self, result: &CallResult) -> bool {
        if !result.accepts_account() {
            return false;
        }
        self.last_wait = None;
        let soon = self.since + MIN_PROBE_INTERVAL;
        match &mut self.state {
            State::Open { failure: Some(failure), wait, probe_at }
                if failure.code != Some(TOO_MANY_BAD_SIGNATURES) && *probe_at > soon =>
            {
                (*wait, *probe_at) = (MIN_PROBE_INTERVAL, soon);
                true
            }
            _ => false,
        }
    }

    /// A clear or a read that was begun, and signed, at `begun` came to this.
    pub fn on_call(&mut self, result: &CallResult, begun: Duration, now: Duration) -> CircuitChange {
        if !self.is_closed() || begun < self.since {
            return CircuitChange::None;
        }
        match result.delivery {
            Delivery::Sent(Class::Account(failure)) => self.refused(failure, result, now),
            // Calls that carried the same old signature say it once.
            Delivery::Sent(Class::SignatureExpired) if self.expired > 0 && begun < self.expired_at => {
                CircuitChange::None
            }
            Delivery::Sent(Class::SignatureExpired) => {
                (self.expired, self.expired_at) = (self.expired + 1, now);
                if self.expired >= 2 {
                    self.refused(AccountFailure::Credentials, result, now)
                } else {
                    CircuitChange::None
                }
            }
            Delivery::NotSent(NotSentCause::Network(_)) => {
                self.network_faults += 1;
                if self.network_faults >= FAULTS_TO_OPEN {
                    self.unreachable(result, now)
                } else {
                    CircuitChange::None
                }
            }
            Delivery::Sent(Class::Unknown) => {
                self.unknown += 1;
                if self.unknown >= FAULTS_TO_OPEN {
                    self.unreachable(result, now)
                } else {
                    CircuitChange::None
                }
            }
            Delivery::Sent(_) => {
                (self.network_faults, self.unknown, self.expired) = (0, 0, 0);
                CircuitChange::None
            }
            Delivery::NotSent(NotSentCause::TooLate(_) | NotSentCause::IntentLost) => CircuitChange::None,
        }
    }

    /// A probe came to this. Whatever shows that the vendor accepted the signature closes the circuit.
    pub fn on_probe(&mut self, result: &CallResult, now: Duration) -> CircuitChange {
        if self.is_closed() {
            return CircuitChange::None;
        }
        match result.delivery {
            Delivery::Sent(Class::Success | Class::GroupNotFound | Class::NotSupported | Class::Invalid) => {
                *self = Self { since: now, last_wait: self.probe_interval(), ..Self::closed() };
                CircuitChange::Closed
            }
            Delivery::Sent(Class::Account(failure)) => self.refused(failure, result, now),
            Delivery::Sent(Class::SignatureExpired) => {
                self.expired += 1;
                if self.expired >= 2 {
                    return self.refused(AccountFailure::Credentials, result, now);
                }
                self.probe_again_at(now);
                CircuitChange::None
            }
            Delivery::Sent(Class::ThrottledGroup | Class::ThrottledAccount) => {
                self.probe_again_at(now + MIN_PROBE_INTERVAL);
                CircuitChange::None
            }
            Delivery::Sent(Class::Unknown) | Delivery::NotSent(NotSentCause::Network(_)) => {
                self.unreachable(result, now)
            }
            Delivery::NotSent(NotSentCause::TooLate(_) | NotSentCause::IntentLost) => CircuitChange::None,
        }
    }

    fn probe_again_at(&mut self, moment: Duration) {
        if let State::Open { probe_at, .. } = &mut self.state {
            *probe_at = moment;
        }
    }

    fn refused(&mut self, failure: AccountFailure, result: &CallResult, now: Duration) -> CircuitChange {
        // A vendor that takes reads and refuses clears would otherwise be asked every five seconds for ever.
        let before = self.last_wait.filter(|_| now < self.since + MAX_PROBE_INTERVAL);
        let is_told = result.code == Some(TOO_MANY_BAD_SIGNATURES);
        let wait = if is_told { MAX_PROBE_INTERVAL } else { next_interval(self.probe_interval().or(before)) };
        let message = format!("The vendor refuses the account, {}", messages::result(result));
        self.open(AppFailure { reason: app_reason(failure), code: result.code, message }, wait, now)
    }

    fn unreachable(&mut self, result: &CallResult, now: Duration) -> CircuitChange {
        let message = format!(
            "No usable answer from the vendor. {} Check the region or endpoint, DNS, and the network policy for port 443.",
            messages::capital(&messages::result(result))
        );
        let wait = next_interval(self.probe_interval());
        self.open(AppFailure { reason: AppReason::Unreachable, code: result.code, message }, wait, now)
    }

    /// How long its next probe is waited for, while it is in trouble.
    fn probe_interval(&self) -> Option<Duration> {
        match &self.state {
            State::Open { failure: Some(_), wait, .. } => Some(*wait),
            _ => None,
        }
    }

    fn open(&mut self, failure: AppFailure, wait: Duration, now: Duration) -> CircuitChange {
        let change =
            if self.failure() == Some(&failure) { CircuitChange::None } else { CircuitChange::Opened };
        let state = State::Open { failure: Some(failure), wait, probe_at: now + wait };
        *self = Self { state, since: now, ..Self::closed() };
        change
    }
}

/// The wait that follows this one.
fn next_interval(last: Option<Duration>) -> Duration {
    last.map_or(MIN_PROBE_INTERVAL, |last| (last * 2).min(MAX_PROBE_INTERVAL))
}

#[cfg(test)]
mod tests;
