//! Every reset finishes (O1), no process panics or exits by itself (O9), and an independent watch agrees.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use testbed::vendor::Command;
use testbed::{OperatorProcess, until, until_ok};

use super::evidence::Evidence;
use super::history::check_history;
use super::{World, condition_of, reason_of};

impl World {
    /// Waits until every reset of this world is final. Call it once the faults have stopped.
    pub(crate) async fn until_all_final(&self, deadline: Duration) {
        until_ok(deadline, "all resets to be final", || async {
            let all = self.all_resets().await;
            let open = all.iter().filter(|reset| !is_final(reset));
            let open: BTreeMap<String, String> =
                open.map(|reset| (name(reset).to_owned(), reason_of(reset, "Succeeded"))).collect();
            if open.is_empty() && !all.is_empty() { Ok(()) } else { Err(open) }
        })
        .await;
    }
}

impl World {
    /// The same, restarting the process whenever it exits after losing its lease, as a cluster would.
    pub(crate) async fn until_all_final_with_restarts(
        &self,
        process: OperatorProcess,
        args: &[&str],
        deadline: Duration,
    ) {
        let mut process = process;
        let restarting = async {
            loop {
                until(deadline, "the process to exit", || async { process.exit_status() }).await;
                process = self.start(self.launch(args));
                process.may_end();
            }
        };
        tokio::select! {
            () = self.until_all_final(deadline) => {}
            () = restarting => {}
        }
    }
}

impl Evidence {
    /// No process panicked, and none exited by itself.
    pub(super) fn check_processes(&self) {
        for operator in &self.operators {
            let logs = operator.logs();
            assert!(!logs.contains("panicked at"), "an operator panicked: {logs}");
            if let Some(exit) = operator.unplanned_end() {
                let lines: Vec<&str> = logs.lines().rev().take(12).collect();
                panic!("an operator exited by itself with {exit}: {lines:#?}");
            }
        }
    }

    /// For each reset that this vendor `Cleared`, it executed a clear after the reset was created.
    pub(super) fn check_ends(&self) {
        for stored in
            self.stored_anywhere.iter().filter(|stored| reason_of(&stored.object, "Succeeded") == "Cleared")
        {
            let group = stored.object["spec"]["groupID"].as_str().unwrap_or_default();
            let created = stored.object["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
            let created: jiff::Timestamp = created.parse().expect("a timestamp");
            let mut calls = self.calls.iter().filter(|call| call.command == Command::Clear && call.executed);
            let cleared =
                calls.any(|call| call.group.as_deref() == Some(group) && call.arrived_at >= created);
            assert!(
                cleared,
                "{} is Cleared, but the vendor executed no clear: {:#}",
                name(&stored.object),
                stored.object
            );
        }
    }

    /// What an administrator's watch saw obeys the same rules as what the audit log says the operators stored.
    pub(super) fn check_sightings(&self) {
        let honest = self.sightings.iter().filter(|sighting| !self.forged.contains(name(&sighting.object)));
        // Until an operator observes the reset, its status is the CRD's default.
        let observed = honest.map(|sighting| &sighting.object).filter(|object| {
            object["status"]["observedGeneration"].as_i64().is_some_and(|generation| generation >= 0)
        });
        check_history(observed, self.clocks_differ);
    }
}

pub(super) fn is_final(object: &Value) -> bool {
    condition_of(object, "Finished").is_some_and(|finished| finished["status"] == "True")
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}
