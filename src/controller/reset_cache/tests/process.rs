//! A process of the model, step by step, and the invariants it must keep.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::model::{Call, Model, Object, pending_id, wall};
use super::moves::Fate;
use crate::api::{GroupAttributeReset, OnUnknownOutcome, PendingAttempt, ResetStatus};
use crate::chat::Class;
use crate::controller::reset_cache::{CacheOwner, Freshness, ResetCache};
use crate::limits::mono::Mono;
use crate::protocol::classify::{CallResult, Delivery, NotSentCause};
use crate::protocol::deadlines::ends_at;
use crate::protocol::outcome::{WriteContext, after_attempt, after_read_back, intent};
use crate::protocol::plan::{AppState, Step, plan};
use crate::protocol::recovery::SETTLE_TIME;
use crate::protocol::send_check::{ATTEMPT_TIMEOUT, SendBounds, check_before_send};
use crate::protocol::{Now, status};

/// How long a predecessor may still write after a take-over.
const PREDECESSOR: Duration = Duration::from_mins(1);

/// The result of a write or a GET.
enum Seen {
    Stored(Object),
    Read(Option<Object>),
}

/// What a process is doing.
enum Doing {
    Nothing,
    /// The intent is stored; the call comes next.
    Intent(Object, PendingAttempt, SendBounds),
    /// The outcome of the attempt is known and written next. With the moment from which the group may be read back.
    /// back.
    Known(Object, PendingAttempt, CallResult, Option<Mono>),
    /// The group was read back; the result is written next.
    Read(Object, PendingAttempt, CallResult),
}

pub(super) struct Process {
    identity: String,
    started: u64,
    pub(super) skew: i64,
    cache: ResetCache,
    /// The object that its watch showed last.
    uid: String,
    /// It leads until this second, unless it renews the lease.
    pub(super) acts_until: Option<u64>,
    doing: Doing,
    pub(super) loses_answer: bool,
}

impl Process {
    pub(super) fn new(identity: &str, started: u64, skew: i64) -> Self {
        Self {
            identity: identity.to_owned(),
            started,
            skew,
            cache: ResetCache::new(CacheOwner { identity: identity.to_owned(), alone_from: Mono::MAX }),
            uid: String::new(),
            acts_until: None,
            doing: Doing::Nothing,
            loses_answer: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.doing, Doing::Nothing)
    }
}

impl Model {
    fn now(&self, process: usize) -> Now {
        let Process { started, skew, .. } = self.processes[process];
        Now {
            wall: wall(self.seconds, skew),
            mono: Mono::START + Duration::from_secs(self.seconds - started),
        }
    }

    fn leads(&self, process: usize) -> bool {
        self.processes[process].acts_until.is_some_and(|end| self.seconds < end)
    }

    /// A process takes the lease: it starts with the current object, and its predecessor may still be writing.
    pub(super) fn take_over(&mut self, process: usize) {
        let alone_from = self.now(process).mono + PREDECESSOR;
        let leader = &mut self.processes[process];
        leader.cache = ResetCache::new(CacheOwner { identity: leader.identity.clone(), alone_from });
        leader.uid.clear();
        self.deliver(process);
    }

    /// The watch of a process catches up, if it has one: only a leader does.
    pub(super) fn deliver(&mut self, process: usize) {
        if self.processes[process].acts_until.is_none() {
            return;
        }
        let uid = self.object.metadata.uid.clone().unwrap_or_default();
        let known = std::mem::replace(&mut self.processes[process].uid, uid.clone());
        if known != uid {
            self.processes[process].cache.all.remove(&known);
        }
        self.show(process, Arc::clone(&self.object), Freshness::MaybeStale);
    }

    fn show(&mut self, process: usize, object: Object, freshness: Freshness) {
        let now = self.now(process);
        let _ = self.processes[process].cache.upsert(object, freshness, now);
    }

    /// Applies the result of a write or a GET to the cache.
    fn apply(&mut self, process: usize, uid: &str, seen: Seen) {
        match seen {
            Seen::Stored(object) => self.show(process, object, Freshness::OwnWrite),
            Seen::Read(Some(object)) => self.show(process, object, Freshness::Consistent),
            Seen::Read(None) => self.processes[process].cache.mark_gone(uid),
        }
    }

    /// A write that can be planned again.
    fn write(&mut self, process: usize, uid: &str, copy: &Object, next: ResetStatus) {
        let seen = self.put(copy, next).map_or_else(|| Seen::Read(self.get(copy)), Seen::Stored);
        self.apply(process, uid, seen);
    }

