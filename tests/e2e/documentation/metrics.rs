//! The documented metrics table against the metrics of a running operator.

use std::collections::{BTreeMap, BTreeSet};

use testbed::control_plane::Scope;
use testbed::vendor::{Misbehaviour, When};
use testbed::{until, until_ok};

use super::text::{page, quoted, rows, section};
use crate::world::{DEADLINE, World, plane, rights};

/// Type and label names of each metric, by name.
type Table = BTreeMap<String, (String, BTreeSet<String>)>;

#[tokio::test]
async fn the_metrics_table_matches_a_running_operator() {
    let world = World::without_rights(plane().await).await;
    let here = Scope::Namespaces(vec![world.namespace.clone()]);
    // A temporarily missing permission makes series appear that a healthy operator does not have.
    let (fewer, _) = rights().without(0);
    world.plane.grant(&world.account, &fewer, &here).await.unwrap();
    let operator = world.start(world.launch(&[]));
    until(DEADLINE, "a failed watch", || operator.metric("groupattr_watch_errors", &[])).await;
    world.plane.grant(&world.account, &rights(), &here).await.unwrap();
    operator.ready(DEADLINE).await;
    world.app("").await;
    for group in ["@TGS#clean", "@TGS#odd"] {
        world.room(group);
    }
    // So does an unlisted code.
    world.vendor.script(When::clear().of("@TGS#odd").times(1), Misbehaviour::Code(31337));
    world.reset("odd", "@TGS#odd", "").await;
    world.reset("clean", "@TGS#clean", "").await;
    world.reset_is("clean", "Cleared").await;
    world.reset_is("odd", "Verifying").await;

    let wanted = documented();
    assert!(wanted.len() > 15, "{wanted:?}");
    until_ok(DEADLINE, "the documented metrics and no others", || async {
        let text = operator.metrics().await.unwrap_or_default();
        let open_metrics = operator.open_metrics().await.unwrap_or_default();
        for shown in [shown(&text), shown(&open_metrics)] {
            let names: BTreeSet<String> = shown.keys().chain(wanted.keys()).cloned().collect();
            let differ = |name: &String| shown.get(name) != wanted.get(name);
            let differing: Vec<String> = names.into_iter().filter(differ).collect();
            if !differing.is_empty() {
                return Err((differing, shown));
            }
        }
        Ok(())
    })
    .await;
}

fn documented() -> Table {
    let text = section(&page("docs/operating.md"), "## Metrics");
    let metrics = rows(&text).into_iter().filter(|row| row.len() == 4 && row[0].starts_with("`groupattr_"));
    let entry = |row: Vec<String>| {
        let mut labels = quoted(&row[2]);
        if row[2].contains("app's") {
            labels.extend(["app_kind", "app_namespace", "app"].map(str::to_owned));
        }
        (row[0].trim_matches('`').to_owned(), (row[1].clone(), labels))
    };
    metrics.map(entry).collect()
}

/// Of a page in either format. OpenMetrics names a family without the suffix of its series, and knows information.
fn shown(page: &str) -> Table {
    let is_open_metrics = page.ends_with("# EOF\n");
    let mut table = Table::new();
    for line in page.lines() {
        let Some(rest) = line.strip_prefix("# TYPE ") else { continue };
        let (family, kind) = rest.split_once(' ').unwrap();
        let (suffix, kind) = match kind {
            "counter" if is_open_metrics => ("_total", kind),
            "info" if is_open_metrics => ("_info", "gauge"),
            _ => ("", kind),
        };
        let name = format!("{family}{suffix}");
        let labels = labels(page, &name);
        table.insert(name, (kind.to_owned(), labels));
    }
    table
}

fn labels(text: &str, name: &str) -> BTreeSet<String> {
    let of = |line: &str| {
        let (series, rest) = line.split_once('{')?;
        let ending = series.strip_prefix(name)?;
        if !["", "_bucket", "_count", "_sum"].contains(&ending) {
            return None;
        }
        let names = rest.rsplit_once('}')?.0.split("\",").filter_map(|pair| pair.split_once('='));
        Some(names.map(|(label, _)| label.to_owned()).filter(|label| label != "le").collect::<Vec<_>>())
    };
    text.lines().filter_map(of).flatten().collect()
}
