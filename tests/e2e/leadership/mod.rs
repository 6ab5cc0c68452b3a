//! Several processes of one operator: one works, and another takes over without sending anything twice or too soon.
//!
//! | question | file |
//! |---|---|
//! | which of them works, and when does another one? | here |
//! | is one that does not work ready to? | `standby` |
//! | how does it end, so that it can be removed? | `drain` |

mod drain;
mod standby;

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use testbed::control_plane::{OperatorRights, Scope};
use testbed::proxy::Line;
use testbed::vendor::{Command, Misbehaviour, UserSig, When};
use testbed::{OperatorProcess, until};

use crate::world::replicas::{NO_ELECTION, SHORT_LEASE, leads, until_leading};
use crate::world::{APP_ID, DEADLINE, KEY, Leg, World, chat_app, numbered, plane, rights};

/// When a process logged a message.
fn logged_at(operator: &OperatorProcess, message: &str) -> Timestamp {
    let lines = operator.logs();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.into_iter().find(|line| line["message"] == message);
    line.unwrap_or_else(|| panic!("{message:?} was not logged"))["timestamp"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn attempts(operator: &OperatorProcess) -> usize {
    operator.logs().matches("\"attempt ended\"").count()
}

#[tokio::test]
async fn of_two_replicas_one_works_and_both_are_ready() {
    let world = World::new().await;
    let rooms = numbered("pair", 20);
    world.rooms(&rooms);
    let [leader, follower] = world.two_replicas(&[]).await;
    world.app("").await;
    world.many_resets(rooms.clone()).await;
    world.until_cleared(20, DEADLINE).await;
    assert!(leader.is_ready().await && follower.is_ready().await, "a rolling update waits for both");
    assert!(leads(&leader).await && !leads(&follower).await);
    assert_eq!((attempts(&leader), attempts(&follower)), (20, 0));
    assert_eq!(follower.get("/livez").await.unwrap().0, 200);
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
    assert!(follower.logs().contains("waiting for the lease"), "{}", follower.logs());
}

#[tokio::test]
async fn a_killed_leader_is_replaced_within_20_seconds_and_nothing_is_sent_twice() {
    let world = World::new().await;
    let rooms = numbered("orphan", 60);
    world.rooms(&rooms);
    world.room("@TGS#in-flight");
    let [leader, follower] = world.two_replicas(&[]).await;
    world.app("  limits: { callsPerSecond: 10 }").await;
    world.app_is("Verified").await;
    // Executed, and the leader is killed before it hears of it.
    world.vendor.script(When::clear().of("@TGS#in-flight"), Misbehaviour::Hang { execute: true });
    world.reset("in-flight", "@TGS#in-flight", "").await;
    world.until_calls(1).await;
    world.many_resets(rooms.clone()).await;
    world.until_calls(20).await;
    leader.kill9();
    let killed = Instant::now();
    until_leading(&follower, Duration::from_secs(20)).await;
    let calls = world.vendor.clears().len();
    world.until_calls(calls + 1).await;
    // At worst every permit is held for a call that the dead one may still have under way: ten seconds, and one.
    assert!(killed.elapsed() < Duration::from_secs(45), "the first call came {:?} later", killed.elapsed());

    world.until_cleared(61, Duration::from_mins(1)).await;
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
    assert_eq!(world.calls("@TGS#in-flight"), 1, "its outcome was read back, and it was not sent again");
    let reset = world.object("gar", "in-flight").await.unwrap();
    assert_eq!(crate::world::reason_of(&reset, "Succeeded"), "VerifiedEmpty", "{reset:#}");
    let fullest = world.vendor.fullest_window(APP_ID, Command::Clear, Duration::from_secs(1));
    assert!(fullest <= 10, "{fullest} calls in one second");
    // The call after the take-over waits a second, whoever called before.
    let first = world.vendor.clears()[calls].arrived_at;
    let waited = first.duration_since(logged_at(&follower, "leading"));
    assert!(waited >= SignedDuration::from_secs(1), "the first call came {waited:#} after the take-over");
}

#[tokio::test]
async fn a_leader_that_is_told_to_end_records_what_is_in_flight_and_hands_over() {
    let world = World::new().await;
    for group in ["@TGS#slow", "@TGS#next"] {
        world.room(group);
    }
    let [leader, follower] = world.two_replicas(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(When::clear().of("@TGS#slow"), Misbehaviour::DelayAfter(Duration::from_secs(4)));
    world.reset("slow", "@TGS#slow", "").await;
    world.until_calls(1).await;
    leader.terminate();
    let told = Instant::now();
    leader.wait_for_log("\"shutting down: ", DEADLINE).await;
    // What comes now is for the successor.
    world.reset("next", "@TGS#next", "").await;
    let exit = leader.wait_exit(DEADLINE).await;
    let (took, ended) = (told.elapsed(), Instant::now());
    assert_eq!(exit.code(), Some(0), "{}", leader.logs());
    let answered = world.vendor.clears_of("@TGS#slow")[0].answered;
    assert!(answered.is_some_and(|answered| answered <= ended), "it did not wait for its call: {took:?}");
    assert!(took < Duration::from_secs(12), "it ended in time: {took:?}");
    let slow = world.object("gar", "slow").await.unwrap();
    assert_eq!(crate::world::reason_of(&slow, "Succeeded"), "Cleared", "{slow:#}");
    assert_eq!(slow["status"]["lastAttempt"]["outcome"], "Succeeded", "{slow:#}");
    assert!(slow["status"]["pendingAttempt"].is_null(), "{slow:#}");

    world.until_calls(2).await;
    let waited = ended.elapsed();
    // A second until the follower looks at the lease again, one of silence after it took it, and some for the list;
    // a lease that was not given back would have to run out first: fifteen.
    assert!(waited < Duration::from_secs(10), "the successor's first call came {waited:?} later");
    world.reset_is("next", "Cleared").await;
    assert_eq!(attempts(&leader), 1);
    assert_eq!(attempts(&follower), 1);
    let first = world.vendor.clears()[1].arrived_at.duration_since(logged_at(&follower, "leading"));
    assert!(first >= SignedDuration::from_secs(1), "the first call came {first:#} after the take-over");
}

#[tokio::test]
async fn the_last_process_leaves_the_lease_free() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    until_leading(&operator, DEADLINE).await;
    assert!(!world.lease_holder().await.is_empty());
    operator.terminate();
    assert_eq!(operator.wait_exit(DEADLINE).await.code(), Some(0));
    assert_eq!(world.lease_holder().await, "");
    let next = world.operator(&[]).await;
    until_leading(&next, Duration::from_secs(10)).await;
    // A follower ends at once, and leaves the leader's lease alone.
    let follower = world.operator(&[]).await;
    let holder = world.lease_holder().await;
    follower.terminate();
    assert_eq!(follower.wait_exit(Duration::from_secs(8)).await.code(), Some(0));
    assert_eq!(world.lease_holder().await, holder);
}

#[tokio::test]
async fn a_shutdown_that_takes_too_long_ends_in_its_grace_time() {
    let world = World::new().await;
    world.room("@TGS#endless");
    let operator = world.operator(&["--shutdown-grace-seconds=2"]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(When::clear().of("@TGS#endless").times(1), Misbehaviour::Hang { execute: true });
    world.reset("endless", "@TGS#endless", "").await;
    world.until_calls(1).await;
    operator.terminate();
    let told = Instant::now();
    let exit = operator.wait_exit(DEADLINE).await;
    assert!(told.elapsed() < Duration::from_secs(8), "it took {:?}", told.elapsed());
    assert_ne!(exit.code(), Some(0), "what is in flight is not recorded, and that is no success");
    let reset = world.object("gar", "endless").await.unwrap();
    assert!(reset["status"]["pendingAttempt"].is_object(), "the next one reads the group back: {reset:#}");
}

#[tokio::test]
async fn a_frozen_leader_that_wakes_up_late_sends_nothing_and_ends() {
    let world = World::new().await;
    let rooms = numbered("frozen", 40);
    world.rooms(&rooms);
    let [leader, follower] = world.two_replicas(&SHORT_LEASE).await;
    world.app("  limits: { callsPerSecond: 5 }").await;
    world.many_resets(rooms.clone()).await;
    world.until_calls(8).await;
    world.until_between_calls().await;
    leader.stop();
    // What had left it before it was stopped is all that it ever sent.
    let sig_of = |index: usize| world.vendor.clears()[index].parameter("usersig").unwrap().to_owned();
    let its_sig = sig_of(0);
    until_leading(&follower, Duration::from_secs(20)).await;
    let calls = world.vendor.clears().len();
    world.until_calls(calls + 3).await;
    leader.cont();
    let woken = Instant::now();
    let exit = leader.wait_exit(Duration::from_secs(15)).await;
    assert!(!exit.success(), "{exit:?}");
    assert!(woken.elapsed() < Duration::from_secs(10), "it noticed after {:?}", woken.elapsed());

    world.until_cleared(40, Duration::from_mins(1)).await;
    let clears = world.vendor.clears();
    assert_ne!(sig_of(clears.len() - 1), its_sig, "each process signs by itself");
    let late =
        clears.iter().filter(|call| call.arrived > woken && call.parameter("usersig") == Some(&its_sig));
    assert_eq!(late.count(), 0, "it sent although another was leading");
    assert!(UserSig::decode(&its_sig).is_ok_and(|sig| sig.is_signed_with(KEY)));
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
    let fullest = world.vendor.fullest_window(APP_ID, Command::Clear, Duration::from_secs(1));
    assert!(fullest <= 5, "{fullest} calls in one second");
}

#[tokio::test]
async fn without_election_no_right_to_leases_is_needed() {
    let world = World::without_rights(plane().await).await;
    world.room("@TGS#a");
    let none = OperatorRights { at_home: Vec::new(), ..rights() };
    assert!(none.count() < rights().count(), "there were rights at home");
    let scope = Scope::Namespaces(vec![world.namespace.clone()]);
    world.plane.grant(&world.account, &none, &scope).await.unwrap();
    let operator = world.operator(&["--leader-elect=false"]).await;
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    world.plane.audit_marker().await.unwrap();
    let audit = world.plane.audit_of(&world.account.user()).unwrap();
    assert!(!audit.is_empty());
    assert!(audit.iter().all(|event| event.resource != "leases" && event.code != 403), "{audit:?}");
    operator.terminate();
    assert_eq!(operator.wait_exit(DEADLINE).await.code(), Some(0));
}

#[tokio::test]
async fn without_the_right_to_its_lease_it_says_so_and_waits_for_it() {
    let world = World::without_rights(plane().await).await;
    world.room("@TGS#a");
    let scope = Scope::Namespaces(vec![world.namespace.clone()]);
    let none = OperatorRights { at_home: Vec::new(), ..rights() };
    world.plane.grant(&world.account, &none, &scope).await.unwrap();
    let operator = world.start(world.launch(&[]));
    world.app("").await;
    operator.wait_for_log("cannot be taken", DEADLINE).await;
    let said = operator.logs();
    assert!(said.contains("leases.coordination.k8s.io") && said.contains(&world.namespace), "{said}");
    let (code, shown) = operator.get("/readyz").await.unwrap();
    assert!(
        code == 503 && shown.contains("leases.coordination.k8s.io") && shown.lines().count() == 1,
        "{shown}"
    );
    assert_eq!(world.vendor.connections(), 0);
    world.plane.grant(&world.account, &rights(), &scope).await.unwrap();
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
}

#[tokio::test]
async fn a_process_that_starts_waits_a_second_before_its_first_call_of_either_kind() {
    let world = World::new().await;
    for group in ["@TGS#a", "@TGS#b"] {
        world.room(group);
    }
    let operator = world.operator(&NO_ELECTION).await;
    world.app("  limits: { callsPerSecond: 1 }").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    // An account that the next process has to prove, and one that it need not.
    world.vendor.account(7, KEY, &["administrator"]);
    world.vendor.script(When::get().by(7), Misbehaviour::Code(60020));
    world.apply(&chat_app("refused", 7, &world.vendor.url(), "  limits: { callsPerSecond: 1 }")).await;
    world.until_reason("chatapp", "refused", "Ready", "AccountUnavailable").await;
    operator.kill9();
    world.reset("b", "@TGS#b", "").await;
    let (reads, clears) = (world.vendor.reads().len(), world.vendor.clears().len());
    let restarted = Instant::now();
    let _operator = world.operator(&NO_ELECTION).await;
    world.reset_is("b", "Cleared").await;
    until(DEADLINE, "its first probe", || async { (world.vendor.reads().len() > reads).then_some(()) }).await;
    let second = Duration::from_secs(1);
    assert!(world.vendor.clears()[clears].arrived - restarted >= second, "the first clear came too soon");
    let waited = world.vendor.reads()[reads].arrived - restarted;
    assert!(waited >= second, "the first read came {waited:?} after the start");
}

/// Who led may not know yet: as if the lease still stood there.
#[tokio::test]
async fn a_lease_that_is_deleted_is_taken_only_when_it_would_have_run_out() {
    let world = World::new().await;
    let [leader, follower] = world.two_replicas(&SHORT_LEASE).await;
    follower.wait_for_log("waiting for the lease", DEADLINE).await;
    leader.may_end();
    assert!(world.kubectl(&["delete", "lease", "groupattr-operator"]).await.ok);
    until_leading(&follower, DEADLINE).await;
    let lost = logged_at(&leader, "lost the lease: it was deleted or taken by another process");
    let silence = logged_at(&follower, "leading").duration_since(lost);
    // SHORT_LEASE runs out nine seconds after its last renewal, and is renewed each second.
    assert!(silence >= SignedDuration::from_secs(5), "it led {silence:#} after the other one had noticed");
    assert!(!leader.wait_exit(DEADLINE).await.success(), "{}", leader.logs());
}

/// However that came about: there must not be two.
#[tokio::test]
async fn a_lease_that_another_one_took_is_left_to_it() {
    let world = World::new().await;
    let operator = world.operator(&SHORT_LEASE).await;
    until_leading(&operator, DEADLINE).await;
    operator.may_end();
    let taken = r#"{"spec":{"holderIdentity":"somebody"}}"#;
    let patch = ["patch", "lease", "groupattr-operator", "--type=merge", "-p", taken];
    assert!(world.kubectl(&patch).await.ok);
    operator.wait_for_log("lost the lease: it was deleted or taken by another process", DEADLINE).await;
    assert!(!operator.wait_exit(DEADLINE).await.success(), "{}", operator.logs());
    assert_eq!(world.lease_holder().await, "somebody");
}

/// An API server that was away for longer than the lease and the time to stop together.
#[tokio::test]
async fn a_leader_that_lost_its_lease_writes_down_what_it_knows_when_the_api_server_is_back() {
    let world = World::breakable().await;
    world.room("@TGS#known");
    let mut args = SHORT_LEASE.to_vec();
    args.push("--shutdown-grace-seconds=1");
    let operator = world.operator(&args).await;
    world.app("").await;
    world.app_is("Verified").await;
    world
        .vendor
        .script(When::clear().of("@TGS#known").times(1), Misbehaviour::DelayAfter(Duration::from_secs(4)));
    world.reset("known", "@TGS#known", "").await;
    world.until_calls(1).await;
    world.proxy(Leg::Api).set(Line::Silent);
    operator.wait_for_log("\"shutting down: ", DEADLINE).await;
    assert!(operator.logs().contains("LeadershipLost"), "{}", operator.logs());
    let stopped = Instant::now();
    until(DEADLINE, "its time to stop to be over for long", || async {
        (stopped.elapsed() > Duration::from_secs(8)).then_some(())
    })
    .await;
    assert_eq!(operator.exit_status(), None, "what it knows is lost: {}", operator.logs());
    assert_eq!(operator.get("/livez").await.unwrap().0, 200);
    assert_eq!(operator.metric("groupattr_leader", &[]).await, Some(0.0), "its successor says so as well");
    operator.may_end();
    world.proxy(Leg::Api).set(Line::Up);
    let reset = world.reset_is("known", "Cleared").await;
    assert_eq!(reset["status"]["attempts"], 1, "{reset:#}");
    let exit = operator.wait_exit(DEADLINE).await;
    assert!(!exit.success(), "it ended as if all were well: {exit:?}");
    assert_eq!(world.calls("@TGS#known"), 1);
    world.finish().await;
}
