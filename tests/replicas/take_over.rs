//! The leader is gone, or believes that it is not.

use std::time::{Duration, Instant};

use futures::future::join_all;
use testbed::until;
use testbed::vendor::{Command, Misbehaviour, When};

use crate::world::replicas::until_leading;
use crate::world::{APP_ID, SOON, World, numbered};

/// What happens to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Killed,
    Frozen,
}

/// With the default lease. Returns how long no call was made.
async fn take_over(trouble: Trouble, run: usize) -> Duration {
    const LIMIT: usize = 10;
    let world = World::new().await;
    let rooms = numbered("room", 20);
    world.rooms(&rooms);
    world.room("@TGS#in-flight");
    let [leader, follower] = world.two(&[]).await;
    world.app(&format!("  limits: {{ callsPerSecond: {LIMIT} }}")).await;
    world.app_is("Verified").await;
    // Executed, but whoever sent it will not hear of it.
    world.vendor.script(When::clear().of("@TGS#in-flight"), Misbehaviour::DelayAfter(Duration::from_secs(8)));
    world.reset("in-flight", "@TGS#in-flight", "").await;
    world.until_calls(1).await;
    world.many_resets(rooms.clone()).await;
    // Each run strikes at another moment.
    world.until_calls(4 + run).await;
    tokio::time::sleep(Duration::from_millis(17 * run as u64)).await;
    match trouble {
        Trouble::Killed => drop(leader.kill9()),
        Trouble::Frozen => leader.stop(),
    }
    let struck = Instant::now();
    until_leading(&follower, Duration::from_secs(20)).await;
    let its_calls = world.tenures().remove(0).calls;
    let silence = until(SOON, "a call of the successor", || async {
        world.tenures().get(1).map(|tenure| tenure.first.saturating_duration_since(struck))
    })
    .await;
    // At worst every permit is held for a call that the other one may still have under way: ten seconds, and one.
    assert!(silence <= Duration::from_secs(33), "{trouble:?}: no call for {silence:?}");
    let reset = world.reset_is("in-flight", "VerifiedEmpty").await;
    if trouble == Trouble::Frozen {
        // It has an answer to tell of, and comes too late with it.
        leader.cont();
        let exit = leader.wait_exit(SOON).await;
        assert!(!exit.success(), "it ended as if all were well: {exit:?}");
    }
    world.until_cleared(21, Duration::from_mins(1)).await;
    let tenures = world.assert_one_after_another();
    assert_eq!(tenures.len(), 2, "{tenures:#?}");
    assert_eq!(tenures[0].calls, its_calls, "{trouble:?}: it went on calling after its time");
    world.assert_once_each(&rooms);
    assert_eq!(world.calls("@TGS#in-flight"), 1, "it was read back, and not sent again");
    let still = world.object("gar", "in-flight").await.expect("the reset");
    assert_eq!(still["status"], reset["status"], "what was settled was changed");
    let fullest = world.vendor.fullest_window(APP_ID, Command::Clear, Duration::from_secs(1));
    assert!(fullest <= LIMIT, "{fullest} calls in one second");
    world.check(&[&leader, &follower]).await;
    silence
}

#[tokio::test]
async fn whatever_ends_a_leader_the_other_takes_over_within_20_seconds_and_their_calls_never_overlap() {
    let runs = (0..3).flat_map(|run| [(Trouble::Killed, run), (Trouble::Frozen, run)]);
    let silences = join_all(runs.map(|(trouble, run)| take_over(trouble, run))).await;
    println!("seconds without a call: {silences:.1?}");
}
