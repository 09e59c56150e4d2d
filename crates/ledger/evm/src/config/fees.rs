//! What gas costs at least, and who gets the base fee.

use alloy_primitives::Address;

/// How the base fee of a block follows from its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFeeRule {
    /// EIP-1559: moves by up to 1/`change_denominator` a block towards full use of the gas target.
    Market {
        /// The base fee of the first block that has one, in wei.
        initial: u64,
        /// It never falls below this many wei; Ethereum has no floor.
        minimum: u64,
        /// How many times the gas target the gas limit is.
        elasticity: u64,
        /// The inverse of the largest change per block.
        change_denominator: u64,
    },
    /// Always this many wei; zero for chains without fees.
    Fixed(u64),
}

impl BaseFeeRule {
    /// Ethereum's own rule (EIP-1559 § Specification).
    pub const ETHEREUM: Self =
        Self::Market { initial: 1_000_000_000, minimum: 0, elasticity: 2, change_denominator: 8 };

    /// The base fee of the first block that has one, in wei.
    pub const fn initial(self) -> u64 {
        match self {
            Self::Market { initial, minimum, .. } => {
                if initial < minimum {
                    minimum
                } else {
                    initial
                }
            }
            Self::Fixed(fee) => fee,
        }
    }

    /// How many times the gas target the gas limit is; the first block with a base fee multiplies its limit by it.
    pub const fn elasticity(self) -> u64 {
        match self {
            Self::Market { elasticity, .. } => elasticity,
            Self::Fixed(_) => 2,
        }
    }

    /// The base fee after a block with these values, in wei; stays where it is when a divisor would be zero.
    pub fn next(self, base_fee: u64, gas_used: u64, gas_limit: u64) -> u64 {
        let Self::Market { minimum, elasticity, change_denominator, .. } = self else {
            return self.initial();
        };
        let target = gas_limit.checked_div(elasticity).unwrap_or(0);
        let divisor = u128::from(target) * u128::from(change_denominator);
        if divisor == 0 {
            return base_fee.max(minimum);
        }
        let distance = u128::from(gas_used.abs_diff(target));
        // Neither factor exceeds 64 bits.
        let change = u64::try_from(u128::from(base_fee) * distance / divisor).unwrap_or(u64::MAX);
        let next = match gas_used.cmp(&target) {
            core::cmp::Ordering::Equal => base_fee,
            core::cmp::Ordering::Greater => base_fee.saturating_add(change.max(1)),
            core::cmp::Ordering::Less => base_fee.saturating_sub(change),
        };
        next.max(minimum)
    }
}

/// The fee policy of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeePolicy {
    /// How the base fee moves.
    pub base_fee: BaseFeeRule,
    /// Who is paid the base fee; burnt when there is nobody.
    pub collector: Option<Address>,
}

impl Default for FeePolicy {
    /// Ethereum's.
    fn default() -> Self {
        Self { base_fee: BaseFeeRule::ETHEREUM, collector: None }
    }
}
