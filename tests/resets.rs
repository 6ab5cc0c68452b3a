//! What a user sees of a reset, from apply to its final status and after it.

mod world;

use std::time::Duration;

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use testbed::kstatus::{Status, kstatus};
use testbed::vendor::{Misbehaviour, When};
use testbed::{until, until_ok};
use world::{APP_ID, SOON, World, condition_of, message_of, numbered, reason_of};

const RESETS: &str = "groupattributeresets";

#[tokio::test]
async fn a_clean_reset_costs_two_writes_and_no_read_and_nothing_ever_after() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    let resets = numbered("clean", 5);
    for (_, group) in &resets {
        world.room(group);
    }
    world.many_resets(resets.clone()).await;
    world.until_cleared(5, SOON).await;
    for (name, group) in &resets {
        let verbs = verbs(&world, name).await;
        assert_eq!(verbs, ["update status", "update status"], "{name}");
        assert_eq!(world.reasons_of(name).await, ["Sending", "Cleared"]);
        assert_eq!(world.vendor.attributes(APP_ID, group).map(|attributes| attributes.len()), Some(0));
        let status = &world.object("gar", name).await.unwrap()["status"];
        assert_eq!((&status["attempts"], &status["failures"]), (&json!(1), &json!(0)));
        assert_eq!(status["lastAttempt"]["outcome"], "Succeeded");
        assert_eq!(
            (&status["lastAttempt"]["errorCode"], &status["lastAttempt"]["httpStatus"]),
            (&json!(0), &json!(200))
        );
        assert_eq!(status["lastAttempt"]["sdkAppID"], APP_ID);
        assert_eq!(status["lastAttempt"]["host"], world.vendor.address().to_string());
    }
    assert_eq!(world.requests("secrets", "chat").await.len(), 1, "one read of the Secret for all");
    assert_eq!(world.events("GroupAttributeReset", "clean-0").await, [], "no event on the good path");

    // The next process lists them, and that is all.
    operator.terminate();
    assert!(operator.wait_exit(SOON).await.success());
    let next = world.operator(&[]).await;
    world.marker("after-restart").await;
    for (name, group) in &resets {
        assert_eq!(verbs(&world, name).await.len(), 2, "{name} was touched after its end");
        assert_eq!(world.calls(group), 1);
    }

    // An edit is followed by one write that says so.
    world.patch("gar", "clean-0", "{\"backoffLimit\":3,\"activeDeadlineSeconds\":1,\"suspend\":true}").await;
    let edited = world.reset_is("clean-0", "Cleared").await;
    assert_eq!(
        (&edited["metadata"]["generation"], &edited["status"]["observedGeneration"]),
        (&json!(2), &json!(2))
    );
    world.marker("after-edit").await;
    assert_eq!(verbs(&world, "clean-0").await.len(), 3);
    assert_eq!(world.calls("@TGS#clean-0"), 1);

    // Labels are not the spec: nothing at all.
    assert!(world.kubectl(&["label", "gar", "clean-1", "show=over"]).await.ok);
    world.marker("after-label").await;
    assert_eq!(verbs(&world, "clean-1").await.len(), 2);
    world.check(&[&next]).await;
}

/// What the operator asked of the API server about one reset.
async fn verbs(world: &World, name: &str) -> Vec<String> {
    let requests = world.requests(RESETS, name).await;
    requests.iter().map(|event| format!("{} {}", event.verb, event.subresource)).collect()
}

