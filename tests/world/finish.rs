//! What must hold in every test besides its own point. A world sees to it when it goes, so no test can forget it.

use std::sync::atomic::Ordering;
use std::thread;

use testbed::OperatorProcess;
use tokio::runtime;

use super::World;
use super::history::check_history;

impl World {
    /// Looks back at everything that happened in this world. A test that does not call this has it done when its
    /// world is dropped; one that runs several worlds at a time calls it, to keep the others going meanwhile.
    pub async fn finish(&self) {
        if !self.is_finished.swap(true, Ordering::Relaxed) {
            self.look_back().await;
        }
    }

    /// Nobody looks back at this world: its API server was made to store something else than it was asked to.
    pub fn skip_look_back(&self) {
        self.is_finished.store(true, Ordering::Relaxed);
    }

    /// Looks back at what happened so far, while the test still goes on. The last of the operators must be running.
    pub async fn check(&self, operators: &[&OperatorProcess]) {
        if let Some(last) = operators.last() {
            assert_eq!(last.exit_status(), None, "the operator ended by itself: {}", last.logs());
        }
        self.look_back().await;
    }

    async fn look_back(&self) {
        let evidence = self.evidence().await;
        evidence.check_processes();
        check_history(evidence.stored.iter().map(|stored| &stored.object));
        evidence.check_sightings();
        evidence.check_ends();
        evidence.check_calls();
        evidence.check_repetitions();
        self.check_rates(&evidence);
        evidence.check_cost(self.api.is_some());
        self.check_secrets(&evidence).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() || self.is_finished.load(Ordering::Relaxed) {
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
