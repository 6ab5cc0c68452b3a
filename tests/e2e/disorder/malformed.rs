//! Stored objects that violate the CRDs: created under another version of the CRD, restored from a backup, or
//! written by somebody with all permissions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::control_plane::AuditEvent;
use testbed::vendor::Command;
use testbed::{until, until_ok};

use crate::world::replicas::NO_ELECTION;
use crate::world::{APP_ID, CRDS, DEADLINE, Leg, OwnPlane, World, install_loose_crds, numbered, reason_of};

const GOOD: usize = 500;
/// Additional malformed objects, to see how fast their statuses are written.
const CROWD: u16 = 60;

fn reset(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset",
        "metadata": {"name": name}, "spec": spec,
    })
}

fn spec(name: &str) -> Value {
    json!({"groupID": format!("@TGS#{name}"), "appRef": {"kind": "ChatApp", "name": "default"}, "backoffLimit": 6,
        "activeDeadlineSeconds": 3600, "onUnknownOutcome": "Retry", "onGroupNotFound": "Fail", "suspend": false})
}

fn with(mut object: Value, more: &Value) -> Value {
    let more = more.as_object().expect("an object").clone();
    object.as_object_mut().expect("an object").extend(more);
    object
}

/// Specs and statuses that do not decode.
fn malformed() -> Vec<(Value, Value)> {
    let pending = json!({"pendingAttempt": {"id": 7}});
    vec![
        (reset("number", &json!({"groupID": 7})), Value::Null),
        (reset("nothing", &json!({})), Value::Null),
        (reset("list", &json!([])), Value::Null),
        (reset("no-time", &with(spec("no-time"), &json!({"activeDeadlineSeconds": "soon"}))), Value::Null),
        (reset("no-status", &spec("no-status")), json!({"conditions": "all well", "observedGeneration": 1})),
        (reset("no-attempt", &spec("no-attempt")), pending),
        (reset("no-number", &spec("no-number")), json!({"observedGeneration": 1, "attempts": 1e300})),
    ]
}

/// Statuses that decode but that no operator would write, and the expected final reason.
fn extreme() -> Vec<(&'static str, Value, &'static str)> {
    let pending = |start: &str, deadline: &str, host: &str| {
        json!({"observedGeneration": 1, "pendingAttempt": {"id": "x", "number": 2_147_483_647, "startTime": start,
            "deadline": deadline, "holder": "", "sdkAppID": APP_ID, "host": host}})
    };
    vec![
        ("many-attempts", json!({"observedGeneration": 1, "attempts": 2_147_483_647}), "Cleared"),
        ("many-failures", json!({"observedGeneration": 1, "failures": 2_147_483_647}), "Cleared"),
        (
            "minus",
            json!({"observedGeneration": 1, "attempts": -7, "failures": -2_147_483_648_i64}),
            "Cleared",
        ),
        ("far-start", json!({"observedGeneration": 1, "startTime": "9999-12-30T21:59:59Z"}), "Cleared"),
        (
            "early-start",
            json!({"observedGeneration": 1, "startTime": "-009999-01-02T01:59:59Z"}),
            "DeadlineExceeded",
        ),
        ("generation", json!({"observedGeneration": 9_223_372_036_854_775_807_i64}), "Cleared"),
        ("elsewhere", pending("2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z", "nowhere:1"), "OutcomeUnknown"),
        (
            "long-attempt",
            pending("-009999-01-02T01:59:59Z", "9999-12-30T21:59:59Z", "nowhere:1"),
            "OutcomeUnknown",
        ),
    ]
}

/// Switches to CRDs without schemas, and stores the first malformed reset and a malformed app named `odd`.
async fn store_malformed(world: &World) {
    install_loose_crds(world.plane).await;
    let odd =
        "apiVersion: groupattr.dev/v1alpha1\nkind: ChatApp\nmetadata: { name: odd }\nspec: { sdkAppID: x }";
    until_ok(DEADLINE, "the loose CRDs to take effect", || async {
        let (first, _) = &malformed()[0];
        world.plane.apply_in(&world.namespace, &first.to_string()).await?;
        world.plane.apply_in(&world.namespace, odd).await
    })
    .await;
}

