//! What `kubectl wait`, kstatus and `kubectl get` report about a reset.

use testbed::kstatus::{Status, kstatus};
use testbed::until_ok;
use testbed::vendor::{Misbehaviour, When};

use crate::world::{self, DEADLINE, World};

#[tokio::test]
async fn kubectl_wait_and_kstatus_report_every_state() {
    let world = World::new().await;
    world.secret("chat", world::KEY).await;
    let wait = async |name: &str, what: &str, timeout: &str| {
        let target = format!("gar/{name}");
        let (what, timeout) = (format!("--for={what}"), format!("--timeout={timeout}"));
        world.kubectl(&["wait", &target, &what, &timeout]).await.ok
    };
    let conditions_met = async |name: &str| {
        let mut met = Vec::new();
        for what in ["condition=Finished", "condition=Succeeded", "condition=Succeeded=false"] {
            if wait(name, what, "0s").await {
                met.push(what);
            }
        }
        met
    };

    // No operator runs yet.
    for name in ["good", "bad"] {
        world.app_with_room(name, if name == "good" { 1_500_000_001 } else { 1_500_000_002 }, "").await;
        world.reset_of_app(name, "").await;
    }
    world.vendor.remove_room(1_500_000_002, "@TGS#bad");
    let unobserved = world.object("gar", "good").await.unwrap();
    assert_eq!(kstatus(&unobserved), Status::InProgress);
    assert_eq!(conditions_met("good").await, [""; 0]);

    // Scripts that wait from the beginning see either result.
    let operator = async {
        let operator = world.operator(&[]).await;
        world.reset_is("good", "Cleared").await;
        operator
    };
    let reason = "jsonpath={.status.conditions[?(@.type==\"Succeeded\")].reason}=Cleared";
    let (operator, finished, succeeded, by_reason, bad_finished, bad_failed) = tokio::join!(
        operator,
        wait("good", "condition=Finished", "30s"),
        wait("good", "condition=Succeeded", "30s"),
        wait("good", reason, "30s"),
        wait("bad", "condition=Finished", "30s"),
        wait("bad", "condition=Succeeded=false", "30s"),
    );
    assert_eq!((finished, succeeded, by_reason, bad_finished, bad_failed), (true, true, true, true, true));
    assert_eq!(conditions_met("good").await, ["condition=Finished", "condition=Succeeded"]);
    assert_eq!(conditions_met("bad").await, ["condition=Finished", "condition=Succeeded=false"]);
    assert!(wait("good", "condition=Ready", "0s").await && !wait("bad", "condition=Ready", "0s").await);
    let bad = world.reset_is("bad", "GroupNotFound").await;
    assert_eq!(kstatus(&bad), Status::Failed);
    assert_eq!(kstatus(&world.object("gar", "good").await.unwrap()), Status::Current);

    // The states that are not final.
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
    // Once the others are in their states, the vendor goes down.
    world.vendor.go_down();
    world.reset_of_app("retrying", "").await;
    let retrying = world.reset_is("retrying", "RetryScheduled").await;
    assert_eq!(kstatus(&retrying), Status::InProgress);
    for (name, ..) in states {
        assert_eq!(conditions_met(name).await, [""; 0], "{name}");
    }

    // An edit while no operator runs.
    operator.kill9();
    world.patch("gar", "good", "{\"backoffLimit\":1}").await;
    let edited = world.object("gar", "good").await.unwrap();
    assert_eq!(kstatus(&edited), Status::InProgress);
    assert_eq!(conditions_met("good").await, [""; 0]);
    let next = world.operator(&[]).await;
    world.reset_is("good", "Cleared").await;
    assert_eq!(conditions_met("good").await, ["condition=Finished", "condition=Succeeded"]);
    world.check(&[&operator, &next]).await;
}

#[tokio::test]
async fn kubectl_get_shows_the_outcome() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.room("@TGS#shown");
    world.reset("shown", "@TGS#shown", "  requestID: r1").await;
    world.reset("missing", "@TGS#missing", "").await;
    world.reset_is("shown", "Cleared").await;
    world.reset_is("missing", "GroupNotFound").await;
    let rows = until_ok(DEADLINE, "both rows", || async {
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
