//! Model test: several processes and one object, in random orders of everything that can interfere: stale copies,
//! lost answers, crashes, leader changes, clock skew, edits, deletion and re-creation under the same name.
//!
//! The cache and the decisions are the production code. The API server, the lease and the vendor are a few lines
//! each. So are the invariants, which are checked where they could be violated.

mod model;
mod moves;
mod process;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use self::model::Model;
use self::moves::{Move, forgeries, moves};
use super::{CacheOwner, Freshness, ResetCache};
use crate::api::GroupAttributeReset;
use crate::limits::mono::Mono;
use crate::protocol::Now;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// No call without an intent, none after the end, none while an earlier one may still be executed, none twice
    /// unless the vendor's answer or a read-back allows it; and once the faults stop, the reset ends.
    #[test]
    fn no_order_of_events_between_several_processes_breaks_the_protocol(
        stop in any::<bool>(),
        succeed in any::<bool>(),
        not_after in prop::option::of(30u64..400),
        skews in prop::array::uniform3(prop_oneof![3 => Just(0i64), 1 => -3500i64..3500]),
        moves in prop::collection::vec(moves(), 1..120),
    ) {
        let mut model = Model::new(stop, succeed, not_after, skews);
        for step in moves {
            model.make(step);
        }
        model.finish_without_faults();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// A client that overwrites the status of a reset can make a leader that knows better neither send again nor
    /// forget.
    #[test]
    fn no_forged_or_erased_status_makes_a_leader_send_twice_or_forget_an_end(
        stop in any::<bool>(),
        moves in prop::collection::vec(forgeries(), 1..80),
    ) {
        let mut model = Model::new(stop, false, None, [0; 3]);
        model.lead_alone();
        for step in moves {
            model.make(step);
            model.keep_leading();
        }
        model.finish_without_forgeries();
    }
}

/// A regression test for an order that the random ones should find, in case they do not.
#[test]
fn a_leader_that_wakes_up_between_its_intent_and_its_call_sends_nothing() {
    let mut model = Model::new(false, false, None, [0; 3]);
    model.make(Move::Lead(0));
    model.make(Move::Step(0, moves::Fate::Executed));
    assert_eq!(model.intents(), 1);
    model.make(Move::Pass(16));
    model.make(Move::Lead(1));
    model.make(Move::Step(0, moves::Fate::Executed));
    assert_eq!(model.calls(), 0);
    model.finish_without_faults();
    assert_eq!(model.calls(), 1);
}

const START: Now = Now { wall: jiff::Timestamp::UNIX_EPOCH, mono: Mono::START };

/// The same new reset at the given resourceVersion.
fn room(version: u64) -> Arc<GroupAttributeReset> {
    let reset = serde_json::json!({
        "metadata": {"uid": "u", "name": "room", "namespace": "show", "resourceVersion": version.to_string()},
        "spec": {"groupID": "@TGS#room"},
    });
    Arc::new(serde_json::from_value(reset).expect("a reset"))
}

/// The GET of a task may be older than a watch event that arrived while the task was running.
#[test]
fn a_get_that_a_watch_overtook_does_not_bring_the_older_object_back() {
    let mut resets = ResetCache::default();
    let mut show = |version: u64, freshness: Option<Freshness>| {
        let read = resets.active("u").map_or(Freshness::Consistent, |active| active.read_freshness());
        let _ = resets.upsert(room(version), freshness.unwrap_or(read), START);
        let starts_task = freshness == Some(Freshness::Consistent);
        if let Some(active) = resets.active("u").filter(|_| starts_task) {
            active.start_task();
        }
        resets.all["u"].version.clone()
    };
    assert_eq!(show(100, Some(Freshness::Consistent)), "100");
    assert_eq!(show(90, None), "90", "as after a restore from backup: no watch event came in between");
    assert_eq!(show(100, Some(Freshness::Consistent)), "100");
    assert_eq!(show(102, Some(Freshness::MaybeStale)), "102");
    assert_eq!(show(101, None), "102");
    assert_eq!(show(103, None), "103");
}

/// A lagging watch would bring back a deleted reset, which would then be reconciled again.
#[test]
fn what_a_watch_shows_late_of_a_reset_that_is_gone_is_old_and_what_is_new_counts() {
    let mut resets = ResetCache::default();
    let mut show = |version: u64, freshness: Freshness| {
        let _ = resets.upsert(room(version), freshness, START);
        let is_open = resets.active("u").is_some();
        resets.mark_gone("u");
        is_open
    };
    assert!(show(100, Freshness::MaybeStale));
    for late in [90, 99, 100] {
        assert!(!show(late, Freshness::MaybeStale), "{late}");
    }
    assert!(show(101, Freshness::MaybeStale), "the answer that it was gone was wrong");
    assert!(!show(101, Freshness::MaybeStale));
    assert!(show(90, Freshness::Consistent), "as after a restore from backup");
}

