//! The Secret with the account's key breaks while sixty resets are sent, and is repaired. No reset fails.

use testbed::runs::runs;
use testbed::until_ok;
use testbed::vendor::{Misbehaviour, When};

use crate::world::replicas::NO_ELECTION;
use crate::world::{APP_ID, DEADLINE, KEY, World, message_of, numbered};

const RESETS: usize = 60;

/// How the Secret is broken.
#[derive(Clone, Copy, Debug)]
enum Breakage {
    Deleted,
    Emptied,
    OtherEntry,
    OtherKey,
    Megabyte,
}

impl Breakage {
    const ALL: [Self; 5] = [Self::Deleted, Self::Emptied, Self::OtherEntry, Self::OtherKey, Self::Megabyte];

    async fn apply(self, world: &World) {
        if matches!(self, Self::Deleted) {
            assert!(world.kubectl(&["delete", "secret", "chat"]).await.ok);
            return;
        }
        assert!(world.kubectl(&["delete", "secret", "chat"]).await.ok);
        let (entry, key) = match self {
            Self::Deleted | Self::Emptied => ("secretKey", String::new()),
            Self::OtherEntry => ("key", KEY.to_owned()),
            Self::OtherKey => ("secretKey", KEY.replace("c0", "0c")),
            // As large as Kubernetes allows.
            Self::Megabyte => ("secretKey", "k".repeat(1024 * 1024 - 1024)),
        };
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: chat }}\nstringData: {{ {entry}: {key:?} }}"
        );
        world.apply(&secret).await;
    }

    fn said(self) -> (&'static str, &'static str) {
        match self {
            Self::Deleted => ("SecretNotFound", "Create it"),
            Self::Emptied => ("SecretKeyInvalid", "empty"),
            Self::OtherEntry => ("SecretKeyMissing", "no entry secretKey"),
            Self::OtherKey => ("CredentialsRejected", "70009"),
            Self::Megabyte => ("SecretKeyInvalid", "longer than"),
        }
    }
}

async fn breaks_under_load(breakage: Breakage) {
    let world = World::new().await;
    let rooms = numbered("room", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&NO_ELECTION).await;
    world.app("  limits: { callsPerSecond: 15 }").await;
    world.app_is("Verified").await;
    let (earlier, later) = rooms.split_at(RESETS / 2);
    world.many_resets(earlier.to_vec()).await;
    world.until_calls(5).await;
    // The cached key would be used for a minute; a rejection makes the operator read the Secret again.
    world.vendor.script(When::any().by(APP_ID), Misbehaviour::Code(70003));
    world.many_resets(later.to_vec()).await;
    world.app_is("CredentialsRejected").await;
    breakage.apply(&world).await;
    let (reason, text) = breakage.said();
    // A signature made with the old key in the meantime and not used yet must be rejected, too.
    let before = world.vendor.journal().len();
    until_ok(DEADLINE, "a call with the cached key, or an app that reports the Secret", || async {
        let app = world.object("chatapp", "default").await.unwrap_or_default();
        let said = message_of(&app, "Ready");
        if world.vendor.journal().len() > before || said.contains(text) { Ok(()) } else { Err(said) }
    })
    .await;
    world.vendor.clear_scripts();
    until_ok(DEADLINE, &format!("the app to say {text:?}"), || async {
        let app = world.app_is(reason).await;
        let said = message_of(&app, "Ready");
        if said.contains(text) { Ok(()) } else { Err(said) }
    })
    .await;

    // With a trailing newline, as most tools write it.
    world.kubectl(&["delete", "secret", "chat"]).await;
    world.secret("chat", &format!("{KEY}\n")).await;
    world.until_cleared(RESETS, std::time::Duration::from_mins(5)).await;
    for reset in world.all_resets().await {
        assert_eq!(reset["status"]["failures"].as_i64().unwrap_or_default(), 0, "{breakage:?}: {reset:#}");
    }
    for (_, group) in &rooms {
        let executed = world.vendor.clears_of(group).iter().filter(|call| call.executed).count();
        assert_eq!(executed, 1, "{breakage:?}: {group}");
    }
    assert_eq!(operator.exit_status(), None, "{}", operator.logs());
    world.finish().await;
}

#[tokio::test]
async fn a_secret_broken_under_load_is_reported_and_fails_no_reset() {
    runs("G1", 5).side_by_side(5, |run| breaks_under_load(Breakage::ALL[run.turn(5)])).await;
}
