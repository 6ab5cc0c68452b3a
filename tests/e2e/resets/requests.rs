//! Requests: repeated, replaced, and re-created under the same name.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::kstatus::{Status, kstatus};
use testbed::until;
use testbed::vendor::{Misbehaviour, When};

use super::{RESETS, request_is, set_request};
use crate::world::{APP_ID, DEADLINE, World, condition_of, message_of};

#[tokio::test]
async fn a_new_request_id_clears_again_and_a_past_one_restores_its_result() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    world.app_is("Verified").await;

    // Each request has a deadline of its own: all of them together take longer.
    world.room("@TGS#again");
    world.reset("again", "@TGS#again", "  activeDeadlineSeconds: 12").await;
    let started = std::time::Instant::now();
    world.reset_is("again", "Cleared").await;
    for number in 1..=7 {
        if number == 7 {
            until(DEADLINE, "the first deadline to pass", || async {
                (started.elapsed().as_secs() > 12).then_some(())
            })
            .await;
        }
        world.room("@TGS#again");
        set_request(&world, "again", &format!("show-{number}")).await;
        let cleared = request_is(&world, "again", &format!("show-{number}"), "Cleared").await;
        assert_eq!(cleared["status"]["attempts"], 1);
        assert_eq!(world.vendor.attributes(APP_ID, "@TGS#again").map(|attributes| attributes.len()), Some(0));
        if number == 1 {
            let first = &cleared["status"]["history"][0];
            assert!(first["requestID"].is_null() && first["reason"] == "Cleared", "{first}");
        }
    }
    assert_eq!(world.calls("@TGS#again"), 8);
    let newest = world.object("gar", "again").await.unwrap();
    assert_eq!(
        history_of(&newest),
        ["show-6 Cleared", "show-5 Cleared", "show-4 Cleared", "show-3 Cleared", "show-2 Cleared"]
    );
    for one in newest["status"]["history"].as_array().unwrap() {
        assert_eq!((&one["attempts"], &one["errorCode"]), (&json!(1), &json!(0)));
        assert!(one["completionTime"].is_string());
    }

    // A reverted Git commit restores an old request ID.
    let before = newest["status"]["history"][1].clone();
    set_request(&world, "again", "show-5").await;
    let reverted = request_is(&world, "again", "show-5", "Cleared").await;
    assert_eq!(reverted["status"]["completionTime"], before["completionTime"]);
    assert_eq!(reverted["status"]["attempts"], 1);
    assert!(
        message_of(&reverted, "Succeeded").contains("not sent again"),
        "{}",
        message_of(&reverted, "Succeeded")
    );
    assert_eq!(
        history_of(&reverted),
        ["show-7 Cleared", "show-6 Cleared", "show-4 Cleared", "show-3 Cleared", "show-2 Cleared"]
    );
    world.marker("after-revert").await;
    assert_eq!(world.calls("@TGS#again"), 8, "a past request was sent again");

    // A past failure is still a failure, even though its cause is gone.
    world.reset("lost", "@TGS#lost", "  requestID: a").await;
    world.reset_is("lost", "GroupNotFound").await;
    world.room("@TGS#lost");
    set_request(&world, "lost", "b").await;
    request_is(&world, "lost", "b", "Cleared").await;
    set_request(&world, "lost", "a").await;
    let shown = request_is(&world, "lost", "a", "GroupNotFound").await;
    assert!(message_of(&shown, "Succeeded").contains("code 10010"), "{}", message_of(&shown, "Succeeded"));
    assert_eq!(kstatus(&shown), Status::Failed);
    world.marker("after-failure").await;
    assert_eq!(world.calls("@TGS#lost"), 2);
    world.check(&[&operator]).await;
}

/// The history as request and reason, newest first.
fn history_of(object: &Value) -> Vec<String> {
    let history = object["status"]["history"].as_array().into_iter().flatten();
    let short = |one: &Value| {
        let request = one["requestID"].as_str().unwrap_or("-");
        format!("{request} {}", one["reason"].as_str().unwrap_or_default())
    };
    history.map(short).collect()
}

