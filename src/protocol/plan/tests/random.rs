//! Runs random sequences of edits, answers, lost answers, restarts and passing time through `plan` and `outcome`. A
//! small reference model checks the invariants.

use proptest::prelude::*;

use super::*;
use crate::api::{OnGroupNotFound, OnUnknownOutcome, PendingAttempt};
use crate::chat::{AccountFailure, Class};
use crate::protocol::classify::NotSentCause;
use crate::protocol::outcome::{WriteContext, after_attempt, after_read_back, intent};
use crate::protocol::recovery::{SETTLE_TIME, read_back_of_foreign};
use crate::protocol::send_check::NotSentReason;

/// What the random vendor does with a call.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Executed,
    Refused(Class),
    NotSent,
    LostBefore,
    LostAfter,
    /// The process dies before it can store the outcome.
    Crashed {
        executed: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Pass(u64),
    Call(Fate),
    Seat,
    Request(u8),
    Suspend(bool),
    App(AppState),
}

fn actions() -> impl Strategy<Value = Action> {
    let class = prop_oneof![
        Just(Class::ThrottledGroup),
        Just(Class::ThrottledAccount),
        Just(Class::SignatureExpired),
        Just(Class::Account(AccountFailure::Credentials)),
        Just(Class::GroupNotFound),
    ];
    let fate = prop_oneof![
        3 => Just(Fate::Executed),
        2 => class.prop_map(Fate::Refused),
        1 => Just(Fate::NotSent),
        2 => Just(Fate::LostBefore),
        2 => Just(Fate::LostAfter),
        2 => any::<bool>().prop_map(|executed| Fate::Crashed { executed }),
    ];
    prop_oneof![
        4 => (1u64..40).prop_map(Action::Pass),
        6 => fate.prop_map(Action::Call),
        2 => Just(Action::Seat),
        1 => (0u8..3).prop_map(Action::Request),
        1 => any::<bool>().prop_map(Action::Suspend),
        1 => prop_oneof![Just(AppState::Working), Just(AppState::Missing), Just(AppState::Checking)].prop_map(Action::App),
    ]
}

/// The real state, whatever the status says.
struct Model {
    object: GroupAttributeReset,
    app: AppView,
    local: LocalState,
    noted_attempt: Option<String>,
    seconds: u64,
    seats: usize,
    /// Finished requests. No call may be made for them again.
    ended: Vec<Option<String>>,
    /// Whether the current request has a call with an unknown outcome that has not been read back.
    unsettled: bool,
    calls: u32,
}

impl Model {
    fn now(&self) -> Now {
        at(self.seconds)
    }

    fn write_context(&self) -> WriteContext {
        WriteContext { now: self.now(), jitter: 0.5, throttle: Duration::from_secs(2) }
    }

    fn store(&mut self, next: ResetStatus) {
        let before = self.object.status.clone().unwrap_or_default();
        if before.is_written() && before.is_final() && next.request_id == before.request_id {
            assert_eq!(before.reason(), next.reason(), "an end is never revoked");
        }
        let reasons = [
            next.reason(),
            next.history.first().and_then(|past| Reason::parse(&past.reason)).unwrap_or(Reason::Pending),
        ];
        if before.pending_attempt.is_some()
            && next.pending_attempt.is_none()
            && reasons.contains(&Reason::OutcomeUnknown)
        {
            self.unsettled = false;
        }
        if next.is_final() {
            assert!(next.pending_attempt.is_none() && next.completion_time.is_some());
            self.ended.push(next.request_id.clone());
        }
        self.ended.extend(next.history.iter().map(|past| past.request_id.clone()));
        assert!(serde_json::to_vec(&next).unwrap().len() < 8192);
        self.object.status = Some(next);
        self.update_local_state();
    }

    /// Updates what a process remembers after it saw the object. It treats an attempt that it did not settle as
    /// foreign.
    fn update_local_state(&mut self) {
        let status = current(&self.object);
        let id = status.pending_attempt.as_ref().map(|pending| pending.id.clone());
        if id != self.noted_attempt {
            self.noted_attempt = id;
            self.local.read_back_at =
                status.pending_attempt.as_ref().map(|pending| read_back_of_foreign(pending, self.now().mono));
        }
        self.local.hold_until = status.next_attempt_time.map(|next| {
            crate::protocol::backoff::hold_until(
                next,
                crate::protocol::backoff::longest(status.failures),
                self.now(),
            )
        });
    }

