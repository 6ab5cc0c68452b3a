//! Objects that are deleted and re-created under the same name at each point of their lifecycle, and a
//! namespace that is being deleted. Each uid is a separate request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use testbed::proxy::{Boundary, Fault, Position};
use testbed::runs::runs;
use testbed::vendor::{Misbehaviour, When};
use testbed::{until, until_ok};

use crate::world::replicas::NO_ELECTION;
use crate::world::{DEADLINE, KEY, Leg, World, numbered, reason_of};

/// A point in the lifecycle of a reset.
struct Point {
    name: &'static str,
    /// How the vendor handles the first call.
    script: Option<Misbehaviour>,
    more: &'static str,
    /// The state of the first object when it is deleted; the second one is for a late deletion.
    reasons: &'static [&'static str],
    /// Calls for the first object and its successor together.
    calls: usize,
}

fn points() -> Vec<Point> {
    let point = |name, script, more, reasons, calls| Point { name, script, more, reasons, calls };
    let delay = Misbehaviour::DelayAfter(Duration::from_secs(8));
    vec![
        point("asleep", None, "  suspend: true", &["Suspended"][..], 1),
        point("calling", Some(delay), "", &["Sending", "Cleared"], 2),
        point(
            "verifying",
            Some(Misbehaviour::StatusAfterExecuting(502)),
            "",
            &["Verifying", "VerifiedEmpty"],
            2,
        ),
        point("ended", None, "", &["Cleared"], 2),
        point("failed", Some(Misbehaviour::Code(10007)), "", &["GroupTypeNotSupported"], 2),
    ]
}

impl World {
    /// Deletes a reset and re-creates it with `create`; returns both uids.
    async fn recreate(&self, name: &str, create: impl Future<Output = ()>) -> [String; 2] {
        let uid = |object: &Value| object["metadata"]["uid"].as_str().expect("a uid").to_owned();
        let old = uid(&self.object("gar", name).await.expect("the first object"));
        let deleted = self.kubectl(&["delete", "gar", name]).await;
        assert!(deleted.ok, "{}", deleted.stderr);
        create.await;
        let new = uid(&self.object("gar", name).await.expect("the second object"));
        assert_ne!(old, new);
        [old, new]
    }
}

/// The ids of all attempts that ever appeared in the statuses of one uid.
fn attempts_of(stored: &[crate::world::history::Stored], uid: &str) -> BTreeSet<String> {
    let of_uid = stored.iter().filter(|one| one.object["metadata"]["uid"] == uid);
    let ids = of_uid.flat_map(|one| {
        ["pendingAttempt", "lastAttempt"].map(|name| one.object["status"][name]["id"].clone())
    });
    ids.filter_map(|id| id.as_str().map(str::to_owned)).collect()
}

async fn each_point() {
    let world = World::new().await;
    let operator = world.operator(&NO_ELECTION).await;
    world.secret("chat", KEY).await;
    let points = points();
    for (account, point) in (1_600_000_001..).zip(&points) {
        world.app_with_room(point.name, account, "").await;
        if let Some(script) = &point.script {
            world.vendor.script(When::clear().by(account).times(1), script.clone());
        }
    }
    let lives = points.iter().map(|point| async {
        world.until_reason("chatapp", point.name, "Ready", "Verified").await;
        world.reset_of_app(point.name, point.more).await;
        let group = format!("@TGS#{}", point.name);
        let called = usize::from(point.reasons != ["Suspended"]);
        until_ok(DEADLINE, &format!("the first call of {}", point.name), || async {
            let status = world.object("gar", point.name).await.map(|object| object["status"].to_string());
            if world.calls(&group) >= called { Ok(()) } else { Err(status) }
        })
        .await;
        world
            .reset_where(point.name, "to reach its point", |reset| {
                point.reasons.contains(&reason_of(reset, "Succeeded").as_str())
            })
            .await;
        let uids = world.recreate(point.name, world.reset_of_app(point.name, "")).await;
        world.reset_is(point.name, "Cleared").await;
        (point.name, uids)
    });
    let uids: BTreeMap<_, _> = join_all(lives).await.into_iter().collect();
    let stored = world.stored().await;
    for (account, point) in (1_600_000_001..).zip(&points) {
        let Point { name, calls, .. } = point;
        let group = format!("@TGS#{name}");
        assert_eq!(world.calls(&group), *calls, "{name}");
        assert!(world.vendor.attributes(account, &group).is_some_and(|attributes| attributes.is_empty()));
        let [old, new] = uids[name].each_ref().map(|uid| attempts_of(&stored, uid));
        assert!(old.is_disjoint(&new), "{name}: the second object shows an attempt of the first");
        assert!(!new.is_empty(), "{name}: no attempt for the second object");
        let last = stored.iter().rfind(|one| one.object["metadata"]["uid"] == uids[name][0].as_str());
        let last = reason_of(&last.expect("the first object").object, "Succeeded");
        assert!(point.reasons.contains(&last.as_str()), "{name}: {last}");
        for pair in world.vendor.clears_of(&group).windows(2) {
            let apart =
                pair[1].arrived.saturating_duration_since(pair[0].answered.unwrap_or(pair[0].arrived));
            assert!(apart >= Duration::from_secs(1), "{name}: {apart:?} between two writes to one group");
        }
    }
    assert_eq!(operator.exit_status(), None, "{}", operator.logs());
    world.finish().await;
}

