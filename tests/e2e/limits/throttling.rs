//! The vendor allows less than the configured limit: the room is busy, or another client uses the account.

use std::time::Duration;

use testbed::until;
use testbed::vendor::{Answer, Limits, Misbehaviour, When};

use crate::limits::{SECOND, assert_interval, until_calls};
use crate::world::{DEADLINE, World, numbered};

#[tokio::test]
async fn writes_to_a_throttled_group_slow_down() {
    let world = World::new().await;
    world.room("@TGS#crowded");
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world
        .vendor
        .script(testbed::vendor::When::clear().of("@TGS#crowded").times(2), Misbehaviour::Code(10049));
    world.reset("crowded", "@TGS#crowded", "").await;
    let reset = world.reset_is("crowded", "Cleared").await;
    assert_eq!(
        reset["status"]["failures"].as_i64().unwrap_or_default(),
        0,
        "throttling must not count as a failure: {reset:#}"
    );
    let writes = world.vendor.clears_of("@TGS#crowded");
    assert_eq!(writes.len(), 3);
    assert_interval(&writes[..2], 2 * SECOND);
    assert_interval(&writes[1..], 4 * SECOND);
}

#[tokio::test]
async fn throttling_an_account_halves_its_rate() {
    const RESETS: usize = 60;
    let world = World::new().await;
    let rooms = numbered("hot", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 40 }").await;
    world.app_is("Verified").await;
    world.vendor.script(When::clear().times(1), Misbehaviour::Code(60007));
    world.many_resets(rooms).await;
    until(DEADLINE, "the rate to halve", || async {
        let rate = operator.metric("groupattr_effective_rate", &[("app", "default")]).await?;
        (rate < 30.0).then_some(())
    })
    .await;
    world.until_cleared(RESETS, DEADLINE).await;
    let clears = world.vendor.clears();
    assert_eq!(clears.len(), RESETS + 1, "only the refused call was retried");
    // Starting one second after the refusal, when all calls in flight have been answered.
    let refused = clears[0].answered.unwrap();
    let later = clears.iter().filter(|call| {
        let since = call.arrived.saturating_duration_since(refused);
        since >= SECOND && since < 2 * SECOND
    });
    let later = later.count();
    assert!(later <= 23, "{later} calls in a second, about 21 are allowed");
    let failures: i64 =
        world.all_resets().await.iter().filter_map(|r| r["status"]["failures"].as_i64()).sum();
    assert_eq!(failures, 0);
}

/// Another client constantly uses half of the account. The operator is throttled a few times, then stays
/// below that rate instead of oscillating.
#[tokio::test]
async fn the_rate_settles_beside_another_consumer_of_the_account() {
    // On a busy machine the operator may be too slow to be throttled in time, so there are three tries.
    let mut seen = Vec::new();
    for _ in 0..3 {
        let refused = refused_beside_another().await;
        if settles(&refused) {
            return;
        }
        seen.push(refused);
    }
    panic!("refused at {seen:.1?}");
}

/// It learns the ceiling by hitting it twice, 14 s of growth apart; half a minute later it probes again.
const KNOWN: std::ops::Range<Duration> = Duration::from_secs(33)..Duration::from_mins(1);

fn settles(refused: &[Duration]) -> bool {
    let learning = refused.iter().filter(|moment| **moment < KNOWN.start).count();
    (1..=12).contains(&learning) && !refused.iter().any(|moment| KNOWN.contains(moment))
}

/// When the vendor throttled a call, since the first call.
async fn refused_beside_another() -> Vec<Duration> {
    const RESETS: usize = 180;
    let world = World::new().await;
    let rooms = numbered("shared", RESETS);
    world.rooms(&rooms);
    world.vendor.set_limits(Limits { calls_per_second: 4, ..Limits::default() });
    let _operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 8 }").await;
    world.app_is("Verified").await;
    world.many_resets(rooms).await;
    // Throttled calls are retried and add to the total.
    until_calls(&world, RESETS, Duration::from_mins(3)).await;

    let clears = world.vendor.clears();
    let begin = clears[0].arrived;
    let whole = clears.last().unwrap().arrived - begin;
    assert!(whole >= KNOWN.start + 12 * SECOND, "{whole:?} is too short to prove anything");
    let refused = clears.iter().filter(|call| call.answer == Answer::Code(60007));
    refused.map(|call| call.arrived - begin).collect()
}
