//! Randomness from a seed: SipHash-2-4 as a keyed function, and over a counter as a stream.
//!
//! The same seed gives the same run, on every machine and in every version.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

/// A stream of random numbers, and keys derived from its seed.
#[derive(Clone)]
pub(crate) struct Random {
    key: [u8; 16],
    counter: u64,
}

impl Random {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        let (left, right) = seed.split_at(16);
        let half = |bytes: &[u8], salt: u64| {
            let key: [u8; 16] = bytes.try_into().expect("half of 32 bytes");
            let mut hasher = SipHasher24::new_with_key(&key);
            hasher.write_u64(salt);
            hasher.write(seed);
            hasher.finish()
        };
        let mut key = [0; 16];
        key[..8].copy_from_slice(&half(left, 1).to_le_bytes());
        key[8..].copy_from_slice(&half(right, 2).to_le_bytes());
        Self { key, counter: 0 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.counter += 1;
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u64(self.counter);
        hasher.finish()
    }

    /// A fresh key for [`keyed`].
    pub(crate) fn key(&mut self) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.next().to_le_bytes());
        key[8..].copy_from_slice(&self.next().to_le_bytes());
        key
    }

    /// A number below `bound`; 0 if the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// Between 0 and 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Time to the next event of a Poisson process with this mean, in the mean's unit
    /// (Bitcoin Core `rand_exp_duration`).
    pub(crate) fn poisson(&mut self, mean: u64) -> u64 {
        (-(1.0 - self.unit()).ln() * mean as f64) as u64
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// A keyed hash of several byte strings.
pub(crate) fn keyed(key: &[u8; 16], parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    for part in parts {
        hasher.write_u64(part.len() as u64);
        hasher.write(part);
    }
    hasher.finish()
}
