//! What the head of the chain says to every transaction: its fork, its gas limit, the base fee of the block after it.

use alloy_consensus::Header;
use alloy_eips::eip7825::MAX_TX_GAS_LIMIT_OSAKA;
use revm::context_interface::cfg::GasParams;

use crate::config::{ChainConfig, Fork};
use crate::ledger::Evm;
use crate::types::EvmHeader;

/// Init code of twice EIP-170's limit (EIP-3860).
const INIT_CODE_MAX: usize = 2 * 24_576;

/// What the head asks of transactions. As in geth the rules are those of the head, the base fee that of the block after it.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) chain_id: u64,
    pub(super) height: u64,
    pub(super) fork: Fork,
    /// Gas prices of the fork.
    pub(super) gas: GasParams,
    /// Of the head.
    pub(super) gas_limit: u64,
    /// Of the next block, in wei per gas; zero before London.
    pub(super) base_fee: u128,
    /// The chain's own limit, under every fork; else EIP-7825's since Osaka.
    pub(super) transaction_gas_max: Option<u64>,
    /// EIP-3860.
    pub(super) init_code_max: Option<usize>,
    /// Contracts may send, and as much as anybody.
    pub(super) development: bool,
}

impl Terms {
    /// What the head asks of transactions, and whoever makes blocks here.
    pub(super) fn after(ledger: &Evm, head: &EvmHeader) -> Self {
        let terms = Self::at(ledger.config(), head);
        let base_fee = ledger.next_base_fee(head).map_or(0, u128::from);
        Self { base_fee, gas_limit: ledger.wishes().gas_limit.unwrap_or(terms.gas_limit), ..terms }
    }

    pub(super) fn at(config: &ChainConfig, head: &Header) -> Self {
        let fork = config.fork(head);
        let limits = &config.limits;
        let init_code_max = limits.code_size_max.map_or(INIT_CODE_MAX, |size| size.saturating_mul(2));
        Self {
            chain_id: config.chain_id,
            development: config.development,
            height: head.number,
            fork,
            gas: GasParams::new_spec(fork.spec_id()),
            gas_limit: head.gas_limit,
            base_fee: u128::from(next_base_fee(config, head)),
            transaction_gas_max: limits
                .transaction_gas_max
                .or((fork >= Fork::Osaka).then_some(MAX_TX_GAS_LIMIT_OSAKA)),
            init_code_max: (fork >= Fork::Shanghai).then_some(init_code_max),
        }
    }
}

/// The base fee of the block after `head`, in wei; zero if it has none.
fn next_base_fee(config: &ChainConfig, head: &Header) -> u64 {
    match head.base_fee_per_gas {
        Some(base_fee) => config.fees.base_fee.next(base_fee, head.gas_used, head.gas_limit),
        None if config
            .forks
            .get(Fork::London)
            .is_some_and(|block| block <= head.number.saturating_add(1)) =>
        {
            config.fees.base_fee.initial()
        }
        None => 0,
    }
}
