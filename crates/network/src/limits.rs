//! Bounds in time and memory: a token bucket, and a set that forgets.

use std::collections::BTreeSet;

use crate::random::keyed;

/// Tokens that refill with time. May go below zero: then nothing more is done until it has refilled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    tokens: f64,
    max: f64,
    per_second: f64,
    updated_at: u64,
}

impl TokenBucket {
    pub(crate) fn new(tokens: f64, max: f64, per_second: f64, now: u64) -> Self {
        Self { tokens, max, per_second, updated_at: now }
    }

    /// Brings the bucket to the time `now` in milliseconds.
    pub(crate) fn refill(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.updated_at) as f64 / 1000.0;
        self.updated_at = now;
        if self.tokens < self.max {
            self.tokens = (self.tokens + elapsed * self.per_second).min(self.max);
        }
    }

    /// Adds tokens, beyond the maximum if need be.
    pub(crate) fn grant(&mut self, tokens: f64) {
        self.tokens += tokens;
    }

    /// Takes one token if there is one.
    pub(crate) fn take(&mut self) -> bool {
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    /// Takes tokens on credit.
    pub(crate) fn spend(&mut self, tokens: f64) {
        self.tokens -= tokens;
    }

    pub(crate) fn is_overdrawn(&self) -> bool {
        self.tokens < 0.0
    }
}

/// Remembers at least the last `half` and at most twice as many byte strings, by keyed hash.
///
/// Plays the part of Bitcoin Core's `CRollingBloomFilter`; with 64-bit keyed hashes a false positive is no concern.
#[derive(Clone, Debug)]
pub(crate) struct RollingSet {
    key: [u8; 16],
    half: usize,
    young: BTreeSet<u64>,
    old: BTreeSet<u64>,
}

impl RollingSet {
    pub(crate) fn new(key: [u8; 16], half: usize) -> Self {
        Self { key, half, young: BTreeSet::new(), old: BTreeSet::new() }
    }

    pub(crate) fn insert(&mut self, item: &[u8]) {
        let hash = keyed(&self.key, &[item]);
        if self.young.len() >= self.half && !self.young.contains(&hash) {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(hash);
    }

    pub(crate) fn contains(&self, item: &[u8]) -> bool {
        let hash = keyed(&self.key, &[item]);
        self.young.contains(&hash) || self.old.contains(&hash)
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{RollingSet, TokenBucket};

    #[test]
    fn a_bucket_refills_up_to_its_maximum() {
        let mut bucket = TokenBucket::new(1.0, 3.0, 0.5, 0);
        assert!(bucket.take());
        assert!(!bucket.take());
        bucket.refill(2_000);
        assert!(bucket.take());
        bucket.refill(1_000_000);
        assert_eq!((0..5).filter(|_| bucket.take()).count(), 3);
    }

    #[test]
    fn a_rolling_set_keeps_the_newest_and_forgets_the_oldest() {
        let mut set = RollingSet::new([7; 16], 10);
        (0..100_u8).for_each(|item| set.insert(&[item]));
        assert!((90..100_u8).all(|item| set.contains(&[item])));
        assert!(!(0..80_u8).any(|item| set.contains(&[item])));
    }
}
