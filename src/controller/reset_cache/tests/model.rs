//! The model: one object at an API server, a lease, a vendor, and three processes.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::moves::{Forgery, Move};
use super::process::Process;
use crate::api::{
    GroupAttributeReset, OnGroupNotFound, OnUnknownOutcome, PendingAttempt, ResetSpec, ResetStatus,
};
use crate::chat::AccountId;
use crate::protocol::plan::{AppState, AppView};
use crate::protocol::status;

/// Lease duration in seconds.
const LEASE: u64 = 15;

pub(super) type Object = Arc<GroupAttributeReset>;

/// A call that left a process.
pub(super) struct Call {
    pub(super) uid: String,
    pub(super) request: Option<String>,
    pub(super) attempt: String,
    /// The vendor may still execute it until this second.
    pub(super) until: u64,
    /// The vendor answered that it did nothing, or a later read-back found attributes.
    pub(super) may_repeat: bool,
}

pub(super) struct Model {
    pub(super) seconds: u64,
    /// The object at the API server, and every version that was ever stored there.
    pub(super) object: Object,
    pub(super) stored: Vec<Object>,
    /// resourceVersions written by another client.
    forged: BTreeSet<String>,
    pub(super) versions: u64,
    pub(super) app: AppView,
    /// Others may take the lease from this second on.
    pub(super) lease_free: u64,
    pub(super) processes: Vec<Process>,
    pub(super) seats: usize,
    pub(super) calls: Vec<Call>,
    /// When the vendor will execute the calls that are still pending there.
    pub(super) late: Vec<u64>,
}

