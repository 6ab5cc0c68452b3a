//! The policies of a reset's spec: when it may start, how often it is repeated, and what becomes of it afterwards.

mod world;

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::kstatus::{Status, kstatus};
use testbed::vendor::{Command, Entry, Misbehaviour, When};
use testbed::{until, until_ok};
use world::{APP_ID, KEY, SOON, World, chat_app, message_of, reason_of};

fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap() + SignedDuration::from_secs(seconds)
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_default().parse().unwrap_or_else(|_| panic!("{value} is no time"))
}

fn seconds_between(earlier: Timestamp, later: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs_f64()
}

#[tokio::test]
async fn suspension_stops_the_clock_and_ends_normally_what_is_in_flight() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;

    world.room("@TGS#before");
    world.reset("before", "@TGS#before", "  suspend: true\n  activeDeadlineSeconds: 3").await;
    let before = world.reset_is("before", "Suspended").await;
    assert!(before["status"]["startTime"].is_null(), "a suspended reset has no clock");
    assert_eq!(kstatus(&before), Status::InProgress);

    // It waits for an app that nobody has made.
    let missing = "  appRef: { name: missing }\n  activeDeadlineSeconds: 6";
    world.reset("waiting", "@TGS#waiting", missing).await;
    world.reset_is("waiting", "AppNotFound").await;
    world.patch("gar", "waiting", "{\"suspend\":true}").await;
    let waiting = world.reset_is("waiting", "Suspended").await;
    assert!(waiting["status"]["startTime"].is_null(), "suspending clears the clock");

    world.room("@TGS#flying");
    world
        .vendor
        .script(world.clears("@TGS#flying").times(1), Misbehaviour::DelayAfter(Duration::from_secs(2)));
    world.reset("flying", "@TGS#flying", "").await;
    until(SOON, "the call", || async { (world.calls("@TGS#flying") == 1).then_some(()) }).await;
    world.patch("gar", "flying", "{\"suspend\":true}").await;
    world.reset_is("flying", "Cleared").await;
    assert_eq!(world.calls("@TGS#flying"), 1);

    // Longer than both deadlines.
    let created = time(&waiting["metadata"]["creationTimestamp"]);
    until(SOON, "the deadlines to pass", || async {
        (Timestamp::now() > created + SignedDuration::from_secs(8)).then_some(())
    })
    .await;
    world.marker("after-deadlines").await;
    for name in ["before", "waiting"] {
        assert_eq!(reason_of(&world.object("gar", name).await.unwrap(), "Succeeded"), "Suspended");
    }
    assert_eq!(world.calls("@TGS#before"), 0);

    let resumed = in_seconds(0);
    world.patch("gar", "before", "{\"suspend\":false}").await;
    world.patch("gar", "waiting", "{\"suspend\":false}").await;
    let before = world.reset_is("before", "Cleared").await;
    assert!(time(&before["status"]["startTime"]) >= resumed, "resuming starts the clock anew");
    let waiting = world.reset_is("waiting", "DeadlineExceeded").await;
    let (start, end) = (time(&waiting["status"]["startTime"]), time(&waiting["status"]["completionTime"]));
    assert!(start >= resumed, "{start}");
    assert!((6.0..=9.0).contains(&seconds_between(start, end)), "from {start} to {end}");
    let reasons = world.reasons_of("waiting").await;
    assert_eq!(reasons.last().map(String::as_str), Some("DeadlineExceeded"));
    assert_eq!(world.reasons_of("before").await[0], "Suspended");
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn nothing_starts_after_not_after_or_the_deadline() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    let not_after = |moment: Timestamp| format!("  notAfter: {:?}\n", moment.to_string());
    for room in ["past", "asleep", "zone-past", "zone", "soon", "deadline"] {
        world.room(&format!("@TGS#{room}"));
    }

    world.reset("past", "@TGS#past", &not_after(in_seconds(-1))).await;
    let end = in_seconds(4);
    world.reset("asleep", "@TGS#asleep", &format!("{}  suspend: true", not_after(end))).await;
    // The same moment, an hour ago and in an hour, as other places write it.
    let written = |seconds: i64, offset: i8| {
        let zone = jiff::tz::Offset::constant(offset).to_time_zone();
        let moment = in_seconds(seconds).to_zoned(zone);
        format!("  notAfter: \"{}\"", moment.strftime("%Y-%m-%dT%H:%M:%S%:z"))
    };
    world.reset("zone-past", "@TGS#zone-past", &written(-3600, 14)).await;
    world.reset("zone", "@TGS#zone", &written(3600, -11)).await;
    let missing = "  appRef: { name: missing }\n";
    world.reset("deadline", "@TGS#deadline", &format!("{missing}  activeDeadlineSeconds: 3")).await;
    let soon = in_seconds(3);
    world.reset("soon", "@TGS#soon", &format!("{missing}{}", not_after(soon))).await;

    let past = world.reset_is("past", "Expired").await;
    assert!(
        message_of(&past, "Succeeded").contains("notAfter")
            && message_of(&past, "Succeeded").contains("new requestID")
    );
    assert_eq!((&past["status"]["attempts"], kstatus(&past)), (&json!(0), Status::Failed));
    world.reset_is("zone-past", "Expired").await;
    world.reset_is("zone", "Cleared").await;
    world.reset_is("asleep", "Suspended").await;

    let asleep = world.reset_is("asleep", "Expired").await;
    let ended = time(&asleep["status"]["completionTime"]);
    assert!((0.0..=3.0).contains(&seconds_between(end, ended)), "notAfter {end}, ended {ended}");
    let ended = time(&world.reset_is("soon", "Expired").await["status"]["completionTime"]);
    assert!((0.0..=3.0).contains(&seconds_between(soon, ended)), "notAfter {soon}, ended {ended}");
    let deadline = world.reset_is("deadline", "DeadlineExceeded").await;
    let status = &deadline["status"];
    assert_eq!(
        status["startTime"], deadline["metadata"]["creationTimestamp"],
        "its clock began with its creation"
    );
    let took = seconds_between(time(&status["startTime"]), time(&status["completionTime"]));
    assert!((3.0..=6.0).contains(&took), "{took}");
    let said = message_of(&deadline, "Succeeded");
    assert!(
        said.contains("ChatApp missing does not exist") && said.contains("activeDeadlineSeconds"),
        "{said}"
    );

    // The app comes too late for those that have ended.
    world.apply(&chat_app("missing", APP_ID, &world.vendor.url(), "")).await;
    world.until_reason("chatapp", "missing", "Ready", "Verified").await;
    world.marker("late").await;
    for room in ["past", "asleep", "zone-past", "soon", "deadline"] {
        assert_eq!(world.calls(&format!("@TGS#{room}")), 0, "{room}");
    }
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn a_group_that_does_not_exist_is_a_failure_or_a_success_as_the_spec_says() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.reset("fail", "@TGS#gone-a", "").await;
    world.reset("succeed", "@TGS#gone-b", "  onGroupNotFound: Succeed").await;
    let fail = world.reset_is("fail", "GroupNotFound").await;
    let said = message_of(&fail, "Succeeded");
    assert!(said.to_lowercase().contains("code 10010") && said.contains("onGroupNotFound"), "{said}");
    let succeed = world.reset_is("succeed", "GroupGone").await;
    for object in [&fail, &succeed] {
        let status = &object["status"];
        assert_eq!((&status["attempts"], &status["failures"]), (&json!(1), &json!(0)));
        assert_eq!(
            (&status["lastAttempt"]["outcome"], &status["lastAttempt"]["errorCode"]),
            (&json!("Rejected"), &json!(10010))
        );
    }
    world.app_is("Verified").await;
    world.event("GroupAttributeReset", "fail", "Failed").await;
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn attempts_that_never_leave_are_repeated_with_backoff_up_to_the_limit_and_no_further() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    let cases = [
        ("limit-0", "  backoffLimit: 0"),
        ("limit-1", "  backoffLimit: 1"),
        ("limit-2", "  backoffLimit: 2"),
        ("limit-6", ""),
    ];
    for (account, (name, _)) in (1_500_000_001..).zip(cases) {
        world.app_with_room(name, account, "").await;
    }
    for (name, _) in cases {
        world.until_reason("chatapp", name, "Ready", "Verified").await;
    }
    world.vendor.go_down();
    for (name, more) in cases {
        world.reset_of_app(name, more).await;
    }
    for (name, failures) in [("limit-0", 1), ("limit-1", 2), ("limit-2", 3)] {
        let object = world.reset_is(name, "BackoffLimitExceeded").await;
        let status = &object["status"];
        assert_eq!(status["failures"], failures, "{name}");
        assert_eq!(status["attempts"], 0, "{name}: nothing was sent");
        assert_eq!(status["lastAttempt"]["outcome"], "NotSent", "{name}");
        let said = message_of(&object, "Succeeded");
        assert!(said.contains("backoffLimit") && said.contains("requestID"), "{said}");
    }

    // The third fault in a row is the app's trouble, and waiting for it is no failure.
    world.until_reason("chatapp", "limit-6", "Ready", "Unreachable").await;
    let waiting = world.reset_is("limit-6", "AppNotReady").await;
    assert_eq!(waiting["status"]["failures"], 3);
    world.vendor.come_back();
    let healed = world.reset_is("limit-6", "Cleared").await;
    assert_eq!((&healed["status"]["failures"], &healed["status"]["attempts"]), (&json!(3), &json!(1)));
    assert_eq!(world.vendor.clears().len(), 1, "those that had ended were sent");

    // Each wait is between half of its step and all of it, in whole seconds.
    let mut waits = 0;
    for stored in world.stored().await {
        let status = &stored.object["status"];
        if reason_of(&stored.object, "Succeeded") == "RetryScheduled" {
            let wait = seconds_between(
                time(&status["lastAttempt"]["completionTime"]),
                time(&status["nextAttemptTime"]),
            );
            let longest = f64::from(1 << status["failures"].as_i64().unwrap());
            assert!((longest / 2.0..=longest + 1.1).contains(&wait), "{wait} s after {}", status["failures"]);
            waits += 1;
        }
    }
    assert!(waits >= 5, "{waits}");
    world.check(&[&operator]).await;
}

