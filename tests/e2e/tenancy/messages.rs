//! Attack: learn about other tenants from whatever is readable.

use testbed::until_ok;
use testbed::vendor::{Misbehaviour, When};

use super::platform::Tenancy;
use crate::world::{DEADLINE, World};

/// All text that a user of this namespace can read.
async fn readable(world: &World) -> String {
    let got = world.kubectl(&["get", "gar,chatapps,events.events.k8s.io", "-o", "yaml"]).await;
    assert!(got.ok, "{}", got.stderr);
    got.stdout
}

#[tokio::test]
async fn text_of_one_tenant_never_reaches_another() {
    let tenancy = Tenancy::new("{ from: All }").await;
    tenancy.app_is("Verified").await;
    let other = World::without_rights(tenancy.tenant.plane).await;
    let vendor = &tenancy.platform.home.vendor;
    let group = format!("@TGS#canary-group-{}", tenancy.account);
    vendor.room(tenancy.account, &group, &[("canary-seat", "canary-person")]);
    // The vendor first answers with a text about the call, and later rejects the account.
    vendor.script(
        When::clear().of(&group).times(1),
        Misbehaviour::WrongBody(
            r#"{"ActionStatus":"FAIL","ErrorCode":10004,"ErrorInfo":"canary-text"}"#.to_owned(),
        ),
    );
    let app =
        format!("  appRef: {{ kind: ClusterChatApp, name: {} }}\n  requestID: canary-request", tenancy.app);
    other.reset("canary-reset", &group, &app).await;
    other.reset_is("canary-reset", "InvalidRequest").await;
    other.event("GroupAttributeReset", "canary-reset", "Failed").await;
    vendor.script(When::any().by(tenancy.account), Misbehaviour::Code(60020));
    tenancy.reset("refused").await;
    tenancy.tenant.reset_is("refused", "AppNotReady").await;
    tenancy.app_is("AccountUnavailable").await;

    let theirs = readable(&other).await;
    for mark in ["canary-reset", "canary-group", "canary-request", "Failed", "10004"] {
        assert!(theirs.contains(mark), "{mark} is missing in their own namespace: {theirs}");
    }
    assert!(!theirs.contains("canary-text"), "the vendor's text about the platform's account: {theirs}");
    let platform = [tenancy.platform.home.namespace.as_str(), "scripted", "Secret"];
    let mine = readable(&tenancy.tenant).await;
    let others = ["canary".to_owned(), format!("{}\n", other.namespace)];
    for mark in others.iter().map(String::as_str).chain(platform) {
        assert!(!mine.contains(mark), "{mark:?} can be read: {mine}");
    }
    // With the newline, because a namespace's name can be a prefix of another's.
    let namespace = format!("{}\n", tenancy.tenant.namespace);
    assert!(!theirs.contains(&namespace) && !theirs.contains("refused"), "{theirs}");
    // The metrics reveal which apps exist, but not how they are used. The request is retried, because tests
    // that flood the same operator run at the same time.
    let look = || async { tenancy.platform.operator.metrics().await.map_err(|error| format!("{error:#}")) };
    let metrics = until_ok(DEADLINE, "the metrics", look).await;
    assert!(metrics.contains(&tenancy.app) && !metrics.contains("canary"), "{metrics}");
}

/// Events about a cluster-scoped object are in the namespace `default`, which may belong to a tenant.
#[tokio::test]
async fn events_about_the_platforms_app_contain_only_reason_and_code() {
    let (rejected, lost) = (Tenancy::new("{ from: None }").await, Tenancy::new("{ from: None }").await);
    let home = &rejected.platform.home;
    for tenancy in [&rejected, &lost] {
        tenancy.app_is("Verified").await;
    }
    home.vendor.script(When::any().by(rejected.account), Misbehaviour::Code(70003));
    rejected.tenant.plane.kubectl(&["delete", "secret", &lost.app, "-n", &home.namespace]).await.unwrap();
    for (tenancy, reason, said) in [
        (&rejected, "CredentialsRejected", "(CredentialsRejected, code 70003)"),
        (&lost, "SecretNotFound", "(SecretNotFound)"),
    ] {
        // A changed spec is verified again.
        tenancy.tenant.patch("clusterchatapp", &tenancy.app, r#"{"limits":{"callsPerSecond":7}}"#).await;
        tenancy.app_is(reason).await;
        let about = format!("regarding.kind=ClusterChatApp,regarding.name={}", tenancy.app);
        let event = until_ok(DEADLINE, "the event", || async {
            let args =
                ["get", "events.events.k8s.io", "-n", "default", "--field-selector", &about, "-o", "yaml"];
            let all = tenancy.tenant.plane.kubectl(&args).await.unwrap();
            if all.stdout.contains("CircuitOpened") { Ok(all.stdout) } else { Err(all) }
        })
        .await;
        assert!(event.contains(said) && event.contains("kubectl describe clusterchatapp"), "{event}");
        for private in [&home.namespace, "console", "Create it", "secretKey"] {
            assert!(!event.contains(private), "{private:?} can be read: {event}");
        }
    }
}
