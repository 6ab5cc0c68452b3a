//! A controller without watches and without a vendor, driven by hand.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::GroupId;
use crate::chat::{ChatClient, Command, KeyFormat, Settings};
use crate::controller::any_chat_app::AnyChatApp;
use crate::controller::app_entry::AppRules;
use crate::controller::clock::Clock;
use crate::controller::context::Context;
use crate::controller::event_loop::Controller;
use crate::controller::reset_cache::Freshness;
use crate::controller::secret_reads::SecretReads;
use crate::controller::task_result::{CallEnded, PermitUse, TaskResult};
use crate::controller::unrecorded::Unrecorded;
use crate::controller::watches::WatchEvent;
use crate::k8s::clock_skew::ClockSkew;
use crate::k8s::event_writer::EventWriter;
use crate::k8s::fake_api::{Call, FakeApi};
use crate::k8s::lease::Leadership;
use crate::k8s::status_writer::StatusWriter;
use crate::limits::mono::Mono;
use crate::observability::health_server::Health;
use crate::observability::metrics::Metrics;
use crate::protocol::classify::CallResult;

/// Some moment that lies in the past.
pub(super) const NOW: &str = "2026-11-01T10:00:00Z";

pub(super) struct Bench {
    pub(super) api: FakeApi,
    controller: Controller,
    results: mpsc::UnboundedReceiver<TaskResult>,
    registry: Registry,
}

/// A reset of the namespace `shop`, created just now; `spec` is what it has besides a group.
pub(super) fn reset(name: &str, version: u64, spec: &Value) -> Value {
    let mut all = json!({"groupID": "@TGS#room"});
    all.as_object_mut().expect("a map").extend(spec.as_object().cloned().unwrap_or_default());
    json!({"apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset", "spec": all, "metadata": {
        "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1,
        "resourceVersion": version.to_string(), "creationTimestamp": jiff::Timestamp::now().to_string()}})
}

/// The app `default`, which the vendor accepted before.
pub(super) fn app(kind: &str, spec: &Value) -> AnyChatApp {
    let mut all = json!({"sdkAppID": 1_400_000_000, "region": "Singapore", "credentials": {"secretKeyRef": {"name": "chat"}}});
    all.as_object_mut().expect("a map").extend(spec.as_object().cloned().unwrap_or_default());
    let object = json!({"apiVersion": "groupattr.dev/v1alpha1", "kind": kind, "spec": all,
        "metadata": {"name": "default", "namespace": if kind == "ChatApp" { "shop" } else { "" }, "uid": "uid-app",
            "generation": 1, "resourceVersion": "1"},
        "status": {"observedGeneration": 1, "lastVerifiedTime": NOW, "conditions": [{"type": "Ready", "status": "True",
            "reason": "Verified", "message": "", "lastTransitionTime": NOW, "observedGeneration": 1}]}});
    match kind {
        "ChatApp" => AnyChatApp::Chat(Box::new(serde_json::from_value(object).expect("a ChatApp"))),
        _ => AnyChatApp::Cluster(Box::new(serde_json::from_value(object).expect("a ClusterChatApp"))),
    }
}

fn context(client: Client, results: mpsc::UnboundedSender<TaskResult>, metrics: Metrics) -> Context {
    let chat =
        ChatClient::new(&Settings { user_agent: "test".to_owned(), https_proxy: None }).expect("a client");
    Context {
        statuses: StatusWriter::new(client.clone()),
        chat,
        events: EventWriter::new(client.clone(), "me", |_| ()),
        client,
        metrics,
        leadership: Leadership::without_election(),
        secret_reads: SecretReads::default(),
        unrecorded: Unrecorded::default(),
        clock: Clock::start(),
        clock_skew: ClockSkew::default(),
        identity: "me".to_owned(),
        stop: CancellationToken::new(),
        results,
    }
}

