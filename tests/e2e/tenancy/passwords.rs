//! Attack: have a password used as a key. A signature made with a weak password lets an attacker guess it.

use serde_json::json;
use testbed::until_ok;

use super::platform::Tenancy;
use super::tenant::Tenant;
use crate::world::{DEADLINE, chat_app, message_of, reason_of};

/// Accounts that no other test uses.
const FIRST: u64 = 2_000_000_000;

#[tokio::test]
async fn a_password_in_a_secret_the_tenant_cannot_read_is_neither_used_nor_revealed() {
    let tenancy = Tenancy::new("{ from: None }").await;
    let (vendor, namespace) = (&tenancy.platform.home.vendor, &tenancy.tenant.namespace);
    let tenant = Tenant::without_secrets(tenancy.tenant.plane, namespace).await;
    let passwords = json!({
        "pin": "4711",
        "digits": "483920174",
        "hex": "deadbeefcafe",
        "word": "hunter2",
        "random": "Xk7rQ2mT9vLp4sWz8nBd",
        "long": "Zq".repeat(32),
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "database"}, "stringData": passwords,
    });
    tenancy.tenant.apply(&secret.to_string()).await;
    tenant.is_forbidden(&["get", "secret", "database"]).await;

    let entries: Vec<&String> = passwords.as_object().unwrap().keys().collect();
    let apps: Vec<String> = (FIRST..)
        .zip(&entries)
        .map(|(account, entry)| {
            // The endpoint itself is allowed.
            vendor.account(account, "4711", &["administrator"]);
            let app = chat_app(entry, account, &vendor.url(), "");
            app.replace("name: chat }", &format!("name: database, key: {entry} }}"))
        })
        .collect();
    tenant.create(&apps.join("\n---\n")).await;
    for entry in &entries {
        let app = tenancy.tenant.until_reason("chatapp", entry, "Ready", "SecretKeyInvalid").await;
        let said = message_of(&app, "Ready");
        let expected = format!(
            "Entry {entry} of Secret database in namespace {namespace} is not a valid key: it is not 64 hexadecimal digits, \
             the form in which the chat console shows a key. Store the account's key there, or name its entry in \
             credentials.secretKeyRef."
        );
        assert_eq!(said, expected, "the message must be the same whatever the length");
    }
    // An app is checked again while it does not work, and after a spec change.
    for entry in &entries {
        tenancy.tenant.patch("chatapp", entry, r#"{"limits":{"callsPerSecond":7}}"#).await;
        until_ok(DEADLINE, "the changed app to be checked", || async {
            let app = tenancy.tenant.object("chatapp", entry).await.unwrap_or_default();
            let is_checked =
                app["status"]["observedGeneration"] == 2 && reason_of(&app, "Ready") == "SecretKeyInvalid";
            if is_checked { Ok(()) } else { Err(app) }
        })
        .await;
    }
    let sent =
        vendor.entries(|call| call.sdkappid.is_some_and(|account| (FIRST..FIRST + 10).contains(&account)));
    assert!(sent.is_empty(), "{} calls were signed with a password", sent.len());
}
