//! Several replicas of one operator: one leads, and another takes over without repeating a call or calling too soon.
//!
//! | question | file |
//! |---|---|
//! | which replica leads, and when does another take over? | here |
//! | is a standby ready to take over? | `standby` |
//! | how does the leader finish before it is removed? | `drain` |

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

/// When a process logged this message.
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

/// The number of attempts that a process finished.
fn attempts(operator: &OperatorProcess) -> usize {
    operator.logs().matches("\"attempt ended\"").count()
}

#[tokio::test]
async fn of_two_replicas_one_leads_and_both_are_ready() {
    let world = World::new().await;
    let rooms = numbered("pair", 20);
    world.rooms(&rooms);
    let [leader, standby] = world.two_replicas(&[]).await;
    world.app("").await;
    world.many_resets(rooms.clone()).await;
    world.until_cleared(20, DEADLINE).await;
    assert!(leader.is_ready().await && standby.is_ready().await, "a rolling update needs both to be ready");
    assert!(leads(&leader).await && !leads(&standby).await);
    assert_eq!((attempts(&leader), attempts(&standby)), (20, 0));
    assert_eq!(standby.get("/livez").await.unwrap().0, 200);
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
    assert!(standby.logs().contains("waiting for the lease"), "{}", standby.logs());
}

#[tokio::test]
async fn a_killed_leader_is_replaced_within_20_seconds_and_no_call_is_repeated() {
    let world = World::new().await;
    let rooms = numbered("orphan", 60);
    world.rooms(&rooms);
    world.room("@TGS#in-flight");
    let [leader, standby] = world.two_replicas(&[]).await;
    world.app("  limits: { callsPerSecond: 10 }").await;
    world.app_is("Verified").await;
    // The vendor executes this call, but the leader is killed before the answer arrives.
    world.vendor.script(When::clear().of("@TGS#in-flight"), Misbehaviour::Hang { execute: true });
    world.reset("in-flight", "@TGS#in-flight", "").await;
    world.until_calls(1).await;
    world.many_resets(rooms.clone()).await;
    world.until_calls(20).await;
    leader.kill9();
    let killed = Instant::now();
    until_leading(&standby, Duration::from_secs(20)).await;
    let calls = world.vendor.clears().len();
    world.until_calls(calls + 1).await;
    // At worst, calls of the dead leader hold every permit until they can no longer arrive: eleven seconds.
    assert!(killed.elapsed() < Duration::from_secs(45), "the first call came {:?} later", killed.elapsed());

    world.until_cleared(61, Duration::from_mins(1)).await;
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
    assert_eq!(world.calls("@TGS#in-flight"), 1, "its outcome must be read back, and the call not repeated");
    let reset = world.object("gar", "in-flight").await.unwrap();
    assert_eq!(crate::world::reason_of(&reset, "Succeeded"), "VerifiedEmpty", "{reset:#}");
    let fullest = world.vendor.fullest_window(APP_ID, Command::Clear, Duration::from_secs(1));
    assert!(fullest <= 10, "{fullest} calls in one second");
    // After a failover the first call waits a second, because the former leader may just have called.
    let first = world.vendor.clears()[calls].arrived_at;
    let waited = first.duration_since(logged_at(&standby, "leading"));
    assert!(waited >= SignedDuration::from_secs(1), "the first call came {waited:#} after the failover");
}

