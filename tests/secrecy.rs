//! Nothing secret comes out of the process: not the account's key, not a signature made with it, not a signed query, in
//! no encoding and at no log level, whatever the vendor and the network do.

mod world;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use testbed::vendor::{Misbehaviour, When};
use testbed::{OperatorProcess, Vendor, until, until_ok};
use world::{APP_ID, KEY, SOON, World, chat_app};

/// A key that the vendor does not accept. It is as secret as the right one.
const WRONG_KEY: &str = "bad0cafe9bad0cafe8bad0cafe7bad0cafe6bad0cafe5bad0cafe4bad0cafe33";
/// A piece of a secret of this length gives it away.
const PIECE: usize = 32;

// -------------------------------------------------------------------------------------------------------- the search

/// What must not be found, with the name of what it is a form of, by its first bytes.
struct Needles(HashMap<Vec<u8>, Vec<(String, String)>>);

/// How many bytes of a needle are looked up at once.
const START: usize = 16;

impl Needles {
    /// All forms of these secrets, piece by piece.
    fn of<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut seen = BTreeSet::new();
        let mut needles: HashMap<_, Vec<_>> = HashMap::new();
        for (name, secret) in secrets {
            for (form, text) in pieces(secret).flat_map(forms) {
                if seen.insert(text.clone()) {
                    let start = text.as_bytes()[..START].to_vec();
                    needles.entry(start).or_default().push((format!("{name}, {form}"), text));
                }
            }
        }
        Self(needles)
    }

    /// What of it stands in a text, in whatever case.
    fn found_in(&self, text: &str) -> BTreeSet<&str> {
        let text = text.to_ascii_lowercase().into_bytes();
        let mut found = BTreeSet::new();
        for (at, start) in text.windows(START).enumerate() {
            let candidates = self.0.get(start).into_iter().flatten();
            found.extend(
                candidates
                    .filter(|(_, needle)| text[at..].starts_with(needle.as_bytes()))
                    .map(|(name, _)| name.as_str()),
            );
        }
        found
    }
}

/// A secret in pieces that overlap by half, so that a part of it is found as well.
fn pieces(secret: &str) -> impl Iterator<Item = &str> {
    assert!(secret.is_ascii() && secret.len() >= PIECE, "too short to search for: {secret:?}");
    (0..=secret.len() - PIECE).step_by(PIECE / 2).map(|start| &secret[start..start + PIECE])
}

/// The same piece as it may be written, in lower case.
fn forms(piece: &str) -> Vec<(&'static str, String)> {
    let hex = |before: &str| {
        piece.bytes().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{before}{byte:02x}");
            text
        })
    };
    let percent = piece.bytes().fold(String::new(), |mut text, byte| {
        let _ = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                write!(text, "{}", byte as char)
            }
            _ => write!(text, "%{byte:02x}"),
        };
        text
    });
    let mut forms = vec![
        ("as it is", piece.to_owned()),
        ("percent-encoded", percent.clone()),
        ("percent-encoded twice", percent.replace('%', "%25")),
        ("percent-encoded, every byte", hex("%")),
        ("in JSON as Go writes it", piece.replace('&', "\\u0026")),
        ("hex", hex("")),
        ("hex with \\x", hex("\\x")),
        ("a list of numbers", piece.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ")),
    ];
    for shift in 0..3 {
        // The letters at either end depend on what stands beside the secret, so only those between are searched for.
        let shifted = [&[0; 3][..shift], piece.as_bytes()].concat();
        let encoded = STANDARD_NO_PAD.encode(&shifted);
        let own = &encoded[(shift * 8).div_ceil(6)..shifted.len() * 8 / 6];
        forms.push(("base64", own.to_owned()));
        forms.push(("base64, for URLs", own.replace('+', "-").replace('/', "_")));
    }
    forms.into_iter().map(|(form, text)| (form, text.to_lowercase())).collect()
}