#[tokio::test]
async fn a_request_replaced_before_it_finishes_is_settled_or_superseded_first() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;

    // The first request sent nothing.
    world.room("@TGS#held");
    world.reset("held", "@TGS#held", "  requestID: a\n  suspend: true").await;
    world.reset_is("held", "Suspended").await;
    set_request(&world, "held", "b").await;
    let replaced = request_is(&world, "held", "b", "Suspended").await;
    assert_eq!(history_of(&replaced), ["a Superseded"]);
    assert_eq!(replaced["status"]["history"][0]["attempts"], 0);
    world.patch("gar", "held", "{\"suspend\":false}").await;
    request_is(&world, "held", "b", "Cleared").await;
    assert_eq!(world.calls("@TGS#held"), 1);

    // The first request's call is in flight.
    world.room("@TGS#busy");
    world
        .vendor
        .script(When::clear().of("@TGS#busy").times(1), Misbehaviour::DelayAfter(Duration::from_secs(4)));
    world.reset("busy", "@TGS#busy", "  requestID: a").await;
    until(DEADLINE, "the call", || async { (world.calls("@TGS#busy") == 1).then_some(()) }).await;
    set_request(&world, "busy", "b").await;

    // The first request's outcome is unknown.
    world.room("@TGS#unseen");
    world.vendor.script(When::clear().of("@TGS#unseen").times(1), Misbehaviour::StatusAfterExecuting(502));
    world.reset("unseen", "@TGS#unseen", "  requestID: a").await;
    world.reset_is("unseen", "Verifying").await;
    set_request(&world, "unseen", "b").await;

    let busy = request_is(&world, "busy", "b", "Cleared").await;
    assert_eq!(history_of(&busy), ["a Cleared"]);
    assert_eq!(
        (&busy["status"]["attempts"], &busy["status"]["history"][0]["attempts"]),
        (&json!(1), &json!(1))
    );
    let unseen = request_is(&world, "unseen", "b", "Cleared").await;
    assert_eq!(history_of(&unseen), ["a VerifiedEmpty"]);
    assert_eq!((world.calls("@TGS#busy"), world.calls("@TGS#unseen")), (2, 2));

    // The new generation never shows success before its own request succeeds.
    for stored in world.stored().await {
        let (object, status) = (&stored.object, &stored.object["status"]);
        if ["busy", "unseen"].contains(&object["metadata"]["name"].as_str().unwrap()) {
            let claims = status["observedGeneration"] == 2
                && condition_of(object, "Succeeded").unwrap()["status"] == "True";
            assert!(!claims || status["requestID"] == "b", "{status:#}");
        }
    }
    // Intent, outcome plus the new request, intent, outcome.
    assert_eq!(world.reasons_of("busy").await, ["Sending", "Pending", "Sending", "Cleared"]);
    let writes = world.requests(RESETS, "busy").await;
    assert_eq!(writes.iter().filter(|event| event.verb == "update" && event.code == 200).count(), 4);
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn each_object_is_its_own_request_and_clears_of_one_group_keep_their_interval() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 3000 }").await;
    world.app_is("Verified").await;

    // Re-created under the same name, after it finished and in the middle of a call.
    world.room("@TGS#same");
    world.reset("same", "@TGS#same", "").await;
    let first = world.reset_is("same", "Cleared").await;
    assert!(world.kubectl(&["delete", "gar", "same"]).await.ok);
    world.room("@TGS#same");
    world.reset("same", "@TGS#same", "").await;
    let second = world.reset_is("same", "Cleared").await;
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    assert_eq!(second["status"]["attempts"], 1);
    assert!(second["status"]["history"].is_null());

    world.room("@TGS#middle");
    world
        .vendor
        .script(When::clear().of("@TGS#middle").times(1), Misbehaviour::DelayAfter(Duration::from_secs(2)));
    world.reset("middle", "@TGS#middle", "").await;
    until(DEADLINE, "the call", || async { (world.calls("@TGS#middle") == 1).then_some(()) }).await;
    assert!(world.kubectl(&["delete", "gar", "middle"]).await.ok);
    world.reset("middle", "@TGS#middle", "").await;
    let again = world.reset_is("middle", "Cleared").await;
    assert_eq!(again["status"]["attempts"], 1);

    // Two objects for one group at once.
    world.room("@TGS#both");
    world.many_resets([("both-0".into(), "@TGS#both".into()), ("both-1".into(), "@TGS#both".into())]).await;
    world.reset_is("both-0", "Cleared").await;
    world.reset_is("both-1", "Cleared").await;

    for group in ["@TGS#same", "@TGS#middle", "@TGS#both"] {
        let calls = world.vendor.clears_of(group);
        assert_eq!(calls.len(), 2, "{group}");
        let apart = calls[1].arrived - calls[0].answered.unwrap();
        assert!(apart >= Duration::from_millis(2999), "{group}: {apart:?}");
        assert!(apart < Duration::from_secs(8), "{group}: {apart:?}");
    }
    world.check(&[&operator]).await;
}
