//! When there is nothing to do, nothing is asked, and what nobody needs any more is forgotten.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use testbed::control_plane::AuditEvent;
use testbed::until_ok;

use crate::world::{KEY, SOON, World, chat_app, message_of, numbered};

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
    operator.wait_for_log("the initial lists are complete", SOON).await;
    world.plane.audit_marker().await.unwrap();
    let known = requests(&world).len();
    let begun = Instant::now();
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
    // A watch that has just been opened may show up in the log after the mark. Each is opened anew every 40 s.
    let (watches, others): (Vec<_>, Vec<_>) = after()
        .await
        .into_iter()
        .filter(|event| event.resource != "leases")
        .partition(|event| event.verb == "watch" && event.stage == "ResponseStarted");
    let rounds = 1 + begun.elapsed().as_secs() / 40;
    assert!(watches.len() as u64 <= 2 * rounds, "{} watches were opened", watches.len());
    let others: Vec<String> =
        others.iter().map(|event| format!("{} {} {}", event.verb, event.resource, event.name)).collect();
    assert_eq!(others, [] as [String; 0], "{RESETS} resets are finished");
    // And it is awake: what is new is done.
    world.marker("new").await;
}

/// An edit names another account, and so does an app that is deleted and made again: of one tenant's many, none must
/// stay in the memory that everybody shares.
#[tokio::test]
async fn accounts_that_no_app_names_any_more_are_forgotten() {
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
    until_ok(SOON, "the accounts to be counted", || async {
        let accounts = remembered().await;
        if accounts >= 6.0 { Ok(()) } else { Err(accounts) }
    })
    .await;
    // Two of one account, of which the second one waits in line for its first check.
    world.vendor.account(200, KEY, &["administrator"]);
    names.extend(["moving", "lined-0", "lined-1"].map(str::to_owned));
    let two = ["lined-0", "lined-1"];
    world.apply(&two.map(|name| chat_app(name, 200, &world.vendor.url(), "")).join("\n---\n")).await;
    until_ok(SOON, "one of them to say that it waits in line", || async {
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
    until_ok(SOON, "all but the one that is named to be forgotten", || async {
        let accounts = remembered().await;
        if accounts <= 1.0 { Ok(()) } else { Err(accounts) }
    })
    .await;
    // The limits of the one that is named are still known.
    world.marker("marker-2").await;
    world.check(&[&operator]).await;
}

/// Everything that operators of this test asked of the API server.
fn requests(world: &World) -> Vec<Arc<AuditEvent>> {
    world.plane.audit_of(&world.account.user()).unwrap()
}
