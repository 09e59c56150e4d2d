//! Calls that change nothing, and blocks executed once more to be looked at.
//!
//! ```text
//! Overlay of a view ─ overrides ─▶ Machine with lenient rules ─▶ transact or inspect, never committed to anything
//! Overlay of the parent's view ─▶ replay(block, index) ─▶ Executor in front of that transaction
//! ```

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use chainwright_chain::{Fault, Reject};
use revm::Inspector;
use revm::context::{BlockEnv, CfgEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::inspector::NoOpInspector;

use super::block::{Executor, environment};
use super::error::TransactionError;
use super::machine::{MachineContext, Outcome};
use crate::config::ChainConfig;
use crate::rules::assume_impersonated;
use crate::state::{AccountRow, Overlay};
use crate::types::{EvmBlock, EvmTx};

/// What a call supposes of one account (geth, `internal/ethapi` `OverrideAccount`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Its nonce.
    pub nonce: Option<u64>,
    /// Its balance in wei.
    pub balance: Option<U256>,
    /// Its code.
    pub code: Option<Bytes>,
    /// Its whole storage: every other slot is zero.
    pub state: Option<BTreeMap<U256, U256>>,
    /// Some of its slots; the others stay.
    pub state_diff: BTreeMap<U256, U256>,
}

impl Overlay {
    /// Supposes something of an account.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn suppose(&mut self, address: Address, what: &AccountOverride) -> Result<(), Fault> {
        if *what == AccountOverride::default() {
            return Ok(());
        }
        let empty = AccountRow { address, nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY };
        let row = self.account(address)?.unwrap_or(empty);
        let (nonce, balance) = (what.nonce.unwrap_or(row.nonce), what.balance.unwrap_or(row.balance));
        self.set_account(address, Some(AccountRow { nonce, balance, ..row }))?;
        if let Some(code) = &what.code {
            self.set_code(address, code.clone())?;
        }
        if let Some(state) = &what.state {
            self.clear_storage(address)?;
            state.iter().try_for_each(|(slot, value)| self.set_slot(address, *slot, *value))?;
        }
        what.state_diff.iter().try_for_each(|(slot, value)| self.set_slot(address, *slot, *value))
    }
}

/// What a call supposes of its block (geth, `internal/ethapi` `BlockOverrides`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOverride {
    /// Its number.
    pub number: Option<U256>,
    /// Its time in seconds.
    pub time: Option<u64>,
    /// Its gas limit.
    pub gas_limit: Option<u64>,
    /// Who gets its fees.
    pub beneficiary: Option<Address>,
    /// Its difficulty, before the merge.
    pub difficulty: Option<U256>,
    /// Its randomness, after the merge.
    pub prev_randao: Option<B256>,
    /// Its base fee in wei per gas.
    pub base_fee: Option<u64>,
    /// Its blob base fee in wei per blob gas.
    pub blob_base_fee: Option<u128>,
}

impl BlockOverride {
    /// The block as supposed.
    #[must_use]
    pub fn applied(&self, mut block: BlockEnv) -> BlockEnv {
        block.number = self.number.unwrap_or(block.number);
        block.timestamp = self.time.map_or(block.timestamp, U256::from);
        block.gas_limit = self.gas_limit.unwrap_or(block.gas_limit);
        block.beneficiary = self.beneficiary.unwrap_or(block.beneficiary);
        block.difficulty = self.difficulty.unwrap_or(block.difficulty);
        if block.prevrandao.is_some() {
            block.prevrandao = self.prev_randao.or(block.prevrandao);
        }
        block.basefee = self.base_fee.unwrap_or(block.basefee);
        if let (Some(blobs), Some(fee)) = (&mut block.blob_excess_gas_and_price, self.blob_base_fee) {
            *blobs = BlobExcessGasAndPrice { blob_gasprice: fee, ..*blobs };
        }
        block
    }
}

/// The rules of a call (`eth_call`, `eth_estimateGas`): no nonce is checked, contracts may send, no limit of a block or of
/// a transaction binds, and a call that names no price may pay less than the base fee. Balances count.
#[must_use]
pub fn call_rules(mut cfg: CfgEnv, names_price: bool) -> CfgEnv {
    cfg.disable_nonce_check = true;
    cfg.disable_eip3607 = true;
    cfg.disable_block_gas_limit = true;
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    cfg.tx_chain_id_check = false;
    cfg.disable_base_fee = !names_price;
    cfg
}

/// Executes the first `count` transactions of a valid block again, on its parent's state.
///
/// # Errors
/// [`Reject::Invalid`] when the block is not valid there, or [`Reject::Fault`].
pub fn replay<'c>(
    config: &'c ChainConfig,
    block: &'c EvmBlock,
    overlay: Overlay,
    count: usize,
) -> Result<Executor<'c, NoOpInspector>, Reject> {
    let mut executor = Executor::new(config, &block.header, overlay)?;
    executor.begin()?;
    assume_impersonated(config, &block.transactions);
    for tx in block.transactions.iter().take(count) {
        let sender = tx.sender().map_err(|_| Reject::invalid("execution-transaction"))?;
        executor
            .transact(tx, sender)
            .map_err(|error| error.reject("execution-transaction", ToString::to_string))?;
    }
    Ok(executor)
}

impl<I: Inspector<MachineContext>> Executor<'_, I> {
    /// As [`Executor::transact`] with the inspector watching, but what the transaction did is handed out instead of kept: look
    /// at it, then call [`Executor::keep`].
    ///
    /// # Errors
    /// As [`Executor::transact`].
    pub fn inspect(&mut self, tx: &EvmTx, sender: Address) -> Result<Outcome, TransactionError> {
        self.check_gas(tx)?;
        self.machine.inspect(environment(tx, sender))
    }
}
