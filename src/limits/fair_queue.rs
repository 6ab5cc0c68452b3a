//! Whose turn it is: namespaces take turns, and within a namespace the oldest goes first.

use std::collections::{BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;

/// A place in the queue: its age, then its uid so that equal ages have an order too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueKey {
    /// When the request's clock started.
    pub since: Timestamp,
    /// uid of the reset.
    pub uid: String,
}

/// Whoever waits for the same thing; resets, unless told otherwise. In a namespace the least goes first.
#[derive(Debug)]
pub struct FairQueue<P = QueueKey> {
    round: VecDeque<String>,
    waiting: HashMap<String, BTreeSet<P>>,
}

impl<P> Default for FairQueue<P> {
    fn default() -> Self {
        Self { round: VecDeque::new(), waiting: HashMap::new() }
    }
}

impl<P: Ord> FairQueue<P> {
    /// Joins the queue of its namespace; twice is once.
    pub fn push(&mut self, namespace: &str, place: P) {
        let queue = self.waiting.entry(namespace.to_owned()).or_insert_with(|| {
            self.round.push_back(namespace.to_owned());
            BTreeSet::new()
        });
        queue.insert(place);
    }

    /// Leaves the queue.
    pub fn remove(&mut self, namespace: &str, place: &P) {
        if let Some(queue) = self.waiting.get_mut(namespace) {
            queue.remove(place);
            if queue.is_empty() {
                self.waiting.remove(namespace);
                self.round.retain(|other| other != namespace);
            }
        }
    }

    /// Takes the next one out of the queue.
    pub fn pop(&mut self) -> Option<P> {
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

    /// The next one of these namespaces that may go, with its namespace. One of which none may go keeps its turn.
    pub fn first_eligible(
        &self,
        is_one: impl Fn(&str) -> bool,
        mut may_go: impl FnMut(&str, &P) -> bool,
    ) -> Option<(&str, &P)> {
        self.round.iter().filter(|namespace| is_one(namespace)).find_map(|namespace| {
            let place = self.waiting.get(namespace)?.iter().find(|place| may_go(namespace, place))?;
            Some((namespace.as_str(), place))
        })
    }

    /// Takes this one out of the queue, whoever else waits; its namespace has had its turn.
    pub fn take(&mut self, namespace: &str, place: &P) {
        self.remove(namespace, place);
        if self.waiting.contains_key(namespace) {
            self.round.retain(|other| other != namespace);
            self.round.push_back(namespace.to_owned());
        }
    }

    /// How many namespaces have their turn before this one.
    #[must_use]
    pub fn ahead_of(&self, namespace: &str) -> usize {
        self.round.iter().take_while(|other| *other != namespace).count()
    }

    /// Whether somebody of this namespace waits.
    #[must_use]
    pub fn has_namespace(&self, namespace: &str) -> bool {
        self.waiting.contains_key(namespace)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(second: i64, uid: &str) -> QueueKey {
        QueueKey { since: Timestamp::from_second(second).unwrap(), uid: uid.to_owned() }
    }

    #[test]
    fn namespaces_take_turns_and_the_oldest_goes_first() {
        let mut turns = FairQueue::default();
        for (second, uid) in [(3, "a3"), (1, "a1"), (2, "a2")] {
            turns.push("a", place(second, uid));
        }
        turns.push("b", place(9, "b9"));
        turns.push("a", place(1, "a1"));
        assert_eq!(turns.len(), 4);
        let order: Vec<_> = std::iter::from_fn(|| turns.pop()).map(|p| p.uid).collect();
        assert_eq!(order, ["a1", "b9", "a2", "a3"]);
        assert!(turns.is_empty());
    }

    #[test]
    fn a_namespace_of_which_nobody_may_go_keeps_its_turn() {
        let mut turns = FairQueue::default();
        for (second, uid) in [(1, "a1"), (2, "a2")] {
            turns.push("a", place(second, uid));
        }
        turns.push("b", place(3, "b3"));
        let first = |turns: &FairQueue, not: &[&str]| {
            let found = turns.first_eligible(|_| true, |_, place| !not.contains(&place.uid.as_str()));
            found.map(|(namespace, place)| (namespace.to_owned(), place.clone()))
        };
        assert_eq!(first(&turns, &["a1", "a2", "b3"]), None);
        assert_eq!(first(&turns, &["a1"]), Some(("a".to_owned(), place(2, "a2"))));
        assert_eq!(first(&turns, &["a1", "a2"]), Some(("b".to_owned(), place(3, "b3"))));
        assert_eq!((turns.ahead_of("a"), turns.ahead_of("b")), (0, 1));
        turns.take("a", &place(2, "a2"));
        assert_eq!((turns.ahead_of("a"), turns.ahead_of("b")), (1, 0));
        turns.take("b", &place(3, "b3"));
        assert_eq!(turns.pop(), Some(place(1, "a1")));
        assert!(turns.is_empty());
    }

    #[test]
    fn who_leaves_is_not_called() {
        let mut turns = FairQueue::default();
        turns.push("a", place(1, "a1"));
        turns.push("b", place(1, "b1"));
        turns.remove("a", &place(1, "a1"));
        turns.remove("a", &place(1, "a1"));
        assert_eq!(turns.pop().map(|p| p.uid), Some("b1".to_owned()));
        assert_eq!(turns.pop(), None);
    }
}