#[tokio::test]
async fn a_reset_recreated_at_any_point_has_its_own_outcome() {
    runs("F3", 2).side_by_side(2, |_| each_point()).await;
}

/// A boundary of the first object's attempt, and the maximum number of calls for both objects together.
type Held = (Leg, fn() -> Boundary, Position, usize);

const HELD: [Held; 6] = [
    (Leg::Api, || Boundary::intent().about("again"), Position::Before, 1),
    (Leg::Api, || Boundary::intent().about("again"), Position::LostAnswer, 2),
    (Leg::Vendor, || Boundary::clear().about("@TGS#again"), Position::Before, 2),
    (Leg::Vendor, || Boundary::clear().about("@TGS#again"), Position::LostAnswer, 2),
    (Leg::Api, || Boundary::outcome().about("again"), Position::Before, 2),
    (Leg::Api, || Boundary::outcome().about("again"), Position::LostAnswer, 2),
];

/// Re-creates the reset while one request of the first object's attempt is in flight.
async fn while_held((leg, boundary, position, calls): Held) {
    let world = World::breakable().await;
    world.room("@TGS#again");
    let _operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    let plan = world.plan(leg, boundary(), position, Fault::Hold);
    world.reset("again", "@TGS#again", "").await;
    plan.has_fired(DEADLINE).await;
    let uids = world.recreate("again", world.reset("again", "@TGS#again", "")).await;
    plan.release();
    world.reset_is("again", "Cleared").await;
    // On a busy machine the first attempt may time out before its call.
    assert!((1..=calls).contains(&world.calls("@TGS#again")), "{} calls", world.calls("@TGS#again"));
    let stored = world.stored().await;
    let [old, new] = uids.each_ref().map(|uid| attempts_of(&stored, uid));
    assert!(old.is_disjoint(&new), "the second object shows an attempt of the first");
    assert!(!new.is_empty(), "no attempt for the second object");
    world.finish().await;
}

#[tokio::test]
async fn a_reset_recreated_during_an_attempt_has_its_own_outcome() {
    runs("F3-held", 6).side_by_side(3, |run| while_held(HELD[run.turn(HELD.len())])).await;
}

#[tokio::test]
async fn a_reset_suspended_while_its_intent_is_in_flight_is_not_sent() {
    let world = World::breakable().await;
    world.room("@TGS#late");
    let operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    let plan = world.plan(Leg::Api, Boundary::intent().about("late"), Position::Before, Fault::Hold);
    world.reset("late", "@TGS#late", "").await;
    plan.has_fired(DEADLINE).await;
    world.patch("gar", "late", "{\"suspend\":true}").await;
    plan.release();
    world.reset_is("late", "Suspended").await;
    let conflicts =
        operator.metric("groupattr_api_writes", &[("kind", "intent"), ("result", "conflict")]).await;
    assert_eq!(conflicts, Some(1.0), "the intent was planned on a stale copy");
    world.patch("gar", "late", "{\"suspend\":false}").await;
    world.reset_is("late", "Cleared").await;
    assert_eq!(world.calls("@TGS#late"), 1);
    assert_eq!(world.reasons_of("late").await, ["Suspended", "Pending", "Sending", "Cleared"]);
}

#[tokio::test]
async fn deleting_a_finished_reset_spares_its_recreated_namesake() {
    let world = World::breakable().await;
    world.room("@TGS#short");
    let operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    let deletion = Boundary::of("delete", "groupattributeresets").about("short");
    let plan = world.plan(Leg::Api, deletion, Position::Before, Fault::Hold);
    world.reset("short", "@TGS#short", "  ttlSecondsAfterFinished: 0").await;
    plan.has_fired(DEADLINE).await;
    let asleep = world.reset("short", "@TGS#short", "  suspend: true");
    let [_, second] = world.recreate("short", asleep).await;
    plan.release();
    until(DEADLINE, "the end of the deletion", || async {
        operator.metric("groupattr_api_writes", &[("kind", "delete")]).await.filter(|count| *count >= 1.0)
    })
    .await;
    let left = world.reset_is("short", "Suspended").await;
    assert_eq!(left["metadata"]["uid"], second.as_str());
    assert_eq!(world.calls("@TGS#short"), 1);
}

#[tokio::test]
async fn resets_in_a_terminating_namespace_still_finish() {
    let world = World::new().await;
    let operator = world.operator(&NO_ELECTION).await;
    let rooms = numbered("leaving", 20);
    world.rooms(&rooms);
    world.app("  limits: { callsPerSecond: 2 }").await;
    world.app_is("Verified").await;
    world.many_resets(rooms.clone()).await;
    world.until_calls(3).await;
    let deleted =
        world.plane.kubectl(&["delete", "namespace", &world.namespace, "--wait=false"]).await.unwrap();
    assert!(deleted.ok, "{}", deleted.stderr);
    // A failure is reported by an event, but events can no longer be created.
    world.vendor.script(When::clear(), Misbehaviour::Code(10007));
    until_ok(DEADLINE, "all resets to finish", || async {
        let reasons = world.reasons().await;
        let ends = ["Cleared", "GroupTypeNotSupported"].map(|end| reasons.get(end).copied().unwrap_or(0));
        if ends[0] + ends[1] == 20 && ends[1] > 0 { Ok(()) } else { Err(reasons) }
    })
    .await;
    world.assert_each_cleared_once(&rooms);
    operator.wait_for_log("event not written", DEADLINE).await;
    world.check(&[&operator]).await;
}
