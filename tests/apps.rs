//! What a user sees of an account: each reason, what it says to do, and that it heals by itself.

#![allow(clippy::cast_precision_loss)] // No number here is that large.

mod world;

use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::Vendor;
use testbed::vendor::{Command, Entry, Misbehaviour, UserSig, When};
use testbed::{until, until_ok};
use world::{APP_ID, KEY, SOON, World, chat_app, condition_of, message_of, numbered, reason_of};

/// What probes ask for.
const PROBED: &str = "groupattr-operator-probe";
/// What lies between the moment that a probe is due and its arrival is not always the same: the Secret may be read.
const SLACK: Duration = Duration::from_millis(250);

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Waits until an app has this reason.
async fn app_has(world: &World, app: &str, reason: &str) -> Value {
    world.until_reason("chatapp", app, "Ready", reason).await
}

/// Waits until a reset has this reason and says this.
async fn reset_says(world: &World, reset: &str, reason: &str, text: &str) -> String {
    until_ok(SOON, &format!("{reset} to say {text:?} as {reason}"), || async {
        let object = world.object("gar", reset).await.unwrap_or_default();
        let (found, said) = (reason_of(&object, "Succeeded"), message_of(&object, "Succeeded"));
        if found == reason && said.contains(text) { Ok(said) } else { Err((found, said)) }
    })
    .await
}

/// The message of an app that is not ready must say all of this.
fn assert_says(app: &Value, texts: &[&str]) {
    let said = message_of(app, "Ready");
    assert_eq!(condition_of(app, "Ready").unwrap()["status"], "False", "{app:#}");
    for text in texts {
        assert!(said.contains(text), "{text:?} is missing in {said:?}");
    }
}

/// No two of these arrived closer to each other than this.
fn assert_apart(entries: &[Entry], least: Duration) {
    for pair in entries.windows(2) {
        let apart = pair[1].arrived - pair[0].arrived;
        assert!(apart + SLACK >= least, "two calls within {apart:?}, which must be {least:?} apart");
    }
}

// ------------------------------------------------------------------------------------------------ the account's key

#[tokio::test]
async fn an_app_without_its_secret_says_so_and_works_once_it_is_there() {
    let world = World::new().await;
    world.room("@TGS#a");
    let _operator = world.operator(&[]).await;
    world.apply(&chat_app("default", APP_ID, &world.vendor.url(), "")).await;
    let app = world.app_is("SecretNotFound").await;
    assert_says(&app, &["Secret chat", &world.namespace, "secretKey", "Create it"]);
    assert!(app["status"]["lastVerifiedTime"].is_null(), "{app:#}");
    world.reset("a", "@TGS#a", "").await;
    reset_says(&world, "a", "AppNotReady", "SecretNotFound").await;
    assert_eq!(world.vendor.connections(), 0, "without a key there is nothing to send");

    world.secret("chat", KEY).await;
    let app = world.app_is("Verified").await;
    assert!(app["status"]["lastVerifiedTime"].is_string(), "{app:#}");
    assert_eq!(condition_of(&app, "Ready").unwrap()["status"], "True");
    world.reset_is("a", "Cleared").await;
}

