//! What must hold in every test besides its own point. A world sees to it when it goes, so no test can forget it.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;

use testbed::OperatorProcess;
use tokio::runtime;

use super::World;
use super::history::check_history;

/// So many lines of each operator's log are shown when a test fails.
const LAST_WORDS: usize = 25;

impl World {
    /// Looks back at everything that happened in this world. A test that does not call this has it done when its
    /// world is dropped; one that runs several worlds at a time calls it, to keep the others going meanwhile.
    pub(crate) async fn finish(&self) {
        if !self.is_finished.swap(true, Ordering::Relaxed) {
            self.look_back().await;
        }
    }

    /// Nobody looks back at this world: its API server was made to store something else than it was asked to, or the
    /// test puts statuses back to what they were.
    pub(crate) fn skip_oracles(&self) {
        self.is_finished.store(true, Ordering::Relaxed);
    }

    /// The wall clocks of this world's operators say different things.
    pub(crate) fn allow_clock_skew(&self) {
        self.clocks_differ.store(true, Ordering::Relaxed);
    }

    /// Looks back at what happened so far, while the test still goes on. The last of the operators must be running.
    pub(crate) async fn check(&self, operators: &[&OperatorProcess]) {
        if let Some(last) = operators.last() {
            assert_eq!(last.exit_status(), None, "the operator ended by itself: {}", last.logs());
        }
        self.look_back().await;
    }

    /// For whoever looks for the cause of a failure.
    fn say_what_operators_said(&self) {
        let operators = self.operators.lock().unwrap_or_else(PoisonError::into_inner);
        for operator in operators.iter() {
            let logs = operator.logs();
            let told = |line: &&str| ["INFO", "WARN", "ERROR"].iter().any(|level| line.contains(level));
            let told: Vec<&str> = logs.lines().filter(told).collect();
            let last = &told[told.len().saturating_sub(LAST_WORDS)..];
            eprintln!("operator {} in {} said last:\n{}", operator.pid(), self.namespace, last.join("\n"));
        }
    }

    async fn look_back(&self) {
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
            return self.say_what_operators_said();
        }
        if self.is_finished.load(Ordering::Relaxed) {
            return;
        }
        let world = &*self;
        // Nobody can wait for a future here, and the test's runtime is busy with dropping.
        let looking = || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(world.finish());
        };
        let looked = thread::scope(|scope| {
            thread::Builder::new()
                .name("looking back".into())
                .spawn_scoped(scope, looking)
                .expect("a thread")
                .join()
        });
        assert!(
            looked.is_ok(),
            "the test itself went well, but what happened in its world is unlawful; see above"
        );
    }
}
