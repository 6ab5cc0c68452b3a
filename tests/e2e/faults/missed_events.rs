//! B2: the watch misses events: its history is gone (410), or its stream is cut or half-open.

use std::time::{Duration, Instant};

use testbed::proxy::{Boundary, Fault, Position};
use testbed::runs;

use crate::cluster_apps::platform::operator_of_all_namespaces;
use crate::faults::{AFTER_FAULTS, NO_ELECTION, RESETS};
use crate::world::{APP_ID, DEADLINE, KEY, Leg, OwnPlane, World, chat_app, numbered};

const COUNT: usize = 5;

#[derive(Debug, Clone, Copy)]
enum Loss {
    /// The open stream reports that its history is gone.
    ExpiredInside,
    /// The stream is cut, and the next watch is refused because its history is gone.
    ExpiredAtTheStart,
    /// The stream is cut repeatedly.
    Cut,
    /// The history is gone, and the new list fails at first.
    ListFails,
    /// The history is gone, and the new list gets no response until its connection is reset.
    ListReset,
}

const LOSSES: [Loss; 5] =
    [Loss::ExpiredInside, Loss::ExpiredAtTheStart, Loss::Cut, Loss::ListFails, Loss::ListReset];

#[tokio::test]
async fn events_missed_by_the_watch_are_found_and_nothing_is_sent_twice() {
    runs("B2", 5)
        .side_by_side(5, |run| async move { recovers_from(LOSSES[run.turn(LOSSES.len())]).await })
        .await;
}

async fn recovers_from(loss: Loss) {
    let world = World::breakable().await;
    let api = world.proxy(Leg::Api);
    let (seen, unseen) = (numbered("seen", COUNT), numbered("unseen", COUNT));
    world.rooms(&seen);
    world.rooms(&unseen);
    let _operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.many_resets(seen.clone()).await;
    world.until_cleared(COUNT, DEADLINE).await;

    let answer = |verb, code| {
        world.plan(Leg::Api, Boundary::of(verb, RESETS).times(2), Position::Before, Fault::code(code))
    };
    api.hold_watches(RESETS);
    world.many_resets(unseen.clone()).await;
    let mut plans = Vec::new();
    match loss {
        Loss::ExpiredInside => api.expire_watches(RESETS),
        Loss::ExpiredAtTheStart => {
            plans.push(answer("watch", 410));
            api.cut_watches(RESETS);
        }
        Loss::Cut => {
            for nth in 1..=3 {
                let again = Boundary::of("watch", RESETS).nth(1);
                let started = world.plan(Leg::Api, again, Position::After, Fault::Run(Box::new(|| {})));
                api.cut_watches(RESETS);
                started.has_fired(DEADLINE).await;
                assert_eq!(
                    world.vendor.clears().len(),
                    COUNT,
                    "cut {nth}: the new stream must be held back, too"
                );
            }
        }
        Loss::ListFails => {
            plans.push(answer("list", 500));
            api.expire_watches(RESETS);
        }
        Loss::ListReset => {
            let list = Boundary::of("list", RESETS).times(2);
            plans.push(world.plan(Leg::Api, list, Position::LostAnswer, Fault::Reset));
            api.expire_watches(RESETS);
        }
    }
    for plan in &plans {
        plan.has_fired(DEADLINE).await;
    }
    api.release_watches(RESETS);
    world.until_cleared(2 * COUNT, AFTER_FAULTS).await;
    for (_, group) in seen.iter().chain(&unseen) {
        assert_eq!(world.calls(group), 1, "{loss:?}: {group}");
    }
    world.finish().await;
}

/// Of each kind, also of the kinds that show nothing for hours: the stop switch of an app is one of them.
#[tokio::test]
async fn a_half_open_watch_is_replaced_in_time() {
    runs("B2-silent", 1)
        .one_by_one(|_| async {
            let plane = OwnPlane::new().await;
            let world = World::breakable_on(*plane).await;
            let resets = numbered("silent", COUNT);
            world.rooms(&resets);
            world.room("@TGS#let-in");
            let _operator = operator_of_all_namespaces(&world).await;
            world.app("").await;
            world.app_is("Verified").await;
            let shared = async |name: &str, label: &str| {
                let labels = format!("selector: {{ matchLabels: {{ {label}: live }} }}");
                let admitted = format!("  allowedNamespaces: {{ from: Selector, {labels} }}");
                let app = chat_app(name, APP_ID, &world.chat_url(), &admitted);
                world.apply(&app.replace("kind: ChatApp", "kind: ClusterChatApp")).await;
            };
            shared("labelled", "chat").await;
            world.until_reason("clusterchatapp", "labelled", "Ready", "Verified").await;
            world.reset("let-in", "@TGS#let-in", "  appRef: { kind: ClusterChatApp, name: labelled }").await;
            world.reset_is("let-in", "AppNotAllowed").await;
            world.vendor.account(7, KEY, &["administrator"]);
            world.apply(&chat_app("stopped", 7, &world.chat_url(), "")).await;
            world.until_reason("chatapp", "stopped", "Ready", "Verified").await;

            // The streams stay open and never deliver anything again, not even their end.
            for kind in [RESETS, "chatapps", "clusterchatapps", "namespaces"] {
                world.proxy(Leg::Api).freeze_watches(kind);
            }
            let frozen = Instant::now();
            world.many_resets(resets.clone()).await;
            world.patch("chatapp", "stopped", r#"{"suspend":true}"#).await;
            shared("unseen", "never").await;
            let label = ["label", "namespace", &world.namespace, "chat=live"];
            let labelled = world.plane.kubectl(&label).await.unwrap();
            assert!(labelled.ok, "{}", labelled.stderr);
            world.until_reason("chatapp", "stopped", "Ready", "Suspended").await;
            world.until_reason("clusterchatapp", "unseen", "Ready", "Verified").await;
            world.until_cleared(COUNT + 1, DEADLINE).await;
            let took = frozen.elapsed();
            assert!(took < Duration::from_mins(1), "it took {took:?}");
            for (_, group) in &resets {
                assert_eq!(world.calls(group), 1, "{group}");
            }
            world.finish().await;
        })
        .await;
}

/// Re-creating an app is the only way to change its account. The watch shows neither deletion nor creation.
#[tokio::test]
async fn an_app_recreated_unseen_is_a_new_app() {
    let world = World::breakable().await;
    world.vendor.account(7, KEY, &["administrator"]);
    world.vendor.room(7, "@TGS#room", &[("seat1", "ann")]);
    let _operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    let api = world.proxy(Leg::Api);
    api.hold_watches("chatapps");
    assert!(world.kubectl(&["delete", "chatapp", "default"]).await.ok);
    world.apply(&chat_app("default", 7, &world.chat_url(), "")).await;
    api.expire_watches("chatapps");
    world.app_is("Verified").await;
    api.release_watches("chatapps");
    world.reset("room", "@TGS#room", "").await;
    world.reset_is("room", "Cleared").await;
    let accounts: Vec<_> = world.vendor.clears().iter().map(|call| call.sdkappid).collect();
    assert_eq!(accounts, [Some(7)]);
}
