//! What tasks tell the desk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::any_chat_app::AnyChatApp;
use super::app_entry::CallConfig;
use crate::api::AppKey;
use crate::api::{GroupAttributeReset, GroupId};
use crate::k8s::secrets::CredentialsError;
use crate::k8s::status_writer::WriteError;
use crate::protocol::classify::CallResult;

/// What tasks tell the desk.
pub enum TaskResult {
    /// The intent of an attempt is stored, and it asks for its permit.
    IntentStored(IntentStored),
    /// A call has ended, or was not made: its permit and its group can be counted down.
    CallEnded(CallEnded),
    /// The app's key could not be had.
    CredentialsFailed(Arc<CallConfig>, CredentialsError),
    /// The signature for a probe on these terms could be made.
    Signed(Arc<CallConfig>),
    /// A probe of the app on these terms has ended.
    Probed(Arc<CallConfig>, Result<CallResult, CredentialsError>),
    /// A task about a reset is over.
    ResetDone(ResetDone),
    /// The deletion of a finished reset is over.
    Deleted {
        /// uid of the reset.
        uid: String,
        /// resourceVersion of what was to be deleted.
        version: String,
        /// What came of it.
        outcome: Result<(), WriteError>,
    },
    /// A write of an app's status is over.
    AppDone(AppKey, Result<AnyChatApp, WriteError>),
    /// A malformed reset was told that it is, or could not be.
    MalformedExplained,
}

/// An attempt that waits for nothing but its permit.
pub struct IntentStored {
    /// uid of its reset.
    pub uid: String,
    /// Its reset with the intent, as stored.
    pub committed: Arc<GroupAttributeReset>,
    /// For which app it is made.
    pub app: Arc<CallConfig>,
    /// When it was begun.
    pub started: Duration,
    /// Since when its reset could go but for the limits.
    pub eligible_since: Duration,
    /// Used to hand it its permit, and dropped to let it end without one.
    pub permit: oneshot::Sender<()>,
}

/// What became of the permit of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermitUse {
    /// There was none yet.
    None,
    /// Nothing was sent.
    Unused,
    /// A call was sent.
    Used {
        /// When.
        sent: Duration,
        /// When it was answered; its deadline, if it was not.
        over: Duration,
    },
}

impl PermitUse {
    /// When a call was sent, and when it was over.
    #[must_use]
    pub fn call(self) -> Option<(Duration, Duration)> {
        match self {
            Self::Used { sent, over } => Some((sent, over)),
            Self::None | Self::Unused => None,
        }
    }
}

/// The end of a call, for limits and circuit.
pub struct CallEnded {
    /// For which app it was made.
    pub app: Arc<CallConfig>,
    /// When it was begun.
    pub started: Duration,
    /// The group that was written to; none for a read.
    pub group: Option<GroupId>,
    /// What became of its permit.
    pub permit: PermitUse,
    /// What it came to; `None` if nothing was tried.
    pub result: Option<CallResult>,
}

/// The end of a task about a reset.
#[derive(Debug)]
pub struct ResetDone {
    /// uid of the reset.
    pub uid: String,
    /// What the task last saw of the object.
    pub seen: LastSeen,
    /// When the group may be read back, if the outcome of its call is unknown.
    pub read_back_at: Option<Duration>,
    /// Id of an attempt whose intent may be stored, and whose call was never made.
    pub revoked_attempt: Option<String>,
    /// It took one of the writers that are not part of an attempt.
    pub was_writer: bool,
}

/// What a task last saw of its object.
#[derive(Debug)]
pub enum LastSeen {
    /// What was stored; a watch may have shown something newer.
    Stored(Arc<GroupAttributeReset>),
    /// What a GET answered: the truth, whatever the watches say.
    Read(Arc<GroupAttributeReset>),
    /// Nothing newer than the desk knows.
    Unchanged,
    /// It does not exist any more.
    Gone,
    /// Kubernetes did not take or give something.
    Fault(WriteError),
}

impl ResetDone {
    /// Nothing but what was seen.
    #[must_use]
    pub fn seen(uid: &str, seen: LastSeen) -> Self {
        Self { uid: uid.to_owned(), seen, read_back_at: None, revoked_attempt: None, was_writer: false }
    }

    /// The end of a write that was not part of an attempt.
    #[must_use]
    pub fn written(uid: &str, seen: LastSeen) -> Self {
        Self { was_writer: true, ..Self::seen(uid, seen) }
    }
}
