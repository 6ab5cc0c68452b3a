//! Attack: read what belongs to the platform or to another tenant.

use super::platform::Tenancy;
use super::tenant::Tenant;

#[tokio::test]
async fn a_tenant_cannot_read_the_platforms_secret_its_app_or_another_namespace() {
    let tenancy = Tenancy::new("{ from: All }").await;
    tenancy.app_is("Verified").await;
    tenancy.reset("mine").await;
    tenancy.tenant.reset_is("mine", "Cleared").await;
    let (home, neighbour) =
        (tenancy.platform.home.namespace.as_str(), tenancy.tenant.plane.namespace().await.unwrap());
    let tenant = Tenant::of(tenancy.tenant.plane, &tenancy.tenant.namespace).await;
    // Permitted requests work, so the refusals below are meaningful.
    let own = tenant.kubectl(&["get", "gar"]).await;
    assert!(own.ok && own.stdout.contains("mine") && own.stdout.contains("Cleared"), "{}", own.stderr);

    let app = tenancy.app.as_str();
    let raw = format!("/api/v1/namespaces/{home}/secrets/{app}");
    let around = format!(
        "/apis/groupattr.dev/v1alpha1/namespaces/{}/chatapps/%2e%2e/%2e%2e/{home}/chatapps",
        tenancy.tenant.namespace
    );
    let operator = format!("--as={}", tenancy.platform.home.account.user());
    for attack in [
        &["get", "secret", app, "-n", home][..],
        &["get", "secrets", "-n", home],
        &["get", "--raw", &raw],
        &["get", "clusterchatapps"],
        &["get", "clusterchatapp", app, "-o", "yaml"],
        &["get", "gar", "--all-namespaces"],
        &["get", "gar", "-n", &neighbour],
        &["get", "chatapps", "-n", &neighbour],
        &["get", "events.events.k8s.io", "-n", home],
        &["get", "events.events.k8s.io", "-n", "default"],
        &["get", "leases", "-n", home],
        &["get", "secret", app, "-n", home, &operator],
        &["create", "token", "operator", "-n", home],
        &["create", "token", "operator"],
    ] {
        tenant.is_forbidden(attack).await;
    }
    let done = tenant.kubectl(&["get", "--raw", &around]).await;
    assert!(!done.ok, "a path with dots in it: {}", done.stdout);
}