impl Bench {
    /// All objects are listed, and there are none.
    pub(super) fn listed() -> Self {
        let (api, client) = FakeApi::new();
        let (reports, results) = mpsc::unbounded_channel();
        let (metrics, registry) = Metrics::new();
        let rules = AppRules {
            own_namespace: "system".to_owned(),
            allow_endpoints: vec![],
            predecessor_writes: Duration::ZERO,
            key_format: KeyFormat::Hex64,
        };
        let context = Arc::new(context(client, reports, metrics));
        let controller = Controller::new(context, rules, Arc::new(Health::new()), vec![]);
        Self { api, controller, results, registry }
    }

    pub(super) fn identity(&self) -> String {
        self.controller.ctx.identity.clone()
    }

    /// The next request with this in its path; those before it get no answer.
    pub(super) async fn next_at(&mut self, path: &str) -> Call {
        loop {
            let call = self.api.next().await;
            if call.path.contains(path) {
                return call;
            }
        }
    }

    /// Answers of the API server have shown that the clock is wrong.
    pub(super) fn clock_is_ahead(&self, by: jiff::SignedDuration) {
        self.controller.ctx.clock_skew.set(by);
    }

    pub(super) fn now(&self) -> Mono {
        self.controller.now().mono
    }

    /// A watch or a list shows this reset.
    pub(super) fn shows(&mut self, object: &Value, freshness: Freshness) {
        let object = serde_json::from_value(object.clone()).expect("a reset");
        self.event(WatchEvent::Reset(Box::new(object), freshness));
    }

    pub(super) fn event(&mut self, event: WatchEvent) {
        self.controller.on_watch_event(event);
        self.turn();
    }

    /// The next result of a task comes in.
    pub(super) async fn result(&mut self) {
        let result = self.results.recv().await.expect("a task");
        self.take(result);
    }

    pub(super) fn take(&mut self, result: TaskResult) {
        self.controller.on_task_result(result);
        self.turn();
    }

    /// A clear of another group by the only app ended just now.
    pub(super) fn answered(&mut self, result: CallResult) {
        let config = self.controller.apps.values().next().and_then(|app| app.config.clone().ok());
        let now = self.now();
        self.take(TaskResult::CallEnded(CallEnded {
            app: config.expect("an app that can be used"),
            started: now,
            command: Command::Clear,
            group: GroupId::parse("@TGS#other").expect("a group"),
            permit: PermitUse::Used { sent: now, over: now },
            result: Some(result),
        }));
    }

    /// Timers that are due, and accounts that are dirty.
    pub(super) fn turn(&mut self) {
        self.controller.fire_timers();
        self.controller.dispatch_dirty_accounts();
    }

    /// Time passes, and the timers fire as they become due.
    pub(super) async fn pass(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end {
            tokio::time::advance(Duration::from_millis(10)).await;
            self.turn();
        }
    }

    pub(super) fn is_queued(&mut self, name: &str) -> bool {
        self.controller.resets.active(&format!("uid-{name}")).is_some_and(|active| active.queued.is_some())
    }

    /// What the status of a reset should say, if it should say something else.
    pub(super) fn explained(&mut self, name: &str) -> Option<String> {
        let now = self.controller.now();
        let plan = self.controller.plan(&format!("uid-{name}"), now)?;
        plan.explain.map(|status| status.reason().to_string())
    }

    /// Resets that ended for this reason, as the metric counts them.
    pub(super) fn ended(&self, reason: &str) -> u32 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("text");
        let is_it = |line: &&str| {
            line.starts_with("groupattr_results_total") && line.contains(&format!("\"{reason}\""))
        };
        text.lines().find(is_it).and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }

    /// Reasons of the events that were written.
    pub(super) async fn events(&mut self) -> Vec<String> {
        // They are written by a task of their own; no other request follows.
        let _ = tokio::time::timeout(Duration::from_millis(100), self.api.next()).await;
        let reason = |event: &Value| event["reason"].as_str().unwrap_or_default().to_owned();
        self.api.events.iter().map(reason).collect()
    }
}
