//! Decides which event repeats an earlier one and joins its series.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// How long after the last event of a series another one still joins it, as in client-go.
const SERIES_WINDOW: SignedDuration = SignedDuration::from_mins(6);

/// Events with equal keys form a series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EventKey {
    /// uid of the object that the event is about.
    pub(super) uid: String,
    /// The reason.
    pub(super) reason: &'static str,
    /// The type: `Warning` if true, else `Normal`.
    pub(super) warning: bool,
    /// The note.
    pub(super) note: String,
}

/// A stored event that may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredEvent {
    /// Name of the Event object.
    pub(super) name: String,
    /// How often it occurred.
    pub(super) count: i32,
    /// When it last occurred.
    pub(super) last: Timestamp,
}

/// The events that were stored or repeated most recently.
#[derive(Debug)]
pub(super) struct RecentEvents {
    bound: usize,
    stored: BTreeMap<EventKey, StoredEvent>,
}

impl RecentEvents {
    /// Remembers at most `bound` events, and drops the one that was repeated least recently.
    #[must_use]
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, stored: BTreeMap::new() }
    }

    /// The event whose series an event with this key joins, if any.
    #[must_use]
    pub(super) fn find(&self, key: &EventKey, now: Timestamp) -> Option<&StoredEvent> {
        // If the clock was set back, the stored event lies in the future; it is still joined.
        self.stored.get(key).filter(|stored| now.duration_since(stored.last) < SERIES_WINDOW)
    }

    /// Records that an event was stored or repeated.
    pub(super) fn remember(&mut self, key: EventKey, stored: StoredEvent) {
        if self.stored.len() >= self.bound && !self.stored.contains_key(&key) {
            let oldest = self.stored.iter().min_by_key(|(_, stored)| stored.last);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.stored.remove(&oldest);
            }
        }
        self.stored.insert(key, stored);
    }

    /// Forgets an event that is no longer stored.
    pub(super) fn forget(&mut self, key: &EventKey) {
        self.stored.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uid: &str) -> EventKey {
        EventKey { uid: uid.to_owned(), reason: "Failed", warning: true, note: "why".to_owned() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn stored(second: i64) -> StoredEvent {
        StoredEvent { name: "one".to_owned(), count: 1, last: at(second) }
    }

    #[test]
    fn only_the_same_thing_about_the_same_object_within_six_minutes_joins_a_series() {
        let mut recent = RecentEvents::new(10);
        recent.remember(key("a"), stored(0));
        assert_eq!(recent.find(&key("a"), at(359)), Some(&stored(0)));
        assert_eq!(recent.find(&key("a"), at(360)), None);
        let others = [
            key("b"),
            EventKey { reason: "Cleared", ..key("a") },
            EventKey { warning: false, ..key("a") },
            EventKey { note: "other".to_owned(), ..key("a") },
        ];
        assert!(others.iter().all(|other| recent.find(other, at(1)).is_none()));
        recent.remember(key("a"), stored(300));
        assert!(recent.find(&key("a"), at(600)).is_some(), "each repeat restarts the six minutes");
        recent.forget(&key("a"));
        assert_eq!(recent.find(&key("a"), at(300)), None);
    }

    #[test]
    fn the_memory_is_bounded_and_what_was_not_repeated_for_longest_is_forgotten() {
        let mut recent = RecentEvents::new(1_000);
        recent.remember(key("kept"), stored(0));
        for second in 1..5_000 {
            recent.remember(key(&second.to_string()), stored(second));
            if second % 500 == 0 {
                recent.remember(key("kept"), stored(second));
            }
            assert!(recent.stored.len() <= 1_000);
        }
        assert!(recent.find(&key("kept"), at(4_600)).is_some());
        assert!(recent.stored.contains_key(&key("4999")) && !recent.stored.contains_key(&key("3000")));
    }
}
