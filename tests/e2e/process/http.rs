//! The HTTP port: metrics, liveness and readiness.

use testbed::{until, until_ok};

use crate::world::{DEADLINE, KEY, World};

#[tokio::test]
async fn metrics_report_outcomes_and_never_name_a_group_or_a_reset() {
    let world = World::new().await;
    world.room("@TGS#very-own-group");
    let operator = world.operator(&[]).await;
    world.app("").await;
    let no_app = "  suspend: true\n  appRef: { name: very-own-typo }";
    world.reset("very-own-prepared", "@TGS#very-own-group", no_app).await;
    world.reset("very-own-reset", "@TGS#very-own-group", "  requestID: very-own-request").await;
    world.reset("very-own-other", "@TGS#very-own-missing", "").await;
    world.reset_is("very-own-reset", "Cleared").await;
    world.reset_is("very-own-other", "GroupNotFound").await;
    // A code that the vendor's documentation does not list.
    world.room("@TGS#very-own-odd");
    world.vendor.script(
        testbed::vendor::When::clear().of("@TGS#very-own-odd"),
        testbed::vendor::Misbehaviour::Code(31337),
    );
    // Its outcome stays unknown while the metrics are checked.
    world.vendor.script(
        testbed::vendor::When::get().of("@TGS#very-own-odd"),
        testbed::vendor::Misbehaviour::Hang { execute: false },
    );
    world.reset("very-own-odd", "@TGS#very-own-odd", "").await;
    world.reset_is("very-own-odd", "Verifying").await;
    // Gauges are updated every few seconds.
    until(DEADLINE, "the gauges of waiting resets", || async {
        let waiting = operator.metric("groupattr_waiting_resets", &[("app", "default")]).await?;
        let oldest = operator.metric("groupattr_oldest_waiting_seconds", &[("app", "default")]).await?;
        let permits = operator.metric("groupattr_permits_in_use", &[("app", "default")]).await;
        (waiting == 1.0 && oldest > 0.0 && permits.is_some()).then_some(())
    })
    .await;

    assert_eq!(operator.get("/livez").await.unwrap().0, 200);
    assert_eq!(operator.get("/readyz").await.unwrap().0, 200);
    assert_eq!(operator.get("/").await.unwrap().0, 404);
    let text = operator.metrics().await.unwrap();
    assert!(text.contains("# TYPE groupattr_attempts_total counter\n"), "not in the text format: {text}");
    let app = [("app_namespace", world.namespace.as_str()), ("app", "default")];
    for (name, labels, value) in [
        ("attempts", vec![app[0], app[1], ("code", "0")], 1.0),
        ("attempts", vec![app[0], app[1], ("code", "10010")], 1.0),
        ("results", vec![app[0], app[1], ("reason", "Cleared")], 1.0),
        ("results", vec![app[0], app[1], ("reason", "GroupNotFound")], 1.0),
        // Present from the start, so that the first one counts as an increase.
        ("results", vec![app[0], app[1], ("reason", "OutcomeUnknown")], 0.0),
        ("results", vec![("app_namespace", ""), ("app", ""), ("reason", "OutcomeUnknown")], 0.0),
        ("attempts", vec![app[0], app[1], ("class", "unknown"), ("code", "unlisted")], 1.0),
        ("unlisted_codes", vec![("code", "31337")], 1.0),
        ("unknown_outcomes", vec![], 1.0),
        ("call_duration_seconds_count", vec![app[0], app[1]], 3.0),
        ("permit_wait_seconds_count", vec![], 3.0),
        ("end_to_end_seconds_count", vec![], 2.0),
        ("waiting_resets", vec![app[0], app[1]], 1.0),
        // Resets without an app have empty labels, and a suspended one does not age.
        ("waiting_resets", vec![("app_namespace", ""), ("app", "")], 1.0),
        ("oldest_waiting_seconds", vec![("app_namespace", ""), ("app", "")], 0.0),
        ("effective_rate", vec![app[0], app[1]], 200.0),
        ("circuit_open", vec![app[0], app[1]], 0.0),
        ("api_writes", vec![("kind", "intent"), ("result", "ok")], 3.0),
        ("api_writes", vec![("kind", "outcome"), ("result", "ok")], 3.0),
        ("leader", vec![], 1.0),
        ("malformed_objects", vec![], 0.0),
        ("build_info", vec![("version", env!("CARGO_PKG_VERSION"))], 1.0),
    ] {
        let name = format!("groupattr_{name}");
        // A result may be counted a moment after the status shows it.
        until_ok(DEADLINE, &format!("{name} {labels:?} to be {value}"), || async {
            let counted = operator.metric(&name, &labels).await;
            if counted == Some(value) { Ok(()) } else { Err(counted) }
        })
        .await;
    }
    let expires = until(DEADLINE, "the expiry of the UserSig", || {
        operator.metric("groupattr_usersig_expiry_timestamp_seconds", &app)
    })
    .await;
    let hours = (expires - jiff::Timestamp::now().as_second() as f64) / 3600.0;
    assert!((23.9..24.1).contains(&hours), "the UserSig is valid for {hours} hours");
    for line in text.lines() {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        assert!(name.starts_with("groupattr_"), "{line}");
    }
    for private in ["very-own", "@TGS", "127.0.0.1", "://", KEY] {
        assert!(!text.contains(private), "{private} appears in\n{text}");
    }
}
