//! What the process logs.

use serde_json::Value;
use testbed::until;

use super::log_of;
use crate::world::{DEADLINE, World};

#[tokio::test]
async fn the_log_has_one_json_line_per_attempt_and_per_finished_reset() {
    let world = World::new().await;
    for group in ["@TGS#a", "@TGS#b"] {
        world.room(group);
    }
    let operator = world.operator(&["--log-filter=info"]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(
        testbed::vendor::When::clear().of("@TGS#b").times(1),
        testbed::vendor::Misbehaviour::Code(60007),
    );
    world.reset("a", "@TGS#a", "  requestID: show-1").await;
    world.reset("b", "@TGS#b", "  requestID: show-2").await;
    let finished = [world.reset_is("a", "Cleared").await, world.reset_is("b", "Cleared").await];
    for reset in &finished {
        let name = reset["metadata"]["name"].as_str().unwrap();
        operator
            .wait_for_log(
                &format!("\"reset ended\",\"namespace\":\"{}\",\"reset\":\"{name}\"", world.namespace),
                DEADLINE,
            )
            .await;
    }
    let log = log_of(&operator);
    for line in &log {
        let complete = line["timestamp"].is_string()
            && line["level"].is_string()
            && line["severity"].is_string()
            && line["message"].is_string();
        assert!(complete, "{line}");
    }
    let lines = |message: &str, reset: &str| -> Vec<&Value> {
        log.iter().filter(|line| line["message"] == message && line["reset"] == reset).collect()
    };
    for (name, request, codes) in [("a", "show-1", &[0][..]), ("b", "show-2", &[60007, 0])] {
        let attempts = lines("attempt ended", name);
        assert_eq!(attempts.iter().map(|line| line["code"].as_i64().unwrap()).collect::<Vec<_>>(), codes);
        for (number, line) in (1..).zip(&attempts) {
            assert_eq!(
                (&line["namespace"], &line["request"]),
                (&world.namespace.as_str().into(), &request.into())
            );
            assert!(line["attempt"].as_str().is_some_and(|id| id.len() == 36), "{line}");
            assert_eq!(line["number"], number, "{line}");
            assert!(
                line["milliseconds"].as_f64().is_some_and(|took| took > 0.0 && took < 10_000.0),
                "{line}"
            );
        }
        let ends = lines("reset ended", name);
        assert_eq!(ends.len(), 1, "{ends:?}");
        let end = ends[0];
        assert_eq!((&end["request"], &end["reason"]), (&request.into(), &"Cleared".into()));
        assert_eq!((&end["attempts"], &end["code"]), (&codes.len().into(), &0.into()));
        assert!(end["seconds"].as_f64().is_some_and(|took| took > 0.0), "{end}");
    }
}

#[tokio::test]
async fn debug_logs_say_why_a_reset_waits_and_what_a_probe_found() {
    let world = World::new().await;
    world.room("@TGS#a");
    let operator = world.operator(&["--log-filter=debug"]).await;
    let logged = async |message: &str, field: &str, value: &str| {
        let what = format!("{message:?} with {field} {value}");
        until(DEADLINE, &what, || async {
            log_of(&operator).into_iter().find(|line| line["message"] == message && line[field] == value)
        })
        .await
    };
    world.app("  suspend: true").await;
    world.reset("a", "@TGS#a", "").await;
    let waits = logged("nothing to do for now", "app", "Suspended").await;
    assert_eq!((&waits["level"], &waits["reset"]), (&"DEBUG".into(), &"a".into()), "{waits}");
    world.patch("chatapp", "default", "{\"suspend\":false}").await;
    world.reset_is("a", "Cleared").await;
    let checked = logged("app checked", "name", "default").await;
    assert_eq!(
        (&checked["level"], &checked["class"]),
        (&"DEBUG".into(), &"group_not_found".into()),
        "{checked}"
    );
}
