//! Which blocks a request asks for: numbers and times that grow, gaps filled with empty blocks.

use alloy_consensus::Header;
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_eth::state::StateOverride;
use chainwright_evm::config::{ChainConfig, Fork, SealRule};
use chainwright_rpc::RpcError;

use super::{BLOCKS_MAX, BlockCalls, Overrides, refuse};

/// Seconds between blocks whose times a request leaves open (geth `timestampIncrement`).
const INTERVAL_SECONDS: u64 = 12;

/// One block to be simulated.
pub(super) struct Plan {
    pub(super) number: u64,
    pub(super) time: u64,
    pub(super) overrides: Overrides,
    pub(super) state: StateOverride,
    pub(super) calls: Vec<TransactionRequest>,
}

/// The blocks of a request (geth, `sanitizeChain`).
pub(super) fn in_order(base: &Header, blocks: Vec<BlockCalls>) -> Result<Vec<Plan>, RpcError> {
    let mut plans = Vec::with_capacity(blocks.len());
    let (mut number, mut time) = (base.number, base.timestamp);
    for block in blocks {
        let overrides = block.block_overrides.unwrap_or_default();
        let wanted = overrides.header.number.unwrap_or_else(|| U256::from(number) + U256::from(1));
        if wanted <= U256::from(number) {
            return Err(refuse::number_order(wanted.saturating_to(), number));
        }
        if wanted - U256::from(base.number) > U256::from(BLOCKS_MAX) {
            return Err(refuse::too_many_blocks());
        }
        let wanted: u64 = wanted.saturating_to();
        for empty in number + 1..wanted {
            time = time.saturating_add(INTERVAL_SECONDS);
            let (overrides, state, calls) = Default::default();
            plans.push(Plan { number: empty, time, overrides, state, calls });
        }
        let next = overrides.header.time.unwrap_or_else(|| time.saturating_add(INTERVAL_SECONDS));
        if next <= time {
            return Err(refuse::time_order(next, time));
        }
        (number, time) = (wanted, next);
        let (state, calls) = (block.state_overrides.unwrap_or_default(), block.calls.unwrap_or_default());
        plans.push(Plan { number, time, overrides, state, calls });
    }
    Ok(plans)
}

impl Plan {
    /// The header as far as the one before it and the request decide it (geth, `makeHeaders`, `processBlock`).
    pub(super) fn header(
        &self,
        config: &ChainConfig,
        parent: (&Header, B256),
        validates: bool,
    ) -> Result<Header, RpcError> {
        let (before, parent_hash) = parent;
        let on = &self.overrides.header;
        let base_fee = on.base_fee.map(u64::try_from).transpose();
        let base_fee = base_fee.map_err(|_| RpcError::invalid_params("baseFeePerGas exceeds 64 bits"))?;
        let difficulty = if self.is_merged(config, before) {
            merged_difficulty(config, before)
        } else {
            before.difficulty
        };
        let mut header = Header {
            parent_hash,
            number: self.number,
            timestamp: self.time,
            beneficiary: on.coinbase.unwrap_or(before.beneficiary),
            difficulty: on.difficulty.unwrap_or(difficulty),
            gas_limit: on.gas_limit.unwrap_or(before.gas_limit),
            mix_hash: on.random.unwrap_or_default(),
            base_fee_per_gas: base_fee,
            ..Header::default()
        };
        let fork = config.fork(&header);
        if fork >= Fork::London && header.base_fee_per_gas.is_none() {
            let next = || chainwright_evm::rules::base_fee(config, before);
            header.base_fee_per_gas = if validates { next() } else { Some(0) };
        }
        if let Some(blobs) = config.blob_params(fork) {
            let has_before = config.fork(before) >= Fork::Cancun;
            let excess = || chainwright_evm::rules::excess_blob_gas(&blobs, before);
            header.excess_blob_gas = Some(if has_before { excess() } else { 0 });
            header.parent_beacon_block_root = Some(on.beacon_root.unwrap_or_default());
        }
        if let Some(payments) = self.withdrawals(fork) {
            header.withdrawals_root = Some(alloy_consensus::proofs::calculate_withdrawals_root(payments));
        }
        Ok(header)
    }

    /// What the beacon chain pays; `None` before Shanghai.
    pub(super) fn withdrawals(&self, fork: Fork) -> Option<&[alloy_eips::eip4895::Withdrawal]> {
        (fork >= Fork::Shanghai).then(|| self.overrides.withdrawals.as_deref().unwrap_or_default())
    }

    /// geth, `params` `IsPostMerge`.
    fn is_merged(&self, config: &ChainConfig, before: &Header) -> bool {
        config.is_merged(before)
            || config.terminal_total_difficulty == Some(U256::ZERO)
            || config.merge_netsplit.is_some_and(|at| at <= self.number)
            || config.forks.get(Fork::Shanghai).is_some_and(|at| at <= self.time)
    }
}

/// None; where an engine with work owns the difficulty, it stays.
fn merged_difficulty(config: &ChainConfig, before: &Header) -> U256 {
    if config.seal == SealRule::Engine { before.difficulty } else { U256::ZERO }
}