/// An attempt whose outcome nobody saw, and what should become of it.
struct Unseen {
    name: &'static str,
    script: Misbehaviour,
    more: &'static str,
    reason: &'static str,
    calls: usize,
    failures: i64,
}

#[tokio::test]
async fn what_nobody_saw_is_read_back_before_anything_else() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    let lost = || Misbehaviour::StatusAfterExecuting(502);
    let refused = || Misbehaviour::Status(503);
    let case = |name, script, more, (reason, calls, failures)| Unseen {
        name,
        script,
        more,
        reason,
        calls,
        failures,
    };
    let stop = "  onUnknownOutcome: Stop";
    let cases = [
        case("retry-done", lost(), "", ("VerifiedEmpty", 1, 0)),
        case("retry-not-done", refused(), "", ("Cleared", 2, 1)),
        case("stop-done", lost(), stop, ("VerifiedEmpty", 1, 0)),
        case("stop-not-done", refused(), stop, ("OutcomeUnknown", 1, 0)),
        case("no-retry-left", refused(), "  backoffLimit: 0", ("BackoffLimitExceeded", 1, 1)),
        case("silent-done", Misbehaviour::Hang { execute: true }, "", ("VerifiedEmpty", 1, 0)),
        case("silent-not-done", Misbehaviour::Hang { execute: false }, "", ("Cleared", 2, 1)),
        case("broken-done", Misbehaviour::Reset { execute: true }, "", ("VerifiedEmpty", 1, 0)),
        case("dismissed-fail", lost(), "", ("GroupNotFound", 1, 0)),
        case("dismissed-succeed", lost(), "  onGroupNotFound: Succeed", ("GroupGone", 1, 0)),
        case("read-fails-once", lost(), "", ("VerifiedEmpty", 1, 0)),
        case(
            "too-late",
            Misbehaviour::Hang { execute: false },
            "  activeDeadlineSeconds: 4",
            ("OutcomeUnknown", 1, 0),
        ),
        case("suspended", refused(), "", ("Suspended", 1, 1)),
    ];
    for (account, case) in (1_500_000_001..).zip(&cases) {
        world.app_with_room(case.name, account, "").await;
        let group = format!("@TGS#{}", case.name);
        world.vendor.script(world.clears(&group).times(1), case.script.clone());
    }
    world.vendor.script(When::get().of("@TGS#read-fails-once").times(1), Misbehaviour::Status(500));
    for case in &cases {
        world.until_reason("chatapp", case.name, "Ready", "Verified").await;
        world.reset_of_app(case.name, case.more).await;
    }
    until_ok(SOON, "the first call of each", || async {
        let missing: Vec<_> = cases
            .iter()
            .filter(|case| world.calls(&format!("@TGS#{}", case.name)) == 0)
            .map(|case| case.name)
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    })
    .await;
    for (account, case) in (1_500_000_001..).zip(&cases) {
        if case.name.starts_with("dismissed") {
            world.vendor.remove_room(account, &format!("@TGS#{}", case.name));
        }
    }
    world.reset_is("suspended", "Verifying").await;
    // Suspending neither forgets the attempt nor lets another one start.
    world.patch("gar", "suspended", "{\"suspend\":true}").await;

    for (account, case) in (1_500_000_001..).zip(&cases) {
        let Unseen { name, reason, .. } = case;
        let object = world.reset_is(name, reason).await;
        let status = &object["status"];
        assert_eq!(
            (&status["attempts"], &status["failures"]),
            (&json!(case.calls), &json!(case.failures)),
            "{name}"
        );
        let group = format!("@TGS#{name}");
        assert_eq!(world.calls(&group), case.calls, "{name}");
        let reasons = world.reasons_of(name).await;
        assert_eq!(reasons[..2], ["Sending", "Verifying"], "{name}");
        let full = world.vendor.attributes(account, &group).is_some_and(|attributes| !attributes.is_empty());
        assert_eq!(full, ["OutcomeUnknown", "BackoffLimitExceeded", "Suspended"].contains(reason), "{name}");
        if *name != "too-late" {
            was_read_back_in_time(&world, &group);
        }
        if status["lastAttempt"]["outcome"] != "Succeeded" {
            assert_eq!(status["lastAttempt"]["outcome"], "Unknown", "{name}");
        }
    }
    assert_eq!(reads_of(&world, "@TGS#read-fails-once").len(), 2);
    let said = message_of(&world.object("gar", "stop-not-done").await.unwrap(), "Succeeded");
    assert!(said.contains("2 attributes") && said.contains("requestID"), "{said}");
    world.event("GroupAttributeReset", "stop-not-done", "OutcomeUnknown").await;
    world.patch("gar", "suspended", "{\"suspend\":false}").await;
    world.reset_is("suspended", "Cleared").await;
    world.check(&[&operator]).await;
}

