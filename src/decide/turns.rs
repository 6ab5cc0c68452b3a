//! Whose turn it is: namespaces take turns, and within a namespace the oldest goes first.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;

/// A place in the queue: its age, then its uid so that equal ages have an order too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the request's clock started.
    pub since: Timestamp,
    /// uid of the reset.
    pub uid: String,
}

/// The resets that could go now and wait for one account.
#[derive(Debug, Default)]
pub struct Turns {
    round: VecDeque<String>,
    waiting: HashMap<String, BTreeSet<Place>>,
}

impl Turns {
    /// Joins the queue of its namespace; twice is once.
    pub fn join(&mut self, namespace: &str, place: Place) {
        let queue = self.waiting.entry(namespace.to_owned()).or_insert_with(|| {
            self.round.push_back(namespace.to_owned());
            BTreeSet::new()
        });
        queue.insert(place);
    }

    /// Leaves the queue.
    pub fn leave(&mut self, namespace: &str, place: &Place) {
        if let Some(queue) = self.waiting.get_mut(namespace) {
            queue.remove(place);
            if queue.is_empty() {
                self.waiting.remove(namespace);
                self.round.retain(|other| other != namespace);
            }
        }
    }

    /// Takes the next one out of the queue.
    pub fn call_next(&mut self) -> Option<Place> {
        let namespace = self.round.pop_front()?;
        let queue = self.waiting.get_mut(&namespace)?;
        let place = queue.pop_first();
        if queue.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.round.push_back(namespace);
        }
        place
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.round.is_empty()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.values().map(BTreeSet::len).sum()
    }

    /// Start of the one that waits longest.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        self.waiting.values().filter_map(|queue| queue.first()).map(|place| place.since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(second: i64, uid: &str) -> Place {
        Place { since: Timestamp::from_second(second).unwrap(), uid: uid.to_owned() }
    }

    #[test]
    fn namespaces_take_turns_and_the_oldest_goes_first() {
        let mut turns = Turns::default();
        for (second, uid) in [(3, "a3"), (1, "a1"), (2, "a2")] {
            turns.join("a", place(second, uid));
        }
        turns.join("b", place(9, "b9"));
        turns.join("a", place(1, "a1"));
        assert_eq!(turns.len(), 4);
        assert_eq!(turns.oldest(), Some(Timestamp::from_second(1).unwrap()));
        let order: Vec<_> = std::iter::from_fn(|| turns.call_next()).map(|p| p.uid).collect();
        assert_eq!(order, ["a1", "b9", "a2", "a3"]);
        assert!(turns.is_empty());
    }

    #[test]
    fn who_leaves_is_not_called() {
        let mut turns = Turns::default();
        turns.join("a", place(1, "a1"));
        turns.join("b", place(1, "b1"));
        turns.leave("a", &place(1, "a1"));
        turns.leave("a", &place(1, "a1"));
        assert_eq!(turns.call_next().map(|p| p.uid), Some("b1".to_owned()));
        assert_eq!(turns.call_next(), None);
    }
}
