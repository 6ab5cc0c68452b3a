//! `suspend`: a suspended reset starts nothing, and its deadline does not run.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use testbed::kstatus::{Status, kstatus};
use testbed::until;
use testbed::vendor::{Misbehaviour, When};

use super::{in_seconds, seconds_between, time};
use crate::world::{DEADLINE, World, reason_of};

#[tokio::test]
async fn suspending_stops_the_clock_and_lets_a_call_in_flight_finish() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;

    world.room("@TGS#before");
    world.reset("before", "@TGS#before", "  suspend: true\n  activeDeadlineSeconds: 7").await;
    let before = world.reset_is("before", "Suspended").await;
    assert!(before["status"]["startTime"].is_null(), "a suspended reset has no startTime");
    assert_eq!(kstatus(&before), Status::InProgress);

    // It waits for an app that does not exist.
    let missing = "  appRef: { name: missing }\n  activeDeadlineSeconds: 10";
    world.reset("waiting", "@TGS#waiting", missing).await;
    world.reset_is("waiting", "AppNotFound").await;
    world.patch("gar", "waiting", "{\"suspend\":true}").await;
    let waiting = world.reset_is("waiting", "Suspended").await;
    assert!(waiting["status"]["startTime"].is_null(), "suspending clears startTime");

    world.room("@TGS#flying");
    world
        .vendor
        .script(When::clear().of("@TGS#flying").times(1), Misbehaviour::DelayAfter(Duration::from_secs(2)));
    world.reset("flying", "@TGS#flying", "").await;
    until(DEADLINE, "the call", || async { (world.calls("@TGS#flying") == 1).then_some(()) }).await;
    world.patch("gar", "flying", "{\"suspend\":true}").await;
    world.reset_is("flying", "Cleared").await;
    assert_eq!(world.calls("@TGS#flying"), 1);

    // Longer than either deadline.
    let created = time(&waiting["metadata"]["creationTimestamp"]);
    until(DEADLINE, "the deadlines to pass", || async {
        (Timestamp::now() > created + SignedDuration::from_secs(12)).then_some(())
    })
    .await;
    world.marker("after-deadlines").await;
    for name in ["before", "waiting"] {
        assert_eq!(reason_of(&world.object("gar", name).await.unwrap(), "Succeeded"), "Suspended");
    }
    assert_eq!(world.calls("@TGS#before"), 0);

    let resumed = in_seconds(0);
    world.patch("gar", "before", "{\"suspend\":false}").await;
    world.patch("gar", "waiting", "{\"suspend\":false}").await;
    let before = world.reset_is("before", "Cleared").await;
    assert!(time(&before["status"]["startTime"]) >= resumed, "resuming sets a new startTime");
    let waiting = world.reset_is("waiting", "DeadlineExceeded").await;
    let (start, end) = (time(&waiting["status"]["startTime"]), time(&waiting["status"]["completionTime"]));
    assert!(start >= resumed, "{start}");
    assert!((10.0..=16.0).contains(&seconds_between(start, end)), "from {start} to {end}");
    let reasons = world.reasons_of("waiting").await;
    assert_eq!(reasons.last().map(String::as_str), Some("DeadlineExceeded"));
    assert_eq!(world.reasons_of("before").await[0], "Suspended");
    world.check(&[&operator]).await;
}
