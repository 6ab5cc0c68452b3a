//! The fault proxy itself: each fault happens where it was planned, and nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::json;
use testbed::proxy::{Boundary, Fault, Line, Plan, Position};
use testbed::{ControlPlane, FaultProxy, Options, Vendor};

const SOON: Duration = Duration::from_secs(20);

struct Caller {
    vendor: Vendor,
    proxy: FaultProxy,
    http: reqwest::Client,
}

impl Caller {
    fn new() -> Self {
        let vendor = Vendor::start().unwrap();
        let proxy = FaultProxy::to_vendor(vendor.address()).unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
        Self { vendor, proxy, http }
    }

    /// A clear of this group. What the vendor thinks of it does not matter here.
    async fn clear(&self, group: &str) -> reqwest::Result<u16> {
        let url = format!("{}/v4/group_open_http_svc/clear_group_attr?sdkappid=1", self.proxy.url());
        let sent = self.http.post(url).body(json!({"GroupId": group}).to_string()).send().await?;
        let status = sent.status().as_u16();
        sent.bytes().await?;
        Ok(status)
    }

    fn arrived(&self) -> usize {
        self.vendor.journal().len()
    }

    fn plan(&self, position: Position, fault: Fault) -> Plan {
        self.proxy.plan(Boundary::clear().about("@TGS#a"), position, fault)
    }
}

#[tokio::test]
async fn what_meets_no_fault_passes_as_it_is() {
    let caller = Caller::new();
    assert_eq!(caller.clear("@TGS#a").await.unwrap(), 200);
    let arrived = caller.vendor.journal().remove(0);
    assert_eq!((arrived.group.as_deref(), arrived.raw_query.as_str()), (Some("@TGS#a"), "sdkappid=1"));
    assert_eq!(caller.proxy.passed()[0].resource, "clear_group_attr");
}

#[tokio::test]
async fn a_fault_before_lets_nothing_through_and_one_after_everything() {
    let caller = Caller::new();
    for (position, arrived) in [(Position::Before, 0), (Position::LostAnswer, 1)] {
        let before = caller.arrived();
        let plan = caller.plan(position, Fault::Reset);
        assert_eq!(caller.clear("@TGS#other").await.unwrap(), 200, "another group meets nothing");
        let error = caller.clear("@TGS#a").await.unwrap_err();
        assert!(!error.is_timeout() && !error.is_connect(), "{error:?}");
        assert_eq!(plan.fired(), 1);
        assert_eq!(caller.arrived() - before - 1, arrived, "{position:?}");
        assert_eq!(caller.clear("@TGS#a").await.unwrap(), 200, "only the first of them");
    }
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let action = Fault::Run(Box::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    let plan = caller.plan(Position::After, action);
    assert_eq!(caller.clear("@TGS#a").await.unwrap(), 200);
    plan.has_fired(SOON).await;
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_fault_can_be_another_answer_no_answer_or_a_late_one() {
    let caller = Caller::new();
    let plan = caller.plan(Position::Before, Fault::code(503));
    assert_eq!(caller.clear("@TGS#a").await.unwrap(), 503);
    drop(plan);
    let plan = caller.plan(Position::LostAnswer, Fault::BlackHole);
    assert!(caller.clear("@TGS#a").await.unwrap_err().is_timeout());
    assert_eq!((plan.fired(), caller.arrived()), (1, 1));
    drop(plan);
    let plan = caller.plan(Position::Before, Fault::Hold);
    let (status, ()) = tokio::join!(caller.clear("@TGS#a"), async {
        plan.has_fired(SOON).await;
        assert_eq!(caller.arrived(), 1, "held back");
        plan.release();
    });
    assert_eq!((status.unwrap(), caller.arrived()), (200, 2));
}

#[tokio::test]
async fn the_whole_way_can_be_cut_off_and_restored() {
    let caller = Caller::new();
    assert_eq!(caller.clear("@TGS#a").await.unwrap(), 200);
    caller.proxy.set(Line::Silent);
    assert!(caller.clear("@TGS#a").await.unwrap_err().is_timeout());
    caller.proxy.set(Line::Refusing);
    assert!(caller.clear("@TGS#a").await.unwrap_err().is_connect());
    assert_eq!(caller.arrived(), 1);
    caller.proxy.set(Line::Up);
    assert_eq!(caller.clear("@TGS#a").await.unwrap(), 200);
}

#[test]
#[should_panic(expected = "never happened")]
fn a_planned_fault_that_never_happens_fails_its_test() {
    let caller = Caller::new();
    drop(caller.plan(Position::Before, Fault::Reset));
}

#[tokio::test]
async fn watch_events_can_be_held_back_shown_again_cut_and_declared_too_old() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let account = plane.service_account("default", "watcher").await.unwrap();
    plane
        .apply(
            "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: watcher }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin }
subjects: [{ kind: ServiceAccount, name: watcher, namespace: default }]",
        )
        .await
        .unwrap();
    let proxy = FaultProxy::to_api_server(&plane).unwrap();
    let kubeconfig = Kubeconfig::read_from(proxy.kubeconfig(&account.token).unwrap()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(Client::try_from(config).unwrap(), "default");
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut watch = api.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    let make = async |name: &str| {
        let object = json!({"metadata": {"name": name}});
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    };
    let added = |event: Option<kube::Result<WatchEvent<ConfigMap>>>| match event {
        Some(Ok(WatchEvent::Added(object))) => object.name_any(),
        other => panic!("{other:?}"),
    };
    make("first").await;
    assert_eq!(added(watch.next().await), "first");
    proxy.hold_watches("configmaps");
    make("second").await;
    proxy.repeat_watches("configmaps", 2);
    assert_eq!(added(watch.next().await), "first");
    assert_eq!(added(watch.next().await), "first");
    let held = tokio::time::timeout(Duration::from_millis(300), watch.next()).await;
    assert!(held.is_err(), "{held:?}");
    proxy.release_watches("configmaps");
    assert_eq!(added(watch.next().await), "second");
    proxy.expire_watches("configmaps");
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Error(status))) if status.code == 410));
    proxy.cut_watches("configmaps");
    let end = tokio::time::timeout(SOON, watch.next()).await.expect("the end of the stream");
    assert!(matches!(end, None | Some(Err(_))), "{end:?}");
    assert_eq!(proxy.passed().iter().filter(|seen| seen.verb == "watch").count(), 1);
}
