//! What a tenant sees of the platform's account: whether it works, and no more.

use serde_json::Value;
use testbed::until_ok;
use testbed::vendor::{Misbehaviour, When};

use super::platform::Tenancy;
use crate::world::{DEADLINE, KEY, condition_of, message_of, reason_of};

#[tokio::test]
async fn a_tenant_clears_a_room_without_seeing_the_accounts_key() {
    let tenancy = Tenancy::new("{ from: All }").await;
    // The operator must ignore a Secret of the same name in the tenant's namespace.
    tenancy.secret(&tenancy.tenant.namespace, &KEY.replace("c0", "d1")).await;
    let app = tenancy.app_is("Verified").await;
    assert!(app["status"]["lastVerifiedTime"].is_string(), "{app:#}");
    tenancy.reset("a").await;
    let reset = tenancy.tenant.reset_is("a", "Cleared").await;
    assert_eq!(reset["status"]["lastAttempt"]["sdkAppID"], tenancy.account, "{reset:#}");

    let plane = tenancy.tenant.plane;
    plane.audit_marker().await.unwrap();
    let reads = plane.audit_of(&tenancy.platform.home.account.user()).unwrap();
    let reads: Vec<_> =
        reads.iter().filter(|event| event.resource == "secrets" && event.name == tenancy.app).collect();
    assert!(!reads.is_empty());
    for read in reads {
        assert_eq!((read.verb.as_str(), &read.namespace), ("get", &tenancy.platform.home.namespace));
    }
}

#[tokio::test]
async fn missing_closed_and_suspended_apps_look_alike_and_nothing_is_sent() {
    let tenancy = Tenancy::new("{ from: None }").await;
    tenancy.app_is("Verified").await;
    let proofs = tenancy.calls();
    tenancy.reset("a").await;
    let closed = tenancy.not_allowed("a").await;
    assert!(closed.contains(&tenancy.app) && closed.contains("platform team"), "{closed}");

    tenancy
        .tenant
        .patch("clusterchatapp", &tenancy.app, r#"{"allowedNamespaces":{"from":"All"},"suspend":true}"#)
        .await;
    tenancy.app_is("Suspended").await;
    tenancy.reset("b").await;
    let suspended = tenancy.not_allowed("b").await;

    let missing = "  appRef: { kind: ClusterChatApp, name: nowhere }";
    tenancy.tenant.reset("c", "@TGS#c", missing).await;
    let missing = tenancy.not_allowed("c").await;
    assert_eq!(closed, suspended);
    assert_eq!(closed.replace(&tenancy.app, "nowhere"), missing);
    for name in ["a", "b", "c"] {
        let reset = tenancy.tenant.object("gar", name).await.unwrap();
        let ready = condition_of(&reset, "Ready").unwrap();
        assert_eq!((&ready["status"], &ready["reason"]), (&"False".into(), &"AppNotAllowed".into()));
        assert_eq!(reset["status"]["attempts"].as_i64().unwrap_or_default(), 0);
    }
    assert_eq!(tenancy.calls(), proofs, "nothing may be sent for an app without access");

    tenancy.tenant.patch("clusterchatapp", &tenancy.app, r#"{"suspend":false}"#).await;
    tenancy.tenant.reset_is("a", "Cleared").await;
    tenancy.tenant.reset_is("b", "Cleared").await;
}

#[tokio::test]
async fn a_tenant_sees_only_reason_and_code_of_a_broken_account() {
    let tenancy = Tenancy::new("{ from: All }").await;
    tenancy.app_is("Verified").await;
    let assert_nothing_private = |reset: &Value| {
        let all = reset["status"].to_string();
        for private in ["scripted", "plan", "console", "Secret", &tenancy.platform.home.namespace] {
            assert!(!all.contains(private), "{private:?} is in {reset:#}");
        }
        for field in ["errorInfo", "vendorRequestID"] {
            assert!(reset["status"]["lastAttempt"][field].is_null(), "{reset:#}");
        }
    };
    // An expired signature is renewed, and the vendor's message about it is not for the tenant either.
    tenancy
        .platform
        .home
        .vendor
        .script(When::clear().by(tenancy.account).times(1), Misbehaviour::Code(70001));
    tenancy.reset("expired").await;
    tenancy.tenant.reset_is("expired", "Cleared").await;
    let stored = tenancy.tenant.stored().await;
    let recorded: Vec<&Value> = stored
        .iter()
        .map(|stored| &*stored.object)
        .filter(|reset| reset["status"]["lastAttempt"]["errorCode"] == 70001)
        .collect();
    assert!(!recorded.is_empty(), "the refusal was not recorded");
    for reset in recorded {
        assert_nothing_private(reset);
    }
    // The vendor rejects a call; its message says "scripted".
    tenancy.platform.home.vendor.script(When::any().by(tenancy.account), Misbehaviour::Code(60020));
    tenancy.reset("a").await;
    let reset = until_ok(DEADLINE, "the refusal", || async {
        let reset = tenancy.tenant.object("gar", "a").await.unwrap_or_default();
        let said = message_of(&reset, "Succeeded");
        let is_reported = reason_of(&reset, "Succeeded") == "AppNotReady"
            && said.contains("AccountUnavailable, code 60020");
        if is_reported { Ok(reset) } else { Err(said) }
    })
    .await;
    assert_nothing_private(&reset);
    assert_eq!(reset["status"]["lastAttempt"]["errorCode"], 60020, "the code is no secret");
    assert!(message_of(&reset, "Succeeded").contains("platform team"), "{reset:#}");
    // The app's owners see all details.
    let app = tenancy.app_is("AccountUnavailable").await;
    assert!(message_of(&app, "Ready").contains("plan"), "{app:#}");

    // A reset created when the failure is already known.
    tenancy.reset("b").await;
    assert_nothing_private(&tenancy.tenant.reset_is("b", "AppNotReady").await);
    for name in ["a", "b"] {
        for (_, note) in tenancy.tenant.events("GroupAttributeReset", name).await {
            assert!(!note.contains("scripted") && !note.contains("Secret"), "{note}");
        }
    }
    assert!(tenancy.platform.operator.exit_status().is_none());
}
