//! Storing what is known: once for a step that can be planned anew, and as often as it takes for an attempt.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use tokio::time::sleep;

use super::context::Context;
use super::task_result::{LastSeen, ResetDone, TaskResult};
use super::unrecorded::KnownOutcome;
use crate::api::{GroupAttributeReset, PendingAttempt, ResetStatus};
use crate::k8s::status_writer::WriteError;
use crate::limits::backoff::Backoff;
use crate::protocol::deadlines::prune_metadata;

/// Wait before the first retry of a call to the API server.
const MIN_RETRY: Duration = Duration::from_millis(100);
/// Longest wait between two retries.
const MAX_RETRY: Duration = Duration::from_secs(5);
/// Between two lines about the same outcome.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

fn retries() -> Backoff {
    Backoff::new(MIN_RETRY, MAX_RETRY)
}

/// Stores a status that the desk planned. Who planned on an old copy gets the new one, and plans anew.
pub async fn record(
    ctx: Arc<Context>,
    kind: &'static str,
    seen: Arc<GroupAttributeReset>,
    next: ResetStatus,
) {
    let uid = seen.uid().unwrap_or_default();
    let seen = match ctx.write_status(kind, &seen, next).await {
        Ok(stored) => LastSeen::Stored(stored),
        Err(WriteError::Conflict) => get_after_conflict(&ctx, &seen).await,
        Err(WriteError::Gone) => LastSeen::Gone,
        Err(fault) => LastSeen::Fault(fault),
    };
    ctx.report(TaskResult::ResetDone(ResetDone::written(&uid, seen)));
}

/// What the object was changed to. A conflict with an object that has not changed is worth a pause.
pub async fn get_after_conflict(ctx: &Context, seen: &GroupAttributeReset) -> LastSeen {
    match get(ctx, seen).await {
        LastSeen::Read(now) if now.metadata.resource_version == seen.metadata.resource_version => {
            LastSeen::Fault(WriteError::Refused("conflict with an object that has not changed".to_owned()))
        }
        other => other,
    }
}

/// The object as it stands now, if it is still the same one.
pub async fn get(ctx: &Context, seen: &GroupAttributeReset) -> LastSeen {
    match ctx.statuses.get(seen.metadata.namespace.as_deref(), &seen.name_any()).await {
        Ok(mut now) if now.metadata.uid == seen.metadata.uid => {
            prune_metadata(&mut now.metadata);
            LastSeen::Read(Arc::new(now))
        }
        Ok(_) | Err(WriteError::Gone) => LastSeen::Gone,
        Err(fault) => LastSeen::Fault(fault),
    }
}

/// The same, asked until Kubernetes answers.
pub async fn get_until_answered(ctx: &Context, seen: &GroupAttributeReset) -> LastSeen {
    let mut backoff = retries();
    loop {
        match get(ctx, seen).await {
            LastSeen::Fault(WriteError::Unclear(_)) => sleep(backoff.next_wait()).await,
            answered => return answered,
        }
    }
}

/// Stores what `next` makes of the object, whose status this process knows. Repeats for as long as the process lives,
/// because what it says is known nowhere else. Nobody but the process that made an attempt, or one that leads after it,
/// may settle it: while we lead, a status from which the attempt is gone was written by somebody who must not, and what
/// we know goes over it.
pub async fn record_attempt(
    ctx: &Context,
    seen: Arc<GroupAttributeReset>,
    pending: &PendingAttempt,
    known: KnownOutcome<'_>,
    next: impl Fn(&GroupAttributeReset) -> ResetStatus,
) -> LastSeen {
    ctx.unrecorded.add(&seen, pending, known);
    let settled = record_until_settled(ctx, seen, pending, known, next).await;
    ctx.unrecorded.remove(pending);
    settled
}

