//! controller-runtime's work queue: each TestRun once, at the earliest time asked for, and one worker.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::decide::Again;

/// The delay after a first failure; it doubles with each one that follows.
const FIRST_DELAY: Duration = Duration::from_millis(5);
/// It grows no further.
const LAST_DELAY: Duration = Duration::from_secs(1000);

/// Names a TestRun.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
}

/// What is due, and how often each failed in a row.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    due: BTreeMap<Key, Instant>,
    failures: BTreeMap<Key, u32>,
}

// === impl Queue ===

impl Queue {
    /// Makes it due at this time or, if it was due earlier, then.
    pub(crate) fn add(&mut self, key: Key, at: Instant) {
        let due = self.due.entry(key).or_insert(at);
        *due = at.min(*due);
    }

    /// What a round said of when to come back.
    pub(crate) fn again(&mut self, key: Key, again: Again, now: Instant) {
        if again != Again::BackOff {
            self.failures.remove(&key);
        }
        match again {
            Again::Never => {}
            Again::After(delay) => self.add(key, now + delay),
            Again::BackOff => {
                let failures = self.failures.entry(key.clone()).or_default();
                let delay = FIRST_DELAY.saturating_mul(2_u32.saturating_pow(*failures)).min(LAST_DELAY);
                *failures = failures.saturating_add(1);
                self.add(key, now + delay);
            }
        }
    }

    /// Takes the one that has been due the longest.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Key> {
        let (key, _) = self.due.iter().filter(|(_, at)| **at <= now).min_by_key(|(_, at)| **at)?;
        let key = key.clone();
        self.due.remove(&key);
        Some(key)
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "load".to_owned(), name: name.to_owned(), kind: "TestRun" }
    }

    #[test]
    fn the_delay_doubles_from_5_ms_to_1000_s_and_starts_anew_after_a_success() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let mut delays = Vec::new();
        for _ in 0..20 {
            queue.again(key("a"), Again::BackOff, now);
            delays.push(queue.next().unwrap() - now);
            queue.pop(now + LAST_DELAY);
        }
        assert_eq!(delays[..3], [5, 10, 20].map(Duration::from_millis));
        assert_eq!(delays[17..], [Duration::from_millis(655_360), LAST_DELAY, LAST_DELAY]);
        queue.again(key("a"), Again::Never, now);
        assert_eq!(queue.next(), None);
        queue.again(key("a"), Again::BackOff, now);
        assert_eq!(queue.next(), Some(now + FIRST_DELAY));
    }

    #[test]
    fn the_earlier_time_wins_and_the_longest_due_comes_first() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let later = now + Duration::from_secs(5);
        queue.add(key("a"), later);
        queue.add(key("b"), now + Duration::from_secs(1));
        assert_eq!(queue.pop(now), None);
        queue.add(key("a"), now);
        queue.add(key("a"), later);
        assert_eq!(queue.pop(later), Some(key("a")));
        assert_eq!(queue.pop(later), Some(key("b")));
        assert_eq!(queue.pop(later), None);
    }
}
