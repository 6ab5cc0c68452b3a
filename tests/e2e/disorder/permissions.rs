//! Each rule of the operator's RBAC role is missing in turn. Within ten seconds the log and a metric report
//! it, and once the rule is back, the operator recovers without a restart.

use std::time::Duration;

use testbed::control_plane::{OperatorRights, Scope};
use testbed::runs::runs;
use testbed::{ControlPlane, OperatorProcess, until, until_ok};

use crate::world::replicas::leads;
use crate::world::{DEADLINE, OwnPlane, World, rights};

/// A missing permission must be reported within this time.
const REPORT_DEADLINE: Duration = Duration::from_secs(10);

/// How a missing rule shows.
struct Sign {
    /// The text in the log.
    log: &'static str,
    /// The metric with its labels, and the minimum value.
    metric: (&'static str, &'static [(&'static str, &'static str)], f64),
    /// Whether it is removed from a running operator, or missing from the start.
    while_running: bool,
}

/// Chosen by the first resource and verb of the rule.
fn sign_of(resource: &str, verb: &str) -> Sign {
    const REFUSED: &str = "refused";
    match (resource, verb) {
        ("groupattributeresets", "get") => Sign {
            log: "cannot list resource \\\"groupattributeresets\\\"",
            metric: ("groupattr_watch_errors", &[("kind", "GroupAttributeReset")], 1.0),
            while_running: false,
        },
        ("chatapps", "list") => Sign {
            log: "cannot list resource \\\"chatapps\\\"",
            metric: ("groupattr_watch_errors", &[("kind", "ChatApp")], 1.0),
            while_running: false,
        },
        ("chatapps/status", _) => Sign {
            log: "cannot update resource \\\"chatapps/status\\\"",
            metric: ("groupattr_api_writes", &[("kind", "app"), ("result", REFUSED)], 1.0),
            while_running: false,
        },
        ("namespaces", "list") => Sign {
            log: "cannot list resource \\\"namespaces\\\"",
            metric: ("groupattr_watch_errors", &[("kind", "Namespace")], 1.0),
            while_running: false,
        },
        ("groupattributeresets", "delete") => Sign {
            log: "cannot delete resource \\\"groupattributeresets\\\"",
            metric: ("groupattr_api_writes", &[("kind", "delete"), ("result", REFUSED)], 1.0),
            while_running: true,
        },
        ("groupattributeresets/status", _) => Sign {
            log: "cannot update resource \\\"groupattributeresets/status\\\"",
            metric: ("groupattr_api_writes", &[("kind", "intent"), ("result", REFUSED)], 1.0),
            while_running: true,
        },
        ("secrets", _) => Sign {
            log: "may not read",
            metric: ("groupattr_circuit_open", &[("app", "default")], 1.0),
            while_running: false,
        },
        ("events", _) => Sign {
            log: "cannot create resource \\\"events\\\"",
            metric: ("groupattr_api_writes", &[("kind", "event"), ("result", REFUSED)], 1.0),
            while_running: true,
        },
        ("leases", "create") => Sign {
            log: "create leases.coordination.k8s.io in namespace",
            metric: ("groupattr_leader", &[], 0.0),
            while_running: false,
        },
        ("leases", "get") => Sign {
            log: "get and update groupattr-operator",
            metric: ("groupattr_leader", &[], 0.0),
            while_running: false,
        },
        other => panic!("no sign is known for this rule: {other:?}"),
    }
}

/// An operator for all namespaces.
fn start(world: &World) -> OperatorProcess {
    let mut launch = world.launch(&[]);
    launch.args.retain(|arg| !arg.starts_with("--watch-namespace"));
    world.start(launch)
}

/// Three resets: one succeeds, one fails and causes an event, one is deleted when it finishes.
async fn ask(world: &World) {
    for group in ["@TGS#good", "@TGS#short-lived"] {
        world.room(group);
    }
    world.reset("good", "@TGS#good", "").await;
    world.reset("bad", "@TGS#bad", "").await;
    world.reset("short-lived", "@TGS#short-lived", "  ttlSecondsAfterFinished: 0").await;
}

async fn grant(world: &World, rights: &OperatorRights) {
    world.plane.grant(&world.account, rights, &Scope::Cluster).await.expect("rights");
}

async fn until_reported(operator: &OperatorProcess, sign: &Sign) {
    let (name, labels, least) = sign.metric;
    until_ok(
        REPORT_DEADLINE,
        &format!("{:?} in the log and {name} {labels:?} in the metrics", sign.log),
        || async {
            let value = operator.metric(name, labels).await;
            let is_counted =
                value.is_some_and(|value| if least == 0.0 { value == 0.0 } else { value >= least });
            let is_logged = operator.logs().contains(sign.log);
            if is_counted && is_logged { Ok(()) } else { Err((is_logged, value)) }
        },
    )
    .await;
}

async fn without_rule(plane: &'static ControlPlane, index: usize) {
    let (fewer, removed) = rights().without(index);
    let first =
        |list: &Option<Vec<String>>| list.as_ref().and_then(|list| list.first()).cloned().unwrap_or_default();
    let (resource, verb) = (first(&removed.resources), removed.verbs.first().cloned().unwrap_or_default());
    let sign = sign_of(&resource, &verb);
    let world = World::without_rights(plane).await;
    let operator = if sign.while_running {
        grant(&world, &rights()).await;
        let operator = start(&world);
        operator.ready(DEADLINE).await;
        world.app("").await;
        world.app_is("Verified").await;
        grant(&world, &fewer).await;
        operator
    } else {
        grant(&world, &fewer).await;
        let operator = start(&world);
        world.app("").await;
        operator
    };
    ask(&world).await;
    until_reported(&operator, &sign).await;
    assert_eq!(operator.exit_status(), None, "{resource} {verb}: {}", operator.logs());
    if resource == "groupattributeresets/status" {
        assert_eq!(world.vendor.clears().len(), 0, "calls without a stored intent");
    }

    grant(&world, &rights()).await;
    world.reset_is("good", "Cleared").await;
    world.reset_is("bad", "GroupNotFound").await;
    until(Duration::from_mins(1), "the short-lived reset to be deleted", || async {
        world.object("gar", "short-lived").await.is_none().then_some(())
    })
    .await;
    assert!(operator.is_ready().await && leads(&operator).await, "{resource} {verb}");
    assert_eq!(["@TGS#good", "@TGS#bad", "@TGS#short-lived"].map(|group| world.calls(group)), [1, 1, 1]);
    operator.terminate();
    assert_eq!(operator.wait_exit(DEADLINE).await.code(), Some(0));
    plane.revoke_everywhere(&world.account).await.expect("revoked");
    world.finish().await;
}

#[tokio::test]
async fn each_missing_permission_is_reported_within_ten_seconds_and_needs_no_restart() {
    let plane = OwnPlane::new().await;
    let rules = rights().count();
    // One at a time, because each of these operators watches all namespaces.
    runs("F4", u32::try_from(rules).expect("a few rules"))
        .one_by_one(|run| without_rule(*plane, run.turn(rules)))
        .await;
}