#[tokio::test]
async fn a_secret_without_a_usable_key_says_what_is_wrong_with_it() {
    let world = World::new().await;
    let _operator = world.operator(&[]).await;
    let huge = "k".repeat(1024 * 1024 - 1024);
    // Each app has an account of its own, because unverified apps of one account share their probes.
    let keys = [
        ("missing", "other", KEY.to_owned(), "is not in it"),
        ("empty", "secretKey", String::new(), "empty"),
        ("blank", "secretKey", " \n\t\n".to_owned(), "empty"),
        ("split", "secretKey", format!("{KEY}\n{KEY}"), "white space"),
        ("huge", "secretKey", huge, "longer than"),
    ];
    for (account, (name, entry, key, _)) in (1_u64..).zip(&keys) {
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: {name} }}\nstringData: {{ {entry}: {key:?} }}"
        );
        world.apply(&secret).await;
        let app = chat_app(name, account, &world.vendor.url(), "")
            .replace("name: chat }", &format!("name: {name} }}"));
        world.vendor.account(account, KEY, &["administrator"]);
        world.apply(&app).await;
    }
    for (name, _, _, said) in &keys {
        let app = app_has(&world, name, "SecretKeyMissing").await;
        assert_says(&app, &[&format!("Secret {name}"), &world.namespace, "key secretKey", said]);
        assert!(!message_of(&app, "Ready").contains(&KEY[..8]), "a message never shows a key");
    }
    assert_eq!(world.vendor.connections(), 0, "without a key there is nothing to send");

    // A newline at the end, as most tools write it, is no fault.
    for (name, ..) in &keys {
        world.secret(name, &format!("{KEY}\n")).await;
    }
    for (name, ..) in &keys {
        app_has(&world, name, "Verified").await;
    }
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
async fn a_key_that_is_rotated_under_load_fails_no_reset() {
    const RESETS: usize = 60;
    let next = KEY.replace("ee", "dd");
    let world = World::new().await;
    let rooms = numbered("rotated", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 15 }").await;
    world.app_is("Verified").await;
    world.many_resets(rooms.clone()).await;

    let under_way = |wanted: usize| {
        let world = &world;
        until(SOON, "calls under way", move || async move {
            (world.vendor.clears().len() >= wanted).then_some(())
        })
    };
    under_way(5).await;
    // The console's new key first, as somebody does it in a hurry, and then the Secret.
    world.vendor.account(APP_ID, &next, &["administrator"]);
    world.app_is("CredentialsRejected").await;
    world.secret("chat", &next).await;
    world.until_cleared(RESETS, SOON).await;
    for reset in world.all_resets().await {
        assert_eq!(reset["status"]["failures"].as_i64().unwrap_or_default(), 0, "{reset:#}");
    }
    for (_, group) in &rooms {
        let executed = world.vendor.clears_of(group).iter().filter(|call| call.executed).count();
        assert_eq!(executed, 1, "{group}");
    }
    let ended = operator.metric("groupattr_results", &[("reason", "Cleared")]).await;
    assert_eq!(ended, Some(RESETS as f64), "all of them ended well, and nothing else");
}

// ------------------------------------------------------------------------------------------- refusals by the vendor

