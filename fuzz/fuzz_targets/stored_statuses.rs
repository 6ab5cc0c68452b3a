//! Statuses as whoever may write them can store them, of a reset and of its app: what a process makes of them when it
//! sees them first. `stored_objects` plays a whole life of a reset; here each status is taken for one moment, at times that
//! nobody meant.
//!
//! Nothing panics. What has ended stays ended, and nothing is called or read for it. No stored time makes anybody wait
//! longer than a rule of ours allows. An app works only by a proof of its present spec, and says what it says once.
//!
//! Input, in three lines: the status of the reset, the status of its app, and bytes that decide the rest.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use groupattr::api::{AppReason, ChatApp, ClusterChatApp, GroupAttributeReset, ResetStatus};
use groupattr::chat::{AccountId, Class, KeyFormat};
use groupattr::controller::any_chat_app::AnyChatApp;
use groupattr::controller::app_entry::{AppEntry, AppRules};
use groupattr::controller::reset_cache::{CacheOwner, Freshness, ResetCache, Stage, Upserted};
use groupattr::limits::mono::Mono;
use groupattr::protocol::Now;
use groupattr::protocol::classify::{CallResult, Delivery};
use groupattr::protocol::outcome::{
    WriteContext, after_attempt, after_read_back, awaiting_settlement, unrecoverable,
};
use groupattr::protocol::plan::{AppState, AppView, LocalState, Step, plan};
use groupattr::protocol::recovery::{attempt_length, read_back_of_foreign};
use groupattr::protocol::status::current;
use groupattr::text::is_invisible;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// Long after the process started, so that what was stored earlier can lie before.
const STARTED: Duration = Duration::from_secs(1_000);
/// The longest backoff, and a second for rounding.
const LONGEST_HOLD: Duration = Duration::from_secs(301);

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let [reset, app, dice] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let die = |at: usize| dice.get(at).copied().unwrap_or_default();
    let now = Now {
        wall: Timestamp::from_second(1_770_000_000 + 86_400 * i64::from(die(0)) - 86_400 * 100)
            .expect("a moment"),
        mono: Mono::START + STARTED,
    };
    if let Ok(status) = serde_json::from_slice::<Value>(reset) {
        of_reset(&status, now, die(1));
    }
    if let Ok(status) = serde_json::from_slice::<Value>(app) {
        of_app(&status, now, die(2));
    }
});

