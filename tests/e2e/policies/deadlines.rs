//! `notAfter` and `activeDeadlineSeconds`.

use jiff::Timestamp;
use serde_json::json;
use testbed::kstatus::{Status, kstatus};

use super::{in_seconds, seconds_between, time};
use crate::world::{APP_ID, World, chat_app, message_of};

#[tokio::test]
async fn no_attempt_starts_after_not_after_or_the_deadline() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    let not_after = |moment: Timestamp| format!("  notAfter: {:?}\n", moment.to_string());
    for room in ["past", "asleep", "zone-past", "zone", "soon", "deadline"] {
        world.room(&format!("@TGS#{room}"));
    }

    world.reset("past", "@TGS#past", &not_after(in_seconds(-1))).await;
    let end = in_seconds(10);
    world.reset("asleep", "@TGS#asleep", &format!("{}  suspend: true", not_after(end))).await;
    // An hour ago and in an hour, written in other time zones.
    let written = |seconds: i64, offset: i8| {
        let zone = jiff::tz::Offset::constant(offset).to_time_zone();
        let moment = in_seconds(seconds).to_zoned(zone);
        format!("  notAfter: \"{}\"", moment.strftime("%Y-%m-%dT%H:%M:%S%:z"))
    };
    world.reset("zone-past", "@TGS#zone-past", &written(-3600, 14)).await;
    world.reset("zone", "@TGS#zone", &written(3600, -11)).await;
    let missing = "  appRef: { name: missing }\n";
    world.reset("deadline", "@TGS#deadline", &format!("{missing}  activeDeadlineSeconds: 10")).await;
    let soon = in_seconds(6);
    world.reset("soon", "@TGS#soon", &format!("{missing}{}", not_after(soon))).await;

    let past = world.reset_is("past", "Expired").await;
    assert!(
        message_of(&past, "Succeeded").contains("notAfter")
            && message_of(&past, "Succeeded").contains("new requestID")
    );
    assert_eq!((&past["status"]["attempts"], kstatus(&past)), (&json!(0), Status::Failed));
    world.reset_is("zone-past", "Expired").await;
    world.reset_is("zone", "Cleared").await;

    let asleep = world.reset_is("asleep", "Expired").await;
    let ended = time(&asleep["status"]["completionTime"]);
    assert!((0.0..=3.0).contains(&seconds_between(end, ended)), "notAfter {end}, ended {ended}");
    assert_eq!(world.reasons_of("asleep").await, ["Suspended", "Expired"]);
    let ended = time(&world.reset_is("soon", "Expired").await["status"]["completionTime"]);
    assert!((0.0..=3.0).contains(&seconds_between(soon, ended)), "notAfter {soon}, ended {ended}");
    let deadline = world.reset_is("deadline", "DeadlineExceeded").await;
    let status = &deadline["status"];
    assert_eq!(
        status["startTime"], deadline["metadata"]["creationTimestamp"],
        "the deadline counts from creation"
    );
    let took = seconds_between(time(&status["startTime"]), time(&status["completionTime"]));
    assert!((10.0..=16.0).contains(&took), "{took}");
    let message = message_of(&deadline, "Succeeded");
    assert!(
        message.contains("ChatApp missing does not exist") && message.contains("activeDeadlineSeconds"),
        "{message}"
    );

    // The app is too late for those that are finished.
    world.apply(&chat_app("missing", APP_ID, &world.vendor.url(), "")).await;
    world.until_reason("chatapp", "missing", "Ready", "Verified").await;
    world.marker("late").await;
    for room in ["past", "asleep", "zone-past", "soon", "deadline"] {
        assert_eq!(world.calls(&format!("@TGS#{room}")), 0, "{room}");
    }
    world.check(&[&operator]).await;
}