#[tokio::test]
async fn on_sigterm_a_leader_records_outcomes_in_flight_and_hands_over() {
    let world = World::new().await;
    for group in ["@TGS#slow", "@TGS#next"] {
        world.room(group);
    }
    let [leader, standby] = world.two_replicas(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(When::clear().of("@TGS#slow"), Misbehaviour::DelayAfter(Duration::from_secs(4)));
    world.reset("slow", "@TGS#slow", "").await;
    world.until_calls(1).await;
    leader.terminate();
    let terminated = Instant::now();
    leader.wait_for_log("\"shutting down: ", DEADLINE).await;
    // New resets are left to the successor.
    world.reset("next", "@TGS#next", "").await;
    let exit = leader.wait_exit(DEADLINE).await;
    let (took, ended) = (terminated.elapsed(), Instant::now());
    assert_eq!(exit.code(), Some(0), "{}", leader.logs());
    let answered = world.vendor.clears_of("@TGS#slow")[0].answered;
    assert!(
        answered.is_some_and(|answered| answered <= ended),
        "it exited after {took:?}, before its call was answered"
    );
    assert!(took < Duration::from_secs(12), "it exited only after {took:?}");
    let slow = world.object("gar", "slow").await.unwrap();
    assert_eq!(crate::world::reason_of(&slow, "Succeeded"), "Cleared", "{slow:#}");
    assert_eq!(slow["status"]["lastAttempt"]["outcome"], "Succeeded", "{slow:#}");
    assert!(slow["status"]["pendingAttempt"].is_null(), "{slow:#}");

    world.until_calls(2).await;
    let waited = ended.elapsed();
    // One second until the standby checks the lease, one before its first call, and some for its lists. Had the lease
    // not been released, it would have had to expire first, after fifteen seconds.
    assert!(waited < Duration::from_secs(10), "the successor's first call came {waited:?} later");
    world.reset_is("next", "Cleared").await;
    assert_eq!(attempts(&leader), 1);
    assert_eq!(attempts(&standby), 1);
    let first = world.vendor.clears()[1].arrived_at.duration_since(logged_at(&standby, "leading"));
    assert!(first >= SignedDuration::from_secs(1), "the first call came {first:#} after the failover");
}

#[tokio::test]
async fn the_last_replica_releases_the_lease() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    until_leading(&operator, DEADLINE).await;
    assert!(!world.lease_holder().await.is_empty());
    operator.terminate();
    assert_eq!(operator.wait_exit(DEADLINE).await.code(), Some(0));
    assert_eq!(world.lease_holder().await, "");
    let next = world.operator(&[]).await;
    until_leading(&next, Duration::from_secs(10)).await;
    // A standby exits at once, and leaves the leader's lease alone.
    let standby = world.operator(&[]).await;
    let holder = world.lease_holder().await;
    standby.terminate();
    assert_eq!(standby.wait_exit(Duration::from_secs(8)).await.code(), Some(0));
    assert_eq!(world.lease_holder().await, holder);
}

