//! When there is nothing to do, nothing is asked.

use std::sync::Arc;

use testbed::control_plane::AuditEvent;
use testbed::until_ok;

use crate::world::{SOON, World, numbered};

#[tokio::test]
async fn at_rest_finished_resets_cost_no_request_but_the_lease() {
    const RESETS: usize = 300;
    let world = World::new().await;
    let rooms = numbered("finished", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.many_resets(rooms).await;
    world.until_cleared(RESETS, SOON).await;
    operator.terminate();
    assert!(operator.wait_exit(SOON).await.success());

    let operator = world.operator(&[]).await;
    operator.wait_for_log("all objects are known", SOON).await;
    world.plane.audit_marker().await.unwrap();
    let known = requests(&world).len();
    let after = || async {
        world.plane.audit_marker().await.unwrap();
        requests(&world).split_off(known)
    };
    // Each renewal of the lease is two seconds after the last one.
    until_ok(SOON, "four renewals of the lease", || async {
        let renewals = after().await.iter().filter(|event| event.resource == "leases").count();
        if renewals >= 4 { Ok(()) } else { Err(renewals) }
    })
    .await;
    // A watch that has just been opened may show up in the log after the mark; it stays open for minutes.
    let (watches, others): (Vec<_>, Vec<_>) = after()
        .await
        .into_iter()
        .filter(|event| event.resource != "leases")
        .partition(|event| event.verb == "watch" && event.stage == "ResponseStarted");
    assert!(watches.len() <= 2, "{} watches were opened", watches.len());
    let others: Vec<String> =
        others.iter().map(|event| format!("{} {} {}", event.verb, event.resource, event.name)).collect();
    assert_eq!(others, [] as [String; 0], "{RESETS} resets are finished");
    // And it is awake: what is new is done.
    world.marker("new").await;
}

/// Everything that operators of this test asked of the API server.
fn requests(world: &World) -> Vec<Arc<AuditEvent>> {
    world.plane.audit_of(&world.account.user()).unwrap()
}
