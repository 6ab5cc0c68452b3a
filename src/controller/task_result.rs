//! The results that tasks report to the event loop.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::any_chat_app::AnyChatApp;
use super::call_config::CallConfig;
use crate::api::{AppKey, GroupAttributeReset, GroupId};
use crate::chat::Command;
use crate::k8s::secrets::CredentialsError;
use crate::k8s::status_writer::WriteError;
use crate::limits::mono::Mono;
use crate::protocol::classify::CallResult;

/// What a task reports to the event loop.
pub(crate) enum TaskResult {
    /// The intent of an attempt is stored; the attempt requests its permit.
    IntentStored(IntentStored),
    /// A call has ended, or was not made: its permit and its group are free again.
    CallEnded(CallEnded),
    /// The app's key could not be read.
    CredentialsFailed(Arc<CallConfig>, CredentialsError),
    /// The signature for a probe with this configuration was created.
    Signed(Arc<CallConfig>),
    /// A probe of the app with this configuration has ended.
    Probed(Arc<CallConfig>, Result<CallResult, CredentialsError>),
    /// A task for a reset has ended.
    ResetDone(ResetDone),
    /// The deletion of a finished reset has ended.
    Deleted {
        /// uid of the reset.
        uid: String,
        /// resourceVersion of the object to delete.
        version: String,
        /// The result of the request.
        outcome: Result<(), WriteError>,
    },
    /// A write of an app's status has ended.
    AppDone(AppKey, Result<AnyChatApp, WriteError>),
    /// The write of the conditions of a malformed reset has ended, successfully or not.
    MalformedWritten,
    /// The outcome of a call is unknown. Storing it has low priority, so the attempt waits for its turn.
    OutcomeUnknown {
        /// Namespace of its reset.
        namespace: String,
        /// uid of its reset.
        uid: String,
        /// Signals the turn, also by being dropped.
        turn: oneshot::Sender<()>,
    },
}

/// An attempt that waits only for its permit.
pub(crate) struct IntentStored {
    /// uid of its reset.
    pub uid: String,
    /// The reset as stored, with the intent.
    pub committed: Arc<GroupAttributeReset>,
    /// The configuration it calls with.
    pub app: Arc<CallConfig>,
    /// Since when only the limits have held the reset back.
    pub eligible_since: Mono,
    /// Grants the permit; dropped to end the attempt without one.
    pub permit: oneshot::Sender<()>,
}

/// How the permit of a call was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PermitUse {
    /// No permit was granted.
    None,
    /// A permit was granted, but nothing was sent.
    Unused,
    /// A call was sent.
    Used {
        /// When it was sent.
        sent: Mono,
        /// When it was answered; its deadline if it was not.
        over: Mono,
    },
}

impl PermitUse {
    /// When a call was sent and when it was over; `None` if nothing was sent.
    #[must_use]
    pub(crate) fn call(self) -> Option<(Mono, Mono)> {
        match self {
            Self::Used { sent, over } => Some((sent, over)),
            Self::None | Self::Unused => None,
        }
    }
}

/// The end of a call, for the limits and the circuit breaker.
pub(crate) struct CallEnded {
    /// The configuration it was made with.
    pub app: Arc<CallConfig>,
    /// When it was started.
    pub started: Mono,
    /// Whether the group was cleared or read.
    pub command: Command,
    /// The group of the call.
    pub group: GroupId,
    /// How its permit was used.
    pub permit: PermitUse,
    /// The result; `None` if no call was attempted.
    pub result: Option<CallResult>,
}

/// The end of a task for a reset.
#[derive(Debug)]
pub(crate) struct ResetDone {
    /// uid of the reset.
    pub uid: String,
    /// The object as the task last saw it.
    pub seen: LastSeen,
    /// When the group may be read back, if the outcome of its call is unknown.
    pub read_back_at: Option<Mono>,
    /// Id of an attempt whose intent may be stored and whose call was never made.
    pub revoked_attempt: Option<String>,
    /// It held one of the write slots for writes that are not part of an attempt.
    pub was_writer: bool,
}

/// The object as a task last saw it.
#[derive(Debug)]
pub(crate) enum LastSeen {
    /// The answer to a write; a watch may have shown something newer.
    Stored(Arc<GroupAttributeReset>),
    /// The answer to a GET: authoritative, whatever the watches show.
    Read(Arc<GroupAttributeReset>),
    /// Nothing newer than the cached object.
    Unchanged,
    /// It does not exist any more.
    Gone,
    /// Kubernetes rejected a read or a write.
    Fault(WriteError),
}

impl ResetDone {
    /// The end of a task that has nothing to report but the object.
    #[must_use]
    pub(crate) fn seen(uid: &str, seen: LastSeen) -> Self {
        Self { uid: uid.to_owned(), seen, read_back_at: None, revoked_attempt: None, was_writer: false }
    }

    /// The end of a write that was not part of an attempt.
    #[must_use]
    pub(crate) fn written(uid: &str, seen: LastSeen) -> Self {
        Self { was_writer: true, ..Self::seen(uid, seen) }
    }
}
