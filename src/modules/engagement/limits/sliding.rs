//! How many acts a key has in the hour that ends now: exact, and bounded.

use std::collections::{HashMap, VecDeque};

use crate::kernel::clock::Millis;

/// A clock that is this much behind went back; less is two threads that asked at the same time.
const WENT_BACK: i64 = 1_000;

/// Time that only goes forward. A clock that is set back stands still for the moment and goes on from there: nobody
/// waits for it to catch up.
struct Elapsed {
    offset: i64,
    last: i64,
}

impl Elapsed {
    fn at(&mut self, now: Millis) -> i64 {
        let at = now.0.saturating_add(self.offset);
        if at < self.last - WENT_BACK {
            self.offset = self.offset.saturating_add(self.last - at);
        }
        self.last = self.last.max(at);
        self.last
    }
}

/// The acts of the last hour, by key. Keys are hashes: 8 bytes, whatever they stand for.
pub(super) struct SlidingLog {
    /// Acts that are remembered at most, of all keys.
    most: usize,
    time: Elapsed,
    /// All acts, the oldest first.
    acts: VecDeque<(i64, u64)>,
    /// The moments of each key, the oldest first.
    by_key: HashMap<u64, Vec<i64>>,
    forgotten: u64,
}

impl SlidingLog {
    /// A log of at most so many acts, about 150 bytes each. Past it the oldest are forgotten.
    pub(super) fn new(most: usize) -> Self {
        let time = Elapsed { offset: 0, last: i64::MIN / 2 };
        Self { most, time, acts: VecDeque::new(), by_key: HashMap::new(), forgotten: 0 }
    }

    /// The log's own time, in milliseconds. What is an hour old by now goes.
    pub(super) fn time(&mut self, now: Millis) -> i64 {
        let now = self.time.at(now);
        while self.acts.front().is_some_and(|(at, _)| *at <= now - Millis::HOUR) {
            self.drop_oldest();
        }
        now
    }

    fn drop_oldest(&mut self) {
        let Some((at, key)) = self.acts.pop_front() else { return };
        // A key that was taken out and came again since has newer ones only.
        if let Some(moments) = self.by_key.get_mut(&key)
            && moments.first() == Some(&at)
        {
            moments.remove(0);
            if moments.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    /// Adds an act, unless the key has `most` of them within the hour already.
    ///
    /// # Errors
    /// The milliseconds until one more may be added.
    pub(super) fn take(&mut self, key: u64, most: usize, now: Millis) -> Result<(), i64> {
        let now = self.time(now);
        let moments = self.by_key.get(&key).map_or(&[][..], Vec::as_slice);
        if let Some(first) = moments.len().checked_sub(most).and_then(|over| moments.get(over)) {
            return Err(first + Millis::HOUR - now);
        }
        self.add(key, now);
        Ok(())
    }

    /// Adds an act and says how many the key has within the hour, and when the first of them was, by the log's time.
    pub(super) fn push(&mut self, key: u64, now: Millis) -> (usize, i64) {
        let now = self.time(now);
        self.add(key, now);
        let moments = self.by_key.get(&key).map_or(&[][..], Vec::as_slice);
        (moments.len(), moments.first().copied().unwrap_or(now))
    }

    fn add(&mut self, key: u64, at: i64) {
        self.acts.push_back((at, key));
        self.by_key.entry(key).or_default().push(at);
        if self.acts.len() > self.most {
            self.forgotten += 1;
            self.drop_oldest();
        }
    }

    /// Takes the last act of a key back.
    pub(super) fn give_back(&mut self, key: u64) {
        let Some(moments) = self.by_key.get_mut(&key) else { return };
        let Some(last) = moments.pop() else { return };
        if moments.is_empty() {
            self.by_key.remove(&key);
        }
        // Acts under way are few: it is near the end.
        if let Some(place) = self.acts.iter().rposition(|act| *act == (last, key)) {
            self.acts.remove(place);
        }
    }

    /// Forgets a key.
    pub(super) fn take_out(&mut self, key: u64) {
        self.by_key.remove(&key);
    }

    /// Acts that were forgotten before their hour was over.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = Millis::HOUR;

    #[test]
    fn the_hour_slides() {
        let mut log = SlidingLog::new(100);
        for at in [0, 10, 20] {
            log.take(1, 3, Millis(at)).unwrap();
        }
        assert_eq!(log.take(1, 3, Millis(30)), Err(HOUR - 30));
        assert_eq!(log.take(1, 2, Millis(30)), Err(HOUR - 20), "a lower limit waits for the next");
        log.take(2, 3, Millis(30)).unwrap();
        assert_eq!(log.take(1, 3, Millis(HOUR - 1)), Err(1));
        log.take(1, 3, Millis(HOUR)).unwrap();
        assert_eq!(log.take(1, 3, Millis(HOUR)), Err(10));
        log.give_back(1);
        log.take(1, 3, Millis(HOUR)).unwrap();
        log.take(1, 3, Millis(3 * HOUR)).unwrap();
        assert_eq!((log.acts.len(), log.by_key.len()), (1, 1), "what is over is not kept");
    }

    #[test]
    fn a_clock_that_goes_back_costs_nobody_more_than_an_hour() {
        let mut log = SlidingLog::new(100);
        let now = 50 * 24 * HOUR;
        log.take(1, 1, Millis(now)).unwrap();
        assert_eq!(log.take(1, 1, Millis(now - 10 * HOUR)), Err(HOUR));
        assert_eq!(log.take(1, 1, Millis(now - 10 * HOUR + 5)), Err(HOUR - 5));
        log.take(1, 1, Millis(now - 9 * HOUR)).unwrap();
        // Threads that ask in turn do not make time run faster.
        for _ in 0..1_000 {
            log.time(Millis(now - 9 * HOUR + 1));
            log.time(Millis(now - 9 * HOUR));
        }
        assert_eq!(log.take(1, 1, Millis(now - 9 * HOUR)), Err(HOUR - 1));
    }

    #[test]
    fn past_the_cap_the_oldest_are_forgotten() {
        let mut log = SlidingLog::new(10);
        for key in 0..1_000 {
            log.take(key, 1, Millis(0)).unwrap();
        }
        assert_eq!((log.acts.len(), log.by_key.len(), log.forgotten()), (10, 10, 990));
        assert_eq!(log.take(999, 1, Millis(0)), Err(HOUR));
        log.take(0, 1, Millis(0)).unwrap();
    }

    #[test]
    fn a_key_that_was_taken_out_begins_anew() {
        let mut log = SlidingLog::new(100);
        log.push(1, Millis(0));
        log.push(1, Millis(10));
        log.take_out(1);
        assert_eq!(log.push(1, Millis(HOUR - 1)), (1, HOUR - 1));
        // The first ones end, and do not take the new one with them.
        assert_eq!(log.push(1, Millis(HOUR + 20)), (2, HOUR - 1));
    }
}
