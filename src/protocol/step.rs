//! Inputs and outputs of planning: the app as a reset sees it, this process's local state, and the next step.

use jiff::SignedDuration;

use super::status::for_generation;
use crate::api::{AppReason, PendingAttempt, ResetStatus};
use crate::chat::AccountId;
use crate::limits::mono::Mono;

/// The app as seen by a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppView {
    /// Whether the app can be used.
    pub state: AppState,
    /// The account of the app, whether it works or not.
    pub account: Option<AccountId>,
}

/// Whether an app can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppState {
    /// The `ChatApp` does not exist.
    Missing,
    /// The `ClusterChatApp` is missing, not open to this namespace, or suspended.
    NotAllowed,
    /// It is suspended.
    Suspended,
    /// It is being verified.
    Checking,
    /// It does not work.
    NotReady(AppReason, Option<i64>),
    /// It works.
    Working,
}

/// What this process knows beside the reset and its app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalState {
    /// When the group of the pending attempt may be read back.
    pub read_back_at: Option<Mono>,
    /// Until when `nextAttemptTime` delays the next attempt.
    pub hold_until: Option<Mono>,
    /// Since when only rate limits have delayed it.
    pub eligible_since: Option<Mono>,
    /// How far the wall clock is ahead of the API server's, at least; negative if it is behind.
    pub clock_ahead: SignedDuration,
}

/// The next step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Do nothing until this moment, unless something changes.
    Wait(Option<Mono>),
    /// Store this status.
    Record(Box<ResetStatus>),
    /// Start an attempt as soon as the rate limits allow.
    Send,
    /// Read back the group of the pending attempt.
    ReadBack(Box<PendingAttempt>),
    /// Delete the object: its time to live has passed.
    Delete,
}

/// A step, and an update of the status to explain the wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The next step.
    pub step: Step,
    /// A status with an explanation, to be stored with low priority. `None` if the stored status is up to date.
    pub explain: Option<Box<ResetStatus>>,
}

impl From<Step> for Plan {
    fn from(step: Step) -> Self {
        Self { step, explain: None }
    }
}

/// The plan to store this status.
pub(super) fn store(status: ResetStatus) -> Plan {
    Step::Record(Box::new(status)).into()
}

/// The same status for the current generation, if it refers to an older one.
pub(super) fn with_generation(status: &ResetStatus, generation: i64) -> Option<Box<ResetStatus>> {
    (status.is_written() && status.observed_generation != generation)
        .then(|| Box::new(for_generation(status, generation)))
}
