//! What kstatus and Argo CD report in each state of an object.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testbed::kstatus::kstatus;
use testbed::vendor::{Misbehaviour, When};

use crate::gitops::{health, tools};
use crate::world::{self, KEY, World, chat_app, reason_of};

/// The expected verdicts for each reason of `Succeeded`, as long as the generation is observed.
const RESETS: &[(&str, &str, &[&str])] = &[
    (
        "InProgress",
        "Progressing",
        &[
            "Pending",
            "AppNotFound",
            "AppNotAllowed",
            "AppNotReady",
            "AppSuspended",
            "Sending",
            "RateLimited",
            "RetryScheduled",
            "Verifying",
        ],
    ),
    ("InProgress", "Suspended", &["Suspended"]),
    ("Current", "Healthy", &["Cleared", "VerifiedEmpty", "GroupGone"]),
    (
        "Failed",
        "Degraded",
        &[
            "InvalidRequest",
            "GroupNotFound",
            "GroupTypeNotSupported",
            "BackoffLimitExceeded",
            "DeadlineExceeded",
            "Expired",
            "OutcomeUnknown",
            "Superseded",
        ],
    ),
];

/// The same for each reason of an app's `Ready`. kstatus never reports an app as failed: it can recover by
/// itself.
const APPS: &[(&str, &str, &[&str])] = &[
    ("InProgress", "Progressing", &["Pending", "SecretNotFound", "SecretKeyMissing", "Unreachable"]),
    ("InProgress", "Suspended", &["Suspended"]),
    ("Current", "Healthy", &["Verified"]),
    (
        "InProgress",
        "Degraded",
        &[
            "SecretKeyInvalid",
            "CredentialsRejected",
            "AccountUnavailable",
            "WrongRegion",
            "EndpointRejected",
            "EndpointNotAllowed",
        ],
    ),
];

/// Compares the tools' verdicts on objects in all states with the table.
async fn compare(table: &[(&str, &str, &[&str])], condition: &str, objects: &[Value]) {
    let verdicts = tools().await.kstatus(objects).expect("kstatus");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (object, verdict) in objects.iter().zip(verdicts) {
        assert_eq!(format!("{:?}", kstatus(object)), verdict, "testbed's own kstatus: {object:#}");
        let reason = reason_of(object, condition);
        let unobserved = object["status"]["observedGeneration"] != object["metadata"]["generation"];
        let row = table.iter().find(|(.., reasons)| reasons.contains(&reason.as_str()));
        let &(current, argo, _) = row.unwrap_or_else(|| panic!("{reason:?} is in no row: {object:#}"));
        let (current, argo) = if unobserved { ("InProgress", "Progressing") } else { (current, argo) };
        let (shown, message) = health(object).await;
        assert_eq!((verdict.as_str(), shown.as_str()), (current, argo), "{object:#}");
        assert!(unobserved || message.starts_with(&format!("{reason}: ")), "{message}");
        *seen.entry(reason).or_default() += 1;
    }
    let all: Vec<&str> = table.iter().flat_map(|(.., reasons)| reasons.iter().copied()).collect();
    let missing: Vec<_> = all.iter().filter(|reason| !seen.contains_key(**reason)).collect();
    assert!(missing.is_empty(), "no object was in these states: {missing:?}");
}

