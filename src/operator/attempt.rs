//! One attempt: signature, intent, permit, last look, call, outcome. The order is the protocol.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use rand::random;
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use uuid::Uuid;

use super::apps::AppTerms;
use super::hands::Hands;
use super::record::{is_pending, look_after_conflict, look_until_answered, record_attempt};
use super::report::{Armed, CallEnded, Permit, Report, ResetDone, Seen};
use super::unrecorded::Known;
use crate::api::{GroupAttributeReset, GroupId, PendingAttempt};
use crate::chat::{Answer, Call, Class, UserSig};
use crate::cluster::statuses::WriteFault;
use crate::decide::ends::ends_at;
use crate::decide::judge::{NotSent, Ruling, Verdict, judge};
use crate::decide::last_look::{ATTEMPT, Bounds, LEAST_LEFT, last_look};
use crate::decide::outcome::{Circumstances, after_attempt, intent};
use crate::decide::settle::SETTLING;
use crate::decide::status::seen as seen_status;
use crate::text::one_line;

/// What the desk decided to do.
pub struct Order {
    /// The copy that was planned on.
    pub reset: Arc<GroupAttributeReset>,
    /// The group to clear.
    pub group: GroupId,
    /// The app to call for.
    pub app: Arc<AppTerms>,
    /// What `nextAttemptTime` says if the vendor finds the writes to this group too frequent.
    pub group_wait: Duration,
    /// When the attempt was begun.
    pub begun: Duration,
    /// Since when the reset could go but for the limits.
    pub waits_since: Duration,
}

/// The end of one attempt.
struct End {
    seen: Seen,
    read_back_at: Option<Duration>,
    never_called: Option<String>,
}

impl From<Seen> for End {
    fn from(seen: Seen) -> Self {
        Self { seen, read_back_at: None, never_called: None }
    }
}

/// Makes the attempt and reports its end. The desk has taken the group for it, and hands it a permit once its intent
/// is stored; both are handed back by [`Report::CallEnded`], as soon as the call is over and before its outcome is
/// stored.
pub async fn attempt(hands: Arc<Hands>, order: Order) {
    let uid = order.reset.uid().unwrap_or_default();
    let End { seen, read_back_at, never_called } = steps(&hands, &order).await;
    hands.report(Report::ResetDone(ResetDone { read_back_at, never_called, ..ResetDone::seen(&uid, seen) }));
}

async fn steps(hands: &Hands, order: &Order) -> End {
    // The signature comes first: without one there must be no intent.
    let usersig = match hands.usersig(&order.app).await {
        Ok(usersig) => usersig,
        Err(fault) => {
            call_ended(hands, order, Permit::None, None);
            hands.report(Report::NoCredentials(Arc::clone(&order.app), fault));
            return Seen::Unchanged.into();
        }
    };
    let planned = hands.clock.now();
    let pending = PendingAttempt {
        id: Uuid::new_v4().to_string(),
        number: seen_status(&order.reset).attempts.saturating_add(1).max(1),
        start_time: planned.microsecond(),
        deadline: planned.microsecond() + ATTEMPT,
        holder: hands.identity.clone(),
        sdk_app_id: i64::from(order.app.sdk_app_id),
        host: order.app.endpoint.authority(),
    };
    let committed = match commit(hands, order, &pending).await {
        Ok(committed) => committed,
        Err(missed) => {
            // Nothing is sent, so the limits need not wait for what is written down about it.
            call_ended(hands, order, Permit::None, None);
            return missed.end(hands, order, &pending).await;
        }
    };
    let bounds = Bounds {
        deadline_mono: planned.mono + ATTEMPT,
        deadline_wall: pending.deadline,
        reset_ends: ends_at(&committed),
    };
    let has_permit = permit(hands, order, &committed, bounds.deadline_mono.saturating_sub(LEAST_LEFT)).await;
    let sent = hands.clock.now();
    let works = order.app.gate.admits_clear();
    let verdict = match last_look(bounds, hands.leads(), works, has_permit, sent) {
        Err(too_late) => Verdict::not_sent(NotSent::TooLate(too_late)),
        Ok(()) => judge(&call(hands, order, &usersig, bounds.left(sent)).await),
    };
    if matches!(verdict.ruling, Ruling::Sent(Class::Account(_) | Class::SignatureExpired)) {
        order.app.signer.reject(&usersig).await;
    }
    let over = if verdict.is_answered() { hands.clock.now().mono } else { bounds.deadline_mono };
    let permit = match verdict.ruling {
        Ruling::Sent(_) => Permit::Used { sent: sent.mono, over },
        Ruling::NotSent(_) if has_permit => Permit::Unused,
        Ruling::NotSent(_) => Permit::None,
    };
    call_ended(hands, order, permit, Some(verdict.clone()));
    log(&committed, &pending, &verdict, sent.mono, hands.clock.now().mono);
    let throttle = match verdict.ruling {
        Ruling::Sent(Class::ThrottledGroup) => order.group_wait,
        _ => Duration::from_secs(1),
    };
    let dice = random();
    let next = |reset: &GroupAttributeReset| {
        let at = Circumstances { now: hands.clock.now(), dice, throttle };
        after_attempt(reset, &pending, &verdict, at)
    };
    let unknown = verdict.ruling == Ruling::Sent(Class::Unknown);
    if unknown {
        hands.without_hurry().await;
    }
    let known = Known { verdict: &verdict, by: "call" };
    let seen = record_attempt(hands, committed, &pending, known, next).await;
    End { seen, read_back_at: unknown.then_some(over + SETTLING), never_called: None }
}