#[tokio::test]
async fn a_slow_shutdown_ends_within_its_grace_period() {
    let world = World::new().await;
    world.room("@TGS#endless");
    let operator = world.operator(&["--shutdown-grace-seconds=2"]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(When::clear().of("@TGS#endless").times(1), Misbehaviour::Hang { execute: true });
    world.reset("endless", "@TGS#endless", "").await;
    world.until_calls(1).await;
    operator.terminate();
    let terminated = Instant::now();
    let exit = operator.wait_exit(DEADLINE).await;
    assert!(terminated.elapsed() < Duration::from_secs(8), "it took {:?}", terminated.elapsed());
    assert_ne!(exit.code(), Some(0), "an unrecorded outcome must not count as a clean exit");
    let reset = world.object("gar", "endless").await.unwrap();
    assert!(
        reset["status"]["pendingAttempt"].is_object(),
        "the intent must be left for the next process: {reset:#}"
    );
}

#[tokio::test]
async fn a_frozen_leader_that_resumes_too_late_sends_nothing_and_exits() {
    let world = World::new().await;
    let rooms = numbered("frozen", 40);
    world.rooms(&rooms);
    let [leader, standby] = world.two_replicas(&SHORT_LEASE).await;
    world.app("  limits: { callsPerSecond: 5 }").await;
    world.many_resets(rooms.clone()).await;
    world.until_calls(8).await;
    world.until_between_calls().await;
    leader.stop();
    // From now on, no call may carry this leader's UserSig.
    let sig_of = |index: usize| world.vendor.clears()[index].parameter("usersig").unwrap().to_owned();
    let frozen_sig = sig_of(0);
    until_leading(&standby, Duration::from_secs(20)).await;
    let calls = world.vendor.clears().len();
    world.until_calls(calls + 3).await;
    leader.cont();
    let resumed = Instant::now();
    let exit = leader.wait_exit(Duration::from_secs(15)).await;
    assert!(!exit.success(), "{exit:?}");
    assert!(resumed.elapsed() < Duration::from_secs(10), "it exited only after {:?}", resumed.elapsed());

    world.until_cleared(40, Duration::from_mins(1)).await;
    let clears = world.vendor.clears();
    assert_ne!(sig_of(clears.len() - 1), frozen_sig, "each process must sign with its own UserSig");
    let late =
        clears.iter().filter(|call| call.arrived > resumed && call.parameter("usersig") == Some(&frozen_sig));
    assert_eq!(late.count(), 0, "it sent a call although another process was leading");
    assert!(UserSig::decode(&frozen_sig).is_ok_and(|sig| sig.is_signed_with(KEY)));
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
    let fullest = world.vendor.fullest_window(APP_ID, Command::Clear, Duration::from_secs(1));
    assert!(fullest <= 5, "{fullest} calls in one second");
}

#[tokio::test]
async fn without_leader_election_no_lease_permission_is_needed() {
    let world = World::without_rights(plane().await).await;
    world.room("@TGS#a");
    let none = OperatorRights { at_home: Vec::new(), ..rights() };
    assert!(none.count() < rights().count(), "the rights must include some in the operator's namespace");
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
async fn a_missing_lease_permission_is_reported_and_waited_for() {
    let world = World::without_rights(plane().await).await;
    world.room("@TGS#a");
    let scope = Scope::Namespaces(vec![world.namespace.clone()]);
    let none = OperatorRights { at_home: Vec::new(), ..rights() };
    world.plane.grant(&world.account, &none, &scope).await.unwrap();
    let operator = world.start(world.launch(&[]));
    world.app("").await;
    operator.wait_for_log("cannot be taken", DEADLINE).await;
    let logs = operator.logs();
    assert!(logs.contains("leases.coordination.k8s.io") && logs.contains(&world.namespace), "{logs}");
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
async fn a_starting_process_waits_a_second_before_its_first_clear_and_read() {
    let world = World::new().await;
    for group in ["@TGS#a", "@TGS#b"] {
        world.room(group);
    }
    let operator = world.operator(&NO_ELECTION).await;
    world.app("  limits: { callsPerSecond: 1 }").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    // The next process has to probe this second account, but not the first.
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
    until(DEADLINE, "the first probe", || async { (world.vendor.reads().len() > reads).then_some(()) }).await;
    let second = Duration::from_secs(1);
    assert!(
        world.vendor.clears()[clears].arrived - restarted >= second,
        "the first clear came within a second"
    );
    let waited = world.vendor.reads()[reads].arrived - restarted;
    assert!(waited >= second, "the first read came {waited:?} after the start");
}

/// The old leader may not know yet, so the standby waits as if the lease still existed.
#[tokio::test]
async fn a_deleted_lease_is_taken_only_once_it_would_have_expired() {
    let world = World::new().await;
    let [leader, standby] = world.two_replicas(&SHORT_LEASE).await;
    standby.wait_for_log("waiting for the lease", DEADLINE).await;
    leader.may_end();
    assert!(world.kubectl(&["delete", "lease", "groupattr-operator"]).await.ok);
    until_leading(&standby, DEADLINE).await;
    let lost = logged_at(&leader, "lost the lease: it was deleted or taken by another process");
    let silence = logged_at(&standby, "leading").duration_since(lost);
    // SHORT_LEASE expires nine seconds after its last renewal, and is renewed every second.
    assert!(
        silence >= SignedDuration::from_secs(5),
        "the standby led already {silence:#} after the old leader had noticed"
    );
    assert!(!leader.wait_exit(DEADLINE).await.success(), "{}", leader.logs());
}

/// However that happened: there must never be two leaders.
#[tokio::test]
async fn a_lease_taken_by_another_process_is_left_to_it() {
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

/// The API server is unreachable for longer than the lease and the shutdown grace period together.
#[tokio::test]
async fn a_leader_that_lost_its_lease_records_known_outcomes_once_the_api_server_is_back() {
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
    until(DEADLINE, "the grace period to be long over", || async {
        (stopped.elapsed() > Duration::from_secs(8)).then_some(())
    })
    .await;
    assert_eq!(operator.exit_status(), None, "it exited, and its outcome is lost: {}", operator.logs());
    assert_eq!(operator.get("/livez").await.unwrap().0, 200);
    assert_eq!(
        operator.metric("groupattr_leader", &[]).await,
        Some(0.0),
        "it must not report itself as leader"
    );
    operator.may_end();
    world.proxy(Leg::Api).set(Line::Up);
    let reset = world.reset_is("known", "Cleared").await;
    assert_eq!(reset["status"]["attempts"], 1, "{reset:#}");
    let exit = operator.wait_exit(DEADLINE).await;
    assert!(!exit.success(), "losing the lease must not count as a clean exit: {exit:?}");
    assert_eq!(world.calls("@TGS#known"), 1);
    world.finish().await;
}
