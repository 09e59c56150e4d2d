//! Targets in their compact form, and what reaching one is worth.
//!
//! Source: Bitcoin Core, `arith_uint256.cpp` `SetCompact` and `GetCompact`, `chain.cpp` `GetBlockProof`,
//! `rpc/blockchain.cpp` `GetDifficulty`.

use chainwright_chain::{CompactTarget, U256, Weight};

/// The sign bit of the mantissa; no header may set it.
const SIGN: u32 = 0x0080_0000;
const MANTISSA: u32 = 0x007f_ffff;

/// What a compact target says, sense or nonsense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expanded {
    /// Mantissa and exponent put together, cut to 256 bits.
    pub value: U256,
    /// The mantissa is not zero and carries a sign.
    pub is_negative: bool,
    /// The value does not fit 256 bits.
    pub is_overflow: bool,
}

/// Takes a compact target apart (Bitcoin Core `SetCompact`).
pub fn expand(bits: CompactTarget) -> Expanded {
    let size = bits.0 >> 24;
    let mut word = bits.0 & MANTISSA;
    if size <= 3 {
        word >>= 8 * (3 - size);
    }
    let shift = 8 * size.saturating_sub(3) as usize;
    Expanded {
        value: U256::from(word).wrapping_shl(shift),
        is_negative: word != 0 && bits.0 & SIGN != 0,
        is_overflow: word != 0 && (size > 34 || (word > 0xff && size > 33) || (word > 0xffff && size > 32)),
    }
}

/// The target a header means; `None` when it is negative, zero or too large for 256 bits.
pub fn target_of(bits: CompactTarget) -> Option<U256> {
    let Expanded { value, is_negative, is_overflow } = expand(bits);
    (!is_negative && !is_overflow && !value.is_zero()).then_some(value)
}

/// The compact form of a target, rounded down to 23 bits of mantissa (Bitcoin Core `GetCompact`).
pub fn compact_of(target: U256) -> CompactTarget {
    let mut size = target.byte_len();
    let low = |value: U256| value.as_limbs()[0] as u32;
    let mut word = if size <= 3 { low(target) << (8 * (3 - size)) } else { low(target >> (8 * (size - 3))) };
    // The mantissa's highest bit is the sign: a value that would set it moves down by a byte.
    if word & SIGN != 0 {
        word >>= 8;
        size += 1;
    }
    CompactTarget(word | (size as u32) << 24)
}

/// The expected number of hashes to reach a target: 2²⁵⁶ / (target + 1); zero for a target that is none
/// (Bitcoin Core `GetBlockProof`).
pub fn work_of(bits: CompactTarget) -> Weight {
    let Some(target) = target_of(bits) else { return Weight::ZERO };
    // 2²⁵⁶ itself does not fit, but 2²⁵⁶ − (target + 1) does; it is the complement of the target.
    let quotient = (!target).checked_div(target.wrapping_add(U256::ONE)).unwrap_or_default();
    Weight(quotient + U256::ONE)
}

/// How many times harder than the easiest mainnet target (`1d00ffff`), as people read it
/// (Bitcoin Core `GetDifficulty`). Infinite for a mantissa of zero.
pub fn difficulty_of(bits: CompactTarget) -> f64 {
    // Multiplied step by step, as the reference does: the last digits are part of its RPC answers.
    let mut difficulty = f64::from(0x0000_ffff) / f64::from(bits.0 & 0x00ff_ffff);
    let size = bits.0 >> 24;
    for _ in size..29 {
        difficulty *= 256.0;
    }
    for _ in 29..size {
        difficulty /= 256.0;
    }
    difficulty
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bits: u32, value: &str, again: u32) {
        let expanded = expand(CompactTarget(bits));
        assert_eq!(format!("{:x}", expanded.value), value, "value of {bits:08x}");
        assert_eq!(compact_of(expanded.value).0, again, "compact form of {bits:08x}");
        assert!(!expanded.is_negative && !expanded.is_overflow);
    }

    /// Bitcoin Core, `test/arith_uint256_tests.cpp` `bignum_SetCompact`.
    #[test]
    fn compact_form_reads_and_writes_like_the_reference() {
        for zero in [0, 0x0012_3456, 0x0100_3456, 0x0200_0056, 0x0300_0000, 0x0400_0000, 0x0092_3456] {
            check(zero, "0", 0);
        }
        check(0x0112_3456, "12", 0x0112_0000);
        check(0x0212_3456, "1234", 0x0212_3400);
        check(0x0312_3456, "123456", 0x0312_3456);
        check(0x0412_3456, "12345600", 0x0412_3456);
        check(0x0500_9234, "92340000", 0x0500_9234);
        check(0x2012_3456, &format!("123456{}", "0".repeat(58)), 0x2012_3456);
        assert_eq!(compact_of(U256::from(0x80)).0, 0x0200_8000);
    }

    #[test]
    fn negative_and_overflowing_targets_are_none() {
        assert!(expand(CompactTarget(0x01fe_dcba)).is_negative);
        assert!(expand(CompactTarget(0x0492_3456)).is_negative);
        assert!(!expand(CompactTarget(0x0180_3456)).is_negative, "no negative zero");
        for overflow in [0xff12_3456, 0x2300_0001, 0x2200_0100, 0x2101_0000] {
            assert!(expand(CompactTarget(overflow)).is_overflow, "{overflow:08x}");
        }
        assert!(!expand(CompactTarget(0x2200_00ff)).is_overflow);
        for none in [0, 0x01fe_dcba, 0xff12_3456, 0x1d80_0001] {
            assert_eq!(target_of(CompactTarget(none)), None);
            assert_eq!(work_of(CompactTarget(none)), Weight::ZERO);
        }
    }

    #[test]
    fn work_is_the_expected_number_of_hashes() {
        assert_eq!(work_of(CompactTarget(0x1d00_ffff)).0, U256::from(0x1_0001_0001_u64));
        assert_eq!(work_of(CompactTarget(0x207f_ffff)).0, U256::from(2));
    }

    /// Bitcoin Core, `test/blockchain_tests.cpp`.
    #[test]
    fn difficulty_has_the_digits_of_the_reference() {
        for (bits, expected) in [
            (0x1f11_1111, 0.000_001),
            (0x1ef8_8f6f, 0.000_016),
            (0x1df8_8f6f, 0.004_023),
            (0x1cf8_8f6f, 1.029_916),
            (0x1234_5678, 5_913_134_931_067_755_359_633_408.0),
        ] {
            let difficulty = difficulty_of(CompactTarget(bits));
            assert!((difficulty - expected).abs() <= 1e-6 * expected.max(1.0), "{bits:08x}: {difficulty}");
        }
        assert_eq!(difficulty_of(CompactTarget(0x1d00_ffff)).to_bits(), 1f64.to_bits());
    }
}
