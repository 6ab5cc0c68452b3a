//! Whether an app's account works. While its circuit is open nothing is sent for it but probes: one harmless read
//! after 5 s, then doubling up to 60 s.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use super::judge::{NotSent, Ruling, Verdict};
use super::words;
use crate::api::AppReason;
use crate::chat::{AccountTrouble, Class};

/// Faults in a row that open the circuit.
const IN_A_ROW: u32 = 3;
const FIRST_PROBE: Duration = Duration::from_secs(5);
/// No circuit is open for longer without a probe.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// A key that Kubernetes did not hand out is asked for again after this long.
const KEY_AGAIN: Duration = Duration::from_secs(2);
/// "Failing signatures asked too often": the vendor wants a minute of silence.
const WAIT_A_MINUTE: i64 = 70050;

/// Why an app does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One word.
    pub reason: AppReason,
    /// The vendor's code, if one came.
    pub code: Option<i64>,
    /// Cause and remedy.
    pub message: String,
}

/// The reason of an app whose account the vendor refuses.
#[must_use]
pub fn app_reason(trouble: AccountTrouble) -> AppReason {
    match trouble {
        AccountTrouble::Credentials => AppReason::CredentialsRejected,
        AccountTrouble::Unavailable => AppReason::AccountUnavailable,
        AccountTrouble::WrongRegion => AppReason::WrongRegion,
    }
}

/// The circuit of one app. Moments are durations since the process started.
#[derive(Clone, Debug)]
pub struct Circuit {
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
    Open { trouble: Option<Trouble>, wait: Duration, probe_at: Duration },
}

/// What an event did to the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that others need to know.
    None,
    /// It opened, or is open for another reason.
    Opened,
    /// It closed.
    Closed,
}

impl Circuit {
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
    pub fn unproved(last: Option<Trouble>, now: Duration) -> Self {
        let silence = last.as_ref().is_some_and(|trouble| trouble.code == Some(WAIT_A_MINUTE));
        let probe_at = if silence { now + LONGEST_WAIT } else { now };
        let state = State::Open { trouble: last, wait: FIRST_PROBE, probe_at };
        Self { state, since: now, ..Self::closed() }
    }

