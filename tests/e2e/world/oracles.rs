//! Runs the oracles: what must hold in every test besides its own point. A world does so when dropped, so that no test
//! can forget it.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;

use testbed::OperatorProcess;
use tokio::runtime;

use super::World;
use super::history::check_history;

/// How many log lines of each operator are printed when a test fails.
const LOG_TAIL: usize = 25;

impl World {
    /// Runs the oracles over everything that happened in this world. Otherwise they run when the world is dropped; a
    /// test with several worlds at once calls this, because a drop would block the others.
    pub(crate) async fn finish(&self) {
        if !self.is_finished.swap(true, Ordering::Relaxed) {
            self.run_oracles().await;
        }
    }

    /// Turns the oracles off: the API server was made to store something other than what was sent, or the test restores
    /// old statuses.
    pub(crate) fn skip_oracles(&self) {
        self.is_finished.store(true, Ordering::Relaxed);
    }

    /// Lets the wall clocks of this world's operators differ.
    pub(crate) fn allow_clock_skew(&self) {
        self.clocks_differ.store(true, Ordering::Relaxed);
    }

    /// Runs the oracles over what happened so far. The last of the operators must still be running.
    pub(crate) async fn check(&self, operators: &[&OperatorProcess]) {
        if let Some(last) = operators.last() {
            assert_eq!(last.exit_status(), None, "the operator exited by itself: {}", last.logs());
        }
        self.run_oracles().await;
    }

    /// Helps to find the cause of a failure.
    fn print_operator_logs(&self) {
        let operators = self.operators.lock().unwrap_or_else(PoisonError::into_inner);
        for operator in operators.iter() {
            let logs = operator.logs();
            let is_event = |line: &&str| ["INFO", "WARN", "ERROR"].iter().any(|level| line.contains(level));
            let lines: Vec<&str> = logs.lines().filter(is_event).collect();
            let last = &lines[lines.len().saturating_sub(LOG_TAIL)..];
            eprintln!(
                "last log lines of operator {} in {}:\n{}",
                operator.pid(),
                self.namespace,
                last.join("\n")
            );
        }
    }

    async fn run_oracles(&self) {
        let evidence = self.evidence().await;
        evidence.check_processes();
        check_history(evidence.stored.iter().map(|stored| &*stored.object), evidence.clocks_differ);
        evidence.check_sightings();
        evidence.check_ends();
        evidence.check_calls();
        evidence.check_repetitions();
        self.check_rates(&evidence);
        evidence.check_cost(self.api.is_some() || self.plane.interruptions() > 0);
        self.check_secrets(&evidence).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            return self.print_operator_logs();
        }
        if self.is_finished.load(Ordering::Relaxed) {
            return;
        }
        let world = &*self;
        // `drop` cannot await, and the test's own runtime is busy dropping, so a thread with its own runtime does it.
        let check = || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(world.finish());
        };
        let checked = thread::scope(|scope| {
            thread::Builder::new().name("oracles".into()).spawn_scoped(scope, check).expect("a thread").join()
        });
        assert!(checked.is_ok(), "the test itself passed, but its world broke an oracle; see above");
    }
}
