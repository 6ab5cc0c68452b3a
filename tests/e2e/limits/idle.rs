//! An idle operator sends no requests, and forgets what nobody needs any more.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use testbed::control_plane::AuditEvent;
use testbed::until_ok;

use crate::world::{DEADLINE, KEY, World, chat_app, message_of, numbered};

#[tokio::test]
async fn idle_finished_resets_cost_no_request_but_lease_renewals() {
    const RESETS: usize = 300;
    let world = World::new().await;
    let rooms = numbered("finished", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.many_resets(rooms).await;
    world.until_cleared(RESETS, DEADLINE).await;
    operator.terminate();
    assert!(operator.wait_exit(DEADLINE).await.success());

    let operator = world.operator(&[]).await;
    operator.wait_for_log("the initial lists are complete", DEADLINE).await;
    world.plane.audit_marker().await.unwrap();
    let known = requests(&world).len();
    let begun = Instant::now();
    let after = || async {
        world.plane.audit_marker().await.unwrap();
        requests(&world).split_off(known)
    };
    // The lease is renewed every two seconds.
    until_ok(DEADLINE, "four renewals of the lease", || async {
        let renewals = after().await.iter().filter(|event| event.resource == "leases").count();
        if renewals >= 4 { Ok(()) } else { Err(renewals) }
    })
    .await;
    // A watch opened just before the marker may appear after it in the audit log. Each is reopened every 40 s.
    let (watches, others): (Vec<_>, Vec<_>) = after()
        .await
        .into_iter()
        .filter(|event| event.resource != "leases")
        .partition(|event| event.verb == "watch" && event.stage == "ResponseStarted");
    let rounds = 1 + begun.elapsed().as_secs() / 40;
    assert!(watches.len() as u64 <= 2 * rounds, "{} watches were opened", watches.len());
    let others: Vec<String> =
        others.iter().map(|event| format!("{} {} {}", event.verb, event.resource, event.name)).collect();
    assert_eq!(others, [] as [String; 0], "finished resets must cost no requests");
    // It still handles new resets.
    world.marker("new").await;
}

/// A tenant can name one account after another by editing or re-creating apps. None may stay in memory.
#[tokio::test]
async fn accounts_no_app_refers_to_are_forgotten() {
    const HOSTS: usize = 30;
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.marker("marker").await;
    world.apply(&chat_app("moving", 7, "https://host-0.example", "")).await;
    for host in 1..=HOSTS {
        let endpoint = json!({"spec": {"endpoint": format!("https://host-{host}.example")}});
        world.merge("chatapp", "moving", &endpoint).await;
    }
    let mut names: Vec<String> = (100..105).map(|account| format!("passing-{account}")).collect();
    for (account, name) in (100..).zip(&names) {
        world.app_with_room(name, account, "").await;
        world.reset_of_app(name, "").await;
        world.reset_is(name, "Cleared").await;
    }
    let remembered = async || operator.metric("groupattr_accounts", &[]).await.unwrap_or_default();
    until_ok(DEADLINE, "the accounts to be counted", || async {
        let accounts = remembered().await;
        if accounts >= 6.0 { Ok(()) } else { Err(accounts) }
    })
    .await;
    // Two apps of one account; the second one queues for its first check.
    world.vendor.account(200, KEY, &["administrator"]);
    names.extend(["moving", "lined-0", "lined-1"].map(str::to_owned));
    let two = ["lined-0", "lined-1"];
    world.apply(&two.map(|name| chat_app(name, 200, &world.vendor.url(), "")).join("\n---\n")).await;
    until_ok(DEADLINE, "one of them to report that it is queued", || async {
        let mut said = Vec::new();
        for name in two {
            said.push(message_of(&world.object("chatapp", name).await.unwrap_or_default(), "Ready"));
        }
        if said.iter().any(|said| said.contains("share one check")) { Ok(()) } else { Err(said) }
    })
    .await;
    let mut delete = vec!["delete", "chatapp"];
    delete.extend(names.iter().map(String::as_str));
    assert!(world.kubectl(&delete).await.ok);
    until_ok(DEADLINE, "all accounts without an app to be forgotten", || async {
        let accounts = remembered().await;
        if accounts <= 1.0 { Ok(()) } else { Err(accounts) }
    })
    .await;
    // The limits of the remaining account are still known.
    world.marker("marker-2").await;
    world.check(&[&operator]).await;
}

/// All API server requests of this test's operators.
fn requests(world: &World) -> Vec<Arc<AuditEvent>> {
    world.plane.audit_of(&world.account.user()).unwrap()
}
