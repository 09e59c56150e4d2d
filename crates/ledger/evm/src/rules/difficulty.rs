//! Ethash's difficulty formula, bomb and all: a header rule before the merge.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_primitives::U256;

use crate::config::{ChainConfig, Fork};

/// No difficulty is lower (yellow paper, § 4.3.4, D0).
const MINIMUM: U256 = U256::from_limbs([131_072, 0, 0, 0]);

/// The bomb doubles every this many blocks.
const BOMB_PERIOD: u64 = 100_000;

/// The difficulty of a child of `parent` at `time` (seconds, later than the parent's).
pub fn difficulty(config: &ChainConfig, parent: &Header, time: u64) -> U256 {
    if let Some(fixed) = config.fixed_difficulty {
        return fixed;
    }
    let number = parent.number.saturating_add(1);
    let active = |fork: Fork| config.forks.get(fork).is_some_and(|at| at <= number);
    let elapsed = time.saturating_sub(parent.timestamp);
    let step = parent.difficulty / U256::from(2048);
    let (steps, bomb_number) = if active(Fork::Byzantium) {
        // EIP-100: ommers count as blocks.
        let reward = if parent.ommers_hash == EMPTY_OMMER_ROOT_HASH { 1 } else { 2 };
        (slower(reward, elapsed / 9), number.saturating_sub(bomb_delay(active)))
    } else if active(Fork::Homestead) {
        // EIP-2.
        (slower(1, elapsed / 10), number)
    } else {
        (if elapsed < 13 { 1 } else { -1 }, number)
    };
    let change = step.saturating_mul(U256::from(i64::unsigned_abs(steps)));
    let moved = if steps < 0 {
        parent.difficulty.saturating_sub(change)
    } else {
        parent.difficulty.saturating_add(change)
    };
    moved.max(MINIMUM).saturating_add(bomb(bomb_number))
}

/// `reward` minus the time that passed, in units of the rule, but not below −99.
fn slower(reward: i64, units: u64) -> i64 {
    (reward - units.min(200) as i64).max(-99)
}

/// By how many blocks the bomb is held back: EIP-649, 1234, 2384, 3554, 4345, 5133.
fn bomb_delay(active: impl Fn(Fork) -> bool) -> u64 {
    const DELAYS: [(Fork, u64); 6] = [
        (Fork::GrayGlacier, 11_400_000),
        (Fork::ArrowGlacier, 10_700_000),
        (Fork::London, 9_700_000),
        (Fork::MuirGlacier, 9_000_000),
        (Fork::Constantinople, 5_000_000),
        (Fork::Byzantium, 3_000_000),
    ];
    DELAYS.into_iter().find(|(fork, _)| active(*fork)).map_or(0, |(_, delay)| delay)
}

fn bomb(number: u64) -> U256 {
    match number / BOMB_PERIOD {
        0 | 1 => U256::ZERO,
        period @ 2..=257 => U256::ONE << (period - 2) as usize,
        _ => U256::MAX,
    }
}