#[tokio::test]
async fn kstatus_and_argo_cd_agree_with_the_documented_states_of_a_reset() {
    let world = World::new().await;
    world.secret("chat", KEY).await;
    let app = async |name: &str, account: u64, more: &str| {
        world.app_with_room(name, account, more).await;
        if !more.contains("suspend") {
            world.until_reason("chatapp", name, "Ready", "Verified").await;
        }
    };
    // No operator has seen it yet.
    world.reset("unseen", "@TGS#unseen", "  onGroupNotFound: Succeed").await;
    let unseen = world.object("gar", "unseen").await.unwrap();
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;

    // Final states.
    world.room("@TGS#cleared");
    world.reset("cleared", "@TGS#cleared", "").await;
    world.reset("missing", "@TGS#missing", "").await;
    world.reset("expired", "@TGS#cleared", "  notAfter: \"2026-01-01T00:00:00Z\"").await;
    world.reset("late", "@TGS#cleared", "  appRef: { name: nobody }\n  activeDeadlineSeconds: 1").await;
    world.reset("orphan", "@TGS#cleared", "  appRef: { name: nobody }").await;
    world.reset("superseded", "@TGS#cleared", "  requestID: a\n  suspend: true").await;
    world.vendor.script(When::clear().of("@TGS#invalid"), Misbehaviour::Code(10004));
    world.vendor.script(When::clear().of("@TGS#type"), Misbehaviour::Code(10007));
    world.reset("invalid", "@TGS#invalid", "").await;
    world.reset("type", "@TGS#type", "").await;
    // Unknown outcomes count against the app, so each reset has its own.
    app("empty", 1_500_000_001, "").await;
    app("stopped", 1_500_000_002, "").await;
    app("repeated", 1_500_000_003, "").await;
    world.vendor.script(When::clear().of("@TGS#empty").times(1), Misbehaviour::StatusAfterExecuting(502));
    world.vendor.script(When::clear().of("@TGS#stopped"), Misbehaviour::Status(502));
    world.vendor.script(When::clear().of("@TGS#repeated"), Misbehaviour::Status(502));
    world.reset_of_app("empty", "").await;
    world.reset_of_app("stopped", "  onUnknownOutcome: Stop").await;
    world.reset_of_app("repeated", "  backoffLimit: 1").await;
    // States that are not final.
    app("switched-off", 1_500_000_004, "  suspend: true").await;
    app("broken", 1_500_000_005, "").await;
    world.vendor.script(When::any().by(1_500_000_005), Misbehaviour::Code(70009));
    app("slow", 1_500_000_006, "  limits: { groupIntervalMilliseconds: 60000 }").await;
    for name in ["switched-off", "broken", "slow"] {
        world.reset_of_app(name, "").await;
    }
    world.reset("slower", "@TGS#slow", "  appRef: { name: slow }").await;
    world.reset("closed", "@TGS#cleared", "  appRef: { kind: ClusterChatApp, name: nobody }").await;

    for (name, reason) in [
        ("unseen", "GroupGone"),
        ("cleared", "Cleared"),
        ("missing", "GroupNotFound"),
        ("expired", "Expired"),
        ("late", "DeadlineExceeded"),
        ("orphan", "AppNotFound"),
        ("invalid", "InvalidRequest"),
        ("type", "GroupTypeNotSupported"),
        ("superseded", "Suspended"),
        ("switched-off", "AppSuspended"),
        ("closed", "AppNotAllowed"),
        ("broken", "AppNotReady"),
        ("empty", "VerifiedEmpty"),
        ("stopped", "OutcomeUnknown"),
        ("repeated", "BackoffLimitExceeded"),
    ] {
        world.reset_is(name, reason).await;
    }
    for request in ["b", "a"] {
        world.patch("gar", "superseded", &json!({"requestID": request}).to_string()).await;
        world
            .reset_where("superseded", "asked again", |object| object["status"]["requestID"] == request)
            .await;
    }
    world.reset_is("superseded", "Superseded").await;
    let one_of_two = world.reset_where("slow", "or slower to wait", |object| {
        ["Cleared", "RateLimited"].contains(&reason_of(object, "Succeeded").as_str())
    });
    let waits = if reason_of(&one_of_two.await, "Succeeded") == "Cleared" { "slower" } else { "slow" };
    world.reset_is(waits, "RateLimited").await;

    // Edited while no operator is running.
    operator.terminate();
    operator.wait_exit(world::DEADLINE).await;
    let mut objects: Vec<Value> =
        world.stored().await.into_iter().map(|stored| Value::clone(&stored.object)).collect();
    for name in ["cleared", "missing", "superseded", "broken"] {
        world.patch("gar", name, "{\"backoffLimit\":1}").await;
        objects.push(world.object("gar", name).await.unwrap());
    }
    objects.push(unseen);
    compare(RESETS, "Succeeded", &objects).await;
    let next = world.operator(&[]).await;
    world.reset_is("cleared", "Cleared").await;
    world.check(&[&operator, &next]).await;
}

