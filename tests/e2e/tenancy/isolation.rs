//! Attack: write what only the operator or the platform may write, and refer to what belongs to others.

use serde_json::Value;

use super::platform::Tenancy;
use super::tenant::Tenant;
use crate::world::{message_of, reason_of};

/// A status with a final result and a foreign pending attempt.
const FORGED: &str = r#"{"status":{"observedGeneration":1,"attempts":7,"completionTime":"2026-01-01T00:00:00Z",
    "conditions":[{"type":"Succeeded","status":"True","reason":"Cleared","message":"forged",
        "lastTransitionTime":"2026-01-01T00:00:00Z"}],
    "pendingAttempt":{"id":"forged","number":1,"startTime":"2026-01-01T00:00:00Z",
        "deadline":"2026-01-01T00:00:10Z","holder":"forged","sdkAppID":1,"host":"forged.example.com:443"}}}"#;

/// The manifest of a reset that uses the shared app; `more` is appended.
fn reset(tenancy: &Tenancy, name: &str, more: &str) -> String {
    format!(
        "apiVersion: groupattr.dev/v1alpha1
kind: GroupAttributeReset
metadata: {{ name: {name} }}
spec:
  groupID: {:?}
  appRef: {{ kind: ClusterChatApp, name: {} }}
{more}",
        tenancy.group(name),
        tenancy.app
    )
}

