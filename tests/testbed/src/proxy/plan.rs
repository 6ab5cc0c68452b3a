//! When a fault happens, and what it is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::Signal;
use tokio::sync::watch;

use super::{boundary::Boundary, request::Passing};
use crate::{operator_process::Trace, until::until};

/// Where on its way a request meets its fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// On the way there: it is not forwarded, unless the fault lets it go on.
    Before,
    /// On the way back: it took effect, and its answer is not delivered, unless the fault lets it go on.
    LostAnswer,
    /// The answer has just been delivered.
    After,
}

/// All positions.
pub const POSITIONS: [Position; 3] = [Position::Before, Position::LostAnswer, Position::After];

/// Who is hit, looked up when it happens: it may be a process that has yet to be started.
pub type Victim = Arc<dyn Fn() -> Arc<Trace> + Send + Sync>;

/// What happens.
pub enum Fault {
    /// The process is killed with SIGKILL; nothing more of the request goes either way.
    Kill9(Victim),
    /// The process gets this signal; the request goes on.
    Signal(Victim, Signal),
    /// The test does something, on the proxy's thread; the request goes on.
    Tell(Box<dyn FnMut() + Send>),
    /// This answer instead of the true one.
    Answer {
        /// HTTP status.
        code: u16,
        /// Further headers, such as `Retry-After`.
        headers: Vec<(&'static str, String)>,
        /// The body; empty for the `Status` object that the API server sends with such a code.
        body: String,
    },
    /// It goes on later.
    Delay(Duration),
    /// It goes on when [`Plan::release`] says so.
    Hold,
    /// The connection is reset (RST).
    Reset,
    /// No answer ever comes; the connection stays open until the client gives up.
    BlackHole,
}

impl Fault {
    /// An answer with this code and nothing special about it.
    #[must_use]
    pub fn code(code: u16) -> Self {
        Self::Answer { code, headers: Vec::new(), body: String::new() }
    }
}

/// What the request has to do about a fault that it met.
pub(super) enum Verdict {
    GoOn,
    Vanish,
    Reset,
    Answer(u16, Vec<(&'static str, String)>, String),
    Wait(Duration),
    WaitForRelease(watch::Receiver<State>),
}

/// How often a plan has fired, and whether what it holds may go on.
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

/// The plans of one way.
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
                || matches!(fault, Fault::Kill9(_) | Fault::Signal(..) | Fault::Tell(_)),
            "an answer that has been delivered cannot be changed any more"
        );
        let what = format!("{position:?} {boundary}");
        let (state, watched) = watch::channel(State::default());
        let mut all = plans.lock().expect("no panic while holding this lock");
        let number = all.next;
        all.next += 1;
        all.plans.insert(number, Pending { boundary, position, fault, seen: 0, state });
        Plan { plans: Arc::clone(plans), number, what, state: watched, may_miss: false }
    }

    /// The plans that this request meets at any position, each thereby counted once.
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

    /// Lets the fault happen. Nothing happens when its plan has been dropped meanwhile.
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
            Fault::Tell(tell) => {
                tell();
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

/// A fault that is to happen. It is called off when this is dropped, and a test that drops it before it ever
/// happened fails: what it wanted to prove was not tried.
#[must_use = "a plan is called off when it is dropped"]
pub struct Plan {
    plans: Arc<Mutex<Plans>>,
    number: u64,
    what: String,
    state: watch::Receiver<State>,
    may_miss: bool,
}

impl Plan {
    /// How often it has happened.
    #[must_use]
    pub fn fired(&self) -> u32 {
        // What a fault did can be seen a moment before it is counted; both are done under this lock.
        let _all = self.plans.lock().expect("no panic while holding this lock");
        self.state.borrow().fired
    }

    /// Waits until it has happened.
    ///
    /// # Panics
    /// When it has not before the deadline.
    pub async fn has_fired(&self, deadline: Duration) {
        self.has_fired_times(1, deadline).await;
    }

    /// Waits until it has happened so often.
    ///
    /// # Panics
    /// When it has not before the deadline.
    pub async fn has_fired_times(&self, times: u32, deadline: Duration) {
        until(deadline, &format!("the fault \"{}\"", self.what), || async {
            (self.fired() >= times).then_some(())
        })
        .await;
    }

    /// Lets go what [`Fault::Hold`] holds, and holds nothing more.
    pub fn release(&self) {
        let mut plans = self.plans.lock().expect("no panic while holding this lock");
        if let Some(plan) = plans.plans.get_mut(&self.number) {
            plan.state.send_modify(|state| state.released = true);
            plan.boundary.times = Some(0);
        }
    }

    /// It need not happen, as with faults at random.
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