/// Asks the desk for a permit; false if none comes by the moment after which it would be of no use.
async fn permit(
    hands: &Hands,
    order: &Order,
    committed: &Arc<GroupAttributeReset>,
    latest: Duration,
) -> bool {
    let (permit, mut granted) = oneshot::channel();
    hands.report(Report::Armed(Armed {
        uid: order.reset.uid().unwrap_or_default(),
        committed: Arc::clone(committed),
        app: Arc::clone(&order.app),
        begun: order.begun,
        waits_since: order.waits_since,
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
enum Missed {
    /// It is not stored.
    NotStored(Seen),
    /// The answer to its write was lost: it may be stored, and only we know that no call follows.
    Lost(String),
    /// It is stored in an object that is being deleted.
    Deleted(Arc<GroupAttributeReset>),
}

impl Missed {
    async fn end(self, hands: &Hands, order: &Order, pending: &PendingAttempt) -> End {
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
                let seen = take_back(hands, &order.reset, pending).await;
                End { seen, read_back_at: None, never_called: Some(pending.id.clone()) }
            }
        }
    }
}

/// Stores the intent. Only an object that came back with our uid, our attempt and no deletion under way is one that
/// we may call for.
async fn commit(
    hands: &Hands,
    order: &Order,
    pending: &PendingAttempt,
) -> Result<Arc<GroupAttributeReset>, Missed> {
    if hands.stop.is_cancelled() || !hands.leads() || !order.app.gate.admits_clear() {
        return Err(Missed::NotStored(Seen::Unchanged));
    }
    let next = intent(&order.reset, pending.clone(), hands.clock.now());
    let committed = match hands.put("intent", &order.reset, next).await {
        Ok(stored) => stored,
        Err(WriteFault::Conflict) => {
            return Err(Missed::NotStored(look_after_conflict(hands, &order.reset).await));
        }
        Err(WriteFault::Gone) => return Err(Missed::NotStored(Seen::Gone)),
        Err(refused @ (WriteFault::Refused(_) | WriteFault::Forbidden(_))) => {
            return Err(Missed::NotStored(Seen::Fault(refused)));
        }
        Err(WriteFault::Unclear(why)) => return Err(Missed::Lost(why)),
    };
    let stored = committed.status.as_ref().and_then(|status| status.pending_attempt.as_ref());
    if committed.metadata.uid != order.reset.metadata.uid
        || stored.is_none_or(|stored| stored.id != pending.id)
    {
        let why = "the intent was not stored whole: the CRD is older than the operator. Install its CRDs: \
                   groupattr-operator crd | kubectl apply --server-side -f -";
        return Err(Missed::NotStored(Seen::Fault(WriteFault::Refused(why.to_owned()))));
    }
    if committed.metadata.deletion_timestamp.is_some() {
        return Err(Missed::Deleted(committed));
    }
    Ok(committed)
}

/// If the intent is stored after all, says in the status that no call followed it.
async fn take_back(hands: &Hands, seen: &GroupAttributeReset, pending: &PendingAttempt) -> Seen {
    let now = match look_until_answered(hands, seen).await {
        Seen::Read(now) => now,
        other => return other,
    };
    if !is_pending(&now, pending) {
        return Seen::Read(now);
    }
    record_without_call(hands, now, pending).await
}

async fn record_without_call(
    hands: &Hands,
    seen: Arc<GroupAttributeReset>,
    pending: &PendingAttempt,
) -> Seen {
    let verdict = Verdict::not_sent(NotSent::IntentLost);
    let known = Known { verdict: &verdict, by: "call" };
    record_attempt(hands, seen, pending, known, |reset| without_call(hands, reset, pending)).await
}

/// The status after an attempt whose intent is stored and whose call was never made.
#[must_use]
pub fn without_call(
    hands: &Hands,
    reset: &GroupAttributeReset,
    pending: &PendingAttempt,
) -> crate::api::ResetStatus {
    let at = Circumstances { now: hands.clock.now(), dice: random(), throttle: Duration::ZERO };
    after_attempt(reset, pending, &Verdict::not_sent(NotSent::IntentLost), at)
}

fn call_ended(hands: &Hands, order: &Order, permit: Permit, verdict: Option<Verdict>) {
    hands.report(Report::CallEnded(CallEnded {
        app: Arc::clone(&order.app),
        begun: order.begun,
        group: Some(order.group.clone()),
        permit,
        verdict,
    }));
}

async fn call(hands: &Hands, order: &Order, usersig: &UserSig, timeout: Duration) -> Answer {
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
    verdict: &Verdict,
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
