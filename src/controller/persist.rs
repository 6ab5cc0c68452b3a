//! Status writes: a planned step is tried once; the outcome of an attempt is retried until it is stored.

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
use crate::limits::mono::Mono;
use crate::protocol::deadlines::prune_metadata;

const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// Minimum time between two log lines about the same outcome.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

fn new_backoff() -> Backoff {
    Backoff::new(MIN_BACKOFF, MAX_BACKOFF)
}

/// Stores a status that the event loop planned. On a resourceVersion conflict it reports the current object, so that
/// the loop can plan again.
pub(crate) async fn store_planned(
    ctx: Arc<Context>,
    kind: &'static str,
    reset: Arc<GroupAttributeReset>,
    next: ResetStatus,
) {
    let uid = reset.uid().unwrap_or_default();
    let last_seen = match ctx.write_status(kind, &reset, next).await {
        Ok(stored) => LastSeen::Stored(stored),
        Err(WriteError::Conflict) => get_after_conflict(&ctx, &reset).await,
        Err(WriteError::Gone) => LastSeen::Gone,
        Err(fault) => LastSeen::Fault(fault),
    };
    ctx.report(TaskResult::ResetDone(ResetDone::written(&uid, last_seen)));
}

/// Reads the object after a conflict. If it has not changed, reports a failure, so that the retry backs off.
pub(crate) async fn get_after_conflict(ctx: &Context, reset: &GroupAttributeReset) -> LastSeen {
    match get(ctx, reset).await {
        LastSeen::Read(now) if now.metadata.resource_version == reset.metadata.resource_version => {
            LastSeen::Fault(WriteError::Refused(
                "resourceVersion conflict, although the object has not changed".to_owned(),
            ))
        }
        other => other,
    }
}

/// Reads the current object; `Gone` if its uid has changed.
pub(crate) async fn get(ctx: &Context, reset: &GroupAttributeReset) -> LastSeen {
    match ctx.statuses.get(reset.metadata.namespace.as_deref(), &reset.name_any()).await {
        Ok(mut now) if now.metadata.uid == reset.metadata.uid => {
            prune_metadata(&mut now.metadata);
            LastSeen::Read(Arc::new(now))
        }
        Ok(_) | Err(WriteError::Gone) => LastSeen::Gone,
        Err(fault) => LastSeen::Fault(fault),
    }
}

/// Like [`get`], but retries until Kubernetes answers.
pub(crate) async fn get_until_answered(ctx: &Context, reset: &GroupAttributeReset) -> LastSeen {
    let mut backoff = new_backoff();
    loop {
        match get(ctx, reset).await {
            LastSeen::Fault(WriteError::Unknown(_)) => sleep(backoff.next_wait()).await,
            answered => return answered,
        }
    }
}

/// Stores the status that `next` computes from the object, whose status this process knows. Retries for as long as
/// the process lives, because the outcome is known nowhere else. Only the process that made an attempt, or a later
/// leader, may settle it: while this process leads, a status without the attempt was written by an unauthorized
/// client and is overwritten.
pub(crate) async fn store_outcome(
    ctx: &Context,
    reset: Arc<GroupAttributeReset>,
    pending: &PendingAttempt,
    known: KnownOutcome<'_>,
    next: impl Fn(&GroupAttributeReset) -> ResetStatus,
) -> LastSeen {
    ctx.unrecorded.add(&reset, pending, known);
    let settled = store_until_settled(ctx, reset, pending, known, next).await;
    ctx.unrecorded.remove(pending);
    settled
}

async fn store_until_settled(
    ctx: &Context,
    mut reset: Arc<GroupAttributeReset>,
    pending: &PendingAttempt,
    known: KnownOutcome<'_>,
    next: impl Fn(&GroupAttributeReset) -> ResetStatus,
) -> LastSeen {
    let mut backoff = new_backoff();
    let known_status = reset.status.clone();
    // Writes that may have been stored although their answer was lost.
    let mut unclear = Vec::new();
    let mut last_logged: Option<Mono> = None;
    let mut log_failure = |reset: &GroupAttributeReset, fault: &WriteError| {
        let now = ctx.clock.now().mono;
        if last_logged.is_some_and(|at| (now - at) < LOG_INTERVAL) {
            return;
        }
        last_logged = Some(now);
        tracing::warn!(
            namespace = reset.metadata.namespace,
            reset = reset.metadata.name,
            attempt = pending.id,
            known_by = known.by,
            class = known.result.label(),
            code = known.result.code,
            "the outcome is not stored yet; retrying: {fault}"
        );
    };
    loop {
        let mut is_conflict = false;
        let status = next(&reset);
        match ctx.write_status("outcome", &reset, status.clone()).await {
            Ok(stored) => return LastSeen::Stored(stored),
            Err(WriteError::Gone) => return LastSeen::Gone,
            Err(WriteError::Conflict) => is_conflict = true,
            Err(fault) => {
                log_failure(&reset, &fault);
                if matches!(fault, WriteError::Unknown(_)) {
                    unclear.push(status);
                }
                sleep(backoff.next_wait()).await;
            }
        }
        // Read it after a rejection as well: if the object is gone or no longer decodes, retrying is pointless.
        let now = loop {
            match get(ctx, &reset).await {
                LastSeen::Read(now) => break now,
                LastSeen::Fault(WriteError::Undecodable) => {
                    ctx.unrecorded.log(pending);
                    return LastSeen::Fault(WriteError::Undecodable);
                }
                LastSeen::Fault(fault) => {
                    log_failure(&reset, &fault);
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
        // An intermediary, such as an admission webhook, can answer like this; without a pause this would be a
        // busy loop.
        if is_conflict && now.metadata.resource_version == reset.metadata.resource_version {
            sleep(backoff.next_wait()).await;
        }
        reset = now;
        if leads && reset.status != known_status {
            tracing::warn!(
                namespace = reset.metadata.namespace,
                reset = reset.metadata.name,
                attempt = pending.id,
                "another client changed the status during the attempt; the change is ignored and overwritten"
            );
            let stored = Arc::unwrap_or_clone(reset);
            reset = Arc::new(GroupAttributeReset { status: known_status.clone(), ..stored });
        }
    }
}

/// Whether the process that made the attempt recorded its outcome after this one took over.
fn is_settled_by_another(ctx: &Context, now: &GroupAttributeReset, pending: &PendingAttempt) -> bool {
    let last = now.status.as_ref().and_then(|status| status.last_attempt.as_ref());
    pending.holder != ctx.identity && last.is_some_and(|last| last.id == pending.id)
}

/// Whether this is still the reset's pending attempt.
#[must_use]
pub(crate) fn is_pending(reset: &GroupAttributeReset, pending: &PendingAttempt) -> bool {
    let stored = reset.status.as_ref().and_then(|status| status.pending_attempt.as_ref());
    stored.is_some_and(|stored| stored.id == pending.id)
}

/// Deletes a finished reset whose TTL has expired.
pub(crate) async fn delete(ctx: Arc<Context>, key: (String, String), uid: String, version: String) {
    let (namespace, name) = key;
    let deleted = ctx.statuses.delete(Some(&namespace), &name, &uid, &version).await;
    ctx.metrics.api_write("delete", deleted.as_ref().err().map_or("ok", WriteError::label));
    ctx.report(TaskResult::Deleted { uid, version, outcome: deleted });
}