    /// Takes steps until there is nothing to do now. The first call meets `fate`; then it stops before the next.
    fn settle_down(&mut self, fate: Option<Fate>) {
        let mut fate = fate;
        for _ in 0..20 {
            match plan(&self.object, &self.app, &self.local, self.now()).step {
                Step::Wait(_) => return,
                Step::Record(next) => self.store(*next),
                Step::ReadBack(pending) => self.read_back(&pending),
                Step::Delete => unreachable!("no time to live is set"),
                Step::Send => match fate.take() {
                    Some(fate) => self.call(fate),
                    None => return,
                },
            }
        }
        panic!("endless steps: {:?}", self.object.status);
    }

    fn call(&mut self, fate: Fate) {
        let before = current(&self.object);
        assert!(!self.ended.contains(&before.request_id), "called for a finished request");
        assert!(!self.unsettled, "called before an unknown outcome was settled");
        assert!(!self.object.spec.suspend, "called while suspended");
        let pending = attempt(before.attempts + 1, self.now());
        self.store(intent(&self.object, pending.clone(), self.now()));
        self.calls += 1;
        let executed = matches!(fate, Fate::Executed | Fate::LostAfter | Fate::Crashed { executed: true });
        if executed {
            self.seats = 0;
        }
        let delivery = match fate {
            Fate::Executed => Delivery::Sent(Class::Success),
            Fate::Refused(class) => Delivery::Sent(class),
            Fate::NotSent => Delivery::NotSent(NotSentCause::TooLate(NotSentReason::Attempt)),
            Fate::LostBefore | Fate::LostAfter => Delivery::Sent(Class::Unknown),
            Fate::Crashed { .. } => {
                self.unsettled = true;
                self.noted_attempt = None;
                return self.update_local_state();
            }
        };
        self.unsettled = delivery == Delivery::Sent(Class::Unknown);
        self.store(after_attempt(&self.object, &pending, &result(delivery), self.write_context()));
        if self.unsettled {
            self.local.read_back_at = Some(self.now().mono + SETTLE_TIME);
        }
    }

    fn read_back(&mut self, pending: &PendingAttempt) {
        let read = CallResult { attributes: self.seats, ..result(Delivery::Sent(Class::Success)) };
        let next = after_read_back(&self.object, pending, &read, self.write_context()).unwrap();
        self.unsettled = false;
        if self.seats > 0 && self.object.spec.on_unknown_outcome == OnUnknownOutcome::Stop {
            let reasons = [
                next.reason(),
                next.history.first().and_then(|past| Reason::parse(&past.reason)).unwrap_or(Reason::Pending),
            ];
            assert!(reasons.contains(&Reason::OutcomeUnknown));
        }
        self.store(next);
    }

    fn apply(&mut self, step: Action) {
        match step {
            Action::Pass(seconds) => self.seconds += seconds,
            Action::Call(fate) => return self.settle_down(Some(fate)),
            Action::Seat => self.seats += 1,
            Action::Request(number) => self.edit(|spec| spec.request_id = Some(format!("request-{number}"))),
            Action::Suspend(suspend) => self.edit(|spec| spec.suspend = suspend),
            Action::App(state) => self.app.state = state,
        }
        self.settle_down(None);
    }

    fn edit(&mut self, change: impl FnOnce(&mut ResetSpec)) {
        change(&mut self.object.spec);
        self.object.metadata.generation = self.object.metadata.generation.map(|generation| generation + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// For any order of events: no call after the end, none before an unknown outcome is settled, no end revoked, and
    /// once the faults stop, the request finishes.
    #[test]
    fn no_order_of_events_breaks_the_protocol(
        stop in any::<bool>(),
        succeed in any::<bool>(),
        actions in prop::collection::vec(actions(), 1..40),
    ) {
        let spec = ResetSpec {
            on_unknown_outcome: if stop { OnUnknownOutcome::Stop } else { OnUnknownOutcome::Retry },
            on_group_not_found: if succeed { OnGroupNotFound::Succeed } else { OnGroupNotFound::Fail },
            backoff_limit: 3,
            ..spec()
        };
        let mut model = Model {
            object: reset(spec),
            app: works(),
            local: LocalState::default(),
            noted_attempt: None,
            seconds: 1,
            seats: 2,
            ended: Vec::new(),
            unsettled: false,
            calls: 0,
        };
        for step in actions {
            model.apply(step);
        }
        model.edit(|spec| spec.suspend = false);
        model.app = works();
        for _ in 0..40 {
            model.seconds += 20;
            model.settle_down(Some(Fate::Executed));
        }
        let status = model.object.status.clone().unwrap();
        prop_assert!(status.is_final(), "not final: {status:?}");
        prop_assert_eq!(status.observed_generation, model.object.metadata.generation.unwrap());
    }
}
