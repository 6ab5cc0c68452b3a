//! `groupattr-operator drain`: the leader finishes its calls and hands over its lease, so that it can be removed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::control_plane::{OperatorRights, Scope};
use testbed::vendor::{Misbehaviour, When};
use testbed::{until, until_ok};
use tokio::process::{Child, Command};

use crate::world::replicas::{SHORT_LEASE, leads, until_leading};
use crate::world::{DEADLINE, World, numbered, plane, reason_of, rights};

/// The output of a finished drain.
struct Output {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Starts a drain of this world's operator, with the permissions of this kubeconfig.
fn start(world: &World, kubeconfig: &std::path::Path, more: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groupattr-operator"));
    command.arg("drain").arg(format!("--namespace={}", world.namespace)).args(more);
    command.arg("--log-filter=error").env_clear().env("KUBECONFIG", kubeconfig).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program")
}

/// Waits for a drain to exit.
async fn finish(child: Child) -> Output {
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let output = output.expect("the drain to exit").expect("its output");
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Runs a drain with the operator's own permissions.
async fn drain(world: &World, more: &[&str]) -> Output {
    let kubeconfig = world.plane.kubeconfig("drain", &world.account.token).expect("kubeconfig");
    finish(start(world, &kubeconfig, more)).await
}

impl Output {
    #[track_caller]
    fn assert_drained(&self) {
        assert_eq!((self.code, self.stdout.lines().count()), (Some(0), 1), "{}{}", self.stdout, self.stderr);
    }

    /// The drain failed with one line that contains all of these texts.
    #[track_caller]
    fn assert_not_drained(&self, texts: &[&str]) {
        assert_eq!((self.code, self.stderr.lines().count()), (Some(1), 1), "{}{}", self.stdout, self.stderr);
        for text in texts {
            assert!(self.stderr.contains(text), "{text}: {}", self.stderr);
        }
    }
}

/// A Lease held by a process that does not exist.
fn lease_of(holder: &str, seconds: u32) -> String {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "groupattr-operator" },
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": 3,
            "acquireTime": "2026-01-02T03:04:05.000000Z", "renewTime": "2026-01-02T03:04:05.000000Z",
        },
    })
    .to_string()
}