async fn record_until_settled(
    ctx: &Context,
    mut seen: Arc<GroupAttributeReset>,
    pending: &PendingAttempt,
    known: KnownOutcome<'_>,
    next: impl Fn(&GroupAttributeReset) -> ResetStatus,
) -> LastSeen {
    let mut backoff = retries();
    let known_status = seen.status.clone();
    // Writes that perhaps went through.
    let mut unclear = Vec::new();
    let mut said_at: Option<Duration> = None;
    let mut complain = |seen: &GroupAttributeReset, fault: &WriteError| {
        let now = ctx.clock.now().mono;
        if said_at.is_some_and(|at| now.saturating_sub(at) < LOG_INTERVAL) {
            return;
        }
        said_at = Some(now);
        tracing::warn!(
            namespace = seen.metadata.namespace,
            reset = seen.metadata.name,
            attempt = pending.id,
            known_by = known.by,
            class = known.result.label(),
            code = known.result.code,
            "the outcome is not stored yet and is tried again: {fault}"
        );
    };
    loop {
        let mut is_conflict = false;
        let status = next(&seen);
        match ctx.write_status("outcome", &seen, status.clone()).await {
            Ok(stored) => return LastSeen::Stored(stored),
            Err(WriteError::Gone) => return LastSeen::Gone,
            Err(WriteError::Conflict) => is_conflict = true,
            Err(fault) => {
                complain(&seen, &fault);
                sleep(backoff.next_wait()).await;
                if !matches!(fault, WriteError::Unclear(_)) {
                    // Nothing was stored. If the object has changed, the next write conflicts.
                    continue;
                }
                unclear.push(status);
            }
        }
        let now = loop {
            match get(ctx, &seen).await {
                LastSeen::Read(now) => break now,
                LastSeen::Fault(WriteError::Undecodable) => {
                    ctx.unrecorded.log(pending);
                    return LastSeen::Fault(WriteError::Undecodable);
                }
                LastSeen::Fault(fault) => {
                    complain(&seen, &fault);
                    sleep(backoff.next_wait()).await;
                }
                gone => return gone,
            }
        };
        if now.status.as_ref().is_some_and(|stored| unclear.contains(stored)) {
            return LastSeen::Stored(now);
        }
        let leads = ctx.leads();
        if !is_pending(&now, pending) && (!leads || is_settled_by_another(ctx, &now, pending)) {
            return LastSeen::Read(now);
        }
        // Somebody in between answers like that, an admission webhook say; it would be asked as fast as it answers.
        if is_conflict && now.metadata.resource_version == seen.metadata.resource_version {
            sleep(backoff.next_wait()).await;
        }
        seen = now;
        if leads && seen.status != known_status {
            tracing::warn!(
                namespace = seen.metadata.namespace,
                reset = seen.metadata.name,
                attempt = pending.id,
                "somebody else has changed the status while the attempt was under way; that is not believed"
            );
            let stored = Arc::unwrap_or_clone(seen);
            seen = Arc::new(GroupAttributeReset { status: known_status.clone(), ..stored });
        }
    }
}

/// Whether the process that made the attempt has recorded its outcome, after this one took over.
fn is_settled_by_another(ctx: &Context, now: &GroupAttributeReset, pending: &PendingAttempt) -> bool {
    let last = now.status.as_ref().and_then(|status| status.last_attempt.as_ref());
    pending.holder != ctx.identity && last.is_some_and(|last| last.id == pending.id)
}

/// Whether this is still the reset's pending attempt.
#[must_use]
pub fn is_pending(reset: &GroupAttributeReset, pending: &PendingAttempt) -> bool {
    let stored = reset.status.as_ref().and_then(|status| status.pending_attempt.as_ref());
    stored.is_some_and(|stored| stored.id == pending.id)
}

/// Deletes a reset whose time after its end is over.
pub async fn delete(ctx: Arc<Context>, key: (String, String), uid: String, version: String) {
    let (namespace, name) = key;
    let deleted = ctx.statuses.delete(Some(&namespace), &name, &uid, &version).await;
    ctx.metrics.api_write("delete", deleted.as_ref().err().map_or("ok", WriteError::label));
    ctx.report(TaskResult::Deleted { uid, version, outcome: deleted });
}