    pub(super) fn step(&mut self, process: usize, fate: Fate) {
        let doing = std::mem::replace(&mut self.processes[process].doing, Doing::Nothing);
        let at = WriteContext { now: self.now(process), jitter: 0.5, throttle: Duration::from_secs(2) };
        let uid = match &doing {
            Doing::Nothing => self.processes[process].uid.clone(),
            Doing::Intent(copy, ..) | Doing::Known(copy, ..) | Doing::Read(copy, ..) => {
                copy.metadata.uid.clone().unwrap_or_default()
            }
        };
        match doing {
            Doing::Nothing => self.begin(process, &uid),
            Doing::Intent(copy, pending, bounds) => self.send(process, copy, pending, bounds, fate),
            Doing::Known(copy, pending, result, read_back_at) => {
                let next = |reset: &GroupAttributeReset| Some(after_attempt(reset, &pending, &result, at));
                let seen = self.record(process, &copy, &pending, next);
                self.apply(process, &uid, seen);
                if let (Some(active), Some(moment)) =
                    (self.processes[process].cache.active(&uid), read_back_at)
                {
                    active.local.read_back_at = Some(moment);
                }
            }
            Doing::Read(copy, pending, read) => {
                let next = |reset: &GroupAttributeReset| {
                    let next = after_read_back(reset, &pending, &read, at)?;
                    if read.attributes > 0 && reset.spec.on_unknown_outcome == OnUnknownOutcome::Stop {
                        let past = next.history.first().map(|past| past.reason.as_str());
                        let ended = [Some(next.reason().as_str()), past];
                        assert!(ended.contains(&Some("OutcomeUnknown")), "{next:?}");
                    }
                    Some(next)
                };
                let seen = self.record(process, &copy, &pending, next);
                self.apply(process, &uid, seen);
            }
        }
        let is_busy = !self.processes[process].is_idle();
        if let Some(active) = self.processes[process].cache.active(&uid) {
            active.busy = is_busy;
        }
        self.processes[process].cache.compact(&uid);
    }

    fn begin(&mut self, process: usize, uid: &str) {
        if !self.leads(process) {
            return;
        }
        let (now, app) = (self.now(process), self.app.clone());
        let Some(active) = self.processes[process].cache.active(uid) else { return };
        let (copy, restoration) = (Arc::clone(&active.object), active.status_to_restore());
        match plan(&copy, &app, &active.local, now).step {
            Step::Wait(_) => {
                if let Some(status) = restoration {
                    self.write(process, uid, &copy, status);
                }
            }
            Step::Delete => unreachable!("no TTL is set"),
            Step::Record(next) => self.write(process, uid, &copy, *next),
            Step::ReadBack(pending) => {
                for call in self.calls.iter_mut().filter(|call| call.attempt == pending.id) {
                    assert!(
                        call.until <= self.seconds,
                        "read back while the vendor may still execute the call"
                    );
                    call.may_repeat |= self.seats > 0;
                }
                let read = CallResult { attributes: self.seats, ..answered(Class::Success) };
                self.processes[process].doing = Doing::Read(copy, *pending, read);
            }
            Step::Send => self.commit(process, uid, &copy, now),
        }
    }

    fn commit(&mut self, process: usize, uid: &str, copy: &Object, now: Now) {
        let pending = PendingAttempt {
            id: format!("attempt-{}", self.versions),
            number: status::current(copy).attempts + 1,
            start_time: now.microsecond(),
            deadline: now.microsecond() + ATTEMPT_TIMEOUT,
            holder: self.processes[process].identity.clone(),
            sdk_app_id: 1,
            host: "chat:443".to_owned(),
        };
        let Some(stored) = self.put(copy, intent(copy, pending.clone(), now)) else {
            let seen = Seen::Read(self.get(copy));
            return self.apply(process, uid, seen);
        };
        if !self.processes[process].loses_answer {
            self.show(process, Arc::clone(&stored), Freshness::OwnWrite);
        }
        self.processes[process].doing = if std::mem::take(&mut self.processes[process].loses_answer) {
            // It knows that it never made the call, and records that.
            Doing::Known(stored, pending, CallResult::not_sent(NotSentCause::IntentLost), None)
        } else {
            let (deadline_mono, deadline_wall) = (now.mono + ATTEMPT_TIMEOUT, pending.deadline);
            let bounds = SendBounds { deadline_mono, deadline_wall, reset_ends: ends_at(&stored) };
            Doing::Intent(stored, pending, bounds)
        };
    }

