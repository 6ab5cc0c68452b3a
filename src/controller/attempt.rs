//! One attempt: signature, intent, permit, last look, call, outcome. The order is the protocol.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use rand::random;
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use uuid::Uuid;

use super::app_entry::CallConfig;
use super::context::Context;
use super::persist::{get_after_conflict, get_until_answered, is_pending, record_attempt};
use super::task_result::{CallEnded, IntentStored, LastSeen, PermitUse, ResetDone, TaskResult};
use super::unrecorded::KnownOutcome;
use crate::api::{GroupAttributeReset, GroupId, PendingAttempt};
use crate::chat::{Answer, Call, Class, UserSig};
use crate::k8s::status_writer::WriteError;
use crate::protocol::classify::{CallResult, Delivery, NotSentCause, classify};
use crate::protocol::deadlines::ends_at;
use crate::protocol::outcome::{WriteContext, after_attempt, intent};
use crate::protocol::recovery::SETTLE_TIME;
use crate::protocol::send_check::{ATTEMPT_TIMEOUT, MIN_TIME_LEFT, SendBounds, check_before_send};
use crate::protocol::status::seen as seen_status;
use crate::text::one_line;

/// What the desk decided to do.
pub struct AttemptOrder {
    /// The copy that was planned on.
    pub reset: Arc<GroupAttributeReset>,
    /// The group to clear.
    pub group: GroupId,
    /// The app to call for.
    pub app: Arc<CallConfig>,
    /// What `nextAttemptTime` says if the vendor finds the writes to this group too frequent.
    pub group_wait: Duration,
    /// When the attempt was begun.
    pub started: Duration,
    /// Since when the reset could go but for the limits.
    pub eligible_since: Duration,
}

/// The end of one attempt.
struct AttemptEnd {
    seen: LastSeen,
    read_back_at: Option<Duration>,
    never_called: Option<String>,
}

impl From<LastSeen> for AttemptEnd {
    fn from(seen: LastSeen) -> Self {
        Self { seen, read_back_at: None, never_called: None }
    }
}

/// Makes the attempt and reports its end. The desk has taken the group for it, and hands it a permit once its intent
/// is stored; both are handed back by [`Report::CallEnded`], as soon as the call is over and before its outcome is
/// stored.
pub async fn attempt(hands: Arc<Context>, order: AttemptOrder) {
    let uid = order.reset.uid().unwrap_or_default();
    let AttemptEnd { seen, read_back_at, never_called } = run_steps(&hands, &order).await;
    hands.report(TaskResult::ResetDone(ResetDone {
        read_back_at,
        revoked_attempt: never_called,
        ..ResetDone::seen(&uid, seen)
    }));
}

