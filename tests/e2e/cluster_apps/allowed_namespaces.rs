//! `allowedNamespaces`: which namespaces may use a `ClusterChatApp`.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use testbed::proxy::{Boundary, Fault, Position};
use testbed::vendor::{Command, Misbehaviour, When};
use testbed::{until, until_ok};

use super::platform::{Tenancy, operator_of_all_namespaces, until_shut_out};
use crate::world::{
    APP_ID, CRDS, DEADLINE, KEY, Leg, OwnPlane, World, chat_app, install_loose_crds, message_of, reason_of,
};

#[tokio::test]
async fn namespace_labels_grant_and_revoke_access() {
    let selector = "{ from: Selector, selector: { matchLabels: { chat: live }, \
                    matchExpressions: [{ key: tier, operator: NotIn, values: [free] }] } }";
    let tenancy = Tenancy::new(selector).await;
    tenancy.app_is("Verified").await;
    tenancy.reset("a").await;
    tenancy.not_allowed("a").await;
    tenancy.label("chat=live").await;
    tenancy.tenant.reset_is("a", "Cleared").await;

    tenancy.label("tier=free").await;
    tenancy.shuts("free").await;
    let before = tenancy.calls();
    tenancy.reset("b").await;
    tenancy.not_allowed("b").await;
    assert_eq!(tenancy.calls(), before, "nothing may be sent without access");
    tenancy.label("tier=gold").await;
    tenancy.tenant.reset_is("b", "Cleared").await;
    tenancy.label("chat-").await;
    tenancy.shuts("off").await;
    tenancy.reset("c").await;
    tenancy.not_allowed("c").await;

    // By its name, a label that no other namespace can have.
    let named = format!("kubernetes.io/metadata.name: {}", tenancy.tenant.namespace);
    tenancy.open(&format!("{{ from: Selector, selector: {{ matchLabels: {{ {named} }} }} }}")).await;
    tenancy.tenant.reset_is("c", "Cleared").await;
}

