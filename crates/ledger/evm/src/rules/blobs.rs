//! The price of blobs (EIP-4844, EIP-7918).

use alloy_consensus::Header;
use alloy_eips::eip4844::{DATA_GAS_PER_BLOB, fake_exponential};
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::U256;

use crate::config::ChainConfig;

/// The price of one blob gas in wei, given a block's excess blob gas.
pub fn blob_base_fee(params: &BlobParams, excess_blob_gas: u64) -> u128 {
    fake_exponential(params.min_blob_fee, u128::from(excess_blob_gas), params.update_fraction)
}

/// The excess blob gas of a child of `parent`, under the child's parameters (EIP-4844 § Header extension; since Osaka
/// EIP-7918, which lets the excess grow as long as execution gas is dear).
pub fn excess_blob_gas(params: &BlobParams, parent: &Header) -> u64 {
    let excess = parent.excess_blob_gas.unwrap_or(0);
    let used = parent.blob_gas_used.unwrap_or(0);
    let target = params.target_blob_count.saturating_mul(DATA_GAS_PER_BLOB);
    let sum = excess.saturating_add(used);
    if sum < target {
        return 0;
    }
    let reserve = U256::from(params.blob_base_cost) * U256::from(parent.base_fee_per_gas.unwrap_or(0));
    if reserve > U256::from(DATA_GAS_PER_BLOB) * U256::from(blob_base_fee(params, excess)) {
        let unused = params.max_blob_count.saturating_sub(params.target_blob_count);
        let scaled = u128::from(used) * u128::from(unused) / u128::from(params.max_blob_count.max(1));
        return excess.saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX));
    }
    sum - target
}

/// The price of one blob gas in a block, in wei; `None` before Cancun.
pub fn header_blob_fee(config: &ChainConfig, header: &Header) -> Option<u128> {
    let params = config.blob_params(config.fork(header))?;
    Some(blob_base_fee(&params, header.excess_blob_gas?))
}