#[tokio::test]
async fn a_new_request_id_asks_once_more_and_an_old_one_shows_its_old_result() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    world.app_is("Verified").await;

    // All of it takes longer than this deadline, which each request has for itself.
    world.room("@TGS#again");
    world.reset("again", "@TGS#again", "  activeDeadlineSeconds: 4").await;
    let began = std::time::Instant::now();
    world.reset_is("again", "Cleared").await;
    for number in 1..=7 {
        if number == 7 {
            until(SOON, "the first clock to run out", || async {
                (began.elapsed().as_secs() > 5).then_some(())
            })
            .await;
        }
        world.room("@TGS#again");
        ask(&world, "again", &format!("show-{number}")).await;
        let asked = answered(&world, "again", &format!("show-{number}"), "Cleared").await;
        assert_eq!(asked["status"]["attempts"], 1);
        assert_eq!(world.vendor.attributes(APP_ID, "@TGS#again").map(|attributes| attributes.len()), Some(0));
        if number == 1 {
            let first = &asked["status"]["history"][0];
            assert!(first["requestID"].is_null() && first["reason"] == "Cleared", "{first}");
        }
    }
    assert_eq!(world.calls("@TGS#again"), 8);
    let newest = world.object("gar", "again").await.unwrap();
    assert_eq!(
        past(&newest),
        ["show-6 Cleared", "show-5 Cleared", "show-4 Cleared", "show-3 Cleared", "show-2 Cleared"]
    );
    for one in newest["status"]["history"].as_array().unwrap() {
        assert_eq!((&one["attempts"], &one["errorCode"]), (&json!(1), &json!(0)));
        assert!(one["completionTime"].is_string());
    }

    // A reverted commit.
    let before = newest["status"]["history"][1].clone();
    ask(&world, "again", "show-5").await;
    let reverted = answered(&world, "again", "show-5", "Cleared").await;
    assert_eq!(reverted["status"]["completionTime"], before["completionTime"]);
    assert_eq!(reverted["status"]["attempts"], 1);
    assert!(
        message_of(&reverted, "Succeeded").contains("not sent again"),
        "{}",
        message_of(&reverted, "Succeeded")
    );
    assert_eq!(
        past(&reverted),
        ["show-7 Cleared", "show-6 Cleared", "show-4 Cleared", "show-3 Cleared", "show-2 Cleared"]
    );
    world.marker("after-revert").await;
    assert_eq!(world.calls("@TGS#again"), 8, "a request from the history was sent again");

    // A failure is shown again as a failure, although the cause is gone by now.
    world.reset("lost", "@TGS#lost", "  requestID: a").await;
    world.reset_is("lost", "GroupNotFound").await;
    world.room("@TGS#lost");
    ask(&world, "lost", "b").await;
    answered(&world, "lost", "b", "Cleared").await;
    ask(&world, "lost", "a").await;
    let shown = answered(&world, "lost", "a", "GroupNotFound").await;
    assert!(message_of(&shown, "Succeeded").contains("code 10010"), "{}", message_of(&shown, "Succeeded"));
    assert_eq!(kstatus(&shown), Status::Failed);
    world.marker("after-failure").await;
    assert_eq!(world.calls("@TGS#lost"), 2);
    world.check(&[&operator]).await;
}

async fn ask(world: &World, name: &str, request: &str) {
    world.patch("gar", name, &json!({"requestID": request}).to_string()).await;
}

/// Waits until the status is about this request, for the present spec, with this reason.
async fn answered(world: &World, name: &str, request: &str, reason: &str) -> Value {
    world
        .reset_where(name, &format!("{request}/{reason}"), |object| {
            object["status"]["requestID"] == request
                && object["status"]["observedGeneration"] == object["metadata"]["generation"]
                && reason_of(object, "Succeeded") == reason
        })
        .await
}

/// The history in short, the newest first.
fn past(object: &Value) -> Vec<String> {
    let history = object["status"]["history"].as_array().into_iter().flatten();
    let short = |one: &Value| {
        let request = one["requestID"].as_str().unwrap_or("-");
        format!("{request} {}", one["reason"].as_str().unwrap_or_default())
    };
    history.map(short).collect()
}