#[tokio::test]
async fn revoking_access_stops_waiting_resets() {
    let tenancy = Tenancy::new("{ from: All }").await;
    tenancy.tenant.patch("clusterchatapp", &tenancy.app, r#"{"limits":{"callsPerSecond":1}}"#).await;
    tenancy.app_is("Verified").await;
    // The first call is slow enough to revoke access during it.
    let slow = When::clear().by(tenancy.account).times(1);
    tenancy.platform.home.vendor.script(slow, Misbehaviour::DelayAfter(Duration::from_secs(5)));
    join_all(["a", "b", "c", "d", "e"].map(|name| tenancy.reset(name))).await;
    let clears = || {
        let account = tenancy.account;
        let entries = tenancy
            .platform
            .home
            .vendor
            .entries(move |e| e.command == Command::Clear && e.sdkappid == Some(account));
        entries.len()
    };
    until(DEADLINE, "a first clear", || async { (clears() >= 1).then_some(()) }).await;
    tenancy
        .tenant
        .merge("clusterchatapp", &tenancy.app, &json!({"spec": {"allowedNamespaces": {"from": "None"}}}))
        .await;
    let denied = until_ok(DEADLINE, "the other resets to lose access", || async {
        let reasons = tenancy.tenant.reasons().await;
        let count = |reason| reasons.get(reason).copied().unwrap_or_default();
        if count("AppNotAllowed") + count("Cleared") == 5 { Ok(count("AppNotAllowed")) } else { Err(reasons) }
    })
    .await;
    assert!(denied >= 3, "only {denied} lost access");
    assert_eq!(clears() + denied, 5, "a reset without access was sent");
}

/// Its intent is stored, and only its permit is missing.
#[tokio::test]
async fn revoking_access_before_the_permit_arrives_prevents_the_call() {
    let plane = OwnPlane::new().await;
    let world = World::breakable_on(*plane).await;
    let _operator = operator_of_all_namespaces(&world).await;
    let label = async |label: &str| {
        let done = world.plane.kubectl(&["label", "namespace", &world.namespace, label]).await.unwrap();
        assert!(done.ok, "{}", done.stderr);
    };
    label("chat=live").await;
    world.secret("chat", KEY).await;
    let open = "  allowedNamespaces: { from: Selector, selector: { matchLabels: { chat: live } } }";
    let app = chat_app("shared", APP_ID, &world.chat_url(), open);
    world.apply(&app.replace("kind: ChatApp", "kind: ClusterChatApp")).await;
    world.until_reason("clusterchatapp", "shared", "Ready", "Verified").await;
    let reset = async |name: &str| {
        let group = format!("@TGS#{name}");
        world.room(&group);
        world.reset(name, &group, "  appRef: { kind: ClusterChatApp, name: shared }").await;
    };
    let intent = Boundary::intent().about("late");
    let plan = world.plan(Leg::Api, intent, Position::LostAnswer, Fault::Hold);
    reset("late").await;
    plan.has_fired(DEADLINE).await;
    label("chat-").await;
    until_shut_out(&world, "shut", reset).await;
    plan.release();
    let late = world.reset_is("late", "AppNotAllowed").await;
    assert_eq!(late["status"]["lastAttempt"]["outcome"], "NotSent", "{late:#}");
    assert_eq!(world.calls("@TGS#late"), 0);
}

/// Older CRDs, and tools without field validation, let such selectors be stored. Only access is affected: the
/// account works, and its status is still updated under the current CRDs.
#[tokio::test]
async fn an_empty_or_invalid_selector_matches_no_namespace() {
    let plane = OwnPlane::new().await;
    install_loose_crds(*plane).await;
    let world = World::without_rights(*plane).await;
    let operator = operator_of_all_namespaces(&world).await;
    world.secret("chat", KEY).await;
    let one = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]});
    let selectors = [
        ("empty", json!({})),
        ("typo", json!({"matchLables": {"chat": "live"}})),
        ("unknown", one("Unlike", json!(["free"]))),
        ("valueless", one("NotIn", json!([]))),
        ("overfull", one("DoesNotExist", json!(["free"]))),
    ];
    for (account, (name, selector)) in (1_u64..).zip(&selectors) {
        world.vendor.account(account, KEY, &["administrator"]);
        world.vendor.room(account, &format!("@TGS#{name}"), &[("seat1", "ann")]);
        let open = json!({"from": "Selector", "selector": selector});
        let app = chat_app(name, account, &world.vendor.url(), &format!("  allowedNamespaces: {open}\n"));
        let app = app.replace("kind: ChatApp", "kind: ClusterChatApp");
        // The loose CRDs take effect a moment later.
        until_ok(DEADLINE, "the app to be accepted", || plane.apply_in(&world.namespace, &app)).await;
        let stored = world.object("clusterchatapp", name).await.unwrap();
        assert_eq!(
            &stored["spec"]["allowedNamespaces"]["selector"], selector,
            "the selector must be stored as it is"
        );
        world
            .reset(
                name,
                &format!("@TGS#{name}"),
                &format!("  appRef: {{ kind: ClusterChatApp, name: {name} }}"),
            )
            .await;
    }
    for (name, _) in &selectors {
        world.until_reason("clusterchatapp", name, "Ready", "Verified").await;
        world.reset_is(name, "AppNotAllowed").await;
        let said = operator.logs();
        let logged = said.lines().any(|line| {
            line.contains("allowedNamespaces.selector admits no namespace")
                && line.contains(&format!("\"{name}\""))
        });
        assert!(logged, "the log does not say why {name} is closed");
    }

    plane.install_crds(CRDS).await.expect("CRDs");
    let patch = |name: &str, spec: Value| {
        let (plane, name, patch) = (*plane, name.to_owned(), json!({"spec": spec}).to_string());
        async move {
            plane.kubectl(&["patch", "clusterchatapp", &name, "--type=merge", "-p", &patch]).await.unwrap()
        }
    };
    let refused = until_ok(DEADLINE, "the current CRDs to take effect", || async {
        let again = patch("typo", json!({"allowedNamespaces": {"selector": {"matchExpressions": []}}})).await;
        if again.ok { Err(again.stdout) } else { Ok(again.stderr) }
    })
    .await;
    assert!(refused.contains("set from: All"), "{refused}");
    for (name, _) in &selectors {
        // Unchanged fields are not validated again, so the rest of the object and its status can be updated.
        let done = patch(name, json!({"limits": {"callsPerSecond": 7}})).await;
        assert!(done.ok, "{name}: {}", done.stderr);
        until_ok(DEADLINE, "the changed app to be verified", || async {
            let app = world.object("clusterchatapp", name).await.unwrap_or_default();
            let status = &app["status"];
            let is_current = reason_of(&app, "Ready") == "Verified"
                && status["observedGeneration"] == app["metadata"]["generation"];
            if is_current { Ok(()) } else { Err(app) }
        })
        .await;
        assert_eq!(world.calls(&format!("@TGS#{name}")), 0, "{name} gave access");
    }
    let by_name = json!({"kubernetes.io/metadata.name": world.namespace});
    let repaired =
        json!({"allowedNamespaces": {"selector": {"matchLabels": by_name, "matchExpressions": null}}});
    let done = patch("valueless", repaired).await;
    assert!(done.ok, "{}", done.stderr);
    world.reset_is("valueless", "Cleared").await;
}

#[tokio::test]
async fn an_operator_limited_to_namespaces_ignores_cluster_apps() {
    let world = World::new().await;
    world.room("@TGS#a");
    world.room("@TGS#marker");
    let _operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    let app = chat_app("everywhere", APP_ID, &world.vendor.url(), "  allowedNamespaces: { from: All }");
    world.apply(&app.replace("kind: ChatApp", "kind: ClusterChatApp")).await;
    world.reset("a", "@TGS#a", "  appRef: { kind: ClusterChatApp, name: everywhere }").await;
    let said = message_of(&world.reset_is("a", "AppNotAllowed").await, "Succeeded");
    assert!(
        said.contains("ClusterChatApp everywhere does not exist or is not open to this namespace"),
        "{said}"
    );

    world.app("").await;
    world.reset("marker", "@TGS#marker", "").await;
    world.reset_is("marker", "Cleared").await;
    assert_eq!(world.calls("@TGS#a"), 0);
    let app = world.object("clusterchatapp", "everywhere").await.unwrap();
    assert_eq!(reason_of(&app, "Ready"), "Pending", "nobody may check it: {app:#}");
    world.plane.audit_marker().await.unwrap();
    let audit = world.plane.audit_of(&world.account.user()).unwrap();
    let asked = |event: &&std::sync::Arc<testbed::control_plane::AuditEvent>| {
        event.resource == "clusterchatapps" || event.resource == "namespaces" || event.code == 403
    };
    let out_of_place: Vec<_> = audit.iter().filter(asked).map(|event| &event.request_uri).collect();
    assert!(out_of_place.is_empty(), "requests that a Role cannot permit: {out_of_place:?}");
}
