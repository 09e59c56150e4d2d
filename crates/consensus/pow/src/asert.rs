//! Absolutely scheduled targets, `aserti3-2d`: the target doubles for every half-life the chain is behind its schedule,
//! and halves for every half-life it is ahead.
//!
//! Source: the specification *2020-NOV-15 ASERT Difficulty Adjustment Algorithm (aserti3-2d)* 0.6.3 and Bitcoin Cash
//! Node, `pow.cpp` `CalculateASERT`. Integers only; 2^x between 0 and 1 is the specification's cubic, wrong by at most 0.013 %.
//!
//! Deviation: products are 512 bits wide, so that limits above 2²³⁹ (local networks) are exact too. Below, both agree.

use chainwright_chain::{CompactTarget, Header, Headers, Ledger, Timestamp, U256};

use crate::compact::{compact_of, target_of};

type Wide = ruint::Uint<512, 8>;

/// The block the schedule starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its height.
    pub height: u64,
    /// The time of its parent. A chain anchored at genesis takes genesis' own time less one spacing.
    pub parent_time: u64,
    /// Its target.
    pub target: CompactTarget,
}

/// The rule's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asert {
    /// Where the schedule starts.
    pub anchor: Anchor,
    /// The easiest target.
    pub limit: U256,
    /// Seconds between blocks, as scheduled.
    pub spacing_seconds: u32,
    /// Seconds behind the schedule that double the target. Two days on Bitcoin Cash.
    pub half_life_seconds: u32,
}

impl Asert {
    /// The target of the block after `parent`.
    pub fn required<L: Ledger>(&self, parent: &Headers<L>) -> CompactTarget {
        self.required_after(u64::from(parent.height().0), parent.header().time())
    }

    /// The target of the block after one of this height and time.
    pub fn required_after(&self, height: u64, time: Timestamp) -> CompactTarget {
        let Some(anchor) = target_of(self.anchor.target) else { return compact_of(self.limit) };
        let elapsed = i128::from(time.0) - i128::from(self.anchor.parent_time);
        let blocks = i128::from(height) - i128::from(self.anchor.height) + 1;
        let behind = elapsed - i128::from(self.spacing_seconds) * blocks;
        // Rust divides towards zero, as the specification asks; the shift rounds down, as it asks too.
        let exponent = (behind << 16) / i128::from(self.half_life_seconds.max(1));
        let doublings = exponent >> 16;
        let factor = two_to_the((exponent - (doublings << 16)) as u64);
        compact_of(scale(anchor, factor, doublings - 16).clamp(U256::ONE, self.limit.max(U256::ONE)))
    }
}

/// 2^(fraction / 2¹⁶) · 2¹⁶ for a fraction below 2¹⁶. The largest sum is just below 2⁶⁴.
fn two_to_the(fraction: u64) -> u64 {
    let cubic = 195_766_423_245_049 * fraction
        + 971_821_376 * fraction * fraction
        + 5_127 * fraction * fraction * fraction
        + (1 << 47);
    (1 << 16) + (cubic >> 48)
}

/// target · factor · 2^shift, cut to what 256 bits hold.
fn scale(target: U256, factor: u64, shift: i128) -> U256 {
    let product = Wide::from(target) * Wide::from(factor);
    let distance = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX).min(Wide::BITS);
    let scaled = if shift < 0 {
        product.wrapping_shr(distance)
    } else if product.bit_len() + distance > Wide::BITS {
        Wide::MAX
    } else {
        product.wrapping_shl(distance)
    };
    U256::saturating_from(scaled)
}