fn of_reset(status: &Value, now: Now, die: u8) {
    let kind = if die & 1 == 0 { "ChatApp" } else { "ClusterChatApp" };
    let mut spec =
        json!({"groupID": "@TGS#room", "appRef": {"kind": kind, "name": "default"}, "suspend": die & 2 != 0});
    if die & 4 != 0 {
        spec["requestID"] = "asked".into();
    }
    let object = json!({
        "apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset", "spec": spec, "status": status,
        "metadata": {"name": "room", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-02-02T00:00:00Z"},
    });
    let Ok(reset) = serde_json::from_value::<GroupAttributeReset>(object) else { return };
    let status = current(&reset);
    remembered(&reset, now);
    if let Some(pending) = &status.pending_attempt {
        assert!(attempt_length(pending) <= Duration::from_secs(20));
        assert!(read_back_of_foreign(pending, now.mono) <= now.mono + Duration::from_secs(25));
        let at = WriteContext { now, jitter: f64::from(die) / 255.0, throttle: Duration::from_secs(1) };
        told(&awaiting_settlement(&reset, pending, now), &reset, now);
        told(&unrecoverable(&reset, pending, "the app now uses another account", now), &reset, now);
        let result = CallResult {
            delivery: Delivery::Sent(Class::Success),
            http_status: Some(200),
            ..CallResult::outcome_unknown()
        };
        for attributes in [0, 3] {
            let read = CallResult { attributes, ..result.clone() };
            let settled = after_read_back(&reset, pending, &read, at).expect("a read settles it");
            assert!(settled.pending_attempt.is_none(), "settled, and yet pending");
            told(&settled, &reset, now);
        }
        told(&after_attempt(&reset, pending, &result, at), &reset, now);
    }
    for state in [AppState::Working, AppState::Missing, AppState::NotReady(AppReason::SecretKeyInvalid, None)]
    {
        let account = AccountId { sdk_app_id: 1_400_000_000, host: "chat.example.com:443".to_owned() };
        let app = AppView { state, account: Some(account) };
        let plan = plan(&reset, &app, &LocalState::default(), now);
        if let Some(explanation) = &plan.explain {
            told(explanation, &reset, now);
        }
        let is_other = spec_asks_for_another(&reset, &status);
        let is_over = status.is_final() && status.pending_attempt.is_none() && !is_other;
        match plan.step {
            Step::Record(next) => {
                told(&next, &reset, now);
                if is_over {
                    let end =
                        |status: &ResetStatus| (status.completion_time, status.attempts, status.reason());
                    assert!(next.is_final() && end(&next) == end(&status), "an end was undone");
                }
            }
            Step::Send | Step::ReadBack(_) => assert!(!is_over, "something is called for what is over"),
            Step::Wait(_) | Step::Delete => {}
        }
    }
}

fn spec_asks_for_another(reset: &GroupAttributeReset, status: &ResetStatus) -> bool {
    reset.spec.request_id.is_some() && reset.spec.request_id != status.request_id
}

/// What a process that has just started keeps of it.
fn remembered(reset: &GroupAttributeReset, now: Now) {
    let mut resets = ResetCache::new(CacheOwner { identity: "me".to_owned(), alone_from: Mono::START });
    let Upserted::Stored { foreign, .. } = resets.upsert(Arc::new(reset.clone()), Freshness::Consistent, now)
    else {
        panic!("a first sight is news")
    };
    if let Some(foreign) = foreign {
        assert!(
            foreign.deadline <= now.mono + Duration::from_secs(20),
            "held by somebody's word for {foreign:?}",
            foreign = foreign.deadline
        );
    }
    for tracked in resets.all.values() {
        if let Stage::Active(active) = &tracked.stage {
            assert!(
                active.local.hold_until.is_none_or(|until| until <= now.mono + LONGEST_HOLD),
                "{:?}",
                active.local
            );
        }
    }
    // Somebody erases it: what was ended stays ended, and what was pending stays pending.
    let mut erased = reset.clone();
    (erased.status, erased.metadata.resource_version) = (None, Some("999999".to_owned()));
    let _ = resets.upsert(Arc::new(erased), Freshness::MaybeStale, now);
    let known = current(reset);
    for tracked in resets.all.values() {
        let Stage::Active(active) = &tracked.stage else { panic!("nothing is to be written back") };
        let believed = current(&active.object);
        assert_eq!(believed.is_final(), known.is_final(), "an end is forgotten");
        let id = |status: &ResetStatus| status.pending_attempt.as_ref().map(|pending| pending.id.clone());
        assert_eq!(id(&believed), id(&known), "an attempt is forgotten");
    }
}

/// What holds of each status that is written.
fn told(status: &ResetStatus, reset: &GroupAttributeReset, now: Now) {
    assert_eq!(status.is_final(), status.completion_time.is_some() || status.reason().is_final());
    for condition in status.conditions.iter().filter(|condition| condition.type_ == "Succeeded") {
        assert!(
            condition.message.len() <= 512 && !condition.message.contains(is_invisible),
            "{}",
            condition.message
        );
        assert_eq!(condition.observed_generation, Some(2));
    }
    if let Some(next) =
        status.next_attempt_time.filter(|next| Some(*next) != current(reset).next_attempt_time)
    {
        let longest = now.wall + LONGEST_HOLD + Duration::from_secs(1);
        assert!(next <= longest, "{next} is far away");
    }
    let is_of_cluster = reset.spec.app_ref.kind == groupattr::api::AppKind::ClusterChatApp;
    let shows = status
        .last_attempt
        .as_ref()
        .is_some_and(|last| last.error_info.is_some() || last.vendor_request_id.is_some());
    assert!(!(is_of_cluster && shows), "the vendor's words about the platform's account");
    assert!(status.history.len() <= 5 || status.history == current(reset).history);
}

fn of_app(status: &Value, now: Now, die: u8) {
    let mut spec = json!({
        "sdkAppID": 1_400_000_000, "region": "Singapore", "credentials": {"secretKeyRef": {"name": "chat"}},
        "suspend": die & 1 != 0,
    });
    let is_wrong = die & 2 != 0;
    if is_wrong {
        spec["identifier"] = "two\nlines".into();
    }
    let metadata =
        json!({"name": "default", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2});
    let kind = if die & 4 == 0 { "ChatApp" } else { "ClusterChatApp" };
    let object = json!({
        "apiVersion": "groupattr.dev/v1alpha1", "kind": kind, "spec": spec, "status": status, "metadata": metadata,
    });
    let decoded = match kind {
        "ChatApp" => serde_json::from_value::<ChatApp>(object).map(|app| AnyChatApp::Chat(Box::new(app))),
        _ => serde_json::from_value::<ClusterChatApp>(object).map(|app| AnyChatApp::Cluster(Box::new(app))),
    };
    let Ok(object) = decoded else { return };
    let rules = AppRules {
        own_namespace: "system".to_owned(),
        allow_endpoints: vec![],
        predecessor_writes: Duration::ZERO,
        key_format: KeyFormat::Hex64,
    };
    let app = AppEntry::new(object.clone(), &rules, now);
    let stored = object.status().cloned().unwrap_or_default();
    let is_proved = stored.reason() == AppReason::Verified && stored.observed_generation == 2;
    assert_eq!(
        app.works(),
        is_proved && !is_wrong && die & 1 == 0,
        "by a proof of the present spec, and only by it"
    );
    assert!(!app.limits_apply(), "this process saw nothing of it accepted");
    assert!(app.probe_due_at().is_none_or(|due| due <= now.mono + Duration::from_secs(60)));
    assert!(app.probe_due_at().is_none() || !is_wrong, "it cannot be signed for");
    let Some(next) = app.due_status(now) else { return };
    assert_eq!(next.observed_generation, 2);
    for ready in next.conditions.iter().filter(|condition| condition.type_ == "Ready") {
        assert!(ready.message.len() <= 512 && !ready.message.contains(is_invisible), "{}", ready.message);
        assert!(AppReason::parse(&ready.reason).is_some(), "{}", ready.reason);
    }
    if stored.conditions.len() <= 1 {
        let size = serde_json::to_vec(&next).expect("JSON").len();
        assert!(size <= 8192, "{size} bytes");
    }
}
