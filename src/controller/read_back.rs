//! Reads from the vendor: the group of an attempt whose outcome is unknown, and the reserved group for probes.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use rand::random;

use super::call_config::CallConfig;
use super::context::Context;
use super::persist::store_outcome;
use super::task_result::{CallEnded, LastSeen, PermitUse, ResetDone, TaskResult};
use super::unrecorded::KnownOutcome;
use crate::api::{GroupAttributeReset, GroupId, PendingAttempt};
use crate::chat::{Call, Class, Command};
use crate::k8s::secrets::CredentialsError;
use crate::protocol::classify::{CallResult, Delivery, NotSentCause, classify};
use crate::protocol::outcome::{WriteContext, after_read_back, awaiting_settlement};
use crate::protocol::recovery::SETTLE_TIME;
use crate::protocol::send_check::{ATTEMPT_TIMEOUT, NotSentReason};

/// Reads the group of `pending` back and stores the result.
pub(crate) async fn read_back(
    ctx: Arc<Context>,
    reset: Arc<GroupAttributeReset>,
    pending: PendingAttempt,
    group: GroupId,
    app: Arc<CallConfig>,
) {
    let uid = reset.uid().unwrap_or_default();
    let result = match read(&ctx, &app, &group).await {
        Ok(result) => result,
        Err(fault) => {
            ctx.report(TaskResult::CredentialsFailed(Arc::clone(&app), fault));
            let retry_at = Some(ctx.clock.now().mono + SETTLE_TIME);
            let done = ResetDone { read_back_at: retry_at, ..ResetDone::seen(&uid, LastSeen::Unchanged) };
            return ctx.report(TaskResult::ResetDone(done));
        }
    };
    tracing::info!(
        namespace = reset.metadata.namespace,
        reset = reset.metadata.name,
        uid,
        attempt = pending.id,
        class = result.label(),
        code = result.code,
        vendor_request_id = result.vendor_request_id,
        attributes = result.attributes,
        "group read back"
    );
    let jitter = random();
    let next = |reset: &GroupAttributeReset| {
        let at = WriteContext { now: ctx.clock.now(), jitter, throttle: Duration::ZERO };
        after_read_back(reset, &pending, &result, at)
    };
    let done = if next(&reset).is_some() {
        let store = |reset: &GroupAttributeReset| {
            next(reset).unwrap_or_else(|| awaiting_settlement(reset, &pending, ctx.clock.now()))
        };
        let known = KnownOutcome { result: &result, by: "read_back" };
        ResetDone::seen(&uid, store_outcome(&ctx, reset, &pending, known, store).await)
    } else {
        let retry_at = Some(ctx.clock.now().mono + SETTLE_TIME);
        ResetDone { read_back_at: retry_at, ..ResetDone::seen(&uid, LastSeen::Unchanged) }
    };
    ctx.report(TaskResult::ResetDone(done));
}

/// Creates the signature for a probe. Problems with the Secret show up here, before the probe takes a permit.
pub(crate) async fn sign(ctx: Arc<Context>, app: Arc<CallConfig>) {
    let report = match ctx.usersig(&app).await {
        Ok(_) => TaskResult::Signed(app),
        Err(fault) => TaskResult::Probed(app, Err(fault)),
    };
    ctx.report(report);
}

/// Verifies an app with one harmless read.
pub(crate) async fn probe(ctx: Arc<Context>, app: Arc<CallConfig>) {
    let result = read(&ctx, &app, &GroupId::reserved_for_probes()).await;
    ctx.report(TaskResult::Probed(app, result));
}

/// A read, or why it was not sent. The event loop has acquired a permit for it.
async fn read(ctx: &Context, app: &Arc<CallConfig>, group: &GroupId) -> Result<CallResult, CredentialsError> {
    let started = ctx.clock.now().mono;
    let ended = |permit, result| {
        let (app, group) = (Arc::clone(app), group.clone());
        let ended = CallEnded { app, started, command: Command::Read, group, permit, result };
        ctx.report(TaskResult::CallEnded(ended));
    };
    let usersig = ctx.usersig(app).await.inspect_err(|_| ended(PermitUse::Unused, None))?;
    let obstacle = [
        (!ctx.leads(), NotSentReason::NotLeader),
        (ctx.stop.is_cancelled(), NotSentReason::NoPermit),
        (!app.gate.allows_read(), NotSentReason::App),
    ];
    if let Some((_, reason)) = obstacle.into_iter().find(|(applies, _)| *applies) {
        ended(PermitUse::Unused, None);
        return Ok(CallResult::not_sent(NotSentCause::TooLate(reason)));
    }
    let sent = ctx.clock.now().mono;
    let call = Call {
        endpoint: &app.endpoint,
        sdk_app_id: app.sdk_app_id,
        identifier: &app.identifier,
        usersig: &usersig,
        group,
        timeout: ATTEMPT_TIMEOUT,
    };
    let result = classify(&ctx.chat.read(call).await);
    if matches!(result.delivery, Delivery::Sent(Class::Account(_) | Class::SignatureExpired)) {
        app.credentials.reject(&usersig);
    }
    let over = if result.is_answered() { ctx.clock.now().mono } else { sent + ATTEMPT_TIMEOUT };
    let was_sent = matches!(result.delivery, Delivery::Sent(_));
    ended(if was_sent { PermitUse::Used { sent, over } } else { PermitUse::Unused }, Some(result.clone()));
    Ok(result)
}