#[tokio::test]
async fn each_refusal_of_the_account_has_its_reason_and_its_remedy() {
    let world = World::new().await;
    let _operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    let refusals = [
        ("unpaid", 60020, "AccountUnavailable", "plan"),
        ("disabled", 60016, "AccountUnavailable", "console"),
        ("elsewhere", 60026, "WrongRegion", "spec.region"),
        ("stranger", 60010, "CredentialsRejected", "spec.identifier"),
        ("hasty", 70050, "CredentialsRejected", "wait at least a minute"),
    ];
    for (account, (name, code, ..)) in (1_u64..).zip(refusals) {
        world.vendor.account(account, KEY, &["administrator"]);
        world.vendor.script(When::any().by(account), Misbehaviour::Code(code));
        world.apply(&chat_app(name, account, &world.vendor.url(), "")).await;
    }
    for (name, code, reason, remedy) in refusals {
        let app = app_has(&world, name, reason).await;
        assert_eq!(app["status"]["lastErrorCode"], code, "{app:#}");
        assert_says(&app, &[&format!("code {code}"), remedy]);
    }

    world.vendor.clear_scripts();
    for (name, ..) in refusals.iter().filter(|(name, ..)| *name != "hasty") {
        app_has(&world, name, "Verified").await;
    }
    // 70050 asks for a minute of silence, and gets it; a change of the spec ends it at once.
    let hasty = || world.vendor.entries(|entry| entry.sdkappid == Some(5)).len();
    assert_eq!(hasty(), 1, "the others were probed a second time, and this one must not be");
    world.patch("chatapp", "hasty", r#"{"limits":{"callsPerSecond":100}}"#).await;
    let asked = Instant::now();
    app_has(&world, "hasty", "Verified").await;
    assert!(asked.elapsed() < Duration::from_secs(8), "a change of the spec is probed at once");
}

#[tokio::test]
async fn an_account_that_breaks_between_two_calls_makes_the_reset_wait_without_a_failure() {
    let world = World::new().await;
    world.room("@TGS#a");
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.vendor.script(When::any().by(APP_ID), Misbehaviour::Code(60020));
    world.reset("a", "@TGS#a", "").await;
    reset_says(&world, "a", "AppNotReady", "60020").await;
    let app = world.app_is("AccountUnavailable").await;
    assert_eq!(app["status"]["lastErrorCode"], 60020);
    world.vendor.clear_scripts();
    let reset = world.reset_is("a", "Cleared").await;
    assert_eq!(reset["status"]["failures"].as_i64().unwrap_or_default(), 0, "{reset:#}");
    assert_eq!(reset["status"]["attempts"], 2, "the refused call and the good one");
}

// --------------------------------------------------------------------------------------------- endpoints and switches

#[tokio::test]
async fn an_endpoint_that_the_operator_was_not_started_for_is_never_connected_to() {
    let world = World::new().await;
    let stranger = Vendor::start().unwrap();
    stranger.account(APP_ID, KEY, &["administrator"]);
    stranger.room(APP_ID, "@TGS#a", &[("seat1", "ann")]);
    world.room("@TGS#a");
    world.room("@TGS#marker");
    let _operator = world.operator(&["--allow-endpoint=chat.example.com"]).await;
    world.secret("chat", KEY).await;
    world.apply(&chat_app("stranger", APP_ID, &stranger.url(), "")).await;
    world.reset("a", "@TGS#a", "  appRef: { name: stranger }").await;
    world.apply(&chat_app("plain", APP_ID, "http://chat.example.com", "")).await;

    let app = app_has(&world, "stranger", "EndpointNotAllowed").await;
    assert_says(&app, &["--allow-endpoint", &stranger.address().to_string()]);
    let app = app_has(&world, "plain", "EndpointNotAllowed").await;
    assert_says(&app, &["loopback", "https://"]);
    reset_says(&world, "a", "AppNotReady", "EndpointNotAllowed").await;

    // Everything that was going to happen for the stranger has had its time when this one is done.
    world.app("").await;
    world.reset("marker", "@TGS#marker", "").await;
    world.reset_is("marker", "Cleared").await;
    assert_eq!(stranger.connections(), 0);

    world.patch("chatapp", "stranger", &format!(r#"{{"endpoint":"{}"}}"#, world.vendor.url())).await;
    app_has(&world, "stranger", "Verified").await;
    world.reset_is("a", "Cleared").await;
    assert_eq!(stranger.connections(), 0);
}

#[tokio::test]
async fn a_suspended_app_sends_nothing_until_it_is_resumed() {
    let world = World::new().await;
    for group in ["@TGS#a", "@TGS#b", "@TGS#marker"] {
        world.room(group);
    }
    world.vendor.account(7, KEY, &["administrator"]);
    world.vendor.room(7, "@TGS#marker", &[("seat1", "ann")]);
    let _operator = world.operator(&[]).await;
    world.app("  suspend: true").await;
    let app = world.app_is("Suspended").await;
    assert_says(&app, &["spec.suspend", "false"]);
    world.reset("a", "@TGS#a", "").await;
    reset_says(&world, "a", "AppSuspended", "spec.suspend").await;
    let of_app = || world.vendor.entries(|entry| entry.sdkappid == Some(APP_ID)).len();

    world.apply(&chat_app("marker", 7, &world.vendor.url(), "")).await;
    world.reset("marker", "@TGS#marker", "  appRef: { name: marker }").await;
    world.reset_is("marker", "Cleared").await;
    assert_eq!(of_app(), 0, "not even a probe");

    world.patch("chatapp", "default", r#"{"suspend":false}"#).await;
    world.app_is("Verified").await;
    world.reset_is("a", "Cleared").await;

    // The same of an app that has worked already.
    world.patch("chatapp", "default", r#"{"suspend":true}"#).await;
    world.app_is("Suspended").await;
    let before = of_app();
    world.reset("b", "@TGS#b", "").await;
    reset_says(&world, "b", "AppSuspended", "ChatApp default").await;
    world.patch("gar", "marker", r#"{"requestID":"again"}"#).await;
    until(SOON, "the marker's second call", || async { (world.calls("@TGS#marker") == 2).then_some(()) })
        .await;
    assert_eq!(of_app(), before);
    world.patch("chatapp", "default", r#"{"suspend":false}"#).await;
    world.reset_is("b", "Cleared").await;
}

// ---------------------------------------------------------------------------------------------------- before the call

#[tokio::test]
async fn an_app_that_nobody_has_looked_at_reads_as_pending() {
    let world = World::new().await;
    world.app("").await;
    let app = world.object("chatapp", "default").await.unwrap();
    assert_eq!(app["status"]["observedGeneration"], -1, "{app:#}");
    let ready = condition_of(&app, "Ready").unwrap();
    assert_eq!((&ready["status"], &ready["reason"]), (&"Unknown".into(), &"Pending".into()));
    assert_eq!(testbed::kstatus::kstatus(&app), testbed::kstatus::Status::InProgress);
}

#[tokio::test]
async fn nothing_is_sent_before_the_account_is_verified_nor_before_a_change_of_it_is() {
    let world = World::new().await;
    for group in ["@TGS#a", "@TGS#b"] {
        world.room(group);
    }
    world.vendor.script(When::get().of(PROBED).times(1), Misbehaviour::DelayAfter(millis(1500)));
    let _operator = world.operator(&[]).await;
    world.reset("a", "@TGS#a", "").await;
    world.app("").await;
    world.reset_is("a", "Cleared").await;
    let journal = world.vendor.journal();
    let (probe, clear) = (&journal[0], &journal[1]);
    assert_eq!((probe.command, clear.command), (Command::Get, Command::Clear));
    assert!(probe.answered.unwrap() <= clear.arrived, "the clear was sent before the probe was answered");

    // A new spec has to be proved anew. The probe of the first one must not count for it.
    world.vendor.clear_scripts();
    world.vendor.script(When::get().of(PROBED).times(1), Misbehaviour::DelayAfter(millis(1500)));
    let probes = world.vendor.reads().len();
    world.patch("chatapp", "default", r#"{"limits":{"callsPerSecond":100}}"#).await;
    until(SOON, "the second probe", || async { (world.vendor.reads().len() > probes).then_some(()) }).await;
    world.reset("b", "@TGS#b", "").await;
    world.reset_is("b", "Cleared").await;
    let probe = world.vendor.reads().pop().unwrap();
    let clear = world.vendor.clears_of("@TGS#b").pop().unwrap();
    assert!(probe.answered.unwrap() <= clear.arrived, "the clear was sent before the change was proved");
}

#[tokio::test]
async fn a_reset_may_come_before_its_app() {
    let world = World::new().await;
    world.room("@TGS#a");
    let _operator = world.operator(&[]).await;
    world.reset("a", "@TGS#a", "").await;
    let said = reset_says(&world, "a", "AppNotFound", "ChatApp default").await;
    assert!(said.contains("Create it") && said.contains("spec.appRef"), "{said}");
    world.app("").await;
    world.reset_is("a", "Cleared").await;
}

#[tokio::test]
async fn a_call_carries_a_signed_url_with_exactly_the_documented_parameters() {
    const CALLER: &str = "room admin&co=1+1/%41é";
    let world = World::new().await;
    world.vendor.account(APP_ID, KEY, &[CALLER]);
    for group in ["@TGS#a b\"c\\", "@TGS#b"] {
        world.room(group);
    }
    let _operator = world.operator(&[]).await;
    world.app(&format!("  identifier: {CALLER:?}")).await;
    world.reset("a", "@TGS#a b\"c\\", "").await;
    world.reset("b", "@TGS#b", "").await;
    world.reset_is("a", "Cleared").await;
    world.reset_is("b", "Cleared").await;

    let mut randoms = Vec::new();
    for call in world.vendor.journal() {
        let names: Vec<_> = call.raw_query.split('&').map(|pair| pair.split('=').next().unwrap()).collect();
        assert_eq!(
            names,
            ["sdkappid", "identifier", "usersig", "random", "contenttype"],
            "{}",
            call.raw_query
        );
        assert!(
            call.raw_query.contains("&identifier=room%20admin%26co%3D1%2B1%2F%2541%C3%A9&"),
            "{}",
            call.raw_query
        );
        assert_eq!(call.parameter("identifier"), Some(CALLER));
        assert_eq!(call.parameter("sdkappid"), Some(APP_ID.to_string().as_str()));
        assert_eq!(call.parameter("contenttype"), Some("json"));
        randoms.push(call.parameter("random").unwrap().parse::<u32>().unwrap());
        let raw_sig = call.raw_query.split('&').find_map(|pair| pair.strip_prefix("usersig=")).unwrap();
        assert_eq!(call.parameter("usersig"), Some(raw_sig), "a UserSig needs no percent-encoding");
        let sig = UserSig::decode(raw_sig).unwrap();
        assert!(sig.is_signed_with(KEY) && sig.identifier == CALLER && sig.sdkappid == APP_ID);
        assert!(sig.expire >= 24 * 3600, "signed for {} s", sig.expire);

        let headers = |name: &str| -> Vec<&str> {
            let found = call.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(headers("content-type"), ["application/json"]);
        assert_eq!(headers("host"), [world.vendor.address().to_string()]);
        for unwanted in ["referer", "authorization", "cookie", "expect", "accept-encoding"] {
            assert!(headers(unwanted).is_empty(), "{unwanted}: {:?}", headers(unwanted));
        }
        let path = match call.command {
            Command::Get => "/v4/group_open_attr_http_svc/get_group_attr",
            _ => "/v4/group_open_http_svc/clear_group_attr",
        };
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", path));
        let body: Value = serde_json::from_str(&call.body).unwrap();
        assert_eq!(body, serde_json::json!({ "GroupId": call.group }), "nothing but the group");
    }
    let distinct: std::collections::HashSet<_> = randoms.iter().collect();
    assert!(randoms.len() >= 3 && distinct.len() == randoms.len(), "random names the request: {randoms:?}");
}

#[tokio::test]
async fn many_calls_need_few_connections_and_one_read_of_the_secret() {
    const RESETS: usize = 60;
    let world = World::new().await;
    let rooms = numbered("many", RESETS);
    world.rooms(&rooms);
    let _operator = world.operator(&[]).await;
    let started = Instant::now();
    world.app("  limits: { callsPerSecond: 20 }").await;
    world.many_resets(rooms).await;
    world.until_cleared(RESETS, SOON).await;
    let connections = world.vendor.connections();
    assert!(connections <= 4, "{connections} connections for {RESETS} calls, one after another");

    world.plane.audit_marker().await.unwrap();
    let audit = world.plane.audit_of(&world.account.user()).unwrap();
    let reads: Vec<_> = audit.iter().filter(|event| event.resource == "secrets").collect();
    let minutes = started.elapsed().as_secs() / 60 + 1;
    assert!(!reads.is_empty() && reads.len() as u64 <= minutes, "{} reads of the Secret", reads.len());
    assert!(reads.iter().all(|event| event.verb == "get" && event.name == "chat"), "{reads:?}");
}

// ----------------------------------------------------------------------------------------------- circuit and probes

#[tokio::test]
async fn a_vendor_that_is_down_opens_the_circuit_after_three_faults_and_heals_when_it_is_back() {
    const RESETS: usize = 8;
    let world = World::new().await;
    let rooms = numbered("down", RESETS);
    world.rooms(&rooms);
    let operator = world.operator(&[]).await;
    // One call after another, so that none is under way when the third one fails.
    world.app("  limits: { callsPerSecond: 2 }").await;
    world.app_is("Verified").await;
    world.vendor.go_down();
    world.many_resets(rooms.clone()).await;
    let app = world.app_is("Unreachable").await;
    assert_says(&app, &["refused", "endpoint"]);
    let note = world.event("ChatApp", "default", "CircuitOpened").await;
    assert!(note.contains("refused"), "{note}");
    reset_says(&world, "down-7", "AppNotReady", "Unreachable").await;
    let faults = operator.metric("groupattr_attempts", &[("class", "not_sent")]).await;
    assert_eq!(faults, Some(3.0), "three attempts in a row, and no more while the circuit is open");

    world.vendor.come_back();
    world.app_is("Verified").await;
    world.until_cleared(RESETS, SOON).await;
    assert!(!world.event("ChatApp", "default", "CircuitClosed").await.is_empty());
    for (_, group) in &rooms {
        assert_eq!(world.calls(group), 1, "{group}");
    }
    let failures: i64 =
        world.all_resets().await.iter().filter_map(|reset| reset["status"]["failures"].as_i64()).sum();
    assert_eq!(failures, 3, "only what was tried counts as a failure");
}

#[tokio::test]
async fn answers_that_nobody_understands_open_the_circuit_and_probes_keep_their_distance() {
    let world = World::new().await;
    let rooms = numbered("odd", 6);
    world.rooms(&rooms);
    let _operator = world.operator(&[]).await;
    world.app("  limits: { callsPerSecond: 2 }").await;
    world.app_is("Verified").await;
    world.vendor.script(When::any(), Misbehaviour::Status(502));
    let probes_before = world.vendor.reads().len();
    world.many_resets(rooms.clone()).await;
    let app = world.app_is("Unreachable").await;
    assert_says(&app, &["502"]);
    // First after 5 s, then 10 s later; until then nothing else arrives.
    until(SOON, "the second probe", || async {
        (world.vendor.reads().len() >= probes_before + 2).then_some(())
    })
    .await;
    let reads = world.vendor.reads().split_off(probes_before);
    assert!(reads.iter().all(|read| read.group.as_deref() == Some(PROBED)), "only probes while it is open");
    let calls = world.vendor.clears();
    assert_eq!(calls.len(), 3, "three answers in a row, and no more while the circuit is open");
    assert!(reads[0].arrived - calls[2].answered.unwrap() + SLACK >= Duration::from_secs(5));
    assert_apart(&reads, Duration::from_secs(10));
}

#[tokio::test]
async fn all_unverified_apps_of_one_account_share_one_probe_in_five_seconds() {
    let world = World::new().await;
    let _operator = world.operator(&[]).await;
    world.secret("chat", &KEY.replace('f', "0")).await;
    let names = ["first", "second", "third"];
    for name in names {
        world.apply(&chat_app(name, APP_ID, &world.vendor.url(), "")).await;
    }
    until(SOON, "two probes", || async { (world.vendor.reads().len() >= 2).then_some(()) }).await;
    assert_apart(&world.vendor.reads(), Duration::from_secs(5));
    // Each of them gets its turn, however many others wait.
    world.secret("chat", KEY).await;
    for name in names {
        app_has(&world, name, "Verified").await;
    }
    assert_apart(&world.vendor.reads(), Duration::from_secs(5));
    assert!(world.vendor.clears().is_empty());
}

#[tokio::test]
async fn a_broken_app_does_not_touch_another_app_of_the_same_account() {
    let world = World::new().await;
    let rooms = numbered("good", 10);
    world.rooms(&rooms);
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    // The lowest rate there is, but the vendor never accepted its key, so it has no say.
    world.secret("wrong", &KEY.replace('0', "1")).await;
    let limits = "  limits: { callsPerSecond: 1, groupIntervalMilliseconds: 60000 }";
    let wrong =
        chat_app("wrong", APP_ID, &world.vendor.url(), limits).replace("name: chat }", "name: wrong }");
    world.apply(&wrong).await;
    app_has(&world, "wrong", "CredentialsRejected").await;
    world.many_resets(rooms).await;
    let asked = Instant::now();
    world.until_cleared(10, SOON).await;
    assert!(asked.elapsed() < Duration::from_secs(6), "ten calls took {:?}", asked.elapsed());
}

// ------------------------------------------------------------------------------------------------------------ events

#[tokio::test]
async fn events_tell_of_the_first_retry_and_of_the_end_but_not_of_a_clean_success() {
    let world = World::new().await;
    for group in ["@TGS#clean", "@TGS#bumpy"] {
        world.room(group);
    }
    let _operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    // The vendor answers an error that leaves it open whether it worked; the group, read back, is not empty.
    world.vendor.script(When::clear().of("@TGS#bumpy").times(1), Misbehaviour::Code(10002));
    world.reset("bumpy", "@TGS#bumpy", "").await;
    world.reset("gone", "@TGS#gone", "").await;
    world.reset("clean", "@TGS#clean", "").await;
    world.reset_is("clean", "Cleared").await;
    world.reset_is("gone", "GroupNotFound").await;
    world.reset_is("bumpy", "Cleared").await;

    assert!(world.event("GroupAttributeReset", "gone", "Failed").await.contains("10010"));
    world.event("GroupAttributeReset", "bumpy", "Cleared").await;
    let reasons: Vec<_> =
        world.events("GroupAttributeReset", "bumpy").await.into_iter().map(|(r, _)| r).collect();
    assert_eq!(reasons, ["RetryScheduled", "Cleared"]);
    assert_eq!(world.events("GroupAttributeReset", "clean").await, []);
    assert_eq!(world.events("ChatApp", "default").await, [], "a first proof is no news");
}

// --------------------------------------------------------------------------------------------------------------- TLS

#[tokio::test]
async fn over_tls_only_a_trusted_certificate_for_the_right_host_is_talked_to() {
    let world = World::new().await;
    let trusted = Vendor::start_tls().unwrap();
    let unknown = Vendor::start_tls().unwrap();
    let misnamed = Vendor::start_tls_as(&["chat.example.com"]).unwrap();
    let vendors = [("trusted", &trusted), ("unknown", &unknown), ("misnamed", &misnamed)];
    for (_, vendor) in vendors {
        vendor.account(APP_ID, KEY, &["administrator"]);
        vendor.room(APP_ID, "@TGS#a", &[("seat1", "ann")]);
    }
    // The authority of the misnamed one is trusted: only its name is wrong.
    let trust =
        [&trusted, &misnamed].map(|vendor| std::fs::read_to_string(vendor.ca_pem().unwrap()).unwrap());
    let folder =
        std::env::temp_dir().join(format!("groupattr-trust-{}-{}", std::process::id(), world.namespace));
    std::fs::write(&folder, trust.concat()).unwrap();
    let allowed = vendors.map(|(_, vendor)| format!("--allow-endpoint={}", vendor.address()));
    let mut launch = world.launch(&allowed.each_ref().map(String::as_str));
    launch.env.push(("SSL_CERT_FILE".to_owned(), folder.display().to_string()));
    let operator = testbed::OperatorProcess::start(launch).unwrap();
    operator.ready(SOON).await;
    std::fs::remove_file(&folder).unwrap();

    world.secret("chat", KEY).await;
    for (name, vendor) in vendors {
        world.apply(&chat_app(name, APP_ID, &vendor.url(), "")).await;
        world.reset(name, "@TGS#a", &format!("  appRef: {{ name: {name} }}")).await;
    }
    world.reset_is("trusted", "Cleared").await;
    for (name, vendor) in [("unknown", &unknown), ("misnamed", &misnamed)] {
        let app = app_has(&world, name, "Unreachable").await;
        let said = message_of(&app, "Ready");
        assert!(said.contains("TLS") && said.contains("certificate"), "{name}: {said}");
        reset_says(&world, name, "AppNotReady", "Unreachable").await;
        assert!(vendor.connections() > 0 && vendor.journal().is_empty(), "{name} must see no request");
    }
}
