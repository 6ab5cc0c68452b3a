//! What a drain does about the lease: it wants to be the one who holds it, so that nobody leads, and takes it from nobody
//! who may have something in flight.

/// The lease as a drain finds it.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Who holds it; empty if nobody does.
    pub holder: &'a str,
    /// The drain that has asked for it, or that it was given to; empty if there is none.
    pub drain: &'a str,
    /// Its holder has been silent for its whole span.
    pub is_silent: bool,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: nobody leads, and nobody will.
    Held,
    /// Write it in one's own name.
    Take,
    /// Write into it who asks for it.
    Ask,
    /// Look again later: its holder knows, or will with its next renewal.
    Wait,
}

/// The next step of the drain `me`. `had_it` is whether the lease was its own before: another drain that has taken it
/// since sees to the same.
#[must_use]
pub fn step(me: &str, found: Found<'_>, had_it: bool) -> Step {
    let Found { holder, drain, is_silent } = found;
    let is_a_drain = !holder.is_empty() && holder == drain;
    if holder == me || had_it && is_a_drain {
        Step::Held
    } else if holder.is_empty() || is_a_drain || is_silent {
        Step::Take
    } else if drain == me {
        Step::Wait
    } else {
        Step::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(holder: &'a str, drain: &'a str, is_silent: bool) -> Found<'a> {
        Found { holder, drain, is_silent }
    }

    #[test]
    fn a_living_leader_is_asked_once_and_waited_for() {
        assert_eq!(step("me", found("leader", "", false), false), Step::Ask);
        assert_eq!(step("me", found("leader", "me", false), false), Step::Wait);
        assert_eq!(step("me", found("leader", "earlier-drain", false), false), Step::Ask);
        assert_eq!(step("me", found("me", "me", false), false), Step::Held);
    }

    #[test]
    fn a_lease_that_is_free_silent_or_another_drains_is_taken() {
        for one in [
            found("", "", false),
            found("", "gone", false),
            found("dead", "me", true),
            found("drain", "drain", false),
        ] {
            assert_eq!(step("me", one, false), Step::Take, "{one:?}");
        }
    }

    #[test]
    fn two_drains_do_not_take_it_from_each_other_for_ever() {
        assert_eq!(step("me", found("drain", "drain", false), true), Step::Held);
        assert_eq!(step("me", found("leader", "", false), true), Step::Ask);
    }
}