#[tokio::test]
async fn a_handwritten_status_is_refused_or_dropped_and_the_room_is_cleared_once() {
    let tenancy = Tenancy::new("{ from: All }").await;
    tenancy.app_is("Verified").await;
    let tenant = Tenant::of(tenancy.tenant.plane, &tenancy.tenant.namespace).await;
    tenancy.room("born");
    let forged: Value = serde_json::from_str(FORGED).unwrap();
    // Suspended, so that the stored object can be examined before the operator writes a final status.
    tenant.create(&reset(&tenancy, "born", &format!("  suspend: true\nstatus: {}", forged["status"]))).await;
    let suspended = tenancy.tenant.reset_is("born", "Suspended").await;
    let merge = ["--type=merge", "-p", FORGED];
    for attack in [
        &["patch", "gar", "born", "--subresource=status"][..],
        &["patch", "chatapp", "default", "--subresource=status"],
    ] {
        tenant.is_forbidden(&[attack, &merge].concat()).await;
    }
    let through_the_object = tenant.kubectl(&[&["patch", "gar", "born"][..], &merge].concat()).await;
    assert!(through_the_object.ok, "{}", through_the_object.stderr);
    for object in [suspended, tenancy.tenant.object("gar", "born").await.unwrap()] {
        assert!(!object["status"].to_string().contains("forged"), "{object:#}");
        assert!(object["status"]["attempts"].as_i64().unwrap_or_default() == 0, "{object:#}");
    }
    let resumed =
        tenant.kubectl(&["patch", "gar", "born", "--type=merge", "-p", r#"{"spec":{"suspend":false}}"#]);
    assert!(resumed.await.ok);
    let cleared = tenancy.tenant.reset_is("born", "Cleared").await;
    assert_eq!(cleared["status"]["attempts"], 1, "{cleared:#}");
    assert_eq!(tenancy.platform.home.vendor.clears_of(&tenancy.group("born")).len(), 1);
}

#[tokio::test]
async fn no_reference_leaves_the_namespace() {
    let tenancy = Tenancy::new("{ from: None }").await;
    tenancy.app_is("Verified").await;
    let (home, app) = (tenancy.platform.home.namespace.as_str(), tenancy.app.as_str());
    let (vendor, account) = (tenancy.platform.home.vendor.url(), tenancy.account);
    let tenant = Tenant::of(tenancy.tenant.plane, &tenancy.tenant.namespace).await;
    tenancy.tenant.plane.audit_marker().await.unwrap();
    // The namespaces in which the operator looked for the Secret.
    let places = || -> Vec<String> {
        let audit = tenancy.tenant.plane.audit_of(&tenancy.platform.home.account.user()).unwrap();
        let reads = audit.iter().filter(|event| event.resource == "secrets" && event.name == app);
        reads.map(|event| event.namespace.clone()).collect()
    };
    let before = places().len();

    // Unknown fields are pruned; the Secret is read from the app's own namespace.
    let manifest = |name: &str, reference: &str| {
        format!(
            "apiVersion: groupattr.dev/v1alpha1
kind: ChatApp
metadata: {{ name: {name} }}
spec:
  sdkAppID: {account}
  endpoint: {vendor}
  credentials: {{ secretKeyRef: {reference}, namespace: {home} }}
  namespace: {home}
"
        )
    };
    tenant.create(&manifest("thief", &format!("{{ name: {app}, namespace: {home} }}"))).await;
    let thief = tenancy.tenant.until_reason("chatapp", "thief", "Ready", "SecretNotFound").await;
    assert!(!thief["spec"].to_string().contains(home), "{thief:#}");
    assert!(message_of(&thief, "Ready").contains(&tenancy.tenant.namespace), "{thief:#}");
    for path in
        [format!("../{home}/secrets/{app}"), format!("{home}/{app}"), format!("{app}?x"), "..".to_owned()]
    {
        let refused = tenant
            .kubectl_with(
                &["create", "--validate=ignore", "-f", "-"],
                &manifest("walker", &format!("{{ name: {path:?} }}")),
            )
            .await;
        assert!(!refused.ok && refused.stderr.contains("secretKeyRef.name"), "{path}: {}", refused.stderr);
    }

    // A reset finds no app in another namespace either.
    for (name, reference) in [
        ("by-namespace", format!("{{ name: {app}, namespace: {home} }}")),
        ("by-kind", format!("{{ kind: ChatApp, name: {app}, apiGroup: v1 }}")),
    ] {
        let group = tenancy.group(name);
        tenancy.room(name);
        tenant
            .create(&format!(
                "apiVersion: groupattr.dev/v1alpha1
kind: GroupAttributeReset
metadata: {{ name: {name} }}
spec: {{ groupID: {group:?}, appRef: {reference} }}
"
            ))
            .await;
        let reset = tenancy.tenant.reset_is(name, "AppNotFound").await;
        assert!(!reset["spec"].to_string().contains(home), "{reset:#}");
        assert!(tenancy.platform.home.vendor.clears_of(&group).is_empty());
    }
    tenancy.tenant.plane.audit_marker().await.unwrap();
    let since = &places()[before..];
    assert!(!since.is_empty(), "the Secret should be looked for in the tenant's namespace");
    assert!(
        since.iter().all(|place| *place == tenancy.tenant.namespace),
        "the Secret was looked for elsewhere: {since:?}"
    );
}

#[tokio::test]
async fn a_tenant_cannot_grant_itself_a_cluster_app() {
    let selector = "{ from: Selector, selector: { matchLabels: { chat: live } } }";
    let tenancy = Tenancy::new(selector).await;
    tenancy.app_is("Verified").await;
    tenancy.reset("a").await;
    tenancy.not_allowed("a").await;
    let tenant = Tenant::of(tenancy.tenant.plane, &tenancy.tenant.namespace).await;
    let open = r#"{"spec":{"allowedNamespaces":{"from":"All","selector":null}}}"#;
    let mine = format!(
        "apiVersion: groupattr.dev/v1alpha1
kind: ClusterChatApp
metadata: {{ name: mine-{} }}
spec: {{ sdkAppID: 1, region: Singapore, credentials: {{ secretKeyRef: {{ name: chat }} }} }}
",
        tenancy.account
    );
    tenant.is_forbidden(&["label", "namespace", &tenancy.tenant.namespace, "chat=live"]).await;
    tenant.is_forbidden(&["patch", "clusterchatapp", &tenancy.app, "--type=merge", "-p", open]).await;
    tenant.is_forbidden(&["delete", "clusterchatapp", &tenancy.app]).await;
    let created = tenant.kubectl_with(&["create", "-f", "-"], &mine).await;
    assert!(!created.ok && created.stderr.contains("Forbidden"), "{}", created.stderr);

    // A label on the reset itself grants nothing.
    tenant
        .create(
            &reset(&tenancy, "labelled", "")
                .replace("name: labelled }", "name: labelled, labels: { chat: live } }"),
        )
        .await;
    tenancy.not_allowed("labelled").await;
    let a = tenancy.tenant.object("gar", "a").await.unwrap();
    assert_eq!(reason_of(&a, "Succeeded"), "AppNotAllowed");
    for name in ["a", "labelled"] {
        assert!(tenancy.platform.home.vendor.clears_of(&tenancy.group(name)).is_empty());
    }
}
