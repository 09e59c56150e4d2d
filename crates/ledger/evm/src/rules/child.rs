//! The header of the next block, as far as its parent decides it.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, proofs};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, Bytes, U256};
use chainwright_chain::{Attributes, Headers, Ledger, Reject};

use super::header::{GAS_LIMITS, gas_limit_base, gas_limit_step};
use super::{base_fee, difficulty, excess_blob_gas, invalid};
use crate::config::{ChainConfig, Fork, SealRule};
use crate::types::{EvmHeader, difficulty_of};

/// What whoever builds a block decides about its header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockAttributes {
    /// Seconds since 1970.
    pub time: u64,
    /// The difficulty of an engine with work.
    pub difficulty: Option<U256>,
    /// Randomness of the beacon chain (EIP-4399).
    pub mix_hash: B256,
    /// Who is paid.
    pub beneficiary: Address,
    /// Up to 32 bytes.
    pub extra_data: Bytes,
    /// Payments of the beacon chain; of no use before Shanghai.
    pub withdrawals: Vec<Withdrawal>,
    /// The root of the parent's beacon block; of no use before Cancun.
    pub parent_beacon_block_root: B256,
    /// The gas limit to move towards, instead of the chain's.
    pub gas_limit_target: Option<u64>,
}

impl BlockAttributes {
    /// What an engine decides, in Ethereum's words.
    ///
    /// # Errors
    /// When the payee is neither an address nor nobody.
    pub fn from_engine(on: &Attributes) -> Result<Self, Reject> {
        let beneficiary = match on.payee.len() {
            0 => Address::ZERO,
            20 => Address::from_slice(&on.payee),
            length => {
                let detail = format!("the payee must be an address of 20 bytes, not {length} bytes");
                return Err(invalid("build-payee", detail));
            }
        };
        Ok(Self {
            time: on.time.0,
            difficulty: on.target.map(difficulty_of),
            mix_hash: B256::from(on.randomness.0),
            beneficiary,
            ..Self::default()
        })
    }
}

/// The header of a block on `parent`. Of what follows from transactions it holds the values of an empty block: roots, bloom,
/// gas, blob gas and requests.
pub fn child_header<L: Ledger<Header = EvmHeader>>(
    config: &ChainConfig,
    parent: &Headers<L>,
    on: &BlockAttributes,
) -> Header {
    let before: &Header = parent.header();
    let number = before.number.saturating_add(1);
    let merged = config.seal == SealRule::Engine
        || config.terminal_total_difficulty.is_some_and(|terminal| parent.weight().0 >= terminal);
    let fork = config.forks.at(number, on.time, merged);
    let difficulty = match (config.seal, merged) {
        (SealRule::Engine, _) => on.difficulty.unwrap_or_default(),
        (SealRule::Ethereum, true) => U256::ZERO,
        (SealRule::Ethereum, false) => difficulty(config, before, on.time),
    };
    let withdrawals_root = || {
        if on.withdrawals.is_empty() {
            EMPTY_ROOT_HASH
        } else {
            proofs::calculate_withdrawals_root(&on.withdrawals)
        }
    };
    let blobs = config.blob_params(fork).filter(|_| fork >= Fork::Cancun);
    Header {
        parent_hash: parent.header().hash(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: on.beneficiary,
        difficulty,
        number,
        gas_limit: gas_limit(config, before, on.gas_limit_target.or(config.limits.gas_limit_target)),
        timestamp: on.time,
        extra_data: extra_data(config, number, on),
        mix_hash: on.mix_hash,
        base_fee_per_gas: base_fee(config, before),
        withdrawals_root: (fork >= Fork::Shanghai).then(withdrawals_root),
        blob_gas_used: blobs.map(|_| 0),
        excess_blob_gas: blobs.map(|params| excess_blob_gas(&params, before)),
        parent_beacon_block_root: (fork >= Fork::Cancun).then_some(on.parent_beacon_block_root),
        requests_hash: (fork >= Fork::Prague).then_some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

/// As near to the target as one block may go (geth, `core` `CalcGasLimit`).
fn gas_limit(config: &ChainConfig, parent: &Header, target: Option<u64>) -> u64 {
    let base = gas_limit_base(config, parent);
    let step = gas_limit_step(base);
    let target = target.unwrap_or(base).clamp(GAS_LIMITS.0, GAS_LIMITS.1);
    target.clamp(base.saturating_sub(step), base.saturating_add(step))
}

/// The caller's, but for the blocks that must say which side of the DAO fork they are on.
fn extra_data(config: &ChainConfig, number: u64, on: &BlockAttributes) -> Bytes {
    super::header::dao_mark(config, number).map_or_else(|| on.extra_data.clone(), Bytes::from_static)
}
