//! The account's key: missing, unusable, wrong or rotated.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use testbed::proxy::{Boundary, Fault, Plan, Position};
use testbed::{until, until_ok};

use super::{app_has, assert_says, reset_says};
use crate::world::replicas::NO_ELECTION;
use crate::world::{
    APP_ID, DEADLINE, KEY, Leg, World, chat_app, condition_of, message_of, numbered, reason_of,
};

#[tokio::test]
async fn an_app_reports_a_missing_secret_and_recovers_once_it_exists() {
    let world = World::new().await;
    world.room("@TGS#a");
    let _operator = world.operator(&[]).await;
    world.apply(&chat_app("default", APP_ID, &world.vendor.url(), "")).await;
    let app = world.app_is("SecretNotFound").await;
    assert_says(&app, &["Secret chat", &world.namespace, "secretKey", "Create it"]);
    assert!(app["status"]["lastVerifiedTime"].is_null(), "{app:#}");
    world.reset("a", "@TGS#a", "").await;
    reset_says(&world, "a", "AppNotReady", "SecretNotFound").await;
    assert_eq!(world.vendor.connections(), 0, "nothing can be sent without a key");

    world.secret("chat", KEY).await;
    let app = world.app_is("Verified").await;
    assert!(app["status"]["lastVerifiedTime"].is_string(), "{app:#}");
    assert_eq!(condition_of(&app, "Ready").unwrap()["status"], "True");
    world.reset_is("a", "Cleared").await;
}

#[tokio::test]
async fn an_unusable_key_is_explained_and_nothing_is_sent() {
    let world = World::new().await;
    let _operator = world.operator(&NO_ELECTION).await;
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let utf16: Vec<u8> = format!("\u{feff}{KEY}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let pem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----\n";
    let (missing, invalid) = ("SecretKeyMissing", "SecretKeyInvalid");
    // One account per app, because unverified apps of one account share their probes.
    let keys: Vec<(&str, &str, Vec<u8>, &str, &str)> = vec![
        ("missing", "other", KEY.into(), missing, "has no entry secretKey"),
        ("empty", "secretKey", vec![], invalid, "it is empty"),
        ("blank", "secretKey", b" \n\t\n".into(), invalid, "it is empty"),
        ("two", "secretKey", format!("{KEY}\n{KEY}").into(), invalid, "more than one key"),
        ("huge", "secretKey", vec![b'k'; 1024 * 1024 - 1024], invalid, "much longer than a key"),
        ("quoted", "secretKey", format!("\"{KEY}\"").into(), invalid, "Remove the quotes"),
        ("named", "secretKey", format!("secretKey={KEY}").into(), invalid, "Store only the key"),
        ("twice", "secretKey", base64(KEY.as_bytes()).into(), invalid, "under data: instead of stringData:"),
        ("bytes", "secretKey", base64(&[7; 32]).into(), invalid, "32 bytes in base64"),
        ("pem", "secretKey", pem.into(), invalid, "old algorithm"),
        ("bom", "secretKey", format!("\u{feff}{KEY}").into(), invalid, "byte-order mark"),
        ("utf16", "secretKey", utf16, invalid, "UTF-16"),
        ("short", "secretKey", KEY[2..].into(), invalid, "2 of the key's 64 hexadecimal digits are missing"),
        ("password", "secretKey", b"correct-horse".into(), invalid, "it is not 64 hexadecimal digits"),
    ];
    for (account, (name, entry, key, ..)) in (1_u64..).zip(&keys) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name}, "data": {*entry: base64(key)},
        });
        world.apply(&secret.to_string()).await;
        let app = chat_app(name, account, &world.vendor.url(), "")
            .replace("name: chat }", &format!("name: {name} }}"));
        world.vendor.account(account, KEY, &["administrator"]);
        world.apply(&app).await;
    }
    for (name, _, key, reason, text) in &keys {
        let app = app_has(&world, name, reason).await;
        assert_says(&app, &[&format!("Secret {name}"), &world.namespace, "secretKey", text]);
        let message = message_of(&app, "Ready");
        assert!(
            message.len() <= 512 && !message.contains(&KEY[..8]) && !message.contains("horse"),
            "{message}"
        );
        assert!(
            !message.contains(&key.len().to_string()) || key.len() < 8,
            "{name}: the message reveals the key's length: {message}"
        );
    }
    assert_eq!(world.vendor.connections(), 0, "nothing can be sent without a key");

    // A trailing newline, as most tools write it, is fine.
    for (name, ..) in &keys {
        world.secret(name, &format!("{KEY}\n")).await;
    }
    for (name, ..) in &keys {
        app_has(&world, name, "Verified").await;
    }
}

/// For accounts whose key is not 64 hexadecimal digits. A stored `SecretKeyInvalid` does not stop the next process.
#[tokio::test]
async fn a_key_in_another_format_works_with_key_format_any() {
    let world = World::new().await;
    world.vendor.account(7, "key/of+another=form", &["administrator"]);
    world.vendor.room(7, "@TGS#a", &[("seat1", "ann")]);
    world.secret("chat", "key/of+another=form").await;
    world.apply(&chat_app("default", 7, &world.vendor.url(), "")).await;
    world.reset("a", "@TGS#a", "").await;
    let strict = world.operator(&[]).await;
    let app = world.app_is("SecretKeyInvalid").await;
    assert_says(&app, &["64 hexadecimal digits"]);
    reset_says(&world, "a", "AppNotReady", "SecretKeyInvalid").await;
    assert_eq!(world.vendor.connections(), 0);
    strict.terminate();
    strict.wait_exit(DEADLINE).await;

    let _any = world.operator(&["--key-format=any"]).await;
    world.app_is("Verified").await;
    world.reset_is("a", "Cleared").await;
}