#[tokio::test]
async fn a_drained_leader_records_outcomes_in_flight_and_no_standby_takes_over() {
    let world = World::new().await;
    let rooms = numbered("busy", 4);
    world.rooms(&rooms);
    world.room("@TGS#later");
    let [leader, standby] = world.two_replicas(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(When::clear().times(4), Misbehaviour::DelayAfter(Duration::from_secs(3)));
    world.many_resets(rooms.clone()).await;
    world.until_calls(4).await;
    let kubeconfig = world.plane.kubeconfig("drain", &world.account.token).expect("kubeconfig");
    leader.may_end();
    let draining = start(&world, &kubeconfig, &[]);
    leader.wait_for_log("\"shutting down: ", DEADLINE).await;
    world.reset("later", "@TGS#later", "").await;
    finish(draining).await.assert_drained();
    // Already when the drain returns, because the RBAC permissions may be deleted right afterwards.
    for (name, _) in &rooms {
        let reset = world.object("gar", name).await.expect("the reset");
        assert_eq!(reason_of(&reset, "Succeeded"), "Cleared", "{reset:#}");
        assert!(reset["status"]["pendingAttempt"].is_null(), "{reset:#}");
    }
    let holder = world.lease_holder().await;
    assert!(holder.starts_with("drain-"), "{holder}");
    assert_eq!(leader.wait_exit(DEADLINE).await.code(), Some(0), "{}", leader.logs());
    // The standby checks the lease every second.
    let checks = async || world.requests("leases", "groupattr-operator").await.len();
    let before = checks().await;
    until_ok(DEADLINE, "the standby to check the lease again", || async {
        let now = checks().await;
        if now >= before + 3 { Ok(()) } else { Err(now) }
    })
    .await;
    assert_eq!(world.lease_holder().await, holder);
    assert!(!leads(&standby).await && standby.is_ready().await);
    assert_eq!(world.calls("@TGS#later"), 0);
    standby.terminate();
    assert_eq!(standby.wait_exit(DEADLINE).await.code(), Some(0));

    // The next installation clears only what had not been started.
    assert!(world.kubectl(&["delete", "lease", "groupattr-operator"]).await.ok);
    world.rooms(&rooms);
    let _next = world.operator(&[]).await;
    world.reset_is("later", "Cleared").await;
    world.assert_each_cleared_once(&rooms);
}

#[tokio::test]
async fn without_a_leader_a_drain_returns_at_once_and_so_does_the_next() {
    let world = World::new().await;
    let started = Instant::now();
    drain(&world, &[]).await.assert_drained();
    let first = world.lease_holder().await;
    drain(&world, &[]).await.assert_drained();
    let second = world.lease_holder().await;
    assert!(first.starts_with("drain-") && second.starts_with("drain-") && first != second);
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "the second drain waited for the first: {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_drain_takes_over_from_a_dead_leader_once_its_lease_expires() {
    let world = World::new().await;
    let operator = world.operator(&SHORT_LEASE).await;
    until_leading(&operator, DEADLINE).await;
    let leader = world.lease_holder().await;
    operator.kill9();
    let started = Instant::now();
    drain(&world, &[]).await.assert_drained();
    assert!(started.elapsed() >= Duration::from_secs(8), "it took the lease after {:?}", started.elapsed());
    assert_ne!(world.lease_holder().await, leader);
}

#[tokio::test]
async fn a_drain_that_times_out_names_the_lease_holder_and_leaves_the_lease_unchanged() {
    let world = World::new().await;
    world.apply(&lease_of("somebody", 3600)).await;
    let kubeconfig = world.plane.kubeconfig("drain", &world.account.token).expect("kubeconfig");
    let draining = start(&world, &kubeconfig, &["--timeout-seconds=5"]);
    until(DEADLINE, "the drain to ask for the lease", || async {
        let lease = world.object("lease", "groupattr-operator").await?;
        lease["metadata"]["annotations"]["groupattr.dev/hand-over-to"].is_string().then_some(())
    })
    .await;
    let timed_out = finish(draining).await;
    timed_out.assert_not_drained(&["not drained within 5s", "held by somebody since 2026-01-02T03:04:05Z"]);
    let lease = world.object("lease", "groupattr-operator").await.expect("the lease");
    assert_eq!(lease["spec"]["holderIdentity"], "somebody");
    assert!(lease["metadata"]["annotations"]["groupattr.dev/hand-over-to"].is_null(), "{lease:#}");
}

#[tokio::test]
async fn a_drain_names_the_rbac_permissions_it_lacks() {
    let world = World::without_rights(plane().await).await;
    let on_lease = drain(&world, &[]).await;
    let home = format!("in namespace {}", world.namespace);
    on_lease.assert_not_drained(&["allow this account to create leases.coordination.k8s.io", &home]);
    let on_pods = drain(&world, &["--leader-elect=false", "--deployment=rooms"]).await;
    on_pods.assert_not_drained(&["to get the Deployment rooms", "deployments/scale", "list pods", &home]);
}

/// There is no kubelet to end pods, so the test deletes them.
#[tokio::test]
async fn a_drain_of_a_deployment_waits_until_its_pods_are_gone_and_deletes_the_lease() {
    let world = World::new().await;
    let labels = json!({ "app": "rooms" });
    let spec = json!({ "containers": [{ "name": "rooms", "image": "rooms" }] });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "rooms" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": spec },
        },
    });
    let pod = |name: &str, labels: &Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "labels": labels }, "spec": spec,
        })
    };
    world.apply("{ apiVersion: v1, kind: ServiceAccount, metadata: { name: default } }").await;
    for object in [deployment, pod("rooms-1", &labels), pod("other", &json!({ "app": "other" }))] {
        world.apply(&object.to_string()).await;
    }
    // As left by a leader of a release without drain: it is never handed over, but it expires.
    world.apply(&lease_of("old-release", 2)).await;
    let admin = world.plane.admin_kubeconfig();
    for election in ["--leader-elect=true", "--leader-elect=false"] {
        let timed_out =
            finish(start(&world, &admin, &[election, "--deployment=rooms", "--timeout-seconds=6"])).await;
        timed_out.assert_not_drained(&[
            "the Deployment rooms is scaled to zero, but these pods still exist: rooms-1",
        ]);
        assert!(!timed_out.stderr.contains("other"), "{}", timed_out.stderr);
    }
    let deployment = world.object("deployment", "rooms").await.expect("the Deployment");
    assert_eq!(deployment["spec"]["replicas"], 0);
    assert_eq!(world.lease_holder().await, "", "a drain that times out must release the lease");

    let draining = start(&world, &admin, &["--deployment=rooms"]);
    until(DEADLINE, "the drain to hold the lease", || async {
        world.lease_holder().await.starts_with("drain-").then_some(())
    })
    .await;
    assert!(world.kubectl(&["delete", "pod", "rooms-1", "--grace-period=0", "--force"]).await.ok);
    finish(draining).await.assert_drained();
    assert!(world.object("lease", "groupattr-operator").await.is_none());
    // Once more, and without the Deployment.
    finish(start(&world, &admin, &["--deployment=rooms"])).await.assert_drained();
    finish(start(&world, &admin, &["--deployment=gone"])).await.assert_drained();
    assert!(world.object("lease", "groupattr-operator").await.is_none());
    let unknown = finish(start(&world, &admin, &["--leader-elect=false", "--deployment=gone"])).await;
    unknown.assert_not_drained(&["the Deployment gone does not exist"]);
}