#[tokio::test]
async fn a_request_that_is_replaced_before_its_end_is_settled_or_superseded_first() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;

    // Nothing was sent for the first request.
    world.room("@TGS#held");
    world.reset("held", "@TGS#held", "  requestID: a\n  suspend: true").await;
    world.reset_is("held", "Suspended").await;
    ask(&world, "held", "b").await;
    let replaced = answered(&world, "held", "b", "Suspended").await;
    assert_eq!(past(&replaced), ["a Superseded"]);
    assert_eq!(replaced["status"]["history"][0]["attempts"], 0);
    world.patch("gar", "held", "{\"suspend\":false}").await;
    answered(&world, "held", "b", "Cleared").await;
    assert_eq!(world.calls("@TGS#held"), 1);

    // The first one's call is under way.
    world.room("@TGS#busy");
    world
        .vendor
        .script(When::clear().of("@TGS#busy").times(1), Misbehaviour::DelayAfter(Duration::from_secs(2)));
    world.reset("busy", "@TGS#busy", "  requestID: a").await;
    until(SOON, "the call", || async { (world.calls("@TGS#busy") == 1).then_some(()) }).await;
    ask(&world, "busy", "b").await;

    // The first one's outcome was not seen.
    world.room("@TGS#unseen");
    world.vendor.script(When::clear().of("@TGS#unseen").times(1), Misbehaviour::StatusAfterExecuting(502));
    world.reset("unseen", "@TGS#unseen", "  requestID: a").await;
    world.reset_is("unseen", "Verifying").await;
    ask(&world, "unseen", "b").await;

    let busy = answered(&world, "busy", "b", "Cleared").await;
    assert_eq!(past(&busy), ["a Cleared"]);
    assert_eq!(
        (&busy["status"]["attempts"], &busy["status"]["history"][0]["attempts"]),
        (&json!(1), &json!(1))
    );
    let unseen = answered(&world, "unseen", "b", "Cleared").await;
    assert_eq!(past(&unseen), ["a VerifiedEmpty"]);
    assert_eq!((world.calls("@TGS#busy"), world.calls("@TGS#unseen")), (2, 2));

    // The new generation never reads as succeeded before its own request has.
    for stored in world.stored().await {
        let (object, status) = (&stored.object, &stored.object["status"]);
        if ["busy", "unseen"].contains(&object["metadata"]["name"].as_str().unwrap()) {
            let claims = status["observedGeneration"] == 2
                && condition_of(object, "Succeeded").unwrap()["status"] == "True";
            assert!(!claims || status["requestID"] == "b", "{status:#}");
        }
    }
    // Intent, outcome with the new request, intent, outcome.
    assert_eq!(world.reasons_of("busy").await, ["Sending", "Pending", "Sending", "Cleared"]);
    let writes = world.requests(RESETS, "busy").await;
    assert_eq!(writes.iter().filter(|event| event.verb == "update" && event.code == 200).count(), 4);
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn each_object_is_a_request_of_its_own_and_one_group_is_written_to_at_intervals() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 3000 }").await;
    world.app_is("Verified").await;

    // The same name again, after the end and in the middle of it.
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
    until(SOON, "the call", || async { (world.calls("@TGS#middle") == 1).then_some(()) }).await;
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

