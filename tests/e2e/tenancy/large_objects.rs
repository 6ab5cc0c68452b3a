//! Attack: exhaust the memory of the shared operator with large objects.

use std::fmt::Write as _;

use serde_json::json;
use testbed::until_ok;

use super::platform::Tenancy;
use super::tenant::Tenant;
use crate::world::replicas::NO_ELECTION;
use crate::world::{DEADLINE, OwnPlane, World};

/// Just below the API server's limit of 256 KiB of annotations per object.
const ANNOTATION: usize = 250_000;
const OBJECTS: usize = 120;
/// The operator's maximum during startup; without objects it needs about 30 MiB.
const PEAK_KIB: u64 = 96 * 1024;

/// Waiting resets and apps stay in the cache, so their annotations must not.
#[tokio::test]
async fn large_objects_of_a_tenant_do_not_fill_memory() {
    let tenancy = Tenancy::new("{ from: All }").await;
    tenancy.app_is("Verified").await;
    let tenant = Tenant::of(tenancy.tenant.plane, &tenancy.tenant.namespace).await;
    let operator = &tenancy.platform.operator;
    let before = operator.rss_kib().unwrap();
    let ballast = "x".repeat(ANNOTATION);
    for start in (0..OBJECTS).step_by(20) {
        let mut batch = String::new();
        for number in start..start + 20 {
            let (kind, spec) = if number % 2 == 0 {
                ("GroupAttributeReset", "groupID: waiting, suspend: true")
            } else {
                (
                    "ChatApp",
                    "sdkAppID: 1, region: Singapore, suspend: true, credentials: { secretKeyRef: { name: chat } }",
                )
            };
            let metadata = format!("name: large-{number}, annotations: {{ ballast: {ballast} }}");
            writeln!(
                batch,
                "---\napiVersion: groupattr.dev/v1alpha1\nkind: {kind}\nmetadata: {{ {metadata} }}\nspec: {{ {spec} }}"
            )
            .unwrap();
        }
        tenant.create(&batch).await;
    }
    until_ok(DEADLINE, "the operator to have seen all objects", || async {
        let reasons = tenancy.tenant.reasons().await;
        if reasons.get("Suspended") == Some(&(OBJECTS / 2)) { Ok(()) } else { Err(reasons) }
    })
    .await;
    let grown = operator.rss_kib().unwrap().saturating_sub(before);
    let sent = OBJECTS * ANNOTATION / 1024;
    assert!(grown < (sent * 3 / 4) as u64, "{sent} KiB of annotations made the operator grow by {grown} KiB");

    // It still serves others without delay.
    tenancy.reset("small").await;
    tenancy.tenant.reset_is("small", "Cleared").await;
}

/// A list is read in pages, and a whole page is in memory at once.
#[tokio::test]
async fn large_objects_listed_at_startup_do_not_fill_memory() {
    const LARGE: usize = 300;
    // Its own API server, because other tests would have to read these objects in the audit log.
    let plane = OwnPlane::new().await;
    let world = World::on(*plane).await;
    let tenant = Tenant::of(world.plane, &world.namespace).await;
    let ballast = "x".repeat(200_000);
    for start in (0..LARGE).step_by(50) {
        let items: Vec<_> = (start..start + 50)
            .map(|number| {
                json!({
                    "apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset",
                    "metadata": {"name": format!("large-{number}"), "annotations": {"ballast": ballast}},
                    "spec": {"groupID": "waiting", "suspend": true},
                })
            })
            .collect();
        tenant.create(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).await;
    }
    let operator = world.operator(&NO_ELECTION).await;
    operator.wait_for_log("the initial lists are complete", DEADLINE).await;
    let (peak, stored) = (operator.peak_rss_kib().unwrap(), LARGE * ballast.len() / 1024);
    assert!(peak < PEAK_KIB, "{stored} KiB of objects took the process to {peak} KiB");
}