/// Not a problem of the account: the reason stays `Pending`, and only the message can name the cause.
#[tokio::test]
async fn a_failing_secret_read_is_reported_as_the_cause() {
    let world = World::breakable().await;
    world.room("@TGS#a");
    world.room("@TGS#b");
    let first = world.operator(&[]).await;
    let failing = fail_secret_reads(&world);
    world.app("").await;
    until_secret_read_failure_is_reported(&world).await;
    world.reset("a", "@TGS#a", "").await;
    reset_says(&world, "a", "Pending", "check of ChatApp default. See its Ready condition").await;
    assert_eq!(world.vendor.connections(), 0, "nothing can be sent without a key");
    drop(failing);
    world.reset_is("a", "Cleared").await;

    // The next process knows from the status that the app is verified, but has no key either.
    first.terminate();
    first.wait_exit(DEADLINE).await;
    let failing = fail_secret_reads(&world);
    let _next = world.operator(&[]).await;
    world.reset("b", "@TGS#b", "").await;
    until_secret_read_failure_is_reported(&world).await;
    reset_says(&world, "b", "Pending", "check of ChatApp default. See its Ready condition").await;
    assert_eq!(world.calls("@TGS#b"), 0);
    drop(failing);
    world.app_is("Verified").await;
    let reset = world.reset_is("b", "Cleared").await;
    assert!(reset["status"]["failures"].as_i64().unwrap_or_default() == 0, "{reset:#}");
    for group in ["@TGS#a", "@TGS#b"] {
        assert_eq!(world.calls(group), 1, "{group}");
    }
}

fn fail_secret_reads(world: &World) -> Plan {
    world.plan(Leg::Api, Boundary::secret().always(), Position::Before, Fault::code(500))
}

async fn until_secret_read_failure_is_reported(world: &World) {
    until_ok(DEADLINE, "the app to report that its Secret cannot be read", || async {
        let app = world.object("chatapp", "default").await.unwrap_or_default();
        let message = message_of(&app, "Ready");
        let is_named = message.contains("Secret chat could not be read from Kubernetes: status 500");
        if is_named && reason_of(&app, "Ready") == "Pending" { Ok(()) } else { Err(message) }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_key_stops_all_calls_until_it_is_corrected() {
    let world = World::new().await;
    world.room("@TGS#a");
    let _operator = world.operator(&[]).await;
    world.apply(&chat_app("default", APP_ID, &world.vendor.url(), "")).await;
    world.secret("chat", &KEY.replace('c', "d")).await;
    let app = world.app_is("CredentialsRejected").await;
    assert_eq!(app["status"]["lastErrorCode"], 70009, "{app:#}");
    assert_says(&app, &["70009", "Secret"]);
    world.reset("a", "@TGS#a", "").await;
    reset_says(&world, "a", "AppNotReady", "CredentialsRejected, code 70009").await;
    assert!(!world.event("ChatApp", "default", "CircuitOpened").await.is_empty());

    world.secret("chat", KEY).await;
    let app = world.app_is("Verified").await;
    assert!(app["status"]["lastErrorCode"].is_null(), "{app:#}");
    let reset = world.reset_is("a", "Cleared").await;
    assert!(reset["status"]["failures"].as_i64().unwrap_or_default() == 0, "{reset:#}");
    assert_eq!(world.calls("@TGS#a"), 1);
    world.event("ChatApp", "default", "CircuitClosed").await;
}

#[tokio::test]
async fn rotating_the_key_under_load_fails_no_reset() {
    const RESETS: usize = 60;
    let next = KEY.replace("ee", "dd");
    let world = World::new().await;
    let rooms = numbered("rotated", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&NO_ELECTION).await;
    world.app("  limits: { callsPerSecond: 15 }").await;
    world.app_is("Verified").await;
    world.many_resets(rooms.clone()).await;

    let until_clears = |wanted: usize| {
        let world = &world;
        until(DEADLINE, "clears to arrive", move || async move {
            (world.vendor.clears().len() >= wanted).then_some(())
        })
    };
    until_clears(5).await;
    // The hasty order: first the key in the vendor's console, then the Secret.
    world.vendor.account(APP_ID, &next, &["administrator"]);
    world.app_is("CredentialsRejected").await;
    world.secret("chat", &next).await;
    world.until_cleared(RESETS, DEADLINE).await;
    for reset in world.all_resets().await {
        assert_eq!(reset["status"]["failures"].as_i64().unwrap_or_default(), 0, "{reset:#}");
    }
    for (_, group) in &rooms {
        let executed = world.vendor.clears_of(group).iter().filter(|call| call.executed).count();
        assert_eq!(executed, 1, "{group}");
    }
    // The operator counts a result once its write is answered, a moment after the status is visible.
    until_ok(DEADLINE, "exactly one Cleared result per reset", || async {
        let ended = operator.metric("groupattr_results", &[("reason", "Cleared")]).await;
        if ended == Some(RESETS as f64) { Ok(()) } else { Err(ended) }
    })
    .await;
}

/// A corrected key takes effect with the next probe.
#[tokio::test]
async fn a_rejected_key_is_reread_for_each_probe() {
    const PROBES: usize = 3;
    let world = World::new().await;
    let _operator = world.operator(&[]).await;
    world.secret("chat", &KEY.replace('f', "0")).await;
    world.apply(&chat_app("default", APP_ID, &world.vendor.url(), "")).await;
    until(DEADLINE, "a few probes", || async { (world.vendor.reads().len() >= PROBES).then_some(()) }).await;
    let read = world.requests("secrets", "chat").await.len();
    assert!(read >= PROBES, "{read} reads of the Secret for {PROBES} probes");
}
