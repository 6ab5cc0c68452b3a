//! Several replicas of one operator: which one leads, and which one made a call.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use testbed::{OperatorProcess, until, until_ok};

use super::{DEADLINE, World};

/// A lease that expires sooner than by default, but late enough that a busy machine does not lose it.
pub(crate) const SHORT_LEASE: [&str; 3] =
    ["--lease-duration-seconds=9", "--lease-renew-deadline-seconds=7", "--lease-retry-seconds=1"];

/// Without leader election, a process works at once, and keeps going when the API server of a busy machine is silent
/// for longer than a lease allows.
pub(crate) const NO_ELECTION: [&str; 1] = ["--leader-elect=false"];

/// Whether this process reports that it leads.
pub(crate) async fn leads(operator: &OperatorProcess) -> bool {
    operator.metric("groupattr_leader", &[]).await == Some(1.0)
}

/// Waits until this process reports that it leads.
pub(crate) async fn until_leading(operator: &OperatorProcess, deadline: Duration) {
    until_ok(deadline, "the process to lead", || async {
        if leads(operator).await { Ok(()) } else { Err(operator.exit_status()) }
    })
    .await;
}

/// The index of the leader; `None` while there is none.
pub(crate) async fn leader_of(candidates: &[OperatorProcess]) -> Option<usize> {
    let mut leading = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        if leads(candidate).await {
            leading.push(index);
        }
    }
    assert!(leading.len() <= 1, "{leading:?} lead at the same time");
    leading.first().copied()
}

/// Waits until one of these leads, and returns its index.
pub(crate) async fn until_one_leads(candidates: &[OperatorProcess], deadline: Duration) -> usize {
    until(deadline, "one of them to lead", || leader_of(candidates)).await
}

/// The calls of one process, told apart by UserSig: each process signs its own.
#[derive(Debug)]
pub(crate) struct Tenure {
    pub(crate) usersig: String,
    pub first: Instant,
    pub last: Instant,
    pub calls: usize,
}

impl World {
    /// Starts two replicas: the leader, then the standby.
    pub(crate) async fn two_replicas(&self, args: &[&str]) -> [OperatorProcess; 2] {
        let leader = self.operator(args).await;
        until_leading(&leader, DEADLINE).await;
        let standby = self.operator(args).await;
        [leader, standby]
    }

    /// Waits until this many clears have reached the vendor.
    pub(crate) async fn until_calls(&self, wanted: usize) {
        until(Duration::from_mins(5), &format!("{wanted} calls"), || async {
            (self.vendor.clears().len() >= wanted).then_some(())
        })
        .await;
    }

    /// Waits until a clear has just arrived, or none for a second, so that the next one is not under way. A process
    /// that is frozen between its last check and its call makes that call on waking: it cannot know how long it slept.
    pub(crate) async fn until_between_calls(&self) {
        until(DEADLINE, "another call", || async {
            let ago = self.vendor.clears().pop()?.arrived.elapsed();
            (ago < Duration::from_millis(40) || ago > Duration::from_secs(1)).then_some(())
        })
        .await;
    }

    /// Which process called when, clears and reads alike, in the order of their first calls.
    pub(crate) fn tenures(&self) -> Vec<Tenure> {
        let mut tenures: Vec<Tenure> = Vec::new();
        for call in self.vendor.journal() {
            let usersig = call.parameter("usersig").unwrap_or_default();
            match tenures.iter_mut().find(|tenure| tenure.usersig == usersig) {
                Some(tenure) => (tenure.last, tenure.calls) = (call.arrived, tenure.calls + 1),
                None => tenures.push(Tenure {
                    usersig: usersig.to_owned(),
                    first: call.arrived,
                    last: call.arrived,
                    calls: 1,
                }),
            }
        }
        tenures
    }

    /// No process called any more once another one had started to.
    pub(crate) fn assert_no_overlap(&self) -> Vec<Tenure> {
        let tenures = self.tenures();
        for pair in tenures.windows(2) {
            assert!(pair[0].last < pair[1].first, "two processes called at the same time: {tenures:#?}");
        }
        tenures
    }

    /// Each of these groups was cleared by exactly one call.
    pub(crate) fn assert_each_cleared_once(&self, rooms: &[(String, String)]) {
        let calls = self.vendor.clears();
        let groups: BTreeSet<&str> = rooms.iter().map(|(_, group)| group.as_str()).collect();
        let of_ours: Vec<&str> = calls
            .iter()
            .filter_map(|call| call.group.as_deref())
            .filter(|group| groups.contains(group))
            .collect();
        let called: BTreeSet<&str> = of_ours.iter().copied().collect();
        assert_eq!(called, groups, "groups that were never cleared");
        assert_eq!(of_ours.len(), groups.len(), "groups that were cleared more than once");
    }
}
