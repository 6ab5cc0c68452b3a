//! Attack: hundreds of apps that can never be verified keep the operator busy.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use testbed::until_ok;

use super::tenant::Tenant;
use crate::world::replicas::NO_ELECTION;
use crate::world::{APP_ID, DEADLINE, KEY, World, chat_app};

/// Apps with a wrong key, and as many without a Secret.
const APPS: u64 = 150;
/// The first of the account numbers that do not exist.
const INVENTED: u64 = 1_000_000;
/// Twice the budget of five a second, because arrivals bunch up on a busy machine. The unit tests of
/// `limits::check_queue` check the exact budget. Without one there would be hundreds.
const IN_A_SECOND: usize = 2 * 5;

/// Asserts that no second has more than [`IN_A_SECOND`], and that the total is within the budget.
fn assert_within_budget(what: &str, mut arrivals: Vec<Timestamp>) {
    arrivals.sort_unstable();
    let second = Duration::from_secs(1);
    let apart = |first: Timestamp, last: Timestamp| last.duration_since(first).unsigned_abs();
    for window in arrivals.windows(IN_A_SECOND + 1) {
        let took = apart(window[0], window[IN_A_SECOND]);
        assert!(took > second, "{} {what} within {took:?}", window.len());
    }
    let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else { panic!("no {what}") };
    let most = 5 * apart(*first, *last).as_millis() / 1000 + IN_A_SECOND as u128;
    assert!(arrivals.len() as u128 <= most, "{} {what}, {most} are allowed", arrivals.len());
}

#[tokio::test]
async fn unverifiable_apps_cost_five_checks_a_second_and_delay_no_neighbour() {
    let here = World::new().await;
    let neighbour = here.neighbour().await;
    let operator =
        here.operator(&[NO_ELECTION[0], &format!("--watch-namespace={}", neighbour.namespace)]).await;
    let url = here.vendor.url();
    neighbour.secret("chat", KEY).await;
    neighbour.apply(&chat_app("default", APP_ID, &url, "")).await;
    neighbour.app_is("Verified").await;

    let tenant = Tenant::of(here.plane, &here.namespace).await;
    let mut apps = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: chat }}\nstringData: {{ secretKey: {:?} }}\n",
        KEY.replace('f', "0")
    );
    for number in 0..APPS {
        let invented = chat_app(&format!("invented-{number}"), INVENTED + 2 * number, &url, "");
        let missing = chat_app(&format!("missing-{number}"), INVENTED + 2 * number + 1, &url, "")
            .replace("name: chat }", "name: nowhere }");
        write!(apps, "---\n{invented}---\n{missing}").unwrap();
    }
    tenant.create(&apps).await;
    let probes = || here.vendor.entries(|entry| entry.sdkappid.is_some_and(|account| account >= INVENTED));
    until_ok(DEADLINE, "some of the apps to be probed", || async {
        let probes = probes().len();
        if probes >= 8 { Ok(()) } else { Err(probes) }
    })
    .await;

    // A working app sends at once; the first check of a new app waits only for its namespace's turn.
    here.room("@TGS#a");
    let started = Instant::now();
    neighbour.reset("a", "@TGS#a", "").await;
    neighbour.reset_is("a", "Cleared").await;
    assert!(started.elapsed() < Duration::from_secs(4), "cleared after {:?}", started.elapsed());
    here.vendor.account(2, KEY, &["administrator"]);
    let started = Instant::now();
    neighbour.apply(&chat_app("new", 2, &url, "")).await;
    neighbour.until_reason("chatapp", "new", "Ready", "Verified").await;
    assert!(started.elapsed() < Duration::from_secs(4), "verified after {:?}", started.elapsed());

    here.plane.audit_marker().await.unwrap();
    let audit = here.plane.audit_of(&here.account.user()).unwrap();
    let reads = audit.iter().filter(|event| event.resource == "secrets" && event.namespace == here.namespace);
    assert_within_budget("reads of Secrets", reads.map(|event| event.received).collect());
    assert_within_budget("probes", probes().iter().map(|probe| probe.arrived_at).collect());
    until_ok(DEADLINE, "the metrics to count the waiting apps", || async {
        let metrics = operator.metrics().await.map_err(|error| format!("{error:#}"))?;
        let waiting = operator.metric("groupattr_checks_waiting", &[]).await;
        let sharing = operator.metric("groupattr_apps_sharing_series", &[]).await;
        let is_counted = waiting > Some(100.0) && sharing > Some(200.0);
        if is_counted && metrics.len() < 100_000 {
            Ok(())
        } else {
            Err(format!("{waiting:?} {sharing:?} {}", metrics.len()))
        }
    })
    .await;
}
