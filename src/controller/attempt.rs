//! One attempt: signature, intent, permit, final check, call, outcome. The order of these steps
//! is what makes an attempt safe.

mod commit;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use rand::random;
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use uuid::Uuid;

use self::commit::commit;
pub(crate) use self::commit::status_without_call;
use super::call_config::CallConfig;
use super::context::Context;
use super::persist::store_outcome;
use super::task_result::{CallEnded, IntentStored, LastSeen, PermitUse, ResetDone, TaskResult};
use super::unrecorded::KnownOutcome;
use crate::api::{GroupAttributeReset, GroupId, PendingAttempt};
use crate::chat::{Answer, Call, Class, Command, UserSig};
use crate::limits::mono::Mono;
use crate::protocol::classify::{CallResult, Delivery, NotSentCause, classify};
use crate::protocol::deadlines::ends_at;
use crate::protocol::outcome::{WriteContext, after_attempt};
use crate::protocol::recovery::SETTLE_TIME;
use crate::protocol::send_check::{ATTEMPT_TIMEOUT, MIN_TIME_LEFT, SendBounds, check_before_send};
use crate::protocol::status::current as seen_status;
use crate::text::one_line;

/// What the event loop decided to do.
pub(crate) struct AttemptOrder {
    /// The cached copy the plan was based on.
    pub reset: Arc<GroupAttributeReset>,
    /// The group to clear.
    pub group: GroupId,
    /// The call configuration of the app.
    pub app: Arc<CallConfig>,
    /// How far ahead `nextAttemptTime` is set if the vendor throttles writes to this group.
    pub group_wait: Duration,
    /// When the attempt was started.
    pub started: Mono,
    /// Since when only the limits have held the reset back.
    pub eligible_since: Mono,
}

/// How one attempt ended.
struct AttemptEnd {
    seen: LastSeen,
    read_back_at: Option<Mono>,
    revoked_attempt: Option<String>,
}

impl From<LastSeen> for AttemptEnd {
    fn from(seen: LastSeen) -> Self {
        Self { seen, read_back_at: None, revoked_attempt: None }
    }
}

/// Makes the attempt and reports its end. The event loop has reserved the group and grants a permit once the intent
/// is stored. [`TaskResult::CallEnded`] returns both as soon as the call is over, before its outcome is stored.
pub(crate) async fn attempt(ctx: Arc<Context>, order: AttemptOrder) {
    let uid = order.reset.uid().unwrap_or_default();
    let AttemptEnd { seen, read_back_at, revoked_attempt } = run_steps(&ctx, &order).await;
    ctx.report(TaskResult::ResetDone(ResetDone {
        read_back_at,
        revoked_attempt,
        ..ResetDone::seen(&uid, seen)
    }));
}

