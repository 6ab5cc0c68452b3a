//! Several processes of one operator: which of them leads, and which of them made which call.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use testbed::{OperatorProcess, until, until_ok};

use super::{DEADLINE, World};

/// A lease that runs out sooner than by default, and yet not so soon that a busy machine loses it.
pub(crate) const SHORT_LEASE: [&str; 3] =
    ["--lease-duration-seconds=9", "--lease-renew-deadline-seconds=7", "--lease-retry-seconds=1"];

/// Without election: a process that starts works at once, and goes on when the API server of a busy machine is silent
/// for longer than a lease may go without renewal.
pub(crate) const NO_ELECTION: [&str; 1] = ["--leader-elect=false"];

/// Whether this process says that it leads.
pub(crate) async fn leads(operator: &OperatorProcess) -> bool {
    operator.metric("groupattr_leader", &[]).await == Some(1.0)
}

/// Waits until this process says that it leads.
pub(crate) async fn until_leading(operator: &OperatorProcess, deadline: Duration) {
    until_ok(deadline, "it to lead", || async {
        if leads(operator).await { Ok(()) } else { Err(operator.exit_status()) }
    })
    .await;
}

/// Which of these leads; `None` while none does.
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

/// Waits until one of these leads, and says which.
pub(crate) async fn until_one_leads(candidates: &[OperatorProcess], deadline: Duration) -> usize {
    until(deadline, "one of them to lead", || leader_of(candidates)).await
}

/// The calls of one process. Each process signs by itself, so its signature tells.
#[derive(Debug)]
pub(crate) struct Tenure {
    pub(crate) usersig: String,
    pub first: Instant,
    pub last: Instant,
    pub calls: usize,
}

impl World {
    /// Two replicas: first the one that leads.
    pub(crate) async fn two_replicas(&self, args: &[&str]) -> [OperatorProcess; 2] {
        let leader = self.operator(args).await;
        until_leading(&leader, DEADLINE).await;
        let follower = self.operator(args).await;
        [leader, follower]
    }

    /// Waits until this many clears have arrived at the vendor.
    pub(crate) async fn until_calls(&self, wanted: usize) {
        until(Duration::from_mins(5), &format!("{wanted} calls"), || async {
            (self.vendor.clears().len() >= wanted).then_some(())
        })
        .await;
    }

    /// Waits until a clear has just arrived, or none for a second: then the next one is not on its way yet. Whoever is
    /// frozen between its last look and its call makes that call when it wakes up; no process knows how long it slept.
    pub(crate) async fn until_between_calls(&self) {
        until(DEADLINE, "another call", || async {
            let ago = self.vendor.clears().pop()?.arrived.elapsed();
            (ago < Duration::from_millis(40) || ago > Duration::from_secs(1)).then_some(())
        })
        .await;
    }

    /// Who called when, clears and reads alike, in the order of their first calls.
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

    /// Nobody called any more once somebody else had begun to.
    pub(crate) fn assert_no_overlap(&self) -> Vec<Tenure> {
        let tenures = self.tenures();
        for pair in tenures.windows(2) {
            assert!(pair[0].last < pair[1].first, "two processes called at the same time: {tenures:#?}");
        }
        tenures
    }

    /// Each of these groups was cleared, and by one call.
    pub(crate) fn assert_each_cleared_once(&self, rooms: &[(String, String)]) {
        let calls = self.vendor.clears();
        let groups: BTreeSet<&str> = rooms.iter().map(|(_, group)| group.as_str()).collect();
        let of_ours: Vec<&str> = calls
            .iter()
            .filter_map(|call| call.group.as_deref())
            .filter(|group| groups.contains(group))
            .collect();
        let called: BTreeSet<&str> = of_ours.iter().copied().collect();
        assert_eq!(called, groups, "groups that were never called for");
        assert_eq!(of_ours.len(), groups.len(), "groups that were called for more than once");
    }
}