#[tokio::test]
async fn scripts_and_tools_can_tell_every_state() {
    let world = World::new().await;
    world.secret("chat", world::KEY).await;
    let waiters = async |name: &str, what: &str, patience: &str| {
        let target = format!("gar/{name}");
        let (what, patience) = (format!("--for={what}"), format!("--timeout={patience}"));
        world.kubectl(&["wait", &target, &what, &patience]).await.ok
    };
    let now = async |name: &str| {
        let mut met = Vec::new();
        for what in ["condition=Finished", "condition=Succeeded", "condition=Succeeded=false"] {
            if waiters(name, what, "0s").await {
                met.push(what);
            }
        }
        met
    };

    // Nobody is there yet.
    for name in ["good", "bad"] {
        world.app_with_room(name, if name == "good" { 1_500_000_001 } else { 1_500_000_002 }, "").await;
        world.reset_of_app(name, "").await;
    }
    world.vendor.remove_room(1_500_000_002, "@TGS#bad");
    let unseen = world.object("gar", "good").await.unwrap();
    assert_eq!(kstatus(&unseen), Status::InProgress);
    assert_eq!(now("good").await, [""; 0]);

    // Who waits from the beginning is told, at either end.
    let operator = async {
        let operator = world.operator(&[]).await;
        world.reset_is("good", "Cleared").await;
        operator
    };
    let reason = "jsonpath={.status.conditions[?(@.type==\"Succeeded\")].reason}=Cleared";
    let (operator, finished, succeeded, by_reason, bad_finished, bad_failed) = tokio::join!(
        operator,
        waiters("good", "condition=Finished", "30s"),
        waiters("good", "condition=Succeeded", "30s"),
        waiters("good", reason, "30s"),
        waiters("bad", "condition=Finished", "30s"),
        waiters("bad", "condition=Succeeded=false", "30s"),
    );
    assert_eq!((finished, succeeded, by_reason, bad_finished, bad_failed), (true, true, true, true, true));
    assert_eq!(now("good").await, ["condition=Finished", "condition=Succeeded"]);
    assert_eq!(now("bad").await, ["condition=Finished", "condition=Succeeded=false"]);
    assert!(waiters("good", "condition=Ready", "0s").await && !waiters("bad", "condition=Ready", "0s").await);
    let bad = world.reset_is("bad", "GroupNotFound").await;
    assert_eq!(kstatus(&bad), Status::Failed);
    assert_eq!(kstatus(&world.object("gar", "good").await.unwrap()), Status::Current);

    // What has not ended: waiting, suspended, sending, to be tried again, being looked into.
    let states = [
        ("waiting", "AppNotFound", ""),
        ("suspended", "Suspended", "  suspend: true"),
        ("sending", "Sending", ""),
        ("retrying", "RetryScheduled", ""),
        ("verifying", "Verifying", ""),
    ];
    for (account, name) in
        [(1_500_000_003, "suspended"), (1_500_000_004, "sending"), (1_500_000_005, "verifying")]
    {
        world.app_with_room(name, account, "").await;
        world.until_reason("chatapp", name, "Ready", "Verified").await;
    }
    world.vendor.script(When::clear().of("@TGS#sending"), Misbehaviour::Hang { execute: false });
    world.vendor.script(When::clear().of("@TGS#verifying"), Misbehaviour::Status(502));
    world.app_with_room("retrying", 1_500_000_007, "").await;
    world.until_reason("chatapp", "retrying", "Ready", "Verified").await;
    for (name, _, more) in states.iter().filter(|(name, ..)| *name != "retrying") {
        world.reset_of_app(name, more).await;
    }
    for (name, reason, _) in states.iter().filter(|(name, ..)| *name != "retrying") {
        let object = world.reset_is(name, reason).await;
        assert_eq!(kstatus(&object), Status::InProgress, "{name}");
    }
    // Once the others are where they should be, nobody is there to answer.
    world.vendor.go_down();
    world.reset_of_app("retrying", "").await;
    let retrying = world.reset_is("retrying", "RetryScheduled").await;
    assert_eq!(kstatus(&retrying), Status::InProgress);
    for (name, ..) in states {
        assert_eq!(now(name).await, [""; 0], "{name}");
    }

    // Edited, and nobody there to see it.
    operator.kill9();
    world.patch("gar", "good", "{\"backoffLimit\":1}").await;
    let edited = world.object("gar", "good").await.unwrap();
    assert_eq!(kstatus(&edited), Status::InProgress);
    assert_eq!(now("good").await, [""; 0]);
    let next = world.operator(&[]).await;
    world.reset_is("good", "Cleared").await;
    assert_eq!(now("good").await, ["condition=Finished", "condition=Succeeded"]);
    world.check(&[&operator, &next]).await;
}

