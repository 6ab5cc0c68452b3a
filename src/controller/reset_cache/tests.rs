//! Several processes and one object, in random orders of everything that can come between them: stale copies, lost
//! answers, crashes, leaders that change, clocks that differ, edits, deletion and creation under the same name.
//!
//! The memory and the decisions are the program's own. The API server, the lease and the vendor are a few lines each,
//! and so is the rule book: what must never happen is checked where it would.

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
use crate::protocol::Now;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// No call without an intent, none after the end, none while another may still be at work, none twice unless a
    /// read-back allows it; and once the faults stop, the reset ends.
    #[test]
    fn no_order_of_events_between_several_processes_breaks_the_protocol(
        stop in any::<bool>(),
        not_after in prop::option::of(30u64..400),
        skews in prop::array::uniform3(prop_oneof![3 => Just(0i64), 1 => -3500i64..3500]),
        moves in prop::collection::vec(moves(), 1..120),
    ) {
        let mut model = Model::new(stop, not_after, skews);
        for step in moves {
            model.make(step);
        }
        model.come_to_rest();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// Whoever writes into the status of a reset makes a leader that knows better neither send again nor forget.
    #[test]
    fn no_forged_or_erased_status_makes_a_leader_send_twice_or_forget_an_end(
        stop in any::<bool>(),
        moves in prop::collection::vec(forgeries(), 1..80),
    ) {
        let mut model = Model::new(stop, None, [0; 3]);
        model.lead_alone();
        for step in moves {
            model.make(step);
            model.keep_leading();
        }
        model.settles_down();
    }
}

/// The orders that the random ones should find, in case they do not.
#[test]
fn a_leader_that_wakes_up_between_its_intent_and_its_call_sends_nothing() {
    let mut model = Model::new(false, None, [0; 3]);
    model.make(Move::Lead(0));
    model.make(Move::Step(0, moves::Fate::Executed));
    assert_eq!(model.intents(), 1);
    model.make(Move::Pass(16));
    model.make(Move::Lead(1));
    model.make(Move::Step(0, moves::Fate::Executed));
    assert_eq!(model.calls(), 0);
    model.come_to_rest();
    assert_eq!(model.calls(), 1);
}

const START: Now = Now { wall: jiff::Timestamp::UNIX_EPOCH, mono: Duration::ZERO };

/// The same new reset, at one version after another.
fn room(version: u64) -> Arc<GroupAttributeReset> {
    let reset = serde_json::json!({
        "metadata": {"uid": "u", "name": "room", "namespace": "show", "resourceVersion": version.to_string()},
        "spec": {"groupID": "@TGS#room"},
    });
    Arc::new(serde_json::from_value(reset).expect("a reset"))
}

/// Of what came while a task was at work, the GET of that task may be the older.
#[test]
fn a_get_that_a_watch_overtook_does_not_bring_the_older_object_back() {
    let mut resets = ResetCache::default();
    let mut show = |version: u64, origin: Option<Freshness>| {
        let read = resets.active("u").map_or(Freshness::Consistent, |active| active.read_freshness());
        let _ = resets.upsert(room(version), origin.unwrap_or(read), START);
        let begun = origin == Some(Freshness::Consistent);
        if let Some(active) = resets.active("u").filter(|_| begun) {
            active.start_task();
        }
        resets.all["u"].version.clone()
    };
    assert_eq!(show(100, Some(Freshness::Consistent)), "100");
    assert_eq!(show(90, None), "90", "as after a restore: nothing else was shown meanwhile");
    assert_eq!(show(100, Some(Freshness::Consistent)), "100");
    assert_eq!(show(102, Some(Freshness::MaybeStale)), "102");
    assert_eq!(show(101, None), "102");
    assert_eq!(show(103, None), "103");
}