/// The first read came when nothing of the first call could happen any more, and before the second call.
fn was_read_back_in_time(world: &World, group: &str) {
    let (calls, reads) = (world.vendor.clears_of(group), reads_of(world, group));
    let read = reads.first().unwrap_or_else(|| panic!("{group} was not read back"));
    // The backend may work on a call for a while after nobody waits for it any more.
    let (since, least) = match calls[0].answered {
        Some(answered) => (answered, 5.0),
        None => (calls[0].arrived, 14.5),
    };
    let waited = (read.arrived - since).as_secs_f64();
    assert!((least..=least + 8.0).contains(&waited), "{group} was read back after {waited} s");
    assert!(calls.get(1).is_none_or(|second| second.arrived > read.arrived), "{group}");
}

fn reads_of(world: &World, group: &str) -> Vec<Entry> {
    world.vendor.entries(|entry| entry.command == Command::Get && entry.group.as_deref() == Some(group))
}

#[tokio::test]
async fn an_attempt_that_another_process_left_behind_is_read_back_and_not_sent_again() {
    let world = World::new().await;
    let alone = "--leader-elect=false";
    let operator = world.operator(&[alone]).await;
    world.secret("chat", KEY).await;
    let names = ["done", "not-done", "stop", "asleep", "moved"];
    for (account, name) in (1_500_000_001..).zip(names) {
        world.app_with_room(name, account, "").await;
        let execute = ["done", "asleep"].contains(&name);
        world.vendor.script(world.clears(&format!("@TGS#{name}")).times(1), Misbehaviour::Hang { execute });
    }
    for name in names {
        world.until_reason("chatapp", name, "Ready", "Verified").await;
        world.reset_of_app(name, if name == "stop" { "  onUnknownOutcome: Stop" } else { "" }).await;
    }
    until_ok(SOON, "all calls", || async {
        let calls = world.vendor.clears().len();
        if calls == names.len() { Ok(()) } else { Err(calls) }
    })
    .await;
    operator.kill9();
    let holder = world.object("gar", "done").await.unwrap()["status"]["pendingAttempt"]["holder"].clone();
    assert!(holder.is_string());
    world.patch("gar", "asleep", "{\"suspend\":true}").await;
    let elsewhere = world.vendor.url().replace("127.0.0.1", "localhost");
    world.patch("chatapp", "moved", &json!({"endpoint": elsewhere}).to_string()).await;

    let started = Instant::now();
    let next = world.operator(&[alone]).await;
    let moved = world.reset_is("moved", "OutcomeUnknown").await;
    assert!(
        message_of(&moved, "Succeeded").contains("another account or host"),
        "{}",
        message_of(&moved, "Succeeded")
    );
    let done = world.reset_is("done", "VerifiedEmpty").await;
    assert_eq!(
        (&done["status"]["attempts"], &done["status"]["lastAttempt"]["outcome"]),
        (&json!(1), &json!("Unknown"))
    );
    world.reset_is("asleep", "VerifiedEmpty").await;
    world.reset_is("stop", "OutcomeUnknown").await;
    let again = world.reset_is("not-done", "Cleared").await;
    assert_eq!((&again["status"]["attempts"], &again["status"]["failures"]), (&json!(2), &json!(1)));
    for (name, calls) in [("done", 1), ("asleep", 1), ("stop", 1), ("moved", 1), ("not-done", 2)] {
        let group = format!("@TGS#{name}");
        assert_eq!(world.calls(&group), calls, "{name}");
        // The other's attempt may take its ten seconds and the backend five more, by the clock of who looks.
        for read in reads_of(&world, &group) {
            assert!(
                read.arrived - started >= Duration::from_secs(15),
                "{name}: {:?}",
                read.arrived - started
            );
        }
    }
    assert_eq!(reads_of(&world, "@TGS#done").len(), 1);
    world.check(&[&operator, &next]).await;
}

