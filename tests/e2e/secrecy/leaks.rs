//! Provokes every kind of failure, then searches everything that is visible from outside.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use testbed::vendor::{Misbehaviour, When};
use testbed::{OperatorProcess, Vendor, until, until_ok};

use super::search::Needles;
use crate::world::{self, APP_ID, DEADLINE, KEY, World, chat_app};

/// A key that the vendor rejects, which is just as secret as the right one.
const WRONG_KEY: &str = "bad0cafe9bad0cafe8bad0cafe7bad0cafe6bad0cafe5bad0cafe4bad0cafe33";

/// One room per kind of failure, each with its own account so that one circuit does not hide another.
fn failures(echoes: [String; 3], elsewhere: &str) -> Vec<(&'static str, Misbehaviour)> {
    let [whole, half, wrapped] = echoes;
    let hostile = |code: i64, text: &str| {
        let body = serde_json::json!({"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": text, "RequestId": text});
        Misbehaviour::WrongBody(body.to_string())
    };
    vec![
        ("reset", Misbehaviour::Reset { execute: false }),
        ("hang", Misbehaviour::Hang { execute: true }),
        ("truncated", Misbehaviour::Truncate),
        ("slow", Misbehaviour::SlowBytes),
        ("huge", Misbehaviour::HugeBody(1 << 30)),
        ("bomb", Misbehaviour::GzipBomb),
        ("page", Misbehaviour::Html),
        ("gateway", Misbehaviour::Status(502)),
        ("limited", Misbehaviour::Status(429)),
        ("text", Misbehaviour::CodeAsString),
        ("fail", Misbehaviour::FailWithCodeZero),
        (
            "redirect",
            Misbehaviour::Redirect(format!("{elsewhere}/v4/group_open_http_svc/clear_group_attr?{whole}")),
        ),
        ("echo", hostile(10004, &whole)),
        ("echo-half", hostile(10004, &half)),
        ("echo-base64", hostile(10010, &wrapped)),
        ("echo-account", hostile(70003, &whole)),
        ("echo-unlisted", hostile(31337, &whole)),
        ("echo-body", Misbehaviour::WrongBody(format!("{whole} {whole}"))),
        ("echo-status", hostile(0, &whole)),
    ]
}

