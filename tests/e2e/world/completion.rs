//! Everything ends (O1), no process ends unasked or panics (O9), and an independent watch tells the same story.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use testbed::vendor::Command;
use testbed::{OperatorProcess, until, until_ok};

use super::evidence::Evidence;
use super::history::check_history;
use super::{World, condition_of, reason_of};

impl World {
    /// Waits until every reset of this world is final; called when the faults have stopped.
    pub(crate) async fn until_all_final(&self, deadline: Duration) {
        until_ok(deadline, "all resets to end", || async {
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
    /// The same, while a process that has lost its lease is started again, as a cluster does it.
    pub(crate) async fn until_all_final_with_restarts(
        &self,
        process: OperatorProcess,
        args: &[&str],
        deadline: Duration,
    ) {
        let mut process = process;
        let keeping = async {
            loop {
                until(deadline, "the process to end", || async { process.exit_status() }).await;
                process = self.start(self.launch(args));
                process.may_end();
            }
        };
        tokio::select! {
            () = self.until_all_final(deadline) => {}
            () = keeping => {}
        }
    }
}

impl Evidence {
    /// No process ended unasked, and none panicked.
    pub(super) fn check_processes(&self) {
        for operator in &self.operators {
            let logs = operator.logs();
            assert!(!logs.contains("panicked at"), "an operator panicked: {logs}");
            if let Some(exit) = operator.unplanned_end() {
                let lines: Vec<&str> = logs.lines().rev().take(12).collect();
                panic!("an operator ended by itself with {exit}: {lines:#?}");
            }
        }
    }

    /// Each reset that says `Cleared` by this vendor had a call that was executed after it was made.
    pub(super) fn check_ends(&self) {
        for stored in
            self.stored_anywhere.iter().filter(|stored| reason_of(&stored.object, "Succeeded") == "Cleared")
        {
            let group = stored.object["spec"]["groupID"].as_str().unwrap_or_default();
            let made = stored.object["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
            let made: jiff::Timestamp = made.parse().expect("a date and time");
            let mut calls = self.calls.iter().filter(|call| call.command == Command::Clear && call.executed);
            let cleared = calls.any(|call| call.group.as_deref() == Some(group) && call.arrived_at >= made);
            assert!(
                cleared,
                "{} says Cleared, and no call was executed: {:#}",
                name(&stored.object),
                stored.object
            );
        }
    }

    /// What an administrator's watch saw is as lawful as what the operators say they stored, and nothing else.
    pub(super) fn check_sightings(&self) {
        let honest = self.sightings.iter().filter(|sighting| !self.forged.contains(name(&sighting.object)));
        // Before anybody looked at it, the CRD's default stands there.
        let looked_at = honest.map(|sighting| &sighting.object).filter(|object| {
            object["status"]["observedGeneration"].as_i64().is_some_and(|generation| generation >= 0)
        });
        check_history(looked_at, self.clocks_differ);
    }
}

pub(super) fn is_final(object: &Value) -> bool {
    condition_of(object, "Finished").is_some_and(|finished| finished["status"] == "True")
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}
