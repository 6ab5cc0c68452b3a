//! The attackers: a tenant with unintended permissions for statuses, and a client that can reach the
//! operator's port.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::attacks::healthy::ACCOUNT as VICTIM;
use crate::tenancy::tenant::Tenant;
use crate::world::{KEY, World, chat_app, numbered};

/// The attackers' own working account.
const OWN: u64 = 1_400_000_666;
/// Concurrent half-open connections.
const CONNECTIONS: usize = 400;
/// Apps whose account or Secret does not exist.
const APPS: usize = 200;
/// Objects with a large annotation.
const LARGE: usize = 20;
/// Finished resets whose status is erased, and as many waiting ones with forged attempts.
const FORGED: usize = 20;

pub(crate) struct Attackers<'a> {
    home: &'a World,
    world: World,
    tenant: Tenant,
    /// The number of objects created so far; names stay unique across attacks.
    created: AtomicUsize,
}

/// Repeats a step until the attack ends.
async fn every(pause: Duration, until: Instant, mut step: impl AsyncFnMut(usize)) {
    let mut beat = tokio::time::interval(pause);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    for number in 0.. {
        beat.tick().await;
        if Instant::now() >= until {
            return;
        }
        step(number).await;
    }
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl<'a> Attackers<'a> {
    /// Creates what the attacks need: apps, objects and finished resets.
    pub(crate) async fn new(home: &'a World) -> Self {
        let world = World::without_rights(home.plane).await;
        world.skip_oracles();
        let tenant = Tenant::with_stray_rights(home.plane, &world.namespace).await;
        let all = Self { home, world, tenant, created: AtomicUsize::new(0) };
        home.vendor.account(OWN, KEY, &["administrator"]);
        all.world.secret("chat", KEY).await;
        all.world.secret("wrong", &KEY.replace('0', "1")).await;
        all.app("default", OWN, "chat", "").await;
        all.world.app_is("Verified").await;
        // The victim's account with a wrong key, and a limit that would slow it down.
        all.app("thief", VICTIM, "wrong", "  limits: { callsPerSecond: 1 }").await;
        let ballast = "x".repeat(200_000);
        for (name, group) in numbered("large", LARGE) {
            all.world.reset(&name, &group, "  suspend: true").await;
            all.world.merge("gar", &name, &json!({"metadata": {"annotations": {"ballast": ballast}}})).await;
        }
        for (name, group) in numbered("pending", FORGED) {
            all.world.reset(&name, &group, "  suspend: true\n  appRef: { name: thief }").await;
        }
        for (_, group) in numbered("ended", FORGED) {
            home.vendor.room(OWN, &group, &[("seat1", "ann")]);
        }
        all.world.many_resets(numbered("ended", FORGED)).await;
        for (name, group) in numbered("ended", FORGED) {
            all.world.reset_is(&name, "Cleared").await;
            // Somebody has joined since.
            home.vendor.room(OWN, &group, &[("seat1", "bob")]);
        }
        all
    }

    async fn app(&self, name: &str, account: u64, secret: &str, more: &str) {
        let app = chat_app(name, account, &self.home.vendor.url(), more)
            .replace("name: chat }", &format!("name: {secret} }}"));
        self.world.apply(&app).await;
    }

    /// Runs all attacks at once.
    pub(crate) async fn attack(&self, operator: SocketAddr, until: Instant) {
        tokio::join!(
            half_open_connections(operator, until),
            self.forged_proofs(until),
            self.forged_attempts(until),
            self.erased_ends(until),
            self.invented_apps(until),
            self.odd_keys(until),
            self.edits_of_large_objects(until),
            self.failing_resets(until),
        );
    }

    async fn forged_proofs(&self, until: Instant) {
        every(ms(500), until, async |_| {
            let forged = json!({"observedGeneration": 1, "lastVerifiedTime": Timestamp::now(), "lastErrorCode": null,
                "conditions": [{"type": "Ready", "status": "True", "reason": "Verified", "message": "forged",
                    "lastTransitionTime": Timestamp::now(), "observedGeneration": 1}]});
            self.tenant.forge("ChatApp", "thief", &forged).await;
        })
        .await;
    }

    async fn forged_attempts(&self, until: Instant) {
        let host = self.home.vendor.address().to_string();
        every(ms(200), until, async |number| {
            let now = Timestamp::now();
            let pending = json!({"id": format!("forged-{number}"), "number": 1, "startTime": now,
                "deadline": now + SignedDuration::from_secs(20), "holder": "nobody", "sdkAppID": VICTIM, "host": host});
            let name = format!("pending-{}", number % FORGED);
            let status = json!({"observedGeneration": 1, "pendingAttempt": pending});
            self.tenant.forge("GroupAttributeReset", &name, &status).await;
        })
        .await;
    }

    async fn erased_ends(&self, until: Instant) {
        every(ms(500), until, async |number| {
            let name = format!("ended-{}", number % FORGED);
            self.tenant.forge("GroupAttributeReset", &name, &Value::Null).await;
        })
        .await;
    }

    async fn invented_apps(&self, until: Instant) {
        every(ms(100), until, async |number| {
            if number < APPS {
                let secret = if number % 2 == 0 { "wrong" } else { "nowhere" };
                let number = self.created.fetch_add(1, Ordering::Relaxed);
                self.app(&format!("invented-{number}"), 1_500_000_000 + number as u64, secret, "").await;
            }
        })
        .await;
    }

    async fn odd_keys(&self, until: Instant) {
        let keys = ["hunter2", "", "\"c0ffee\"", "YzBmZmVl", "-----BEGIN EC PRIVATE KEY-----"];
        self.app("odd", OWN, "odd", "").await;
        every(ms(1000), until, async |number| {
            self.world.secret("odd", keys[number % keys.len()]).await;
            let calls = 100 + number % 100;
            self.world.merge("chatapp", "odd", &json!({"spec": {"limits": {"callsPerSecond": calls}}})).await;
        })
        .await;
    }

    async fn edits_of_large_objects(&self, until: Instant) {
        every(ms(1000), until, async |number| {
            let name = format!("large-{}", number % LARGE);
            let metadata = json!({"metadata": {"labels": {"edited": number.to_string()}}});
            self.world.merge("gar", &name, &metadata).await;
        })
        .await;
    }

    /// Each failure causes an event.
    async fn failing_resets(&self, until: Instant) {
        every(ms(300), until, async |_| {
            let number = self.created.fetch_add(1, Ordering::Relaxed);
            self.world.many_resets([(format!("failing-{number}"), format!("@TGS#missing-{number}"))]).await;
        })
        .await;
    }

    /// Asserts that nothing was sent twice or with an invalid key.
    pub(crate) async fn achieved_nothing(&self) {
        for (name, group) in numbered("ended", FORGED) {
            assert_eq!(self.home.vendor.clears_of(&group).len(), 1, "{group} was cleared again");
            self.world.reset_is(&name, "Cleared").await;
        }
        for (_, group) in numbered("pending", FORGED) {
            assert!(self.home.vendor.clears_of(&group).is_empty(), "{group} was suspended");
        }
        self.world.until_reason("chatapp", "thief", "Ready", "CredentialsRejected").await;
    }
}

/// Connections that start a request and never finish it. The oldest are closed, as the operator does.
async fn half_open_connections(operator: SocketAddr, until: Instant) {
    let head = format!("GET /metrics HTTP/1.1\r\nhost: operator\r\nx-ballast: {}", "x".repeat(15_000));
    let mut open = VecDeque::new();
    every(ms(100), until, async |_| {
        for _ in 0..5 {
            let Ok(mut connection) = TcpStream::connect(operator).await else { continue };
            let _ = connection.write_all(head.as_bytes()).await;
            open.push_back(connection);
        }
        while open.len() > CONNECTIONS {
            open.pop_front();
        }
    })
    .await;
}
