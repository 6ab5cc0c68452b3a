//! Accounts that a platform team opens to the namespaces of others, and accounts that several namespaces name.

mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::control_plane::Scope;
use testbed::vendor::{Command, Misbehaviour, When};
use testbed::{ControlPlane, OperatorProcess, Options, until, until_ok};
use tokio::sync::OnceCell;
use world::{APP_ID, KEY, SOON, World, chat_app, condition_of, message_of, numbered, reason_of, rights};

/// An API server with one operator for all namespaces. The tests of this file share it, each with an account, an app
/// and tenants of its own.
struct Platform {
    /// The operator's own namespace, and the vendor.
    home: World,
    operator: OperatorProcess,
}

static PLATFORM: OnceCell<Platform> = OnceCell::const_new();

async fn platform() -> &'static Platform {
    PLATFORM
        .get_or_init(|| async {
            let plane = ControlPlane::start(Options::default()).await.expect("control plane");
            plane.install_crds(concat!(env!("CARGO_MANIFEST_DIR"), "/crds")).await.expect("CRDs");
            let home = World::without_rights(Box::leak(Box::new(plane))).await;
            home.plane.grant(&home.account, &rights(), &Scope::Cluster).await.expect("rights");
            let mut launch = home.launch(&[]);
            launch.args.retain(|arg| !arg.starts_with("--watch-namespace"));
            let operator = OperatorProcess::start(launch).expect("operator");
            operator.ready(SOON).await;
            Platform { home, operator }
        })
        .await
}

/// What one test has of it: an account with its Secret, and a tenant.
struct Tenancy {
    platform: &'static Platform,
    account: u64,
    /// Of the `ClusterChatApp` and of its Secret.
    app: String,
    /// A client of this test's runtime; the namespace is the tenant's.
    tenant: World,
}

impl Tenancy {
    /// An app that is open to `from`, as it stands in `allowedNamespaces`.
    async fn new(from: &str) -> Self {
        static ACCOUNTS: AtomicU64 = AtomicU64::new(1);
        let platform = platform().await;
        let account = ACCOUNTS.fetch_add(1, Ordering::Relaxed);
        let tenant = World::without_rights(platform.home.plane).await;
        let tenancy = Self { platform, account, app: format!("shared-{account}"), tenant };
        platform.home.vendor.account(account, KEY, &["administrator"]);
        tenancy.secret(&platform.home.namespace, KEY).await;
        tenancy.open(from).await;
        tenancy
    }

    async fn secret(&self, namespace: &str, key: &str) {
        let yaml = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: {} }}\nstringData: {{ secretKey: {key:?} }}",
            self.app
        );
        self.tenant.plane.apply_in(namespace, &yaml).await.expect("Secret");
    }

    /// Applies the app, opened to `from`.
    async fn open(&self, from: &str) {
        let app = chat_app(&self.app, self.account, &self.platform.home.vendor.url(), "")
            .replace("kind: ChatApp", "kind: ClusterChatApp")
            .replace("name: chat }", &format!("name: {} }}", self.app));
        self.tenant.apply(&format!("{app}  allowedNamespaces: {from}\n")).await;
    }

    async fn app_is(&self, reason: &str) -> Value {
        self.tenant.until_reason("clusterchatapp", &self.app, "Ready", reason).await
    }

    /// A reset of a room of this account in the tenant's namespace.
    async fn reset(&self, name: &str) {
        self.room(name);
        let app = format!("  appRef: {{ kind: ClusterChatApp, name: {} }}", self.app);
        self.tenant.reset(name, &self.group(name), &app).await;
    }

    fn group(&self, name: &str) -> String {
        format!("@TGS#{name}-{}", self.account)
    }

    fn room(&self, name: &str) {
        self.platform.home.vendor.room(self.account, &self.group(name), &[("seat1", "ann")]);
    }

    /// What a reset says while it may not use its app.
    async fn not_allowed(&self, reset: &str) -> String {
        message_of(&self.tenant.reset_is(reset, "AppNotAllowed").await, "Succeeded")
    }

    /// How often this account was called or read.
    fn calls(&self) -> usize {
        self.platform.home.vendor.entries(|entry| entry.sdkappid == Some(self.account)).len()
    }

    async fn label(&self, label: &str) {
        let done = self
            .tenant
            .plane
            .kubectl(&["label", "--overwrite", "namespace", &self.tenant.namespace, label])
            .await
            .unwrap();
        assert!(done.ok, "{}", done.stderr);
    }
}

