//! A queue that one namespace cannot fill: bounded in all and for each namespace, and namespaces take turns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Within a namespace the first that came is the first to go, and one at a time.
#[derive(Debug)]
pub struct BoundedQueue<T> {
    bound: usize,
    bound_of_each: usize,
    len: usize,
    waiting: BTreeMap<String, VecDeque<T>>,
    /// Namespaces with something that waits and nothing that is being served, in the order of their turns.
    round: VecDeque<String>,
    served: BTreeSet<String>,
}

impl<T> BoundedQueue<T> {
    /// At most `bound` wait in all, and `bound_of_each` of one namespace.
    #[must_use]
    pub fn new(bound: usize, bound_of_each: usize) -> Self {
        Self {
            bound,
            bound_of_each,
            len: 0,
            waiting: BTreeMap::new(),
            round: VecDeque::new(),
            served: BTreeSet::new(),
        }
    }

    /// Joins the queue of its namespace. Returns what had to be dropped for want of room, if anything: `item` itself,
    /// or the last one of the namespace of which the most wait.
    #[must_use]
    pub fn push(&mut self, namespace: &str, item: T) -> Option<T> {
        let queued = self.waiting.get(namespace).map_or(0, VecDeque::len);
        if queued >= self.bound_of_each {
            return Some(item);
        }
        let mut dropped = None;
        if self.len >= self.bound {
            let longest = self.waiting.values_mut().max_by_key(|queue| queue.len());
            match longest.filter(|longest| longest.len() > queued + 1) {
                Some(longest) => dropped = longest.pop_back(),
                None => return Some(item),
            }
            self.len -= 1;
        }
        if queued == 0 && !self.served.contains(namespace) {
            self.round.push_back(namespace.to_owned());
        }
        self.waiting.entry(namespace.to_owned()).or_default().push_back(item);
        self.len += 1;
        dropped
    }

    /// The next one, with its namespace, which has no other turn until [`FairQueue::done`].
    pub fn pop(&mut self) -> Option<(String, T)> {
        let namespace = self.round.pop_front()?;
        let queue = self.waiting.get_mut(&namespace)?;
        let item = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.remove(&namespace);
        }
        self.len -= 1;
        self.served.insert(namespace.clone());
        Some((namespace, item))
    }

    /// What was taken of this namespace is served; the next one of it waits for its turn.
    pub fn done(&mut self, namespace: &str) {
        if self.served.remove(namespace) && self.waiting.contains_key(namespace) {
            self.round.push_back(namespace.to_owned());
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes and serves one after the other.
    fn drain(queue: &mut BoundedQueue<u32>) -> Vec<(String, u32)> {
        std::iter::from_fn(|| {
            let next = queue.pop()?;
            queue.done(&next.0);
            Some(next)
        })
        .collect()
    }

    #[test]
    fn a_namespace_that_pushes_100_000_delays_its_neighbour_by_one_turn() {
        let mut queue = BoundedQueue::new(1_000, 250);
        let dropped = (0..100_000).filter(|item| queue.push("flood", *item).is_some()).count();
        assert_eq!((dropped, queue.len()), (99_750, 250));
        assert_eq!(queue.push("quiet", 7), None);
        let order = drain(&mut queue);
        assert_eq!(order[..3], [("flood".into(), 0), ("quiet".into(), 7), ("flood".into(), 1)]);
        assert_eq!(order.len(), 251);
    }

    #[test]
    fn many_namespaces_that_fill_the_queue_make_room_for_one_more() {
        let mut queue = BoundedQueue::new(8, 4);
        for namespace in ["a", "b"] {
            (0..4).for_each(|item| assert_eq!(queue.push(namespace, item), None));
        }
        assert_eq!(queue.push("c", 9), Some(3), "the last one of the longest queue goes");
        assert_eq!(queue.len(), 8);
        assert_eq!(queue.push("c", 10), Some(3));
        assert_eq!(queue.push("c", 11), Some(11), "all have the same part now");
        let served: Vec<u32> = drain(&mut queue).into_iter().map(|(_, item)| item).collect();
        assert_eq!(served, [0, 0, 9, 1, 1, 10, 2, 2]);
    }

    #[test]
    fn a_namespace_that_is_served_slowly_holds_up_nobody_else() {
        let mut queue = BoundedQueue::new(8, 4);
        for (namespace, item) in [("slow", 1), ("slow", 2), ("fast", 3), ("fast", 4)] {
            assert_eq!(queue.push(namespace, item), None);
        }
        assert_eq!(queue.pop(), Some(("slow".into(), 1)));
        assert_eq!(drain(&mut queue), [("fast".into(), 3), ("fast".into(), 4)]);
        assert_eq!(queue.push("slow", 5), None);
        assert_eq!(queue.pop(), None, "one at a time of each namespace");
        queue.done("slow");
        queue.done("slow");
        assert_eq!(drain(&mut queue), [("slow".into(), 2), ("slow".into(), 5)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_doubled_and_the_bounds_hold(
            steps in prop::collection::vec((0_u8..5, 0_u8..8), 0..200),
        ) {
            let mut queue = BoundedQueue::new(12, 5);
            let (mut pushed, mut gone, mut served) = (0, 0, Vec::new());
            for (step, name) in steps {
                match step {
                    0 => gone += u32::from(queue.pop().map(|(name, _)| served.push(name)).is_some()),
                    1 => served.pop().into_iter().for_each(|name| queue.done(&name)),
                    _ => {
                        pushed += 1;
                        gone += u32::from(queue.push(&name.to_string(), pushed).is_some());
                    }
                }
                prop_assert!(queue.len() <= 12 && queue.waiting.values().all(|queue| queue.len() <= 5));
                prop_assert_eq!(queue.waiting.values().map(VecDeque::len).sum::<usize>(), queue.len());
            }
            for name in &served {
                queue.done(name);
            }
            gone += u32::try_from(drain(&mut queue).len()).unwrap();
            prop_assert_eq!(gone, pushed);
            prop_assert!(queue.is_empty() && queue.round.is_empty() && queue.served.is_empty());
        }
    }
}
