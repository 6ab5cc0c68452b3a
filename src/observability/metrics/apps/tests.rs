use prometheus_client::registry::Registry;

use super::*;
use crate::observability::metrics::Code;

fn key(namespace: &str, name: &str) -> AppKey {
    let kind = if namespace.is_empty() { AppKind::ClusterChatApp } else { AppKind::ChatApp };
    AppKey { kind, namespace: namespace.to_owned(), name: name.to_owned() }
}

fn keys(namespace: &str, count: usize) -> Vec<AppKey> {
    (0..count).map(|number| key(namespace, &format!("app-{number:04}"))).collect()
}

fn figures() -> AppGauges {
    AppGauges {
        waiting: 1,
        oldest: Duration::from_secs(9),
        is_not_closed: true,
        usersig_expiry: Some(1_700_000_000),
        limit: Some((1, 200.0)),
        was_verified: false,
    }
}

fn show(series: &mut AppSeries, apps: &[AppKey]) {
    series.update(apps.iter().map(|app| (app, figures())).collect());
}

fn shown(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

fn with_own_series(registry: &Registry) -> usize {
    let text = shown(registry);
    let lines = text.lines().filter(|line| line.starts_with("groupattr_circuit_open{"));
    lines.filter(|line| !line.contains("app=\"\"")).count()
}

#[test]
fn three_thousand_apps_of_one_namespace_do_not_swell_a_scrape() {
    let (metrics, registry) = Metrics::new();
    let mut series = AppSeries::new(metrics);
    let apps = keys("greedy", 3000);
    show(&mut series, &apps);
    let text = shown(&registry);
    assert!(text.len() < 150_000, "{} bytes", text.len());
    assert_eq!(with_own_series(&registry), MAX_PER_NAMESPACE);
    let shared = r#"app_kind="ChatApp",app_namespace="greedy",app="""#;
    for line in [
        &*format!("groupattr_waiting_resets{{{shared}}} 2950"),
        &*format!("groupattr_oldest_waiting_seconds{{{shared}}} 9.0"),
        &*format!("groupattr_circuit_open{{{shared}}} 1"),
        "groupattr_apps_sharing_series 2950",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in the {} bytes", text.len());
    }
    // The apps of other namespaces and of the platform still get series of their own.
    let others = [keys("neighbour", 3), keys("", 60)].concat();
    show(&mut series, &[apps, others].concat());
    assert_eq!(with_own_series(&registry), MAX_PER_NAMESPACE + 63);
}

#[test]
fn many_namespaces_do_not_swell_it_either() {
    let (metrics, registry) = Metrics::new();
    let mut series = AppSeries::new(metrics);
    let mut apps: Vec<_> = (0..30).flat_map(|n| keys(&format!("greedy-{n:02}"), 60)).collect();
    apps.extend(keys("", 300));
    show(&mut series, &apps);
    assert_eq!(with_own_series(&registry), MAX_OF_NAMESPACES + MAX_OF_CLUSTER);
}

#[test]
fn who_has_series_keeps_them_and_a_place_that_is_free_goes_to_another() {
    let (metrics, registry) = Metrics::new();
    let mut series = AppSeries::new(metrics);
    let mut apps = keys("greedy", MAX_PER_NAMESPACE);
    show(&mut series, &apps);
    // The new app sorts first by name and is verified too, but the existing apps keep their series.
    let first = key("greedy", "a");
    let mut all: Vec<_> = apps.iter().map(|app| (app, figures())).collect();
    all.push((&first, AppGauges { was_verified: true, ..figures() }));
    series.update(all);
    assert_eq!(series.label(&first).app, "");
    let gone = apps.pop().unwrap();
    series.forget(&gone);
    assert!(!shown(&registry).contains(&gone.name));
    apps.push(first.clone());
    show(&mut series, &apps);
    assert_eq!(series.label(&first).app, "a");
    assert!(!shown(&registry).contains("app=\"\""), "no app shares a series any more");
}

#[test]
fn of_newcomers_those_that_work_get_series_first() {
    let (metrics, _) = Metrics::new();
    let mut series = AppSeries::new(metrics);
    let apps = keys("greedy", 2 * MAX_PER_NAMESPACE);
    let works = |app: &AppKey| app.name.as_str() >= "app-0090";
    series
        .update(apps.iter().map(|app| (app, AppGauges { was_verified: works(app), ..figures() })).collect());
    for app in &apps {
        let has_own = !series.label(app).app.is_empty();
        assert_eq!(has_own, works(app) || app.name.as_str() < "app-0040", "{}", app.name);
    }
}

#[test]
fn a_shared_counter_survives_those_who_leave() {
    let (metrics, registry) = Metrics::new();
    let mut series = AppSeries::new(metrics.clone());
    let mut apps = keys("greedy", MAX_PER_NAMESPACE + 3);
    show(&mut series, &apps);
    for app in &apps[MAX_PER_NAMESPACE..] {
        metrics.attempt(&series.label(app), "success", Code::Listed(0));
    }
    let counted = || {
        shown(&registry)
            .lines()
            .any(|line| line.starts_with("groupattr_attempts_total") && line.ends_with(" 3"))
    };
    assert!(counted());
    series.forget(&apps.pop().unwrap());
    show(&mut series, &apps);
    assert!(counted(), "{}", shown(&registry));
}

#[test]
fn of_those_who_share_a_series_the_worst_is_shown() {
    let mut all = AppGauges { is_not_closed: false, usersig_expiry: None, limit: None, ..figures() };
    all.merge(&AppGauges {
        oldest: Duration::from_secs(3),
        limit: Some((4, 7.0)),
        usersig_expiry: Some(5),
        ..figures()
    });
    all.merge(&AppGauges {
        is_not_closed: false,
        usersig_expiry: Some(6),
        limit: Some((2, 9.0)),
        ..figures()
    });
    let wanted = AppGauges {
        waiting: 3,
        is_not_closed: true,
        usersig_expiry: Some(5),
        limit: Some((4, 7.0)),
        ..figures()
    };
    assert_eq!(all, wanted);
}
