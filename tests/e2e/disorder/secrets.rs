//! The Secret with the account's key goes wrong while sixty resets are sent, and is mended. No reset fails for it.

use testbed::runs::runs;
use testbed::until_ok;
use testbed::vendor::{Misbehaviour, When};

use crate::world::replicas::ALONE;
use crate::world::{APP_ID, KEY, SOON, World, message_of, numbered};

const RESETS: usize = 60;

/// How it goes wrong, and what the app says then.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Deleted,
    Emptied,
    OtherEntry,
    OtherKey,
    Megabyte,
}

impl Wrong {
    const ALL: [Self; 5] = [Self::Deleted, Self::Emptied, Self::OtherEntry, Self::OtherKey, Self::Megabyte];

    async fn happen(self, world: &World) {
        if matches!(self, Self::Deleted) {
            assert!(world.kubectl(&["delete", "secret", "chat"]).await.ok);
            return;
        }
        assert!(world.kubectl(&["delete", "secret", "chat"]).await.ok);
        let (entry, key) = match self {
            Self::Deleted | Self::Emptied => ("secretKey", String::new()),
            Self::OtherEntry => ("key", KEY.to_owned()),
            Self::OtherKey => ("secretKey", KEY.replace("c0", "0c")),
            // As large as Kubernetes takes it.
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

async fn goes_wrong_under_load(wrong: Wrong) {
    let world = World::new().await;
    let rooms = numbered("room", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&ALONE).await;
    world.app("  limits: { callsPerSecond: 15 }").await;
    world.app_is("Verified").await;
    let (earlier, later) = rooms.split_at(RESETS / 2);
    world.many_resets(earlier.to_vec()).await;
    world.until_calls(5).await;
    // The key in memory would be good for a minute; the vendor's word makes the operator look at the Secret again.
    world.vendor.script(When::any().by(APP_ID), Misbehaviour::Code(70003));
    world.many_resets(later.to_vec()).await;
    world.app_is("CredentialsRejected").await;
    wrong.happen(&world).await;
    let (reason, text) = wrong.said();
    // A signature that was made from the good key in the meantime, and not used yet, has to be refused, too.
    let before = world.vendor.journal().len();
    until_ok(SOON, "a call with what was in memory, or none because of the Secret", || async {
        let app = world.object("chatapp", "default").await.unwrap_or_default();
        let said = message_of(&app, "Ready");
        if world.vendor.journal().len() > before || said.contains(text) { Ok(()) } else { Err(said) }
    })
    .await;
    world.vendor.clear_scripts();
    until_ok(SOON, &format!("the app to say {text:?}"), || async {
        let app = world.app_is(reason).await;
        let said = message_of(&app, "Ready");
        if said.contains(text) { Ok(()) } else { Err(said) }
    })
    .await;

    // With a newline at its end, as most tools write it.
    world.kubectl(&["delete", "secret", "chat"]).await;
    world.secret("chat", &format!("{KEY}\n")).await;
    world.until_cleared(RESETS, std::time::Duration::from_mins(5)).await;
    for reset in world.all_resets().await {
        assert_eq!(reset["status"]["failures"].as_i64().unwrap_or_default(), 0, "{wrong:?}: {reset:#}");
    }
    for (_, group) in &rooms {
        let executed = world.vendor.clears_of(group).iter().filter(|call| call.executed).count();
        assert_eq!(executed, 1, "{wrong:?}: {group}");
    }
    assert_eq!(operator.exit_status(), None, "{}", operator.logs());
    world.finish().await;
}

#[tokio::test]
async fn a_secret_broken_under_load_is_reported_and_fails_no_reset() {
    runs("G1", 5).side_by_side(5, |run| goes_wrong_under_load(Wrong::ALL[run.turn(5)])).await;
}