/// A watch that is behind would bring back what is over, and somebody would go to work on it.
#[test]
fn what_a_watch_shows_late_of_a_reset_that_is_gone_is_old_and_what_is_new_counts() {
    let mut resets = ResetCache::default();
    let mut show = |version: u64, origin: Freshness| {
        let _ = resets.upsert(room(version), origin, START);
        let is_open = resets.active("u").is_some();
        resets.mark_gone("u");
        is_open
    };
    assert!(show(100, Freshness::MaybeStale));
    for late in [90, 99, 100] {
        assert!(!show(late, Freshness::MaybeStale), "{late}");
    }
    assert!(show(101, Freshness::MaybeStale), "whoever said that it is gone was wrong");
    assert!(!show(101, Freshness::MaybeStale));
    assert!(show(90, Freshness::Consistent), "as after a restore");
}

/// What the vendor asked for holds after a restart, also if the status says something else by then; a clock that was
/// wrong holds nothing back for longer than was ever computed.
#[test]
fn a_new_process_waits_as_long_as_the_vendor_asked_and_no_longer() {
    let (start, second) = (jiff::Timestamp::UNIX_EPOCH, Duration::from_secs);
    let held = |reason: &str, last: (i64, i64), next: u64| {
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
        let now = Now { wall: start, mono: second(7) };
        let _ = resets.upsert(Arc::new(reset), Freshness::Consistent, now);
        resets.active("u").expect("an open reset").local.hold_until
    };
    for throttled in [(200, 10049), (200, 60007), (429, 0)] {
        for reason in ["RateLimited", "AppNotReady"] {
            assert_eq!(held(reason, throttled, 40), Some(second(7 + 40)), "{reason} {throttled:?}");
            assert_eq!(held(reason, throttled, 4000), Some(second(7 + 61)), "{reason} {throttled:?}");
        }
    }
    assert_eq!(held("RetryScheduled", (503, 0), 4000), Some(second(7 + 3)), "an ordinary failure");
}

/// A reset of this status, at this version.
fn with_status(version: u64, status: serde_json::Value) -> Arc<GroupAttributeReset> {
    let mut reset = GroupAttributeReset::clone(&room(version));
    reset.metadata.generation = Some(1);
    reset.status = Some(serde_json::from_value(status).expect("a status"));
    Arc::new(reset)
}

/// Whoever can make an object unreadable must not make us forget what was known of it.
#[test]
fn a_reset_that_cannot_be_read_for_a_while_is_not_forgotten() {
    let ended = || {
        serde_json::json!({"observedGeneration": 1, "attempts": 1, "completionTime": "2026-11-01T10:00:00Z",
            "conditions": [{"type": "Succeeded", "status": "True", "reason": "Cleared", "message": "",
                "lastTransitionTime": "2026-11-01T10:00:00Z"}]})
    };
    let under_way = || {
        serde_json::json!({"observedGeneration": 1, "pendingAttempt": {"id": "a", "number": 1, "holder": "me",
            "startTime": "2026-11-01T09:59:59Z", "deadline": "2026-11-01T10:00:09Z", "sdkAppID": 7, "host": "chat:443"}})
    };
    // As no version of ours ever wrote it.
    let ended_by_conditions_alone =
        || serde_json::json!({"observedGeneration": -1, "conditions": ended()["conditions"]});
    for known in [ended(), under_way(), ended_by_conditions_alone()] {
        let mut resets =
            ResetCache::new(CacheOwner { identity: "me".to_owned(), alone_from: Duration::ZERO });
        let _ = resets.upsert(with_status(1, known.clone()), Freshness::Consistent, START);
        resets.mark_unreadable("u");
        let _ = resets.upsert(room(2), Freshness::MaybeStale, START);
        let active = resets.active("u").expect("something to restore");
        let restored = active.status_to_restore().expect("a status to write back");
        assert_eq!(restored.is_final(), known["conditions"].is_array());
        assert_eq!(restored.pending_attempt.is_some(), known["pendingAttempt"].is_object());
        // And if it is as it was, nothing has to be written.
        let mut resets =
            ResetCache::new(CacheOwner { identity: "me".to_owned(), alone_from: Duration::ZERO });
        let _ = resets.upsert(with_status(1, known.clone()), Freshness::Consistent, START);
        resets.mark_unreadable("u");
        let _ = resets.upsert(with_status(2, known.clone()), Freshness::MaybeStale, START);
        assert!(resets.active("u").is_none_or(|active| active.status_to_restore().is_none()));
    }
}