async fn run_steps(ctx: &Context, order: &AttemptOrder) -> AttemptEnd {
    // 1. Signature. Without one there must be no intent.
    let usersig = match ctx.usersig(&order.app).await {
        Ok(usersig) => usersig,
        Err(fault) => {
            call_ended(ctx, order, PermitUse::None, None);
            ctx.report(TaskResult::CredentialsFailed(Arc::clone(&order.app), fault));
            return LastSeen::Unchanged.into();
        }
    };
    // 2. Intent. It is stored before the call, so that a crash in between cannot hide the call.
    let planned = ctx.clock.now();
    let pending = PendingAttempt {
        id: Uuid::new_v4().to_string(),
        number: seen_status(&order.reset).attempts.saturating_add(1).max(1),
        start_time: planned.microsecond(),
        deadline: planned.microsecond() + ATTEMPT_TIMEOUT,
        holder: ctx.identity.clone(),
        sdk_app_id: i64::from(order.app.sdk_app_id),
        host: order.app.endpoint.authority(),
    };
    let committed = match commit(ctx, order, &pending).await {
        Ok(committed) => committed,
        Err(missed) => {
            // Nothing is sent, so the limits need not wait until that is recorded.
            call_ended(ctx, order, PermitUse::None, None);
            return missed.end(ctx, order, &pending).await;
        }
    };
    let bounds = SendBounds {
        deadline_mono: planned.mono + ATTEMPT_TIMEOUT,
        deadline_wall: pending.deadline,
        reset_ends: ends_at(&committed),
    };
    // 3. Permit from the account's rate limit.
    let has_permit = wait_for_permit(ctx, order, &committed, bounds.deadline_mono - MIN_TIME_LEFT).await;
    // 4. Final check: deadlines, leadership, app and permit, at the last moment before the call.
    let sent = ctx.clock.now();
    let works = order.app.gate.allows_clear();
    let result = match check_before_send(bounds, ctx.leads(), works, has_permit, sent) {
        Err(too_late) => CallResult::not_sent(NotSentCause::TooLate(too_late)),
        // 5. Call.
        Ok(()) => classify(&call(ctx, order, &usersig, bounds.time_left(sent)).await),
    };
    if matches!(result.delivery, Delivery::Sent(Class::Account(_) | Class::SignatureExpired)) {
        order.app.credentials.reject(&usersig);
    }
    // 6. Return the permit and the group. An unanswered call counts as in flight until its deadline.
    let over = if result.is_answered() { ctx.clock.now().mono } else { bounds.deadline_mono };
    let permit = match result.delivery {
        Delivery::Sent(_) => PermitUse::Used { sent: sent.mono, over },
        Delivery::NotSent(_) if has_permit => PermitUse::Unused,
        Delivery::NotSent(_) => PermitUse::None,
    };
    call_ended(ctx, order, permit, Some(result.clone()));
    log(&committed, &pending, &result, sent.mono, ctx.clock.now().mono);
    // 7. Outcome. It is known nowhere else, so it is retried until it is stored.
    let throttle = match result.delivery {
        Delivery::Sent(Class::ThrottledGroup) => order.group_wait,
        _ => result.retry_after.unwrap_or_default().max(Duration::from_secs(1)),
    };
    let jitter = random();
    let next = |reset: &GroupAttributeReset| {
        let at = WriteContext { now: ctx.clock.now(), jitter, throttle };
        after_attempt(reset, &pending, &result, at)
    };
    let unknown = result.delivery == Delivery::Sent(Class::Unknown);
    // A hanging endpoint times out hundreds of calls at once; their outcomes yield to other writes.
    if unknown {
        wait_for_turn(ctx, &committed).await;
    }
    let known = KnownOutcome { result: &result, by: "call" };
    let seen = store_outcome(ctx, committed, &pending, known, next).await;
    AttemptEnd { seen, read_back_at: unknown.then_some(over + SETTLE_TIME), revoked_attempt: None }
}

/// Requests a permit; false if none is granted by `latest`, after which there is no time left for the call.
async fn wait_for_permit(
    ctx: &Context,
    order: &AttemptOrder,
    committed: &Arc<GroupAttributeReset>,
    latest: Mono,
) -> bool {
    let (permit, mut granted) = oneshot::channel();
    ctx.report(TaskResult::IntentStored(IntentStored {
        uid: order.reset.uid().unwrap_or_default(),
        committed: Arc::clone(committed),
        app: Arc::clone(&order.app),
        eligible_since: order.eligible_since,
        permit,
    }));
    if let Ok(answer) = timeout_at(ctx.clock.instant(latest), &mut granted).await {
        return answer.is_ok();
    }
    // It may have been granted just now; once closed, it cannot be.
    granted.close();
    granted.try_recv().is_ok()
}

async fn wait_for_turn(ctx: &Context, reset: &GroupAttributeReset) {
    let (namespace, uid) = (reset.namespace().unwrap_or_default(), reset.uid().unwrap_or_default());
    let (turn, comes) = oneshot::channel();
    ctx.report(TaskResult::OutcomeUnknown { namespace, uid, turn });
    let _ = comes.await;
}

fn call_ended(ctx: &Context, order: &AttemptOrder, permit: PermitUse, result: Option<CallResult>) {
    ctx.report(TaskResult::CallEnded(CallEnded {
        app: Arc::clone(&order.app),
        started: order.started,
        command: Command::Clear,
        group: order.group.clone(),
        permit,
        result,
    }));
}

async fn call(ctx: &Context, order: &AttemptOrder, usersig: &UserSig, timeout: Duration) -> Answer {
    let call = Call {
        endpoint: &order.app.endpoint,
        sdk_app_id: order.app.sdk_app_id,
        identifier: &order.app.identifier,
        usersig,
        group: &order.group,
        timeout,
    };
    ctx.chat.clear(call).await
}

fn log(reset: &GroupAttributeReset, pending: &PendingAttempt, result: &CallResult, sent: Mono, over: Mono) {
    tracing::info!(
        namespace = reset.metadata.namespace,
        reset = reset.metadata.name,
        uid = reset.metadata.uid,
        request = seen_status(reset).request_id.as_deref().map(|id| one_line(id, 128)),
        attempt = pending.id,
        number = pending.number,
        class = result.label(),
        code = result.code,
        http = result.http_status,
        vendor_request_id = result.vendor_request_id,
        fault = (!result.fault.is_empty()).then_some(result.fault.as_str()),
        milliseconds = (over - sent).as_secs_f64() * 1000.0,
        "attempt ended"
    );
}
