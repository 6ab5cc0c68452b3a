use super::*;

fn app() -> AppLabel {
    AppLabel { app_kind: "ChatApp", app_namespace: "shop".to_owned(), app: "default".to_owned() }
}

fn shown(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

#[test]
fn names_carry_prefix_unit_and_one_total() {
    let (metrics, registry) = Metrics::new();
    metrics.attempt(&app(), "Success", Code::Listed(0));
    metrics.result(&app(), "Cleared", Duration::from_millis(300));
    metrics.usersig_expiry(&app(), 1_700_000_000);
    metrics.api_write("intent", "ok");
    let text = shown(&registry);
    let labels = r#"app_kind="ChatApp",app_namespace="shop",app="default""#;
    for line in [
        &*format!(r#"groupattr_attempts_total{{{labels},class="Success",code="0"}} 1"#),
        &*format!(r#"groupattr_results_total{{{labels},reason="Cleared"}} 1"#),
        &*format!("groupattr_usersig_expiry_timestamp_seconds{{{labels}}} 1700000000"),
        "# UNIT groupattr_end_to_end_seconds seconds",
        "groupattr_end_to_end_seconds_count 1",
        r#"groupattr_api_writes_total{kind="intent",result="ok"} 1"#,
        "groupattr_leader 0",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    assert!(text.contains("groupattr_build_info{version=") && !text.contains("total_total"), "{text}");
}

#[test]
fn unlisted_codes_cannot_flood_the_series() {
    let (metrics, registry) = Metrics::new();
    (0..300).for_each(|code| metrics.attempt(&app(), "Unknown", Code::Unlisted(code)));
    let text = shown(&registry);
    assert_eq!(text.matches("groupattr_unlisted_codes_total{").count(), UNLISTED_CODES + 1);
    assert!(text.contains(r#"groupattr_unlisted_codes_total{code="other"} 200"#), "{text}");
    assert!(text.contains(r#"code="unlisted"} 300"#), "{text}");
}

#[test]
fn a_forgotten_app_leaves_no_series() {
    let (metrics, registry) = Metrics::new();
    metrics.attempt(&app(), "Success", Code::Absent);
    metrics.result(&app(), "Cleared", Duration::ZERO);
    metrics.call_duration(&app(), Duration::ZERO);
    metrics.waiting(&app(), 1, Duration::ZERO);
    metrics.limit(&app(), 1, 200.0);
    metrics.circuit(&app(), true);
    metrics.usersig_expiry(&app(), 1);
    assert!(shown(&registry).contains("shop"));
    metrics.forget_app(&app());
    assert!(!shown(&registry).contains("shop"));
}
