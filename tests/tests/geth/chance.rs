//! Chance from a seed that is printed: the same seed gives the same test.

use alloy_primitives::{Address, U256};

/// Where the seed comes from, if it is given.
const SEED: &str = "CHAINWRIGHT_SEED";

/// A stream of numbers (SplitMix64).
#[derive(Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// With the seed of the environment, or a fixed one; prints it.
    pub(crate) fn seeded() -> Self {
        let seed = std::env::var(SEED).ok().and_then(|text| text.parse().ok()).unwrap_or(1_559);
        eprintln!("{SEED}={seed}");
        Self(seed)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// Once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// Any word below `bound`.
    pub(crate) fn word(&mut self, bound: u64) -> U256 {
        U256::from(self.below(bound))
    }

    /// An account of which nothing is known.
    pub(crate) fn address(&mut self) -> Address {
        let mut bytes = [0; 20];
        bytes[12..].copy_from_slice(&self.number().to_be_bytes());
        bytes[0] = 0xfe;
        bytes.into()
    }
}