/// The operator's RBAC permissions, except to write reset statuses.
fn without_status_permission() -> OperatorRights {
    let all = rights();
    let without = (0..all.count()).map(|index| all.without(index));
    let is_status_rule = |rule: &k8s_openapi::api::rbac::v1::PolicyRule| {
        rule.resources
            .as_deref()
            .is_some_and(|all| all.iter().any(|one| one == "groupattributeresets/status"))
    };
    without.into_iter().find(|(_, removed)| is_status_rule(removed)).expect("the rule").0
}

/// What happens if the RBAC permissions are removed without a drain.
#[tokio::test]
async fn a_known_outcome_survives_revoked_permissions_or_is_logged_at_exit() {
    let world = World::new().await;
    let scope = Scope::Namespaces(vec![world.namespace.clone()]);
    let operator = world.operator(&["--shutdown-grace-seconds=2"]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(When::clear().times(2), Misbehaviour::DelayAfter(Duration::from_secs(3)));
    for (name, calls) in [("returns", 1), ("ends", 2)] {
        let group = format!("@TGS#{name}");
        world.room(&group);
        world.reset(name, &group, "").await;
        world.until_calls(calls).await;
        world.plane.grant(&world.account, &without_status_permission(), &scope).await.expect("rights");
        until_ok(DEADLINE, "the missing permission to be logged", || async {
            let logs = operator.logs();
            let mut lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let is_logged = lines.any(|line| {
                let message = line["message"].as_str().unwrap_or_default();
                message.starts_with("the outcome is not stored yet")
                    && (line["reset"] == name && line["class"] == "success" && line["code"] == 0)
            });
            if is_logged { Ok(()) } else { Err(logs.len()) }
        })
        .await;
        if name == "returns" {
            world.plane.grant(&world.account, &rights(), &scope).await.expect("rights");
            world.reset_is(name, "Cleared").await;
        }
    }
    operator.terminate();
    assert!(!operator.wait_exit(DEADLINE).await.success(), "{}", operator.logs());
    let logs = operator.logs();
    let lines: Vec<Value> = logs.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let last: Vec<&Value> = lines
        .iter()
        .filter(|line| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("this outcome could not be recorded"))
        })
        .collect();
    assert_eq!(last.len(), 1, "{last:#?}");
    let (line, reset) = (last[0], world.object("gar", "ends").await.expect("the reset"));
    assert_eq!(line["attempt"], reset["status"]["pendingAttempt"]["id"], "{reset:#}");
    for (field, value) in [
        ("level", json!("ERROR")),
        ("namespace", json!(world.namespace)),
        ("reset", json!("ends")),
        ("group", json!("@TGS#ends")),
        ("known_by", json!("call")),
        ("class", json!("success")),
        ("code", json!(0)),
    ] {
        assert_eq!(line[field], value, "{line:#}");
    }
}
