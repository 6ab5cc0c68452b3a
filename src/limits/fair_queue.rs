//! A fair queue: round-robin over namespaces, and oldest first within a namespace.

use std::collections::{BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;

/// Sort key of a queued reset: its age, then its uid, so that the order is total.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueKey {
    /// When the request started.
    pub since: Timestamp,
    /// uid of the reset.
    pub uid: String,
}

/// Items that wait for the same resource; resets by default. Within a namespace the least key goes first.
///
/// ```
/// use groupattr::limits::fair_queue::FairQueue;
///
/// let mut queue = FairQueue::default();
/// for (namespace, key) in [("flood", 1), ("flood", 2), ("flood", 3), ("calm", 4)] {
///     queue.push(namespace, key);
/// }
/// assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [1, 4, 2, 3]);
/// ```
#[derive(Debug)]
pub struct FairQueue<P = QueueKey> {
    namespaces: VecDeque<String>,
    waiting: HashMap<String, BTreeSet<P>>,
}

impl<P> Default for FairQueue<P> {
    fn default() -> Self {
        Self { namespaces: VecDeque::new(), waiting: HashMap::new() }
    }
}

impl<P: Ord> FairQueue<P> {
    /// Adds a key to the queue of its namespace. Adding it again has no effect.
    pub fn push(&mut self, namespace: &str, key: P) {
        let queue = self.waiting.entry(namespace.to_owned()).or_insert_with(|| {
            self.namespaces.push_back(namespace.to_owned());
            BTreeSet::new()
        });
        queue.insert(key);
    }

    /// Removes a key from the queue.
    pub fn remove(&mut self, namespace: &str, key: &P) {
        if let Some(queue) = self.waiting.get_mut(namespace) {
            queue.remove(key);
            if queue.is_empty() {
                self.waiting.remove(namespace);
                self.namespaces.retain(|other| other != namespace);
            }
        }
    }

    /// Takes the next key out of the queue.
    pub fn pop(&mut self) -> Option<P> {
        let namespace = self.namespaces.pop_front()?;
        let queue = self.waiting.get_mut(&namespace)?;
        let key = queue.pop_first();
        if queue.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.namespaces.push_back(namespace);
        }
        key
    }

    /// The next key that `may_go`, in the namespaces selected by `is_selected`, with its namespace. A namespace with no
    /// such key keeps its position.
    pub fn first_eligible(
        &self,
        is_selected: impl Fn(&str) -> bool,
        mut may_go: impl FnMut(&str, &P) -> bool,
    ) -> Option<(&str, &P)> {
        self.namespaces.iter().filter(|namespace| is_selected(namespace)).find_map(|namespace| {
            let key = self.waiting.get(namespace)?.iter().find(|key| may_go(namespace, key))?;
            Some((namespace.as_str(), key))
        })
    }

    /// Takes this key out of the queue, whatever its position, and moves its namespace to the back.
    pub fn take(&mut self, namespace: &str, key: &P) {
        self.remove(namespace, key);
        if self.waiting.contains_key(namespace) {
            self.namespaces.retain(|other| other != namespace);
            self.namespaces.push_back(namespace.to_owned());
        }
    }

    /// How many namespaces come before this one.
    #[must_use]
    pub fn ahead_of(&self, namespace: &str) -> usize {
        self.namespaces.iter().take_while(|other| *other != namespace).count()
    }

    /// Whether a key of this namespace is queued.
    #[must_use]
    pub fn has_namespace(&self, namespace: &str) -> bool {
        self.waiting.contains_key(namespace)
    }

    /// Whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// Number of queued keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.values().map(BTreeSet::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(second: i64, uid: &str) -> QueueKey {
        QueueKey { since: Timestamp::from_second(second).unwrap(), uid: uid.to_owned() }
    }

    #[test]
    fn namespaces_take_turns_and_the_oldest_goes_first() {
        let mut queue = FairQueue::default();
        for (second, uid) in [(3, "a3"), (1, "a1"), (2, "a2")] {
            queue.push("a", key(second, uid));
        }
        queue.push("b", key(9, "b9"));
        queue.push("a", key(1, "a1"));
        assert_eq!(queue.len(), 4);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|p| p.uid).collect();
        assert_eq!(order, ["a1", "b9", "a2", "a3"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_namespace_of_which_nobody_may_go_keeps_its_turn() {
        let mut queue = FairQueue::default();
        for (second, uid) in [(1, "a1"), (2, "a2")] {
            queue.push("a", key(second, uid));
        }
        queue.push("b", key(3, "b3"));
        let first = |queue: &FairQueue, not: &[&str]| {
            let found = queue.first_eligible(|_| true, |_, key| !not.contains(&key.uid.as_str()));
            found.map(|(namespace, key)| (namespace.to_owned(), key.clone()))
        };
        assert_eq!(first(&queue, &["a1", "a2", "b3"]), None);
        assert_eq!(first(&queue, &["a1"]), Some(("a".to_owned(), key(2, "a2"))));
        assert_eq!(first(&queue, &["a1", "a2"]), Some(("b".to_owned(), key(3, "b3"))));
        assert_eq!((queue.ahead_of("a"), queue.ahead_of("b")), (0, 1));
        queue.take("a", &key(2, "a2"));
        assert_eq!((queue.ahead_of("a"), queue.ahead_of("b")), (1, 0));
        queue.take("b", &key(3, "b3"));
        assert_eq!(queue.pop(), Some(key(1, "a1")));
        assert!(queue.is_empty());
    }

    #[test]
    fn who_leaves_is_not_called() {
        let mut queue = FairQueue::default();
        queue.push("a", key(1, "a1"));
        queue.push("b", key(1, "b1"));
        queue.remove("a", &key(1, "a1"));
        queue.remove("a", &key(1, "a1"));
        assert_eq!(queue.pop().map(|p| p.uid), Some("b1".to_owned()));
        assert_eq!(queue.pop(), None);
    }
}
