//! Stores the intent of an attempt, and what follows if that does not permit a call.

use std::sync::Arc;
use std::time::Duration;

use rand::random;

use super::{AttemptEnd, AttemptOrder};
use crate::api::{GroupAttributeReset, PendingAttempt, ResetStatus};
use crate::controller::context::Context;
use crate::controller::persist::{get_after_conflict, get_until_answered, is_pending, store_outcome};
use crate::controller::task_result::LastSeen;
use crate::controller::unrecorded::KnownOutcome;
use crate::k8s::status_writer::WriteError;
use crate::protocol::classify::{CallResult, NotSentCause};
use crate::protocol::outcome::{WriteContext, after_attempt, intent};

/// Why the intent does not permit a call.
pub(super) enum CommitError {
    /// It is not stored.
    NotStored(LastSeen),
    /// The answer to the write was lost: the intent may be stored, and only this process knows that no call follows.
    Lost(String),
    /// It is stored, but the object is being deleted.
    Deleted(Arc<GroupAttributeReset>),
}

impl CommitError {
    pub(super) async fn end(
        self,
        ctx: &Context,
        order: &AttemptOrder,
        pending: &PendingAttempt,
    ) -> AttemptEnd {
        match self {
            Self::NotStored(seen) => seen.into(),
            Self::Deleted(committed) => {
                store_without_call(ctx, committed, pending, NotSentCause::Deleted).await.into()
            }
            Self::Lost(why) => {
                tracing::warn!(
                    namespace = order.reset.metadata.namespace,
                    reset = order.reset.metadata.name,
                    attempt = pending.id,
                    "no call is made, because it is unknown whether the intent was stored: {why}"
                );
                let seen = revoke_intent(ctx, &order.reset, pending).await;
                AttemptEnd { seen, read_back_at: None, revoked_attempt: Some(pending.id.clone()) }
            }
        }
    }
}

/// Stores the intent. A call is permitted only if the stored object has the same uid, carries this attempt and is not
/// being deleted.
pub(super) async fn commit(
    ctx: &Context,
    order: &AttemptOrder,
    pending: &PendingAttempt,
) -> Result<Arc<GroupAttributeReset>, CommitError> {
    if ctx.stop.is_cancelled() || !ctx.leads() || !order.app.gate.allows_clear() {
        return Err(CommitError::NotStored(LastSeen::Unchanged));
    }
    let next = intent(&order.reset, pending.clone(), ctx.clock.now());
    let committed = match ctx.write_status("intent", &order.reset, next).await {
        Ok(stored) => stored,
        Err(WriteError::Conflict) => {
            return Err(CommitError::NotStored(get_after_conflict(ctx, &order.reset).await));
        }
        Err(WriteError::Gone) => return Err(CommitError::NotStored(LastSeen::Gone)),
        Err(refused @ (WriteError::Refused(_) | WriteError::Forbidden(_))) => {
            return Err(CommitError::NotStored(LastSeen::Fault(refused)));
        }
        Err(unclear @ (WriteError::Unknown(_) | WriteError::Undecodable)) => {
            return Err(CommitError::Lost(unclear.to_string()));
        }
    };
    let stored = committed.status.as_ref().and_then(|status| status.pending_attempt.as_ref());
    if committed.metadata.uid != order.reset.metadata.uid
        || stored.is_none_or(|stored| stored.id != pending.id)
    {
        let why = "the intent was not stored completely: the CRD is older than the operator. Install its CRDs: \
                   groupattr-operator crd | kubectl apply --server-side -f -";
        return Err(CommitError::NotStored(LastSeen::Fault(WriteError::Refused(why.to_owned()))));
    }
    if committed.metadata.deletion_timestamp.is_some() {
        return Err(CommitError::Deleted(committed));
    }
    Ok(committed)
}

/// If the intent was stored after all, records that no call followed it.
async fn revoke_intent(ctx: &Context, reset: &GroupAttributeReset, pending: &PendingAttempt) -> LastSeen {
    let now = match get_until_answered(ctx, reset).await {
        LastSeen::Read(now) => now,
        other => return other,
    };
    if !is_pending(&now, pending) {
        return LastSeen::Read(now);
    }
    store_without_call(ctx, now, pending, NotSentCause::IntentLost).await
}

async fn store_without_call(
    ctx: &Context,
    reset: Arc<GroupAttributeReset>,
    pending: &PendingAttempt,
    cause: NotSentCause,
) -> LastSeen {
    let result = CallResult::not_sent(cause);
    let known = KnownOutcome { result: &result, by: "call" };
    store_outcome(ctx, reset, pending, known, |reset| status_without_call(ctx, reset, pending, cause)).await
}

/// The status after an attempt whose intent was stored but whose call was never made.
#[must_use]
pub(crate) fn status_without_call(
    ctx: &Context,
    reset: &GroupAttributeReset,
    pending: &PendingAttempt,
    cause: NotSentCause,
) -> ResetStatus {
    let at = WriteContext { now: ctx.clock.now(), jitter: random(), throttle: Duration::ZERO };
    after_attempt(reset, pending, &CallResult::not_sent(cause), at)
}