#[tokio::test]
async fn malformed_objects_do_not_slow_down_valid_ones() {
    let plane = OwnPlane::new().await;
    let (world, calm) = (World::on(*plane).await, World::on(*plane).await);
    store_malformed(&world).await;
    for (object, status) in malformed()
        .into_iter()
        .chain((0..CROWD).map(|n| (reset(&format!("crowd-{n}"), &json!({"groupID": n})), Value::Null)))
        .chain(extreme().into_iter().map(|(name, status, _)| (reset(name, &spec(name)), status)))
    {
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        world.apply(&object.to_string()).await;
        if !status.is_null() {
            world.put_status(&name, &status).await;
        }
    }
    plane.install_crds(CRDS).await.expect("CRDs");
    for (name, ..) in extreme() {
        world.room(&format!("@TGS#{name}"));
    }

    // The same number of valid resets twice: in a namespace of their own, and among malformed ones.
    let operators = [calm.operator(&NO_ELECTION).await, world.operator(&NO_ELECTION).await];
    for (world, operator) in [&calm, &world].into_iter().zip(&operators) {
        world.app("").await;
        world.app_is("Verified").await;
        assert_eq!(operator.exit_status(), None, "{}", operator.logs());
    }
    // Concurrently, so that the load on the machine is the same for both.
    let [alone, among] = <[Duration; 2]>::from(tokio::join!(valid_resets(&calm), valid_resets(&world)));
    println!("{GOOD} valid resets took {alone:.2?} alone and {among:.2?} among malformed ones");
    // Both are as fast as the limits and the machine allow; malformed objects add no delay.
    assert!(among < alone * 2 + Duration::from_secs(2), "{among:?} among malformed ones, {alone:?} alone");
    for (name, _, reason) in extreme() {
        world.reset_is(name, reason).await;
        assert!(world.calls(&format!("@TGS#{name}")) <= 1, "{name}");
    }
    let operator = &operators[1];
    let bad = operator.metric("groupattr_malformed_objects", &[("kind", "GroupAttributeReset")]).await;
    assert_eq!(bad, Some(f64::from(7 + CROWD)));
    assert_explained_one_after_another(&world).await;
    for (object, _) in malformed() {
        let name = object["metadata"]["name"].as_str().expect("a name");
        assert_eq!(world.calls(&format!("@TGS#{name}")), 0, "{name}");
    }
    for operator in &operators {
        assert_eq!(operator.exit_status(), None, "{}", operator.logs());
        assert!(!operator.logs().contains("panicked"), "{}", operator.logs());
    }
}

/// Otherwise ten thousand malformed objects would cause as many requests at once.
async fn assert_explained_one_after_another(world: &World) {
    let (listed, patched) = until(DEADLINE, "a status for each of the crowd", || async {
        world.plane.audit_marker().await.ok()?;
        let requests = world.plane.audit_of(&world.account.user()).ok()?;
        let list =
            |event: &&Arc<AuditEvent>| event.verb == "list" && event.resource == "groupattributeresets";
        let listed = requests.iter().find(list)?.received;
        let is_patch = |event: &&Arc<AuditEvent>| event.verb == "patch" && event.name.starts_with("crowd-");
        let patched: Vec<_> = requests.iter().filter(is_patch).map(|event| event.received).collect();
        (patched.len() >= usize::from(CROWD)).then_some((listed, patched))
    })
    .await;
    assert_eq!(patched.len(), usize::from(CROWD), "one write each: {patched:?}");
    // 50 ms apart.
    let took = patched.iter().max().unwrap().duration_since(listed);
    assert!(took.as_millis() >= 50 * i128::from(CROWD - 1), "{CROWD} within {took:?}");
}

/// How long it takes from the first creation until the last reset is cleared.
async fn valid_resets(world: &World) -> Duration {
    let rooms = numbered("good", GOOD);
    world.rooms(&rooms);
    let started = Instant::now();
    world.many_resets(rooms.clone()).await;
    until_ok(Duration::from_mins(10), "the valid resets to be cleared", || async {
        let resets = world.all_resets().await;
        let cleared = resets.iter().filter(|reset| {
            reset["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("good"))
                && reason_of(reset, "Succeeded") == "Cleared"
        });
        let cleared = cleared.count();
        if cleared == GOOD { Ok(()) } else { Err(cleared) }
    })
    .await;
    let took = started.elapsed();
    world.assert_each_cleared_once(&rooms);
    assert!(world.vendor.fullest_window(APP_ID, Command::Clear, Duration::from_secs(1)) <= 200);
    took
}

/// Otherwise the metric would count it for as long as the process lives.
#[tokio::test]
async fn a_malformed_object_deleted_unseen_is_forgotten() {
    let plane = OwnPlane::new().await;
    let world = World::breakable_on(*plane).await;
    store_malformed(&world).await;
    plane.install_crds(CRDS).await.expect("CRDs");
    let operator = world.operator(&NO_ELECTION).await;
    let until_known = async |wanted: f64| {
        until_ok(DEADLINE, "the metric of malformed objects", || async {
            let of = async |kind| operator.metric("groupattr_malformed_objects", &[("kind", kind)]).await;
            let known = [of("GroupAttributeReset").await, of("ChatApp").await];
            if known == [Some(wanted); 2] { Ok(()) } else { Err(known) }
        })
        .await;
    };
    until_known(1.0).await;
    let api = world.proxy(Leg::Api);
    for (resource, name) in [("groupattributeresets", "number"), ("chatapps", "odd")] {
        api.hold_watches(resource);
        assert!(world.kubectl(&["delete", resource, name]).await.ok, "{resource}");
        api.expire_watches(resource);
    }
    until_known(0.0).await;
}
