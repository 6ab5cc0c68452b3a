//! A queue that one namespace cannot monopolize: bounded in total and per namespace, round-robin over namespaces.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// FIFO within a namespace, with one item of a namespace in service at a time.
#[derive(Debug)]
pub(crate) struct BoundedQueue<T> {
    bound: usize,
    bound_per_namespace: usize,
    len: usize,
    queued_items: BTreeMap<String, VecDeque<T>>,
    /// Namespaces with queued items and none in service, in round-robin order.
    ready: VecDeque<String>,
    in_service: BTreeSet<String>,
}

impl<T> BoundedQueue<T> {
    /// Holds at most `bound` items in total and `bound_per_namespace` per namespace.
    #[must_use]
    pub(crate) fn new(bound: usize, bound_per_namespace: usize) -> Self {
        Self {
            bound,
            bound_per_namespace,
            len: 0,
            queued_items: BTreeMap::new(),
            ready: VecDeque::new(),
            in_service: BTreeSet::new(),
        }
    }

    /// Adds `item` to the queue of its namespace. Returns the item that was dropped because the queue is full, if any:
    /// `item` itself, or the last item of the namespace with the longest queue.
    #[must_use]
    pub(crate) fn push(&mut self, namespace: &str, item: T) -> Option<T> {
        let queued = self.queued_items.get(namespace).map_or(0, VecDeque::len);
        if queued >= self.bound_per_namespace {
            return Some(item);
        }
        let mut dropped = None;
        if self.len >= self.bound {
            let longest = self.queued_items.values_mut().max_by_key(|queue| queue.len());
            match longest.filter(|longest| longest.len() > queued + 1) {
                Some(longest) => dropped = longest.pop_back(),
                None => return Some(item),
            }
            self.len -= 1;
        }
        if queued == 0 && !self.in_service.contains(namespace) {
            self.ready.push_back(namespace.to_owned());
        }
        self.queued_items.entry(namespace.to_owned()).or_default().push_back(item);
        self.len += 1;
        dropped
    }

    /// Takes the next item, with its namespace. The namespace gets no other until [`done`](Self::done).
    pub(crate) fn pop(&mut self) -> Option<(String, T)> {
        let namespace = self.ready.pop_front()?;
        let queue = self.queued_items.get_mut(&namespace)?;
        let item = queue.pop_front()?;
        if queue.is_empty() {
            self.queued_items.remove(&namespace);
        }
        self.len -= 1;
        self.in_service.insert(namespace.clone());
        Some((namespace, item))
    }

    /// The item in service of this namespace is done; its next one may be taken in round-robin order.
    pub(crate) fn done(&mut self, namespace: &str) {
        if self.in_service.remove(namespace) && self.queued_items.contains_key(namespace) {
            self.ready.push_back(namespace.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes all items, finishing each before the next.
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
        assert_eq!((dropped, queue.len), (99_750, 250));
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
        assert_eq!(queue.push("c", 9), Some(3), "the last item of the longest queue is dropped");
        assert_eq!(queue.len, 8);
        assert_eq!(queue.push("c", 10), Some(3));
        assert_eq!(queue.push("c", 11), Some(11), "all namespaces have an equal share now");
        let order: Vec<u32> = drain(&mut queue).into_iter().map(|(_, item)| item).collect();
        assert_eq!(order, [0, 0, 9, 1, 1, 10, 2, 2]);
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
        assert_eq!(queue.pop(), None, "one at a time per namespace");
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
            let (mut pushed, mut gone, mut in_service) = (0, 0, Vec::new());
            for (step, name) in steps {
                match step {
                    0 => gone += u32::from(queue.pop().map(|(name, _)| in_service.push(name)).is_some()),
                    1 => in_service.pop().into_iter().for_each(|name| queue.done(&name)),
                    _ => {
                        pushed += 1;
                        gone += u32::from(queue.push(&name.to_string(), pushed).is_some());
                    }
                }
                prop_assert!(queue.len <= 12 && queue.queued_items.values().all(|queue| queue.len() <= 5));
                prop_assert_eq!(queue.queued_items.values().map(VecDeque::len).sum::<usize>(), queue.len);
            }
            for name in &in_service {
                queue.done(name);
            }
            gone += u32::try_from(drain(&mut queue).len()).unwrap();
            prop_assert_eq!(gone, pushed);
            prop_assert!(queue.len == 0 && queue.ready.is_empty() && queue.in_service.is_empty());
        }
    }
}
