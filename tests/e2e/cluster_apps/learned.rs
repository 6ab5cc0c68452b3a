//! What a tenant learns of somebody else's account: whether it works, and no more.

use serde_json::Value;
use testbed::until_ok;
use testbed::vendor::{Misbehaviour, When};

use super::platform::Tenancy;
use crate::world::{KEY, SOON, condition_of, message_of, reason_of};

#[tokio::test]
async fn a_tenant_clears_a_room_with_an_account_whose_key_it_cannot_see() {
    let of = Tenancy::new("{ from: All }").await;
    // A Secret of the same name in the tenant's namespace is none of the operator's business.
    of.secret(&of.tenant.namespace, &KEY.replace("c0", "d1")).await;
    let app = of.app_is("Verified").await;
    assert!(app["status"]["lastVerifiedTime"].is_string(), "{app:#}");
    of.reset("a").await;
    let reset = of.tenant.reset_is("a", "Cleared").await;
    assert_eq!(reset["status"]["lastAttempt"]["sdkAppID"], of.account, "{reset:#}");

    let plane = of.tenant.plane;
    plane.audit_marker().await.unwrap();
    let reads = plane.audit_of(&of.platform.home.account.user()).unwrap();
    let reads: Vec<_> =
        reads.iter().filter(|event| event.resource == "secrets" && event.name == of.app).collect();
    assert!(!reads.is_empty());
    for read in reads {
        assert_eq!((read.verb.as_str(), &read.namespace), ("get", &of.platform.home.namespace));
    }
}

#[tokio::test]
async fn a_missing_a_closed_and_a_suspended_app_read_alike_and_nothing_is_sent() {
    let of = Tenancy::new("{ from: None }").await;
    of.app_is("Verified").await;
    let proofs = of.calls();
    of.reset("a").await;
    let closed = of.not_allowed("a").await;
    assert!(closed.contains(&of.app) && closed.contains("platform team"), "{closed}");

    of.tenant
        .patch("clusterchatapp", &of.app, r#"{"allowedNamespaces":{"from":"All"},"suspend":true}"#)
        .await;
    of.app_is("Suspended").await;
    of.reset("b").await;
    let suspended = of.not_allowed("b").await;

    let missing = "  appRef: { kind: ClusterChatApp, name: nowhere }";
    of.tenant.reset("c", "@TGS#c", missing).await;
    let missing = of.not_allowed("c").await;
    assert_eq!(closed, suspended);
    assert_eq!(closed.replace(&of.app, "nowhere"), missing);
    for name in ["a", "b", "c"] {
        let reset = of.tenant.object("gar", name).await.unwrap();
        let ready = condition_of(&reset, "Ready").unwrap();
        assert_eq!((&ready["status"], &ready["reason"]), (&"False".into(), &"AppNotAllowed".into()));
        assert_eq!(reset["status"]["attempts"].as_i64().unwrap_or_default(), 0);
    }
    assert_eq!(of.calls(), proofs, "nothing was sent for an app that may not be used");

    of.tenant.patch("clusterchatapp", &of.app, r#"{"suspend":false}"#).await;
    of.tenant.reset_is("a", "Cleared").await;
    of.tenant.reset_is("b", "Cleared").await;
}

#[tokio::test]
async fn a_tenant_learns_reason_and_code_of_a_broken_account_and_nothing_else() {
    let of = Tenancy::new("{ from: All }").await;
    of.app_is("Verified").await;
    let told = |reset: &Value| {
        let all = reset["status"].to_string();
        for private in ["scripted", "plan", "console", "Secret", &of.platform.home.namespace] {
            assert!(!all.contains(private), "{private:?} is in {reset:#}");
        }
        for field in ["errorInfo", "vendorRequestID"] {
            assert!(reset["status"]["lastAttempt"][field].is_null(), "{reset:#}");
        }
    };
    // A signature that ran out is made anew, and what the vendor said of it is not the tenant's either.
    of.platform.home.vendor.script(When::clear().by(of.account).times(1), Misbehaviour::Code(70001));
    of.reset("expired").await;
    of.tenant.reset_is("expired", "Cleared").await;
    let stored = of.tenant.stored().await;
    let told_of: Vec<&Value> = stored
        .iter()
        .map(|stored| &*stored.object)
        .filter(|reset| reset["status"]["lastAttempt"]["errorCode"] == 70001)
        .collect();
    assert!(!told_of.is_empty(), "nothing was recorded of the refusal");
    for reset in told_of {
        told(reset);
    }
    // Refused when a reset was sent: the vendor's own text says "scripted".
    of.platform.home.vendor.script(When::any().by(of.account), Misbehaviour::Code(60020));
    of.reset("a").await;
    let reset = until_ok(SOON, "the refusal", || async {
        let reset = of.tenant.object("gar", "a").await.unwrap_or_default();
        let said = message_of(&reset, "Succeeded");
        let is_told = reason_of(&reset, "Succeeded") == "AppNotReady"
            && said.contains("AccountUnavailable, code 60020");
        if is_told { Ok(reset) } else { Err(said) }
    })
    .await;
    told(&reset);
    assert_eq!(reset["status"]["lastAttempt"]["errorCode"], 60020, "the code is no secret");
    assert!(message_of(&reset, "Succeeded").contains("platform team"), "{reset:#}");
    // Its owners are told everything.
    let app = of.app_is("AccountUnavailable").await;
    assert!(message_of(&app, "Ready").contains("plan"), "{app:#}");

    // A reset that comes while it is known already.
    of.reset("b").await;
    told(&of.tenant.reset_is("b", "AppNotReady").await);
    for name in ["a", "b"] {
        for (_, note) in of.tenant.events("GroupAttributeReset", name).await {
            assert!(!note.contains("scripted") && !note.contains("Secret"), "{note}");
        }
    }
    assert!(of.platform.operator.exit_status().is_none());
}