async fn run_steps(hands: &Context, order: &AttemptOrder) -> AttemptEnd {
    // The signature comes first: without one there must be no intent.
    let usersig = match hands.usersig(&order.app).await {
        Ok(usersig) => usersig,
        Err(fault) => {
            call_ended(hands, order, PermitUse::None, None);
            hands.report(TaskResult::CredentialsFailed(Arc::clone(&order.app), fault));
            return LastSeen::Unchanged.into();
        }
    };
    let planned = hands.clock.now();
    let pending = PendingAttempt {
        id: Uuid::new_v4().to_string(),
        number: seen_status(&order.reset).attempts.saturating_add(1).max(1),
        start_time: planned.microsecond(),
        deadline: planned.microsecond() + ATTEMPT_TIMEOUT,
        holder: hands.identity.clone(),
        sdk_app_id: i64::from(order.app.sdk_app_id),
        host: order.app.endpoint.authority(),
    };
    let committed = match commit(hands, order, &pending).await {
        Ok(committed) => committed,
        Err(missed) => {
            // Nothing is sent, so the limits need not wait for what is written down about it.
            call_ended(hands, order, PermitUse::None, None);
            return missed.end(hands, order, &pending).await;
        }
    };
    let bounds = SendBounds {
        deadline_mono: planned.mono + ATTEMPT_TIMEOUT,
        deadline_wall: pending.deadline,
        reset_ends: ends_at(&committed),
    };
    let has_permit =
        wait_for_permit(hands, order, &committed, bounds.deadline_mono.saturating_sub(MIN_TIME_LEFT)).await;
    let sent = hands.clock.now();
    let works = order.app.gate.allows_clear();
    let verdict = match check_before_send(bounds, hands.leads(), works, has_permit, sent) {
        Err(too_late) => CallResult::not_sent(NotSentCause::TooLate(too_late)),
        Ok(()) => classify(&call(hands, order, &usersig, bounds.left(sent)).await),
    };
    if matches!(verdict.delivery, Delivery::Sent(Class::Account(_) | Class::SignatureExpired)) {
        order.app.credentials.reject(&usersig).await;
    }
    let over = if verdict.is_answered() { hands.clock.now().mono } else { bounds.deadline_mono };
    let permit = match verdict.delivery {
        Delivery::Sent(_) => PermitUse::Used { sent: sent.mono, over },
        Delivery::NotSent(_) if has_permit => PermitUse::Unused,
        Delivery::NotSent(_) => PermitUse::None,
    };
    call_ended(hands, order, permit, Some(verdict.clone()));
    log(&committed, &pending, &verdict, sent.mono, hands.clock.now().mono);
    let throttle = match verdict.delivery {
        Delivery::Sent(Class::ThrottledGroup) => order.group_wait,
        _ => Duration::from_secs(1),
    };
    let dice = random();
    let next = |reset: &GroupAttributeReset| {
        let at = WriteContext { now: hands.clock.now(), jitter: dice, throttle };
        after_attempt(reset, &pending, &verdict, at)
    };
    let unknown = verdict.delivery == Delivery::Sent(Class::Unknown);
    if unknown {
        hands.wait_for_low_priority().await;
    }
    let known = KnownOutcome { verdict: &verdict, by: "call" };
    let seen = record_attempt(hands, committed, &pending, known, next).await;
    AttemptEnd { seen, read_back_at: unknown.then_some(over + SETTLE_TIME), never_called: None }
}

/// Asks the desk for a permit; false if none comes by the moment after which it would be of no use.
async fn wait_for_permit(
    hands: &Context,
    order: &AttemptOrder,
    committed: &Arc<GroupAttributeReset>,
    latest: Duration,
) -> bool {
    let (permit, mut granted) = oneshot::channel();
    hands.report(TaskResult::IntentStored(IntentStored {
        uid: order.reset.uid().unwrap_or_default(),
        committed: Arc::clone(committed),
        app: Arc::clone(&order.app),
        started: order.started,
        eligible_since: order.eligible_since,
        permit,
    }));
    if let Ok(answer) = timeout_at(hands.clock.instant(latest), &mut granted).await {
        return answer.is_ok();
    }
    // The desk may have handed it over just now; after this it cannot any more.
    granted.close();
    granted.try_recv().is_ok()
}

/// Why there is no intent that a call may follow.
enum CommitError {
    /// It is not stored.
    NotStored(LastSeen),
    /// The answer to its write was lost: it may be stored, and only we know that no call follows.
    Lost(String),
    /// It is stored in an object that is being deleted.
    Deleted(Arc<GroupAttributeReset>),
}

impl CommitError {
    async fn end(self, hands: &Context, order: &AttemptOrder, pending: &PendingAttempt) -> AttemptEnd {
        match self {
            Self::NotStored(seen) => seen.into(),
            Self::Deleted(committed) => record_without_call(hands, committed, pending).await.into(),
            Self::Lost(why) => {
                tracing::warn!(
                    namespace = order.reset.metadata.namespace,
                    reset = order.reset.metadata.name,
                    attempt = pending.id,
                    "no call is made, because nobody knows whether its intent was stored: {why}"
                );
                let seen = revoke_intent(hands, &order.reset, pending).await;
                AttemptEnd { seen, read_back_at: None, never_called: Some(pending.id.clone()) }
            }
        }
    }
}

