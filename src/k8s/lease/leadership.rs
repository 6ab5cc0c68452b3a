//! Whether this process may act as the leader.

use std::time::Duration;

use jiff::Timestamp;
use tokio::{sync::watch, time::Instant};

/// Whether this process may act. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Leadership(pub(super) watch::Receiver<LeadershipState>);

#[derive(Clone, Copy, Debug)]
pub(super) enum LeadershipState {
    Unelected,
    Until(LeadershipEnd),
    Over,
}

/// When leadership ends unless it is renewed, on the monotonic clock and on the wall clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeadershipEnd {
    pub(super) at: Instant,
    pub(super) wall_clock: Timestamp,
}

impl LeadershipEnd {
    /// `begun` is when the renewal was sent. The deadline counts from then, not from when the answer arrived.
    pub(super) fn after(begun: Instant, deadline: Duration) -> Self {
        Self { at: begun + deadline, wall_clock: Timestamp::now() - begun.elapsed() + deadline }
    }
}

impl Leadership {
    /// Leadership of a process that runs without leader election; it always holds.
    #[must_use]
    pub(crate) fn without_election() -> Self {
        Self(watch::channel(LeadershipState::Unelected).1)
    }

    /// Whether the Lease was renewed less than the renew deadline before `now`. A process that was frozen sees at once
    /// that its leadership is over. So does one whose machine was suspended: there the wall clock went on although the
    /// monotonic clock stood still, which is why both are checked.
    #[must_use]
    pub(crate) fn holds(&self, now: Instant) -> bool {
        match *self.0.borrow() {
            LeadershipState::Unelected => true,
            LeadershipState::Until(end) => now < end.at && Timestamp::now() < end.wall_clock,
            LeadershipState::Over => false,
        }
    }

    /// Completes when leadership was lost or released, which is final. Never completes without leader election.
    pub(crate) async fn lost(&self) {
        let mut state = self.0.clone();
        if matches!(*state.borrow(), LeadershipState::Unelected) {
            std::future::pending::<()>().await;
        }
        // An error means that the `HeldLease` was dropped, so nothing renews the Lease any more.
        let _ = state.wait_for(|state| matches!(state, LeadershipState::Over)).await;
    }
}