    fn send(
        &mut self,
        process: usize,
        copy: Object,
        pending: PendingAttempt,
        bounds: SendBounds,
        fate: Fate,
    ) {
        let works = self.app.state == AppState::Working;
        if let Err(why) = check_before_send(bounds, self.leads(process), works, true, self.now(process)) {
            let result = CallResult::not_sent(NotSentCause::TooLate(why));
            self.processes[process].doing = Doing::Known(copy, pending, result, None);
            return;
        }
        self.assert_invariants(process, &copy, &pending);
        let deadline = self.processes[process].started + (bounds.deadline_mono - Mono::START).as_secs();
        let until = if let Fate::Late(seconds) = fate { deadline + seconds } else { self.seconds };
        self.calls.push(Call {
            uid: copy.metadata.uid.clone().unwrap_or_default(),
            request: status::current(&copy).request_id,
            attempt: pending.id.clone(),
            until,
            may_repeat: matches!(fate, Fate::Refused(_)),
        });
        match fate {
            Fate::Executed | Fate::LostAfter => self.seats = 0,
            Fate::Late(_) => self.late.push(until),
            Fate::Refused(_) | Fate::LostBefore => {}
        }
        let (result, read_back_at) = match fate {
            Fate::Executed => (answered(Class::Success), None),
            Fate::Refused(class) => (answered(class), None),
            Fate::LostBefore | Fate::LostAfter | Fate::Late(_) => {
                let unseen = CallResult { http_status: None, code: None, ..answered(Class::Unknown) };
                (unseen, Some(bounds.deadline_mono + SETTLE_TIME))
            }
        };
        self.processes[process].doing = Doing::Known(copy, pending, result, read_back_at);
    }

    /// The invariants of a call.
    fn assert_invariants(&self, process: usize, copy: &Object, pending: &PendingAttempt) {
        let (uid, request) =
            (copy.metadata.uid.clone().unwrap_or_default(), status::current(copy).request_id);
        let of_uid = || self.stored.iter().filter(|object| object.metadata.uid.as_ref() == Some(&uid));
        let has_intent = of_uid().any(|object| pending_id(object) == Some(&pending.id));
        assert!(has_intent, "a call without a committed intent");
        for past in
            of_uid().filter(|object| !self.is_forged(object)).filter_map(|object| object.status.as_ref())
        {
            let ended = past.is_final() && past.request_id == request;
            let in_history = past.history.iter().any(|entry| entry.request_id == request);
            assert!(!ended && !in_history, "a call for a request that has ended: {past:?}");
        }
        for call in self.calls.iter().filter(|call| call.uid == uid) {
            assert!(call.until <= self.seconds, "a call while an earlier one may still be executed");
            assert!(call.request != request || call.may_repeat, "sent twice without permission");
        }
        let leaders = (0..3).filter(|other| self.leads(*other)).count();
        assert_eq!((self.leads(process), leaders), (true, 1), "the process is not the only leader");
        let not_after = copy.spec.not_after.as_ref().map(|text| text.parse::<Timestamp>().expect("a moment"));
        assert!(not_after.is_none_or(|end| self.now(process).wall < end), "a call after notAfter");
        assert!(!copy.spec.suspend, "a call while suspended");
    }

    /// Stores the status that `next` computes from the object, while its pending attempt is still this one, or was
    /// erased by another client.
    fn record(
        &mut self,
        process: usize,
        copy: &Object,
        pending: &PendingAttempt,
        next: impl Fn(&GroupAttributeReset) -> Option<ResetStatus>,
    ) -> Seen {
        let Some(mut now) = self.get(copy) else { return Seen::Read(None) };
        let leads = self.leads(process);
        let last = now.status.as_ref().and_then(|status| status.last_attempt.as_ref());
        let by_another = pending.holder != self.processes[process].identity
            && last.is_some_and(|last| last.id == pending.id);
        if pending_id(&now) != Some(&pending.id) && (!leads || by_another) {
            return Seen::Read(Some(now));
        }
        if leads {
            now = Arc::new(GroupAttributeReset { status: copy.status.clone(), ..Arc::unwrap_or_clone(now) });
        }
        match next(&now) {
            Some(status) => self.put(&now, status).map_or(Seen::Read(None), Seen::Stored),
            None => Seen::Read(self.get(copy)),
        }
    }
}

fn answered(class: Class) -> CallResult {
    CallResult {
        delivery: Delivery::Sent(class),
        http_status: Some(200),
        code: Some(1),
        error_info: String::new(),
        vendor_request_id: None,
        fault: "fault".to_owned(),
        attributes: 0,
        retry_after: None,
    }
}