/// The wait after throttling holds after a restart, even if the status shows another reason by then; a skewed clock
/// delays nothing for longer than the longest wait that is ever computed.
#[test]
fn a_new_process_waits_as_long_as_the_vendor_asked_and_no_longer() {
    let (start, second) = (jiff::Timestamp::UNIX_EPOCH, Duration::from_secs);
    let hold_until = |reason: &str, last: (i64, i64), next: u64| {
        let reset = serde_json::json!({
            "metadata": {"uid": "u", "name": "room", "namespace": "show", "generation": 1, "resourceVersion": "1"},
            "spec": {"groupID": "@TGS#room"},
            "status": {
                "observedGeneration": 1, "nextAttemptTime": start + second(next),
                "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": reason, "message": "",
                    "lastTransitionTime": start}],
                "lastAttempt": {"id": "a", "number": 1, "startTime": start, "outcome": "Rejected",
                    "httpStatus": last.0, "errorCode": last.1, "sdkAppID": 7, "host": "chat:443"},
            },
        });
        let mut resets = ResetCache::default();
        let reset: GroupAttributeReset = serde_json::from_value(reset).expect("a reset");
        let now = Now { wall: start, mono: Mono::START + (second(7)) };
        let _ = resets.upsert(Arc::new(reset), Freshness::Consistent, now);
        resets.active("u").expect("an open reset").local.hold_until
    };
    for throttled in [(200, 10049), (200, 60007), (429, 0)] {
        for reason in ["RateLimited", "AppNotReady"] {
            assert_eq!(
                hold_until(reason, throttled, 40),
                Some(Mono::START + second(7 + 40)),
                "{reason} {throttled:?}"
            );
            assert_eq!(
                hold_until(reason, throttled, 4000),
                Some(Mono::START + second(7 + 61)),
                "{reason} {throttled:?}"
            );
        }
    }
    assert_eq!(
        hold_until("RetryScheduled", (503, 0), 4000),
        Some(Mono::START + second(7 + 3)),
        "an ordinary failure"
    );
}

/// A reset with this status at this resourceVersion.
fn with_status(version: u64, status: serde_json::Value) -> Arc<GroupAttributeReset> {
    let mut reset = GroupAttributeReset::clone(&room(version));
    reset.metadata.generation = Some(1);
    reset.status = Some(serde_json::from_value(status).expect("a status"));
    Arc::new(reset)
}

/// A client that can make an object unreadable must not make us forget what was known of it.
#[test]
fn a_reset_that_cannot_be_read_for_a_while_is_not_forgotten() {
    let ended = || {
        serde_json::json!({"observedGeneration": 1, "attempts": 1, "completionTime": "2026-11-01T10:00:00Z",
            "conditions": [{"type": "Succeeded", "status": "True", "reason": "Cleared", "message": "",
                "lastTransitionTime": "2026-11-01T10:00:00Z"}]})
    };
    let in_flight = || {
        serde_json::json!({"observedGeneration": 1, "pendingAttempt": {"id": "a", "number": 1, "holder": "me",
            "startTime": "2026-11-01T09:59:59Z", "deadline": "2026-11-01T10:00:09Z",
                "sdkAppID": 7, "host": "chat:443"}})
    };
    // No version of the operator ever wrote a status like this.
    let ended_by_conditions_alone =
        || serde_json::json!({"observedGeneration": -1, "conditions": ended()["conditions"]});
    for known in [ended(), in_flight(), ended_by_conditions_alone()] {
        let mut resets = ResetCache::new(CacheOwner { identity: "me".to_owned(), alone_from: Mono::START });
        let _ = resets.upsert(with_status(1, known.clone()), Freshness::Consistent, START);
        resets.mark_malformed("u");
        let _ = resets.upsert(room(2), Freshness::MaybeStale, START);
        let active = resets.active("u").expect("something to restore");
        let restored = active.status_to_restore().expect("a status to write back");
        assert_eq!(restored.is_final(), known["conditions"].is_array());
        assert_eq!(restored.pending_attempt.is_some(), known["pendingAttempt"].is_object());
        // If the status is unchanged, nothing has to be written.
        let mut resets = ResetCache::new(CacheOwner { identity: "me".to_owned(), alone_from: Mono::START });
        let _ = resets.upsert(with_status(1, known.clone()), Freshness::Consistent, START);
        resets.mark_malformed("u");
        let _ = resets.upsert(with_status(2, known.clone()), Freshness::MaybeStale, START);
        assert!(resets.active("u").is_none_or(|active| active.status_to_restore().is_none()));
    }
}

/// A list may be delivered after the answer to a write that overtook it. The watch then shows the end again, and it must not
/// be taken for a change by another client.
#[test]
fn an_end_hidden_by_a_late_list_is_not_restored_over_itself() {
    let in_flight = serde_json::json!({"observedGeneration": 1, "attempts": 1, "pendingAttempt": {
        "id": "a", "number": 1, "holder": "me", "startTime": "2026-11-01T09:59:59Z",
        "deadline": "2026-11-01T10:00:09Z", "sdkAppID": 7, "host": "chat:443"}});
    let ended = serde_json::json!({"observedGeneration": 1, "attempts": 1, "completionTime": "2026-11-01T10:00:00Z",
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Cleared", "message": "",
            "lastTransitionTime": "2026-11-01T10:00:00Z"}],
        "lastAttempt": {"id": "a", "number": 1, "startTime": "2026-11-01T09:59:59Z", "outcome": "Succeeded",
            "errorCode": 0, "sdkAppID": 7, "host": "chat:443"}});
    for again in [Freshness::MaybeStale, Freshness::Consistent] {
        let mut resets = ResetCache::new(CacheOwner { identity: "me".to_owned(), alone_from: Mono::START });
        let _ = resets.upsert(with_status(10, in_flight.clone()), Freshness::Consistent, START);
        let _ = resets.upsert(with_status(20, ended.clone()), Freshness::OwnWrite, START);
        assert!(resets.active("u").is_none(), "it has ended");
        let _ = resets.upsert(with_status(10, in_flight.clone()), Freshness::Consistent, START);
        assert!(resets.active("u").is_some_and(|active| active.status_to_restore().is_some()));
        let _ = resets.upsert(with_status(20, ended.clone()), again, START);
        assert!(resets.active("u").is_none(), "the end is back, with all that it says");
    }
}