#[tokio::test]
async fn the_time_of_the_next_attempt_survives_a_restart_and_a_wrong_clock() {
    let world = World::new().await;
    world.app("").await;
    // As a process that ended has left them.
    let cases = [("kept", 12, 4), ("wrong-clock", 3600, 1), ("over", -60, 3)];
    let mut due = Vec::new();
    for (name, seconds, failures) in cases {
        let group = format!("@TGS#{name}");
        world.room(&group);
        world.reset(name, &group, "").await;
        due.push(in_seconds(seconds));
        let since = in_seconds(-5).to_string();
        let condition = |type_: &str, status: &str| {
            json!({"type": type_, "status": status, "reason": "RetryScheduled", "message": "As before.",
                "lastTransitionTime": since, "observedGeneration": 1})
        };
        let status = json!({
            "observedGeneration": 1, "startTime": since, "attempts": failures, "failures": failures,
            "nextAttemptTime": in_seconds(seconds).to_string(),
            "conditions": [condition("Succeeded", "Unknown"), condition("Ready", "False"),
                condition("Finished", "False"), condition("Reconciling", "True")],
        });
        let patch = json!({"status": status}).to_string();
        let done = world
            .kubectl(&["patch", "gar", name, "--subresource=status", "--type=merge", "-p", &patch])
            .await;
        assert!(done.ok, "{}", done.stderr);
    }
    let operator = world.operator(&[]).await;
    world.app_is("Verified").await;
    let verified = Timestamp::now();
    for (name, _, failures) in cases {
        let object = world.reset_is(name, "Cleared").await;
        assert_eq!(
            (&object["status"]["attempts"], &object["status"]["failures"]),
            (&json!(failures + 1), &json!(failures))
        );
    }
    let arrived = |name: &str| world.vendor.clears_of(&format!("@TGS#{name}"))[0].arrived_at;
    let late = seconds_between(due[0], arrived("kept"));
    assert!((0.0..=3.0).contains(&late), "{late} s after its time");
    // At most the two seconds that one failure costs, and not the hour that a clock once said.
    assert!(seconds_between(verified, arrived("wrong-clock")) <= 5.0);
    assert!(seconds_between(verified, arrived("over")) <= 3.0);
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn finished_resets_are_deleted_in_time_unless_a_tool_would_make_them_again() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    let labelled = |name: &str, marks: Value, ttl: i32| {
        let mut metadata = json!({"name": name});
        metadata.as_object_mut().unwrap().extend(marks.as_object().unwrap().clone());
        let spec = json!({"groupID": format!("@TGS#{name}"), "ttlSecondsAfterFinished": ttl});
        json!({"apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset", "metadata": metadata, "spec": spec})
    };
    let kept = [
        ("annotations", "argocd.argoproj.io/tracking-id"),
        ("annotations", "meta.helm.sh/release-name"),
        ("labels", "argocd.argoproj.io/instance"),
        ("labels", "kustomize.toolkit.fluxcd.io/name"),
        ("labels", "helm.toolkit.fluxcd.io/name"),
    ];
    let mut objects: Vec<Value> = kept
        .iter()
        .enumerate()
        .map(|(n, (place, mark))| labelled(&format!("kept-{n}"), json!({*place: {*mark: "show"}}), 0))
        .collect();
    objects.push(labelled("two-seconds", json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), 2));
    objects.push(labelled("at-once", json!({}), 0));
    objects.push(labelled("failed", json!({}), 1));
    objects.push(labelled("after-restart", json!({}), 8));
    for object in &objects {
        let group = object["spec"]["groupID"].as_str().unwrap();
        if group != "@TGS#failed" {
            world.room(group);
        }
        world.apply(&object.to_string()).await;
    }
    let gone = async |name: &str| {
        until(SOON, &format!("{name} to be deleted"), || async {
            world.object("gar", name).await.is_none().then_some(())
        })
        .await;
        Timestamp::now()
    };
    let after = gone("two-seconds").await;
    gone("at-once").await;
    gone("failed").await;
    for (n, (_, mark)) in kept.iter().enumerate() {
        let name = format!("kept-{n}");
        world.reset_is(&name, "Cleared").await;
        let note = world.event("GroupAttributeReset", &name, "TTLSkipped").await;
        assert!(note.contains(mark), "{note}");
    }
    let ended = |stored: &[world::history::Stored], name: &str| {
        let last = stored.iter().rfind(|stored| stored.object["metadata"]["name"] == name).unwrap();
        time(&last.object["status"]["completionTime"])
    };
    let stored = world.stored().await;
    let lived = seconds_between(ended(&stored, "two-seconds"), after);
    assert!((2.0..=6.0).contains(&lived), "deleted after {lived} s");
    assert_eq!(
        reason_of(
            &stored.iter().rfind(|one| one.object["metadata"]["name"] == "failed").unwrap().object,
            "Succeeded"
        ),
        "GroupNotFound"
    );

    // The next process deletes what this one would have.
    world.reset_is("after-restart", "Cleared").await;
    operator.terminate();
    operator.wait_exit(SOON).await;
    let next = world.operator(&[]).await;
    let after = gone("after-restart").await;
    let lived = seconds_between(ended(&stored, "after-restart"), after);
    assert!((8.0..=14.0).contains(&lived), "deleted after {lived} s");
    world.marker("marker").await;
    for n in 0..kept.len() {
        let name = format!("kept-{n}");
        assert!(world.object("gar", &name).await.is_some(), "{name} was deleted");
        let events = world.events("GroupAttributeReset", &name).await;
        assert_eq!(events.iter().filter(|(reason, _)| reason == "TTLSkipped").count(), 1, "{events:?}");
        assert_eq!(world.calls(&format!("@TGS#{name}")), 1);
    }
    // Without its mark, and with a time to live that is given only now.
    assert!(world.kubectl(&["label", "gar", "kept-4", "helm.toolkit.fluxcd.io/name-"]).await.ok);
    gone("kept-4").await;
    world.patch("gar", "marker", "{\"ttlSecondsAfterFinished\":0}").await;
    gone("marker").await;
    let verbs: Vec<_> = world
        .requests("groupattributeresets", "two-seconds")
        .await
        .iter()
        .map(|event| event.verb.clone())
        .collect();
    assert_eq!(verbs, ["update", "update", "delete"]);
    world.check(&[&operator, &next]).await;
}
