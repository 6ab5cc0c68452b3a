//! Reads at the vendor: the group of an attempt whose outcome nobody saw, and the reserved group of a probe.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use rand::random;

use super::apps::AppTerms;
use super::hands::Hands;
use super::record::record_attempt;
use super::report::{CallEnded, Permit, Report, ResetDone, Seen};
use super::unrecorded::Known;
use crate::api::{GroupAttributeReset, GroupId, PendingAttempt};
use crate::chat::{Call, Class};
use crate::cluster::credentials::CredentialsFault;
use crate::decide::judge::{NotSent, Ruling, Verdict, judge};
use crate::decide::last_look::{ATTEMPT, TooLate};
use crate::decide::outcome::{Circumstances, after_read_back, awaiting_settlement};
use crate::decide::settle::SETTLING;

/// Reads the group of `pending` back and stores what that shows.
pub async fn read_back(
    hands: Arc<Hands>,
    reset: Arc<GroupAttributeReset>,
    pending: PendingAttempt,
    group: GroupId,
    app: Arc<AppTerms>,
) {
    let uid = reset.uid().unwrap_or_default();
    let verdict = match read(&hands, &app, &group).await {
        Ok(verdict) => verdict,
        Err(fault) => {
            hands.report(Report::NoCredentials(Arc::clone(&app), fault));
            let again = Some(hands.clock.now().mono + SETTLING);
            let done = ResetDone { read_back_at: again, ..ResetDone::seen(&uid, Seen::Unchanged) };
            return hands.report(Report::ResetDone(done));
        }
    };
    tracing::info!(
        namespace = reset.metadata.namespace,
        reset = reset.metadata.name,
        uid,
        attempt = pending.id,
        class = verdict.label(),
        code = verdict.code,
        attributes = verdict.attributes,
        "group read back"
    );
    let dice = random();
    let next = |reset: &GroupAttributeReset| {
        let at = Circumstances { now: hands.clock.now(), dice, throttle: Duration::ZERO };
        after_read_back(reset, &pending, &verdict, at)
    };
    let done = if next(&reset).is_some() {
        let store = |reset: &GroupAttributeReset| {
            next(reset).unwrap_or_else(|| awaiting_settlement(reset, &pending, hands.clock.now()))
        };
        let known = Known { verdict: &verdict, by: "read_back" };
        ResetDone::seen(&uid, record_attempt(&hands, reset, &pending, known, store).await)
    } else {
        let again = Some(hands.clock.now().mono + SETTLING);
        ResetDone { read_back_at: again, ..ResetDone::seen(&uid, Seen::Unchanged) }
    };
    hands.report(Report::ResetDone(done));
}

/// Makes the signature for a probe. Whatever is wrong with the Secret shows here, and keeps nobody waiting.
pub async fn sign(hands: Arc<Hands>, app: Arc<AppTerms>) {
    let report = match hands.usersig(&app).await {
        Ok(_) => Report::Signed(app),
        Err(fault) => Report::Probed(app, Err(fault)),
    };
    hands.report(report);
}

/// Proves an app by one harmless read.
pub async fn probe(hands: Arc<Hands>, app: Arc<AppTerms>) {
    let verdict = read(&hands, &app, &GroupId::reserved_for_probes()).await;
    hands.report(Report::Probed(app, verdict));
}

/// A read, or why it was not sent. The desk has taken a permit for it.
async fn read(hands: &Hands, app: &Arc<AppTerms>, group: &GroupId) -> Result<Verdict, CredentialsFault> {
    let begun = hands.clock.now().mono;
    let ended = |permit, verdict| {
        let app = Arc::clone(app);
        hands.report(Report::CallEnded(CallEnded { app, begun, group: None, permit, verdict }));
    };
    let usersig = hands.usersig(app).await.inspect_err(|_| ended(Permit::Unused, None))?;
    if hands.stop.is_cancelled() || !hands.leads() || !app.gate.admits_read() {
        ended(Permit::Unused, None);
        return Ok(Verdict::not_sent(NotSent::TooLate(TooLate::App)));
    }
    let sent = hands.clock.now().mono;
    let call = Call {
        endpoint: &app.endpoint,
        sdk_app_id: app.sdk_app_id,
        identifier: &app.identifier,
        usersig: &usersig,
        group,
        timeout: ATTEMPT,
    };
    let verdict = judge(&hands.chat.read(call).await);
    if matches!(verdict.ruling, Ruling::Sent(Class::Account(_) | Class::SignatureExpired)) {
        app.signer.reject(&usersig).await;
    }
    let over = if verdict.is_answered() { hands.clock.now().mono } else { sent + ATTEMPT };
    let was_sent = matches!(verdict.ruling, Ruling::Sent(_));
    ended(if was_sent { Permit::Used { sent, over } } else { Permit::Unused }, Some(verdict.clone()));
    Ok(verdict)
}