#[tokio::test]
async fn a_tenant_clears_a_room_with_an_account_whose_key_it_cannot_see() {
    let of = Tenancy::new("{ from: All }").await;
    // A Secret of the same name in the tenant's namespace is none of the operator's business.
    of.secret(&of.tenant.namespace, "another key").await;
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
async fn a_namespace_is_let_in_and_shut_out_by_its_labels() {
    let selector = "{ from: Selector, selector: { matchLabels: { chat: live }, \
                    matchExpressions: [{ key: tier, operator: NotIn, values: [free] }] } }";
    let of = Tenancy::new(selector).await;
    of.app_is("Verified").await;
    of.reset("a").await;
    of.not_allowed("a").await;
    of.label("chat=live").await;
    of.tenant.reset_is("a", "Cleared").await;

    of.label("tier=free").await;
    let before = of.calls();
    of.reset("b").await;
    of.not_allowed("b").await;
    assert_eq!(of.calls(), before, "nothing was sent past a closed door");
    of.label("tier=gold").await;
    of.tenant.reset_is("b", "Cleared").await;
    of.label("chat-").await;
    of.reset("c").await;
    of.not_allowed("c").await;

    // By its name, which nobody can put on another namespace.
    let named = format!("kubernetes.io/metadata.name: {}", of.tenant.namespace);
    of.open(&format!("{{ from: Selector, selector: {{ matchLabels: {{ {named} }} }} }}")).await;
    of.tenant.reset_is("c", "Cleared").await;
}

#[tokio::test]
async fn a_closed_door_stops_the_resets_that_wait_behind_it() {
    let of = Tenancy::new("{ from: All }").await;
    of.tenant.patch("clusterchatapp", &of.app, r#"{"limits":{"callsPerSecond":1}}"#).await;
    of.app_is("Verified").await;
    for name in ["a", "b", "c", "d", "e"] {
        of.reset(name).await;
    }
    let clears = || {
        let account = of.account;
        let entries = of
            .platform
            .home
            .vendor
            .entries(move |e| e.command == Command::Clear && e.sdkappid == Some(account));
        entries.len()
    };
    until(SOON, "a first clear", || async { (clears() >= 1).then_some(()) }).await;
    of.tenant.patch("clusterchatapp", &of.app, r#"{"allowedNamespaces":{"from":"None"}}"#).await;
    let shut = until_ok(SOON, "the rest to be shut out", || async {
        let reasons = of.tenant.reasons().await;
        let count = |reason| reasons.get(reason).copied().unwrap_or_default();
        if count("AppNotAllowed") + count("Cleared") == 5 { Ok(count("AppNotAllowed")) } else { Err(reasons) }
    })
    .await;
    assert!(shut >= 3, "only {shut} were shut out");
    assert_eq!(clears() + shut, 5, "whoever was shut out was not sent");
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
        assert!(reset["status"]["lastAttempt"]["errorInfo"].is_null(), "{reset:#}");
    };
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

#[tokio::test]
async fn an_operator_of_chosen_namespaces_knows_no_cluster_apps() {
    let world = World::new().await;
    world.room("@TGS#a");
    world.room("@TGS#marker");
    let _operator = world.operator(&[]).await;
    world.secret("chat", KEY).await;
    let app = chat_app("everywhere", APP_ID, &world.vendor.url(), "  allowedNamespaces: { from: All }");
    world.apply(&app.replace("kind: ChatApp", "kind: ClusterChatApp")).await;
    world.reset("a", "@TGS#a", "  appRef: { kind: ClusterChatApp, name: everywhere }").await;
    let said = message_of(&world.reset_is("a", "AppNotAllowed").await, "Succeeded");
    assert!(said.contains("ClusterChatApp everywhere may not be used from this namespace"), "{said}");

    world.app("").await;
    world.reset("marker", "@TGS#marker", "").await;
    world.reset_is("marker", "Cleared").await;
    assert_eq!(world.calls("@TGS#a"), 0);
    let app = world.object("clusterchatapp", "everywhere").await.unwrap();
    assert_eq!(reason_of(&app, "Ready"), "Pending", "nobody looks at it: {app:#}");
    world.plane.audit_marker().await.unwrap();
    let audit = world.plane.audit_of(&world.account.user()).unwrap();
    let asked = |event: &&std::sync::Arc<testbed::control_plane::AuditEvent>| {
        event.resource == "clusterchatapps" || event.resource == "namespaces" || event.code == 403
    };
    let out_of_place: Vec<_> = audit.iter().filter(asked).map(|event| &event.request_uri).collect();
    assert!(out_of_place.is_empty(), "nothing is asked for that a Role cannot allow: {out_of_place:?}");
}

/// A namespace beside `world`, watched by the same operator.
async fn neighbour(world: &World) -> World {
    let beside = World::without_rights(world.plane).await;
    let both = Scope::Namespaces(vec![world.namespace.clone(), beside.namespace.clone()]);
    world.plane.grant(&world.account, &rights(), &both).await.unwrap();
    beside
}

#[tokio::test]
async fn apps_of_two_namespaces_that_name_one_account_share_its_lowest_limit() {
    const RESETS: usize = 15;
    let here = World::new().await;
    let there = neighbour(&here).await;
    let _operator = here.operator(&[&format!("--watch-namespace={}", there.namespace)]).await;
    let app = |limit: u32| {
        chat_app("default", APP_ID, &here.vendor.url(), &format!("  limits: {{ callsPerSecond: {limit} }}"))
    };
    for (world, limit, name) in [(&here, 200, "here"), (&there, 5, "there")] {
        here.rooms(&numbered(name, RESETS));
        world.secret("chat", KEY).await;
        world.apply(&app(limit)).await;
    }
    here.app_is("Verified").await;
    there.app_is("Verified").await;
    here.many_resets(numbered("here", RESETS)).await;
    there.many_resets(numbered("there", RESETS)).await;
    here.until_cleared(RESETS, SOON).await;
    there.until_cleared(RESETS, SOON).await;
    let fullest = here.vendor.fullest_window(APP_ID, Command::Clear, Duration::from_secs(1));
    assert!((4..=5).contains(&fullest), "{fullest} calls in one second, {} are allowed", 5);
    // And together they get all of it: 30 calls at 5/s.
    let clears = here.vendor.clears();
    let took = clears.last().unwrap().arrived - clears.first().unwrap().arrived;
    assert!(took < Duration::from_secs(12), "30 calls took {took:?}");

    // The slow one goes, and its limit with it.
    there.kubectl(&["delete", "chatapp", "default"]).await;
    let again = numbered("again", 40);
    here.rooms(&again);
    let asked = Instant::now();
    here.many_resets(again).await;
    here.until_cleared(RESETS + 40, SOON).await;
    assert!(asked.elapsed() < Duration::from_secs(8), "40 calls took {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_stranger_who_names_the_account_with_a_wrong_key_does_not_slow_it() {
    const RESETS: usize = 40;
    let here = World::new().await;
    let stranger = neighbour(&here).await;
    let _operator = here.operator(&[&format!("--watch-namespace={}", stranger.namespace)]).await;
    stranger.secret("chat", &KEY.replace("c0", "d1")).await;
    let limits = "  limits: { callsPerSecond: 1, groupIntervalMilliseconds: 60000 }";
    stranger.apply(&chat_app("default", APP_ID, &here.vendor.url(), limits)).await;
    stranger.app_is("CredentialsRejected").await;
    stranger.many_resets(numbered("greedy", 20)).await;
    let asked = Instant::now();
    here.app("  limits: { callsPerSecond: 20 }").await;
    here.app_is("Verified").await;
    assert!(
        asked.elapsed() < Duration::from_secs(15),
        "a stranger's probes kept it waiting {:?}",
        asked.elapsed()
    );

    let rooms = numbered("here", RESETS);
    here.rooms(&rooms);
    let asked = Instant::now();
    here.many_resets(rooms).await;
    here.until_cleared(RESETS, SOON).await;
    assert!(asked.elapsed() < Duration::from_secs(15), "{RESETS} calls took {:?}", asked.elapsed());
    assert_eq!(here.vendor.clears().len(), RESETS, "and nothing was sent for the stranger");
}
