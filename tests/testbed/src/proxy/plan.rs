//! When a fault is injected, and what it does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::Signal;
use tokio::sync::watch;

use super::{boundary::Boundary, request::Passing};
use crate::{operator_process::Trace, until::until};

/// The point of a request's lifecycle at which the fault is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Before the request is forwarded; whether it will be depends on the fault.
    Before,
    /// After the request took effect and before its answer is delivered; whether it will be depends on the
    /// fault.
    LostAnswer,
    /// Just after the answer has been delivered.
    After,
}

/// All positions.
pub const POSITIONS: [Position; 3] = [Position::Before, Position::LostAnswer, Position::After];

/// The process to hit, looked up when the fault fires, because it may not have been started yet.
pub type Victim = Arc<dyn Fn() -> Arc<Trace> + Send + Sync>;

/// What a fault does.
pub enum Fault {
    /// Kills the process with SIGKILL; nothing more of the request passes in either direction.
    Kill9(Victim),
    /// Sends this signal to the process; the request continues.
    Signal(Victim, Signal),
    /// Runs a closure on the proxy's thread; the request continues.
    Run(Box<dyn FnMut() + Send>),
    /// Sends this answer instead of the real one.
    Answer {
        /// The HTTP status.
        code: u16,
        /// Additional headers, such as `Retry-After`.
        headers: Vec<(&'static str, String)>,
        /// The body; if empty, a `Status` object as the API server sends it with this code.
        body: String,
    },
    /// Delays the request.
    Delay(Duration),
    /// Holds the request until [`Plan::release`].
    Hold,
    /// Resets the connection (RST).
    Reset,
    /// Never answers; the connection stays open until the client gives up.
    BlackHole,
}

impl Fault {
    /// A plain answer with this code.
    #[must_use]
    pub fn code(code: u16) -> Self {
        Self::Answer { code, headers: Vec::new(), body: String::new() }
    }
}

/// How the request continues after a fault.
pub(super) enum Verdict {
    GoOn,
    Vanish,
    Reset,
    Answer(u16, Vec<(&'static str, String)>, String),
    Wait(Duration),
    WaitForRelease(watch::Receiver<State>),
}

/// How often a plan has fired, and whether held requests may continue.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct State {
    fired: u32,
    released: bool,
}

impl State {
    pub(super) fn is_released(&self) -> bool {
        self.released
    }
}

struct Pending {
    boundary: Boundary,
    position: Position,
    fault: Fault,
    seen: u32,
    state: watch::Sender<State>,
}

/// The plans of one proxy.
#[derive(Default)]
pub(super) struct Plans {
    next: u64,
    plans: HashMap<u64, Pending>,
}

impl Plans {
    pub(super) fn add(
        plans: &Arc<Mutex<Self>>,
        boundary: Boundary,
        position: Position,
        fault: Fault,
    ) -> Plan {
        assert!(
            position != Position::After
                || matches!(fault, Fault::Kill9(_) | Fault::Signal(..) | Fault::Run(_)),
            "a delivered answer cannot be changed"
        );
        let what = format!("{position:?} {boundary}");
        let (state, watched) = watch::channel(State::default());
        let mut all = plans.lock().expect("no panic while holding this lock");
        let number = all.next;
        all.next += 1;
        all.plans.insert(number, Pending { boundary, position, fault, seen: 0, state });
        Plan { plans: Arc::clone(plans), number, what, state: watched, may_miss: false }
    }

    /// The plans that match this request at any position; counts the match for each.
    pub(super) fn meets(&mut self, request: &Passing) -> Vec<(u64, Position)> {
        let mut met = Vec::new();
        for (number, plan) in &mut self.plans {
            if plan.boundary.matches(request) {
                plan.seen += 1;
                let place = plan.seen.checked_sub(plan.boundary.skip + 1);
                if place.is_some_and(|place| plan.boundary.times.is_none_or(|times| place < times)) {
                    met.push((*number, plan.position));
                }
            }
        }
        met.sort_unstable_by_key(|(number, _)| *number);
        met
    }

    /// Fires the fault, unless its plan has been dropped.
    pub(super) fn fire(&mut self, number: u64) -> Verdict {
        let Some(plan) = self.plans.get_mut(&number) else { return Verdict::GoOn };
        let verdict = match &mut plan.fault {
            Fault::Kill9(process) => {
                process().kill9();
                Verdict::Vanish
            }
            Fault::Signal(process, signal) => {
                process().signal(*signal);
                Verdict::GoOn
            }
            Fault::Run(action) => {
                action();
                Verdict::GoOn
            }
            Fault::Answer { code, headers, body } => Verdict::Answer(*code, headers.clone(), body.clone()),
            Fault::Delay(delay) => Verdict::Wait(*delay),
            Fault::Hold => Verdict::WaitForRelease(plan.state.subscribe()),
            Fault::Reset => Verdict::Reset,
            Fault::BlackHole => Verdict::Vanish,
        };
        plan.state.send_modify(|state| state.fired += 1);
        verdict
    }
}

/// A planned fault. Dropping it cancels the fault, and fails the test if the fault never fired, because then
/// the test proved nothing.
#[must_use = "dropping a plan cancels it"]
pub struct Plan {
    plans: Arc<Mutex<Plans>>,
    number: u64,
    what: String,
    state: watch::Receiver<State>,
    may_miss: bool,
}

impl Plan {
    /// How often the fault has fired.
    #[must_use]
    pub fn fired(&self) -> u32 {
        // A fault's effect may be visible a moment before it is counted; both happen under this lock.
        let _all = self.plans.lock().expect("no panic while holding this lock");
        self.state.borrow().fired
    }

    /// Waits until the fault has fired.
    ///
    /// # Panics
    /// If the deadline passes.
    pub async fn has_fired(&self, deadline: Duration) {
        self.has_fired_times(1, deadline).await;
    }

    /// Waits until the fault has fired this many times.
    ///
    /// # Panics
    /// If the deadline passes.
    pub async fn has_fired_times(&self, times: u32, deadline: Duration) {
        until(deadline, &format!("the fault \"{}\"", self.what), || async {
            (self.fired() >= times).then_some(())
        })
        .await;
    }

    /// Releases what [`Fault::Hold`] holds, and stops holding.
    pub fn release(&self) {
        let mut plans = self.plans.lock().expect("no panic while holding this lock");
        if let Some(plan) = plans.plans.get_mut(&self.number) {
            plan.state.send_modify(|state| state.released = true);
            plan.boundary.times = Some(0);
        }
    }

    /// Permits the fault never to fire, as for random faults.
    pub fn may_miss(mut self) -> Self {
        self.may_miss = true;
        self
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        self.release();
        self.plans.lock().expect("no panic while holding this lock").plans.remove(&self.number);
        let missed = self.fired() == 0 && !self.may_miss;
        assert!(!missed || std::thread::panicking(), "the fault \"{}\" never happened", self.what);
    }
}
