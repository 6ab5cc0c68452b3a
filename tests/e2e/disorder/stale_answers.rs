//! API server responses that arrive after something newer has happened, or not at all.

use std::time::{Duration, Instant};

use testbed::proxy::{Boundary, Fault, Position};
use testbed::until;

use crate::world::replicas::NO_ELECTION;
use crate::world::{DEADLINE, Leg, World, reason_of};

const RESETS: &str = "groupattributeresets";

/// The watch shows each change once. If an older response replaced it, the newer change would be lost.
#[tokio::test]
async fn a_new_request_seen_by_the_watch_survives_a_stale_get() {
    let world = World::breakable().await;
    world.room("@TGS#looked-at");
    let _operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    // The first outcome is stored but its response is lost, and the GET that follows is answered late.
    let outcome = Boundary::outcome().about("looked-at");
    let lost = world.plan(Leg::Api, outcome, Position::LostAnswer, Fault::Reset);
    let get = Boundary::of("get", RESETS).about("looked-at");
    let late = world.plan(Leg::Api, get, Position::LostAnswer, Fault::Hold);
    world.reset("looked-at", "@TGS#looked-at", "  requestID: one").await;
    lost.has_fired(DEADLINE).await;
    late.has_fired(DEADLINE).await;
    world.patch("gar", "looked-at", r#"{"requestID":"two"}"#).await;
    // The same watch has already shown this later reset.
    world.marker("marker").await;
    late.release();
    world
        .reset_where("looked-at", "to be cleared once more", |reset| {
            reset["status"]["requestID"] == "two" && reason_of(reset, "Succeeded") == "Cleared"
        })
        .await;
    assert_eq!(world.calls("@TGS#looked-at"), 2);
}

/// The object to be deleted has changed, and the attempt for its new request is in flight.
#[tokio::test]
async fn a_late_refusal_of_a_deletion_does_not_disturb_a_new_attempt() {
    let world = World::breakable().await;
    world.room("@TGS#short");
    let operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    let deletion = Boundary::of("delete", RESETS).about("short");
    let deletion = world.plan(Leg::Api, deletion, Position::Before, Fault::Hold);
    world.reset("short", "@TGS#short", "  requestID: one\n  ttlSecondsAfterFinished: 0").await;
    deletion.has_fired(DEADLINE).await;
    let call = Boundary::clear().about("@TGS#short");
    let call = world.plan(Leg::Vendor, call, Position::LostAnswer, Fault::Hold);
    world.patch("gar", "short", r#"{"requestID":"two","ttlSecondsAfterFinished":null}"#).await;
    call.has_fired(DEADLINE).await;
    deletion.release();
    until(DEADLINE, "the end of the deletion", || async {
        operator.metric("groupattr_api_writes", &[("kind", "delete")]).await.filter(|count| *count >= 1.0)
    })
    .await;
    // Two seconds later the refusal has been handled. Creation timestamps are whole seconds.
    let clock = "  appRef: { name: nobody }\n  activeDeadlineSeconds: 3";
    world.reset("clock", "@TGS#clock", clock).await;
    world.reset_is("clock", "DeadlineExceeded").await;
    assert_eq!(world.reason("short").await, "Sending");
    call.release();
    world.reset_is("short", "Cleared").await;
    assert_eq!(world.calls("@TGS#short"), 2);
    assert_eq!(world.reasons_of("short").await, ["Sending", "Cleared", "Pending", "Sending", "Cleared"]);
}

/// Its intent is stored, and only its permit is missing.
#[tokio::test]
async fn a_reset_deleted_while_waiting_for_a_permit_is_not_sent() {
    let world = World::breakable().await;
    world.room("@TGS#deleted");
    let operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    let intent = Boundary::intent().about("deleted");
    let plan = world.plan(Leg::Api, intent, Position::LostAnswer, Fault::Hold);
    world.reset("deleted", "@TGS#deleted", "").await;
    plan.has_fired(DEADLINE).await;
    assert!(world.kubectl(&["delete", "gar", "deleted"]).await.ok);
    // The same watch has already shown this later reset. It must be quick: the attempt has six seconds.
    world.reset("marker", "@TGS#marker", "  appRef: { name: nobody }").await;
    world.reset_is("marker", "AppNotFound").await;
    plan.release();
    operator.wait_for_log("no permit was granted", DEADLINE).await;
    assert_eq!(world.calls("@TGS#deleted"), 0);
}

/// Only the process that wrote it knows that no call followed, and must remember that until it is withdrawn.
#[tokio::test]
async fn an_intent_with_a_lost_answer_is_withdrawn_despite_an_api_outage() {
    let world = World::breakable().await;
    world.room("@TGS#lost");
    let _operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    let (api, intent) = (world.proxy(Leg::Api), || Boundary::intent().about("lost"));
    // The watch does not show it either.
    let _held = world.plan(Leg::Api, intent(), Position::Before, Fault::Run(api.watch_holder(RESETS)));
    let stored = world.plan(Leg::Api, intent(), Position::LostAnswer, Fault::Reset);
    let get = Boundary::of("get", RESETS).about("lost").times(2);
    let gets = world.plan(Leg::Api, get, Position::Before, Fault::Reset);
    let next = world.plan(Leg::Api, intent().nth(2), Position::Before, Fault::Reset);
    world.reset("lost", "@TGS#lost", "  onUnknownOutcome: Stop").await;
    for plan in [&stored, &gets, &next] {
        plan.has_fired(DEADLINE).await;
    }
    api.release_watches(RESETS);
    let reset = world.reset_is("lost", "Cleared").await;
    assert_eq!(reset["status"]["attempts"], 1, "{reset:#}");
    assert_eq!(world.calls("@TGS#lost"), 1);
}

/// An admission webhook, for example, can report a conflict although the object has not changed.
#[tokio::test]
async fn an_outcome_with_spurious_conflicts_is_retried_with_backoff() {
    let world = World::breakable().await;
    world.room("@TGS#refused");
    let _operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    let outcome = Boundary::outcome().about("refused").times(5);
    let conflicts = world.plan(Leg::Api, outcome, Position::Before, Fault::code(409));
    let started = Instant::now();
    world.reset("refused", "@TGS#refused", "").await;
    world.reset_is("refused", "Cleared").await;
    // The backoff starts at 100 ms and doubles each time.
    assert!(started.elapsed() >= Duration::from_millis(3100), "{:?}", started.elapsed());
    assert_eq!((conflicts.fired(), world.calls("@TGS#refused")), (5, 1));
}
