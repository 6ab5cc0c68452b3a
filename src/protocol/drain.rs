//! What a drain does about the lease. It acquires the lease itself, so that no process leads, but never takes it from a
//! holder that may have calls in flight.

/// The lease as the drain reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseView<'a> {
    /// The lease holder; empty if there is none.
    pub holder: &'a str,
    /// The drain that requested the lease, or that it was handed to; empty if there is none.
    pub drain: &'a str,
    /// The holder has not renewed the lease for its whole duration.
    pub is_expired: bool,
}

/// What the drain does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: a drain holds the lease, so no process leads or will lead.
    Held,
    /// Write itself as the holder.
    Take,
    /// Record in the lease that this drain requests it.
    RequestHandOver,
    /// Read it again later. The holder sees the request at its next renewal, at the latest.
    Wait,
}

/// The next step of the drain `me`. `had_it` is whether `me` held the lease before: another drain that has taken it
/// since prevents leading just as well.
#[must_use]
pub(crate) fn step(me: &str, found: LeaseView<'_>, had_it: bool) -> Step {
    let LeaseView { holder, drain, is_expired: is_silent } = found;
    let is_a_drain = !holder.is_empty() && holder == drain;
    if holder == me || had_it && is_a_drain {
        Step::Held
    } else if holder.is_empty() || is_a_drain || is_silent {
        Step::Take
    } else if drain == me {
        Step::Wait
    } else {
        Step::RequestHandOver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(holder: &'a str, drain: &'a str, is_silent: bool) -> LeaseView<'a> {
        LeaseView { holder, drain, is_expired: is_silent }
    }

    #[test]
    fn a_living_leader_is_asked_once_and_waited_for() {
        assert_eq!(step("me", found("leader", "", false), false), Step::RequestHandOver);
        assert_eq!(step("me", found("leader", "me", false), false), Step::Wait);
        assert_eq!(step("me", found("leader", "earlier-drain", false), false), Step::RequestHandOver);
        assert_eq!(step("me", found("me", "me", false), false), Step::Held);
    }

    #[test]
    fn a_lease_that_is_free_silent_or_another_drains_is_taken() {
        for lease in [
            found("", "", false),
            found("", "gone", false),
            found("dead", "me", true),
            found("drain", "drain", false),
        ] {
            assert_eq!(step("me", lease, false), Step::Take, "{lease:?}");
        }
    }

    #[test]
    fn two_drains_do_not_take_it_from_each_other_for_ever() {
        assert_eq!(step("me", found("drain", "drain", false), true), Step::Held);
        assert_eq!(step("me", found("leader", "", false), true), Step::RequestHandOver);
    }
}