#[tokio::test]
async fn a_status_with_everything_at_its_longest_fits_into_8_kib() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    world.app_is("Verified").await;
    let group = format!("@TGS#{}", "g".repeat(91));
    let request = |number: u8| format!("{number}{}", "r".repeat(127));
    world.room(&group);
    world.reset("long", &group, &format!("  requestID: \"{}\"", request(1))).await;
    for number in 2..=6 {
        answered(&world, "long", &request(number - 1), "Cleared").await;
        ask(&world, "long", &request(number)).await;
    }
    answered(&world, "long", &request(6), "Cleared").await;
    let said = json!({"ActionStatus": "FAIL", "ErrorCode": 10002, "ErrorInfo": "\"\\é房".repeat(100)});
    world.vendor.script(world.clears(&group).times(1), Misbehaviour::WrongBody(said.to_string()));
    ask(&world, "long", &request(7)).await;
    let object = answered(&world, "long", &request(7), "Verifying").await;
    let mut status = object["status"].clone();
    for field in ["pendingAttempt", "lastAttempt"] {
        assert!(status[field].is_object(), "{status:#}");
    }
    assert_eq!(status["history"].as_array().map(Vec::len), Some(5));
    let info = status["lastAttempt"]["errorInfo"].as_str().unwrap();
    assert!((250..=256).contains(&info.len()), "{} bytes", info.len());
    assert!(status.to_string().len() <= 8192);

    // The same with every text as long as the CRD allows.
    let crd = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/crds/groupattributeresets.yaml"))
        .unwrap();
    let crd: Value = serde_saphyr::from_str(&crd).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    stretch(&mut status, schema);
    let length = status.to_string().len();
    assert!((5000..=8192).contains(&length), "{length} bytes");
    answered(&world, "long", &request(7), "VerifiedEmpty").await;
    world.check(&[&operator]).await;
}