#[test]
fn the_search_finds_a_canary_in_each_disguise() {
    let needles = Needles::of([("the canary", KEY)]);
    let query = "sdkappid=1400000000&identifier=administrator&usersig=eJw1jl0LgjAYhf*LrhXm";
    let queries = Needles::of([("the query", query)]);
    let base64 = |before: &str| STANDARD_NO_PAD.encode(format!("{before}{KEY}and more"));
    let hex = KEY.bytes().fold(String::new(), |text, byte| format!("{text}{byte:02X}"));
    let escaped = query.replace('=', "%3D").replace('&', "%26");
    for (what, hay) in [
        ("as it is", format!("key {KEY}.")),
        ("in capitals", KEY.to_uppercase()),
        ("cut in half", format!("…{}", &KEY[20..])),
        ("base64", base64("")),
        ("base64, shifted by one", base64("x")),
        ("base64, shifted by two", base64("{\"")),
        ("hex", format!("0x{hex}")),
        ("bytes as Debug shows them", format!("{:?}", KEY.as_bytes())),
    ] {
        assert!(!needles.found_in(&hay).is_empty(), "not found: {what} in {hay}");
    }
    for (what, hay) in [
        ("as it is", format!("error sending request for url (https://host/v4/x?{query})")),
        ("percent-encoded", format!("?next={escaped}")),
        ("percent-encoded twice", escaped.replace('%', "%25")),
        ("as Go writes JSON", format!("\"{}\"", query.replace('&', "\\u0026"))),
    ] {
        assert!(!queries.found_in(&hay).is_empty(), "not found: {what} in {hay}");
    }
    let harmless = "identifier administrator sdkappid 1400000000 c0ffee usersig expired, code 70001";
    assert!(needles.found_in(harmless).is_empty() && queries.found_in(harmless).is_empty());
}

// ---------------------------------------------------------------------------------------------------------- the test

/// A room for each kind of trouble, each with an account of its own so that no circuit hides another.
fn troubles(echoes: [String; 3], elsewhere: &str) -> Vec<(&'static str, Misbehaviour)> {
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
async fn neither_key_nor_signature_nor_signed_query_ever_leaves_the_process() {
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

    // A success first: it shows what a signature and a signed query look like.
    world.room("@TGS#clean");
    world.app("").await;
    world.reset("clean", "@TGS#clean", "").await;
    world.reset_is("clean", "Cleared").await;

    // Accounts of their own; the signature of each is known once it is verified, and the vendor echoes it.
    let names: Vec<_> =
        troubles([const { String::new() }; 3], "").into_iter().map(|(name, _)| name).collect();
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
        let misbehaviour = troubles(echoes, &elsewhere.url()).remove(place).1;
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
    // Each trouble has happened, and has been written down.
    for name in &names {
        until_ok(SOON, &format!("the attempt of {name} to be recorded"), || async {
            let reset = world.object("gar", name).await.unwrap_or_default();
            let last = &reset["status"]["lastAttempt"];
            if last["completionTime"].is_string() { Ok(()) } else { Err(reset["status"].to_string()) }
        })
        .await;
    }
    // And has been settled: reads see the same signature.
    let settled = ["echo", "echo-half", "echo-base64", "echo-account", "page", "gateway", "redirect"];
    for name in settled {
        until(SOON, &format!("{name} to end"), || async {
            let reset = world.object("gar", name).await?;
            let finished = world::condition_of(&reset, "Finished")?["status"] == "True";
            finished.then_some(())
        })
        .await;
    }
    assert!(elsewhere.connections() == 0, "a redirect was followed");
    assert!(distrusted.journal().is_empty(), "something was sent to a host that is not trusted");

    let needles = needles(&world);
    let places = places(&world, &operator).await;
    for (place, text) in &places {
        assert!(!text.is_empty(), "nothing to search in: {place}");
        let found = needles.found_in(text);
        assert!(found.is_empty(), "{place} gives away {found:?}");
    }
    // The search has looked at the right places: what is no secret is there.
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
    assert!(needles.found_in(&operator.logs()).is_empty(), "its last words give something away");
}

/// The keys, and every signature and every query that the vendor saw.
fn needles(world: &World) -> Needles {
    let journal = world.vendor.journal();
    let sigs: BTreeSet<&str> = journal.iter().filter_map(|call| call.parameter("usersig")).collect();
    assert!(sigs.len() > 15, "each account has a signature of its own: {}", sigs.len());
    let mut secrets = vec![("the key", KEY), ("the wrong key", WRONG_KEY)];
    secrets.extend(sigs.into_iter().map(|sig| ("a signature", sig)));
    // Of a query, only the part with the signature is secret; what stands before it is an account's number.
    let part = |query: &str| query.find("usersig=").map(|start| query[start..].to_owned());
    let queries: BTreeSet<String> = journal.iter().filter_map(|call| part(&call.raw_query)).collect();
    secrets.extend(queries.iter().map(|query| ("a signed query", query.as_str())));
    Needles::of(secrets)
}

/// Everything that somebody besides the process can see.
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
