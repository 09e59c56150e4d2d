//! What the machine is told of a chain and of a block.

use alloy_consensus::Header;
use revm::context::{BlockEnv, CfgEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;

use alloy_primitives::U256;

use crate::config::{ChainConfig, Fork};
use crate::rules::blob_base_fee;

/// The machine's rules under a fork of a chain.
pub fn machine_rules(config: &ChainConfig, fork: Fork) -> CfgEnv {
    let mut cfg = CfgEnv::new_with_spec(fork.spec_id()).with_chain_id(config.chain_id);
    cfg.limit_contract_code_size = config.limits.code_size_max;
    cfg.tx_gas_limit_cap = config.limits.transaction_gas_max;
    // Contracts may be impersonated, too.
    cfg.disable_eip3607 = config.development;
    if let Some(blobs) = config.blob_params(fork) {
        cfg.max_blobs_per_tx = Some(blobs.max_blobs_per_tx);
        cfg.blob_base_fee_update_fraction = Some(update_fraction(blobs.update_fraction));
    }
    cfg
}

/// A block as contracts see it. From the merge on `DIFFICULTY` gives the randomness in the mixed hash (EIP-4399); where an
/// engine with work owns the difficulty, and the mixed hash says nothing, the difficulty as before.
pub fn block_environment(config: &ChainConfig, fork: Fork, header: &Header) -> BlockEnv {
    let blobs = config.blob_params(fork).zip(header.excess_blob_gas);
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        difficulty: header.difficulty,
        prevrandao: (fork >= Fork::Paris)
            .then(|| if header.difficulty.is_zero() { header.mix_hash } else { header.difficulty.into() }),
        // Our own sum, in big integers as geth's: the machine's wraps where a schedule's fraction is small.
        blob_excess_gas_and_price: blobs.map(|(blobs, excess)| BlobExcessGasAndPrice {
            excess_blob_gas: excess,
            blob_gasprice: blob_base_fee(&blobs, excess),
        }),
        slot_num: 0,
    }
}

/// Genesis files hold 64 bits.
fn update_fraction(fraction: u128) -> u64 {
    u64::try_from(fraction).unwrap_or(u64::MAX)
}