impl Model {
    pub(super) fn new(stop: bool, succeed: bool, not_after: Option<u64>, skews: [i64; 3]) -> Self {
        let spec: ResetSpec = serde_json::from_value(json!({ "groupID": "@TGS#room" })).expect("a spec");
        let on_unknown_outcome = if stop { OnUnknownOutcome::Stop } else { OnUnknownOutcome::Retry };
        let on_group_not_found = if succeed { OnGroupNotFound::Succeed } else { OnGroupNotFound::Fail };
        let not_after = not_after.map(|second| wall(second, 0).to_string());
        let object = created(
            &ResetSpec { on_unknown_outcome, on_group_not_found, not_after, backoff_limit: 3, ..spec },
            1,
            0,
        );
        let account = AccountId { sdk_app_id: 1, host: "chat:443".to_owned() };
        let mut model = Self {
            seconds: 0,
            stored: vec![Arc::clone(&object)],
            forged: BTreeSet::new(),
            object,
            versions: 1,
            app: AppView { state: AppState::Working, account: Some(account) },
            lease_free: 0,
            processes: skews.map(|skew| Process::new("first", 0, skew)).into(),
            seats: 2,
            calls: Vec::new(),
            late: Vec::new(),
        };
        for process in 0..3 {
            model.restart(process);
        }
        model
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Number of attempts whose intent was stored.
    pub(super) fn intents(&self) -> usize {
        self.stored.iter().filter_map(|object| pending_id(object)).collect::<BTreeSet<_>>().len()
    }

    pub(super) fn make(&mut self, step: Move) {
        match step {
            Move::Pass(seconds) => self.pass(seconds),
            Move::Lead(process) => self.lead(process),
            Move::Deliver(process) => self.deliver(process),
            Move::Step(process, fate) => self.step(process, fate),
            Move::LoseAnswer(process) => self.processes[process].loses_answer = true,
            Move::Crash(process) => self.restart(process),
            Move::Seat => self.seats += 1,
            Move::Suspend(suspend) => self.edit(|spec| spec.suspend = suspend),
            Move::Request(number) => self.edit(|spec| spec.request_id = Some(format!("request-{number}"))),
            Move::Edit => self.edit(|_| ()),
            Move::Recreate => {
                self.object = created(&self.object.spec, self.versions + 1, self.seconds);
                self.store(GroupAttributeReset::clone(&self.object));
            }
            Move::App(state) => self.app.state = state,
            Move::Forge(forgery) => self.forge(forgery),
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.seconds += seconds;
        let waiting = self.late.len();
        self.late.retain(|at| *at > self.seconds);
        if self.late.len() < waiting {
            self.seats = 0;
        }
    }

    /// A process that led and did not renew in time has lost leadership for good, and exits once everything in flight
    /// is recorded.
    fn lead(&mut self, process: usize) {
        let tenure = self.processes[process].acts_until;
        match tenure {
            Some(end) if self.seconds >= end => {
                if self.processes[process].is_idle() {
                    self.restart(process);
                }
            }
            None if self.seconds < self.lease_free => {}
            _ => {
                self.lease_free = self.seconds + LEASE;
                self.processes[process].acts_until = Some(self.seconds + LEASE - 5);
                if tenure.is_none() {
                    self.take_over(process);
                }
            }
        }
    }

    fn restart(&mut self, process: usize) {
        let identity = format!("process-{process}-of-{}-{}", self.seconds, self.versions);
        self.processes[process] = Process::new(&identity, self.seconds, self.processes[process].skew);
        self.deliver(process);
    }

    /// The faults stop and one process continues: the reset must end.
    pub(super) fn finish_without_faults(&mut self) {
        use super::moves::Fate::Executed;
        for process in 0..3 {
            (0..4).for_each(|_| self.step(process, Executed));
        }
        self.app.state = AppState::Working;
        self.edit(|spec| spec.suspend = false);
        self.pass(LEASE);
        self.processes[0].skew = 0;
        self.restart(0);
        for _ in 0..600 {
            if status::current(&self.object).is_final() && self.is_observed() {
                return;
            }
            self.pass(8);
            self.lead(0);
            self.deliver(0);
            (0..6).for_each(|_| self.step(0, Executed));
        }
        panic!("the reset never ended: {:?}", self.object.status);
    }

    /// Whether the status covers the current spec.
    fn is_observed(&self) -> bool {
        let status = status::current(&self.object);
        Some(status.observed_generation) == self.object.metadata.generation
            && !status::is_other_request(&self.object, &status)
    }

    fn edit(&mut self, change: impl FnOnce(&mut ResetSpec)) {
        let mut object = GroupAttributeReset::clone(&self.object);
        change(&mut object.spec);
        object.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
        let is_forged = self.is_forged(&self.object);
        let stored = self.store(object);
        self.forged.extend(stored.metadata.resource_version.clone().filter(|_| is_forged));
    }

    fn store(&mut self, mut object: GroupAttributeReset) -> Object {
        self.versions += 1;
        object.metadata.resource_version = Some(self.versions.to_string());
        self.object = Arc::new(object);
        self.stored.push(Arc::clone(&self.object));
        Arc::clone(&self.object)
    }

    /// Another client with permission to write statuses does so.
    fn forge(&mut self, forgery: Forgery) {
        let mut object = GroupAttributeReset::clone(&self.object);
        let mut status = object.status.take().unwrap_or_default();
        match forgery {
            Forgery::Erased => status = ResetStatus::default(),
            Forgery::WithoutAttempt => status.pending_attempt = None,
            Forgery::Fresh => {
                let request_id = status.request_id;
                status = ResetStatus { observed_generation: 1, request_id, ..ResetStatus::default() };
            }
            Forgery::Ended => {
                status.completion_time = Some(wall(self.seconds, 0));
                status.pending_attempt = None;
            }
            Forgery::OfAnother => {
                status.pending_attempt = Some(PendingAttempt {
                    id: "forged".to_owned(),
                    number: 1,
                    start_time: wall(self.seconds, 0),
                    deadline: wall(self.seconds + 10, 0),
                    holder: "nobody".to_owned(),
                    sdk_app_id: 1,
                    host: "chat:443".to_owned(),
                });
            }
            Forgery::Older(back) => {
                let older = &self.stored[self.stored.len().saturating_sub(usize::from(back) + 1)];
                if older.metadata.uid == object.metadata.uid {
                    status = older.status.clone().unwrap_or_default();
                }
            }
        }
        object.status = Some(status);
        let forged = self.store(object);
        self.forged.extend(forged.metadata.resource_version.clone());
    }

    pub(super) fn is_forged(&self, object: &Object) -> bool {
        object.metadata.resource_version.as_ref().is_some_and(|version| self.forged.contains(version))
    }

    /// The latest version that was not written by another client.
    fn last_own(&self) -> &Object {
        let uid = &self.object.metadata.uid;
        let mut own = self.stored.iter().rev().filter(|one| one.metadata.uid == *uid && !self.is_forged(one));
        own.next().unwrap_or(&self.object)
    }

    /// One process leads for longer than any predecessor can still write, and keeps leading.
    pub(super) fn lead_alone(&mut self) {
        self.lead(0);
        self.pass(61);
        self.keep_leading();
    }

    pub(super) fn keep_leading(&mut self) {
        self.lease_free = self.seconds + LEASE;
        self.processes[0].acts_until = Some(self.seconds + LEASE - 5);
    }

    /// The forgeries stop and the leader continues: the reset must end.
    pub(super) fn finish_without_forgeries(&mut self) {
        self.edit(|spec| spec.suspend = false);
        self.app.state = AppState::Working;
        for _ in 0..600 {
            if status::current(&self.object).is_final() && self.is_observed() && !self.is_forged(&self.object)
            {
                return;
            }
            self.pass(8);
            self.keep_leading();
            self.deliver(0);
            (0..6).for_each(|_| self.step(0, super::moves::Fate::Executed));
        }
        panic!("the reset never ended: {:?}", self.object.status);
    }

    /// A PUT of the status by a process that saw `copy`; `None` on a resourceVersion conflict.
    pub(super) fn put(&mut self, copy: &Object, next: ResetStatus) -> Option<Object> {
        let is_same = copy.metadata.uid == self.object.metadata.uid
            && copy.metadata.resource_version == self.object.metadata.resource_version;
        if !is_same {
            return None;
        }
        let before = status::current(self.last_own());
        if before.request_id == next.request_id {
            assert!(before.attempts <= next.attempts, "attempts were forgotten: {before:?} {next:?}");
            if before.is_written() && before.is_final() {
                assert_eq!(before.reason(), next.reason(), "a final status was changed");
            }
        }
        assert!(
            !next.is_final() || next.pending_attempt.is_none(),
            "a final status with an unsettled attempt"
        );
        assert!(serde_json::to_vec(&next).expect("JSON").len() < 8192, "the status grows: {next:?}");
        let mut object = GroupAttributeReset::clone(&self.object);
        object.status = Some(next);
        Some(self.store(object))
    }

    /// A GET of the object; `None` if it is no longer the object of `copy`.
    pub(super) fn get(&self, copy: &Object) -> Option<Object> {
        (copy.metadata.uid == self.object.metadata.uid).then(|| Arc::clone(&self.object))
    }
}

pub(super) fn wall(second: u64, skew: i64) -> Timestamp {
    let second = i64::try_from(second).expect("a small number");
    Timestamp::from_second(1_800_000_000 + second + skew).expect("a moment")
}

pub(super) fn pending_id(object: &GroupAttributeReset) -> Option<&String> {
    object.status.as_ref()?.pending_attempt.as_ref().map(|pending| &pending.id)
}

fn created(spec: &ResetSpec, version: u64, second: u64) -> Object {
    let mut object = GroupAttributeReset::new("room", spec.clone());
    object.metadata.uid = Some(format!("uid-{version}"));
    object.metadata.generation = Some(1);
    object.metadata.resource_version = Some(version.to_string());
    object.metadata.creation_timestamp = Some(Time(wall(second, 0)));
    Arc::new(object)
}