/// Makes every text as long as its schema allows; times stay times.
fn stretch(value: &mut Value, schema: &Value) {
    match value {
        Value::String(text) if schema["format"].is_null() && schema["enum"].is_null() => {
            let longest = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap();
            text.extend(std::iter::repeat_n('x', longest.saturating_sub(text.len())));
        }
        Value::Array(all) => all.iter_mut().for_each(|one| stretch(one, &schema["items"])),
        Value::Object(fields) => {
            for (name, field) in fields {
                stretch(field, &schema["properties"][name]);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn an_edit_is_observed_whatever_the_reset_waits_for() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.secret("chat", world::KEY).await;
    for (account, name) in (1_500_000_001..).zip(["retrying", "verifying"]) {
        world.app_with_room(name, account, "").await;
        world.until_reason("chatapp", name, "Ready", "Verified").await;
    }
    world.vendor.script(When::clear().of("@TGS#verifying"), Misbehaviour::Hang { execute: false });
    world.reset_of_app("verifying", "").await;
    world.reset("missing", "@TGS#missing", "").await;
    world.reset_of_app("asleep", "  suspend: true").await;
    world.reset_is("verifying", "Verifying").await;
    world.vendor.go_down();
    world.reset_of_app("retrying", "").await;
    // The second wait is long enough to be edited in the middle of it.
    world.reset_where("retrying", "to wait once more", |object| object["status"]["failures"] == 2).await;
    for (name, reason) in [
        ("retrying", "RetryScheduled"),
        ("verifying", "Verifying"),
        ("missing", "AppNotFound"),
        ("asleep", "Suspended"),
    ] {
        let before = world.reset_is(name, reason).await["status"].clone();
        world.patch("gar", name, "{\"backoffLimit\":19}").await;
        // Of the present generation, and nothing else has changed.
        let after = world.reset_is(name, reason).await;
        assert_eq!(
            (&after["metadata"]["generation"], &after["status"]["observedGeneration"]),
            (&json!(2), &json!(2))
        );
        for field in ["startTime", "attempts", "failures", "nextAttemptTime", "pendingAttempt", "lastAttempt"]
        {
            assert_eq!(before[field], after["status"][field], "{name} {field}");
        }
        assert_eq!(
            message_of(&json!({"status": before}), "Succeeded"),
            message_of(&after, "Succeeded"),
            "{name}"
        );
    }
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn an_object_that_is_being_deleted_starts_nothing() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.room("@TGS#held");
    world.reset("held", "@TGS#held", "").await;
    world.reset_is("held", "AppNotFound").await;
    // Somebody else's finalizer holds it.
    let hold = "{\"metadata\":{\"finalizers\":[\"example.com/hold\"]}}";
    assert!(world.kubectl(&["patch", "gar", "held", "--type=merge", "-p", hold]).await.ok);
    assert!(world.kubectl(&["delete", "gar", "held", "--wait=false"]).await.ok);
    let written = world.requests(RESETS, "held").await.len();
    world.app("").await;
    world.app_is("Verified").await;
    world.marker("after").await;
    world.patch("gar", "held", "{\"suspend\":true}").await;
    world.patch("gar", "held", "{\"suspend\":false}").await;
    world.marker("after-edits").await;
    assert_eq!(world.calls("@TGS#held"), 0);
    assert_eq!(world.requests(RESETS, "held").await.len(), written, "something was written about it");
    let release = "{\"metadata\":{\"finalizers\":null}}";
    assert!(world.kubectl(&["patch", "gar", "held", "--type=merge", "-p", release]).await.ok);
    until(SOON, "its end", || async { world.object("gar", "held").await.is_none().then_some(()) }).await;
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn another_writer_who_edits_all_the_time_delays_nobody_for_ever() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 10 }").await;
    world.app_is("Verified").await;
    // Long enough for an edit to come between the intent and the outcome.
    world.vendor.set_latency(Duration::from_millis(600), Duration::from_millis(600));
    let resets = numbered("edited", 50);
    for (_, group) in &resets {
        world.room(group);
    }
    world.many_resets(resets.clone()).await;
    let kind = GroupVersionKind::gvk("groupattr.dev", "v1alpha1", "GroupAttributeReset");
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &world.namespace, &ApiResource::from_gvk(&kind));
    let mut edits = 0_u32;
    let cleared = async { world.until_cleared(50, SOON).await };
    let editing = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            let (name, _) = &resets[usize::try_from(edits).unwrap() * 7 % 50];
            let edit = json!({"metadata": {"labels": {"edit": edits.to_string()}}, "spec": {"backoffLimit": edits % 20}});
            api.patch(name, &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
            edits += 1;
        }
    };
    tokio::select! {
        () = cleared => {}
        () = editing => {}
    }
    assert!(edits > 40, "{edits} edits");
    let conflicts = operator.metric("groupattr_api_writes", &[("result", "conflict")]).await;
    assert!(conflicts.unwrap_or_default() >= 1.0, "not once did an edit come in between");
    for (name, group) in &resets {
        let object = world.reset_is(name, "Cleared").await;
        assert_eq!(world.calls(group), 1, "{name}");
        assert_eq!(object["status"]["attempts"], 1, "{name}");
    }
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn the_table_shows_what_came_of_it() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.room("@TGS#shown");
    world.reset("shown", "@TGS#shown", "  requestID: r1").await;
    world.reset("missing", "@TGS#missing", "").await;
    world.reset_is("shown", "Cleared").await;
    world.reset_is("missing", "GroupNotFound").await;
    let rows = until_ok(SOON, "both rows", || async {
        let shown = world.kubectl(&["get", "gar", "-o", "wide", "--no-headers"]).await.stdout;
        let rows: Vec<String> = shown.lines().map(str::to_owned).collect();
        if rows.len() == 2 { Ok(rows) } else { Err(shown) }
    })
    .await;
    let words = |row: &str| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        words(&rows[0])[..7],
        ["missing", "default", "@TGS#missing", "False", "GroupNotFound", "10010", "1"]
    );
    assert_eq!(words(&rows[1])[..7], ["shown", "default", "@TGS#shown", "True", "Cleared", "0", "1"]);
    assert_eq!(words(&rows[1])[8], "r1");
    assert!(rows[0].contains("Check spec.groupID"), "{}", rows[0]);
    world.check(&[&operator]).await;
}