#[tokio::test]
async fn kstatus_and_argo_cd_agree_with_the_documented_states_of_an_app() {
    let world = World::new().await;
    world.secret("chat", KEY).await;
    world.secret("wrong", &KEY.replace("c0ffee", "facade")).await;
    world.secret("pasted", "not a key").await;
    world.apply("{ apiVersion: v1, kind: Secret, metadata: { name: empty } }").await;
    let url = world.vendor.url();
    let mut apps = vec![
        ("verified", chat_app("verified", 1, &url, ""), "Verified"),
        (
            "no-secret",
            chat_app("no-secret", 2, &url, "").replace("name: chat", "name: nobody"),
            "SecretNotFound",
        ),
        ("no-key", chat_app("no-key", 3, &url, "").replace("name: chat", "name: empty"), "SecretKeyMissing"),
        (
            "no-hex",
            chat_app("no-hex", 10, &url, "").replace("name: chat", "name: pasted"),
            "SecretKeyInvalid",
        ),
        ("wrong", chat_app("wrong", 4, &url, "").replace("name: chat", "name: wrong"), "CredentialsRejected"),
        ("unpaid", chat_app("unpaid", 5, &url, ""), "AccountUnavailable"),
        ("elsewhere", chat_app("elsewhere", 6, &url, ""), "WrongRegion"),
        ("foreign", chat_app("foreign", 7, "https://chat.example", ""), "EndpointNotAllowed"),
        ("silent", chat_app("silent", 8, &url, ""), "Unreachable"),
        ("another-api", chat_app("another-api", 10, &url, ""), "EndpointRejected"),
        ("switched-off", chat_app("switched-off", 9, &url, "  suspend: true"), "Suspended"),
    ];
    for account in 1..=10 {
        world.vendor.account(account, KEY, &["administrator"]);
    }
    for (account, fault) in [
        (5, Misbehaviour::Code(60020)),
        (6, Misbehaviour::Code(60026)),
        (8, Misbehaviour::Status(502)),
        (10, Misbehaviour::Code(60009)),
    ] {
        world.vendor.script(When::any().by(account), fault);
    }
    for (_, app, _) in &apps {
        world.apply(app).await;
    }
    let mut objects = vec![world.object("chatapp", "verified").await.unwrap()];
    let operator = world.operator(&[]).await;
    for (name, _, reason) in &apps {
        objects.push(world.until_reason("chatapp", name, "Ready", reason).await);
    }
    operator.kill9();
    for (name, ..) in apps.drain(..2) {
        world.patch("chatapp", name, "{\"limits\":{\"callsPerSecond\":7}}").await;
        objects.push(world.object("chatapp", name).await.unwrap());
    }
    compare(APPS, "Ready", &objects).await;

    // The other kind of app has the same script; no operator handles it here.
    let scripts = ["ChatApp", "ClusterChatApp"];
    let [one, other] = scripts
        .map(|kind| crate::gitops::file(&format!("{}/{kind}/health.lua", crate::gitops::argocd::SCRIPTS)));
    assert_eq!(one, other);
    world.apply(&chat_app("verdict", 1, &url, "").replace("kind: ChatApp", "kind: ClusterChatApp")).await;
    let shared = world.object("clusterchatapp", "verdict").await.unwrap();
    assert_eq!(health(&shared).await.0, "Progressing");
}