/// Stores the intent. Only an object that came back with our uid, our attempt and no deletion under way is one that
/// we may call for.
async fn commit(
    hands: &Context,
    order: &AttemptOrder,
    pending: &PendingAttempt,
) -> Result<Arc<GroupAttributeReset>, CommitError> {
    if hands.stop.is_cancelled() || !hands.leads() || !order.app.gate.allows_clear() {
        return Err(CommitError::NotStored(LastSeen::Unchanged));
    }
    let next = intent(&order.reset, pending.clone(), hands.clock.now());
    let committed = match hands.write_status("intent", &order.reset, next).await {
        Ok(stored) => stored,
        Err(WriteError::Conflict) => {
            return Err(CommitError::NotStored(get_after_conflict(hands, &order.reset).await));
        }
        Err(WriteError::Gone) => return Err(CommitError::NotStored(LastSeen::Gone)),
        Err(refused @ (WriteError::Refused(_) | WriteError::Forbidden(_))) => {
            return Err(CommitError::NotStored(LastSeen::Fault(refused)));
        }
        Err(WriteError::Unclear(why)) => return Err(CommitError::Lost(why)),
    };
    let stored = committed.status.as_ref().and_then(|status| status.pending_attempt.as_ref());
    if committed.metadata.uid != order.reset.metadata.uid
        || stored.is_none_or(|stored| stored.id != pending.id)
    {
        let why = "the intent was not stored whole: the CRD is older than the operator. Install its CRDs: \
                   groupattr-operator crd | kubectl apply --server-side -f -";
        return Err(CommitError::NotStored(LastSeen::Fault(WriteError::Refused(why.to_owned()))));
    }
    if committed.metadata.deletion_timestamp.is_some() {
        return Err(CommitError::Deleted(committed));
    }
    Ok(committed)
}

/// If the intent is stored after all, says in the status that no call followed it.
async fn revoke_intent(hands: &Context, seen: &GroupAttributeReset, pending: &PendingAttempt) -> LastSeen {
    let now = match get_until_answered(hands, seen).await {
        LastSeen::Read(now) => now,
        other => return other,
    };
    if !is_pending(&now, pending) {
        return LastSeen::Read(now);
    }
    record_without_call(hands, now, pending).await
}

async fn record_without_call(
    hands: &Context,
    seen: Arc<GroupAttributeReset>,
    pending: &PendingAttempt,
) -> LastSeen {
    let verdict = CallResult::not_sent(NotSentCause::IntentLost);
    let known = KnownOutcome { verdict: &verdict, by: "call" };
    record_attempt(hands, seen, pending, known, |reset| status_without_call(hands, reset, pending)).await
}

/// The status after an attempt whose intent is stored and whose call was never made.
#[must_use]
pub fn status_without_call(
    hands: &Context,
    reset: &GroupAttributeReset,
    pending: &PendingAttempt,
) -> crate::api::ResetStatus {
    let at = WriteContext { now: hands.clock.now(), jitter: random(), throttle: Duration::ZERO };
    after_attempt(reset, pending, &CallResult::not_sent(NotSentCause::IntentLost), at)
}

fn call_ended(hands: &Context, order: &AttemptOrder, permit: PermitUse, verdict: Option<CallResult>) {
    hands.report(TaskResult::CallEnded(CallEnded {
        app: Arc::clone(&order.app),
        started: order.started,
        group: Some(order.group.clone()),
        permit,
        verdict,
    }));
}

async fn call(hands: &Context, order: &AttemptOrder, usersig: &UserSig, timeout: Duration) -> Answer {
    let call = Call {
        endpoint: &order.app.endpoint,
        sdk_app_id: order.app.sdk_app_id,
        identifier: &order.app.identifier,
        usersig,
        group: &order.group,
        timeout,
    };
    hands.chat.clear(call).await
}

fn log(
    reset: &GroupAttributeReset,
    pending: &PendingAttempt,
    verdict: &CallResult,
    sent: Duration,
    over: Duration,
) {
    tracing::info!(
        namespace = reset.metadata.namespace,
        reset = reset.metadata.name,
        uid = reset.metadata.uid,
        request = seen_status(reset).request_id.as_deref().map(|id| one_line(id, 128)),
        attempt = pending.id,
        number = pending.number,
        class = verdict.label(),
        code = verdict.code,
        http = verdict.http_status,
        fault = (!verdict.fault.is_empty()).then_some(verdict.fault.as_str()),
        milliseconds = over.saturating_sub(sent).as_secs_f64() * 1000.0,
        "attempt ended"
    );
}