    /// Whether clears may be sent.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// What is wrong, if that is known.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        match &self.state {
            State::Open { trouble, .. } => trouble.as_ref(),
            State::Closed => None,
        }
    }

    /// When the next probe is due.
    #[must_use]
    pub fn probe_at(&self) -> Option<Duration> {
        match self.state {
            State::Open { probe_at, .. } => Some(probe_at),
            State::Closed => None,
        }
    }

    /// A probe begins; the next one is due after the wait even if this one never ends.
    pub fn probing(&mut self, now: Duration) {
        if let State::Open { wait, probe_at, .. } = &mut self.state {
            *probe_at = now + *wait;
        }
    }

    /// Kubernetes did not hand out the key of a working app: it has to be proved again, as soon as the key can be read.
    pub fn without_key(&mut self, now: Duration) {
        if self.is_closed() {
            *self = Self::unproved(None, now);
            self.probe_again_at(now + KEY_AGAIN);
        }
    }

    /// Something else than the vendor keeps the app from working: its Secret, for example.
    pub fn blocked(&mut self, trouble: Trouble, now: Duration) -> Change {
        self.open(trouble, after(self.waits()), now)
    }

    /// A clear came to this. If the vendor took it, the account works for more than probes, also when that is heard only
    /// after what another clear drew: the next probe then follows after the shortest wait. True if it is due earlier.
    pub fn heard_of_clear(&mut self, verdict: &Verdict) -> bool {
        if !verdict.accepts_account() {
            return false;
        }
        self.last_wait = None;
        let soon = self.since + FIRST_PROBE;
        match &mut self.state {
            State::Open { trouble: Some(trouble), wait, probe_at }
                if trouble.code != Some(WAIT_A_MINUTE) && *probe_at > soon =>
            {
                (*wait, *probe_at) = (FIRST_PROBE, soon);
                true
            }
            _ => false,
        }
    }

    /// A clear or a read that was begun, and signed, at `begun` came to this.
    pub fn heard(&mut self, verdict: &Verdict, begun: Duration, now: Duration) -> Change {
        if !self.is_closed() || begun < self.since {
            return Change::None;
        }
        match verdict.ruling {
            Ruling::Sent(Class::Account(trouble)) => self.refused(trouble, verdict, now),
            // Calls that carried the same old signature say it once.
            Ruling::Sent(Class::SignatureExpired) if self.expired > 0 && begun < self.expired_at => {
                Change::None
            }
            Ruling::Sent(Class::SignatureExpired) => {
                (self.expired, self.expired_at) = (self.expired + 1, now);
                if self.expired >= 2 {
                    self.refused(AccountTrouble::Credentials, verdict, now)
                } else {
                    Change::None
                }
            }
            Ruling::NotSent(NotSent::Network(_)) => {
                self.network_faults += 1;
                if self.network_faults >= IN_A_ROW { self.unreachable(verdict, now) } else { Change::None }
            }
            Ruling::Sent(Class::Unknown) => {
                self.unknown += 1;
                if self.unknown >= IN_A_ROW { self.unreachable(verdict, now) } else { Change::None }
            }
            Ruling::Sent(_) => {
                (self.network_faults, self.unknown, self.expired) = (0, 0, 0);
                Change::None
            }
            Ruling::NotSent(NotSent::TooLate(_) | NotSent::IntentLost) => Change::None,
        }
    }

    /// A probe came to this. Whatever shows that the vendor accepted the signature closes the circuit.
    pub fn probed(&mut self, verdict: &Verdict, now: Duration) -> Change {
        if self.is_closed() {
            return Change::None;
        }
        match verdict.ruling {
            Ruling::Sent(Class::Success | Class::GroupNotFound | Class::NotSupported | Class::Invalid) => {
                *self = Self { since: now, last_wait: self.waits(), ..Self::closed() };
                Change::Closed
            }
            Ruling::Sent(Class::Account(trouble)) => self.refused(trouble, verdict, now),
            Ruling::Sent(Class::SignatureExpired) => {
                self.expired += 1;
                if self.expired >= 2 {
                    return self.refused(AccountTrouble::Credentials, verdict, now);
                }
                self.probe_again_at(now);
                Change::None
            }
            Ruling::Sent(Class::ThrottledGroup | Class::ThrottledAccount) => {
                self.probe_again_at(now + FIRST_PROBE);
                Change::None
            }
            Ruling::Sent(Class::Unknown) | Ruling::NotSent(NotSent::Network(_)) => {
                self.unreachable(verdict, now)
            }
            Ruling::NotSent(NotSent::TooLate(_) | NotSent::IntentLost) => Change::None,
        }
    }

    fn probe_again_at(&mut self, moment: Duration) {
        if let State::Open { probe_at, .. } = &mut self.state {
            *probe_at = moment;
        }
    }

    fn refused(&mut self, trouble: AccountTrouble, verdict: &Verdict, now: Duration) -> Change {
        // A vendor that takes reads and refuses clears would otherwise be asked every five seconds for ever.
        let before = self.last_wait.filter(|_| now < self.since + LONGEST_WAIT);
        let is_told = verdict.code == Some(WAIT_A_MINUTE);
        let wait = if is_told { LONGEST_WAIT } else { after(self.waits().or(before)) };
        let message = format!("The vendor refuses the account, {}", words::verdict(verdict));
        self.open(Trouble { reason: app_reason(trouble), code: verdict.code, message }, wait, now)
    }

    fn unreachable(&mut self, verdict: &Verdict, now: Duration) -> Change {
        let message = format!(
            "No usable answer from the vendor. {} Check the region or endpoint, DNS, and the network policy for port 443.",
            words::capital(&words::verdict(verdict))
        );
        let wait = after(self.waits());
        self.open(Trouble { reason: AppReason::Unreachable, code: verdict.code, message }, wait, now)
    }

    /// How long its next probe is waited for, while it is in trouble.
    fn waits(&self) -> Option<Duration> {
        match &self.state {
            State::Open { trouble: Some(_), wait, .. } => Some(*wait),
            _ => None,
        }
    }

    fn open(&mut self, trouble: Trouble, wait: Duration, now: Duration) -> Change {
        let change = if self.trouble() == Some(&trouble) { Change::None } else { Change::Opened };
        let state = State::Open { trouble: Some(trouble), wait, probe_at: now + wait };
        *self = Self { state, since: now, ..Self::closed() };
        change
    }
}

/// The wait that follows this one.
fn after(last: Option<Duration>) -> Duration {
    last.map_or(FIRST_PROBE, |last| (last * 2).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests;
