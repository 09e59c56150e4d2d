//! Numbers that differ from run to run, unless a seed is given.

use std::time::{Duration, UNIX_EPOCH};

/// xorshift64.
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by `CHAINWRIGHT_SEED`, else by the time; the seed is printed.
    pub(crate) fn printed(what: &str) -> Self {
        let given = std::env::var("CHAINWRIGHT_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed =
            given.unwrap_or_else(|| UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64)) | 1;
        eprintln!("{what}: CHAINWRIGHT_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Up to this long.
    pub(crate) fn pause(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(longest.as_micros() as u64 + 1))
    }
}