#[tokio::test]
async fn no_key_signature_or_signed_query_leaves_the_process() {
    let world = World::new().await;
    let elsewhere = Vendor::start().unwrap();
    let distrusted = Vendor::start_tls().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = [
        ("distrusted", distrusted.url()),
        ("refused", format!("http://{closed}")),
        ("nameless", "https://chat.invalid".to_owned()),
    ];
    let mut allowed: Vec<String> = vec![
        format!("--allow-endpoint={}", distrusted.address()),
        format!("--allow-endpoint={closed}"),
        "--allow-endpoint=chat.invalid".to_owned(),
    ];
    allowed.push(
        "--log-filter=trace,kube_client=trace,hyper=trace,reqwest=trace,rustls=trace,tower=trace".to_owned(),
    );
    let operator = world.operator(&allowed.iter().map(String::as_str).collect::<Vec<_>>()).await;

    // A success first, which provides a signature and a signed query.
    world.room("@TGS#clean");
    world.app("").await;
    world.reset("clean", "@TGS#clean", "").await;
    world.reset_is("clean", "Cleared").await;

    // One account per failure. Its signature is known once it is verified, and the vendor will echo it.
    let names: Vec<_> =
        failures([const { String::new() }; 3], "").into_iter().map(|(name, _)| name).collect();
    for (account, name) in (1_u64..).zip(&names) {
        world.vendor.account(account, KEY, &["administrator"]);
        world.vendor.room(account, &format!("@TGS#{name}"), &[("seat1", "ann")]);
        world.apply(&chat_app(name, account, &world.vendor.url(), "")).await;
    }
    for (name, url) in &unreachable {
        world.apply(&chat_app(name, APP_ID, url, "")).await;
    }
    world.secret("wrong", WRONG_KEY).await;
    world
        .apply(&chat_app("wrong", 99, &world.vendor.url(), "").replace("name: chat }", "name: wrong }"))
        .await;
    world.vendor.account(99, KEY, &["administrator"]);
    for (place, (account, name)) in (1_u64..).zip(&names).enumerate() {
        world.until_reason("chatapp", name, "Ready", "Verified").await;
        let probe = world.vendor.entries(|entry| entry.sdkappid == Some(account)).remove(0);
        let sig = probe.parameter("usersig").unwrap();
        let echoes = [
            format!("bad request: POST {}?{}", probe.path, probe.raw_query),
            format!("bad signature {}", &sig[sig.len() / 2..]),
            format!("at {}", STANDARD_NO_PAD.encode(&probe.raw_query)),
        ];
        let misbehaviour = failures(echoes, &elsewhere.url()).remove(place).1;
        world.vendor.script(When::clear().by(account).times(1), misbehaviour);
    }
    for name in names.iter().chain(&["wrong", "distrusted", "refused", "nameless"]) {
        let app = format!("  appRef: {{ name: {name} }}\n  onUnknownOutcome: Stop");
        world.reset(name, &format!("@TGS#{name}"), &app).await;
    }
    for (name, reason) in [
        ("wrong", "CredentialsRejected"),
        ("distrusted", "Unreachable"),
        ("refused", "Unreachable"),
        ("nameless", "Unreachable"),
    ] {
        world.until_reason("chatapp", name, "Ready", reason).await;
    }
    // Each failure has happened and is recorded.
    for name in &names {
        until_ok(DEADLINE, &format!("the attempt of {name} to be recorded"), || async {
            let reset = world.object("gar", name).await.unwrap_or_default();
            let last = &reset["status"]["lastAttempt"];
            if last["completionTime"].is_string() { Ok(()) } else { Err(reset["status"].to_string()) }
        })
        .await;
    }
    // These are also settled: read-backs use the same signature.
    let settled = ["echo", "echo-half", "echo-base64", "echo-account", "page", "gateway", "redirect"];
    for name in settled {
        until(DEADLINE, &format!("{name} to finish"), || async {
            let reset = world.object("gar", name).await?;
            let finished = world::condition_of(&reset, "Finished")?["status"] == "True";
            finished.then_some(())
        })
        .await;
    }
    assert!(elsewhere.connections() == 0, "a redirect was followed");
    assert!(distrusted.journal().is_empty(), "a request was sent to a host with an untrusted certificate");

    let needles = needles(&world);
    let places = places(&world, &operator).await;
    for (place, text) in &places {
        assert!(!text.is_empty(), "{place} is empty");
        let found = needles.found_in(text);
        assert!(found.is_empty(), "{place} leaks {found:?}");
    }
    // The places contain what is not secret, so the right ones were searched.
    let text = |wanted: &str| &places.iter().find(|(place, _)| *place == wanted).unwrap().1;
    assert!(text("the log").contains("attempt ended"));
    assert!(text("the objects").contains("lastAttempt"));
    assert!(text("the events").contains("CircuitOpened"));
    assert!(text("the metrics").contains("groupattr_attempts"));
    assert!(text("the command line").contains("--log-filter"));
    assert!(text("the environment").contains("KUBECONFIG"));
    assert!(text("the audit log").contains("groupattributeresets"));
    operator.terminate();
    assert_eq!(operator.wait_exit(Duration::from_secs(30)).await.code(), Some(0));
    assert!(needles.found_in(&operator.logs()).is_empty(), "its shutdown log leaks a secret");
}

/// The keys, and every signature and signed query that the vendor received.
fn needles(world: &World) -> Needles {
    let journal = world.vendor.journal();
    let sigs: BTreeSet<&str> = journal.iter().filter_map(|call| call.parameter("usersig")).collect();
    assert!(sigs.len() > 15, "each account must have its own signature: {}", sigs.len());
    let mut secrets = vec![("the key", KEY), ("the wrong key", WRONG_KEY)];
    secrets.extend(sigs.into_iter().map(|sig| ("a signature", sig)));
    // A query is secret only from the signature on; the part before it names the account.
    let part = |query: &str| query.find("usersig=").map(|start| query[start..].to_owned());
    let queries: BTreeSet<String> = journal.iter().filter_map(|call| part(&call.raw_query)).collect();
    secrets.extend(queries.iter().map(|query| ("a signed query", query.as_str())));
    Needles::of(secrets)
}

/// Everything that is visible outside the process.
async fn places(world: &World, operator: &OperatorProcess) -> Vec<(&'static str, String)> {
    world.plane.audit_marker().await.unwrap();
    let got = async |what: &str| {
        let got = world.kubectl(&["get", what, "-o", "yaml", "--show-managed-fields"]).await;
        assert!(got.ok, "{}", got.stderr);
        got.stdout
    };
    let environment = std::fs::read(format!("/proc/{}/environ", operator.pid())).unwrap();
    vec![
        ("the log", operator.logs()),
        ("the objects", got("groupattributeresets,chatapps,leases").await),
        ("the events", got("events.events.k8s.io").await),
        ("the metrics", operator.metrics().await.unwrap()),
        ("the command line", operator.command_line().unwrap()),
        ("the environment", String::from_utf8_lossy(&environment).into_owned()),
        ("the audit log", world.plane.audit_text().unwrap()),
    ]
}
