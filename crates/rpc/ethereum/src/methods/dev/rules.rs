//! What the next blocks say beside their time, and what waits for them.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use chainwright_chain::Hash;
use chainwright_evm::Wishes;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::{Value, json};

use super::{method, required_number64};
use crate::chain::fault;
use crate::development::of;
use crate::dialect::{Context, Entry};
use crate::input;
use crate::methods::{ADDRESS, TX_HASH};

const FEE: Parameter = Parameter::required("fee", Kind::Any, "Wei per gas");
const GAS: Parameter = Parameter::required("gas", Kind::Any, "The gas of a block");
const RANDOMNESS: Parameter = Parameter::required("randomness", Kind::Any, "32 bytes");

pub(crate) const METHODS: &[Entry] = &[
    method("anvil_setNextBlockBaseFeePerGas", &[FEE], "The base fee of the next block.", set_base_fee),
    method("hardhat_setNextBlockBaseFeePerGas", &[FEE], "The base fee of the next block.", set_base_fee),
    method("evm_setBlockGasLimit", &[GAS], "The gas limit of blocks from the next one on.", set_gas_limit),
    method("anvil_setBlockGasLimit", &[GAS], "The gas limit of blocks from the next one on.", set_gas_limit),
    method("anvil_setCoinbase", &[ADDRESS], "Who is paid for blocks.", set_coinbase),
    method("hardhat_setCoinbase", &[ADDRESS], "Who is paid for blocks.", set_coinbase),
    method("anvil_setNextBlockPrevRandao", &[RANDOMNESS], "The next block's randomness.", set_randomness),
    method("hardhat_setPrevRandao", &[RANDOMNESS], "The next block's randomness.", set_randomness),
    method("anvil_setMinGasPrice", &[FEE], "Not on chains with a base fee.", set_min_gas_price),
    method("hardhat_setMinGasPrice", &[FEE], "Not on chains with a base fee.", set_min_gas_price),
    method("anvil_dropTransaction", &[TX_HASH], "Drops a transaction that waits.", drop_one),
    method("hardhat_dropTransaction", &[TX_HASH], "Drops a transaction that waits.", |context, call| {
        Ok(json!(!drop_one(context, call)?.is_null()))
    }),
    method("anvil_dropAllTransactions", &[], "Drops everything that waits.", drop_all),
    method("hardhat_dropAllTransactions", &[], "Drops everything that waits.", drop_all),
    method("anvil_removePoolTransactions", &[ADDRESS], "Drops what waits of an account.", drop_account),
];

/// Wishes for something of blocks to come, and lets the pool know.
fn wish(context: &Context, change: impl FnOnce(&mut Wishes)) -> Result<(), RpcError> {
    of(context)?.controls()?;
    context.chain.ledger().wish(change);
    let (chain, ledger) = (context.chain.handle.clone(), Arc::clone(context.chain.ledger()));
    let published = Arc::clone(chain.published());
    let told = chain.with_pool(move |pool| pool.look_again(&ledger, published.head().headers.header()));
    told.wait().map_err(fault)
}

fn set_base_fee(context: &Context, call: &Call) -> Answer {
    let fee = required_number64(call, 0)?;
    let head = context.chain.published().head().headers;
    wish(context, |wishes| wishes.base_fee = Some((head.header().hash(), fee)))?;
    Ok(Value::Null)
}

fn set_gas_limit(context: &Context, call: &Call) -> Answer {
    let limit = required_number64(call, 0)?;
    if !(5_000..=i64::MAX as u64).contains(&limit) {
        return Err(input::invalid(0, format!("gas limit {limit} (hint: at least 5000, at most 2^63 - 1)")));
    }
    wish(context, |wishes| wishes.gas_limit = Some(limit))?;
    Ok(json!(true))
}

fn set_coinbase(context: &Context, call: &Call) -> Answer {
    let payee: Address = input::required(call, 0)?;
    of(context)?.control(|controls| controls.payee = payee.to_vec())?;
    Ok(Value::Null)
}

fn set_randomness(context: &Context, call: &Call) -> Answer {
    let randomness: B256 = input::required(call, 0)?;
    of(context)?.control(|controls| controls.next_randomness = Some(Hash(randomness.0)))?;
    Ok(Value::Null)
}

fn set_min_gas_price(_: &Context, _: &Call) -> Answer {
    Err(RpcError::invalid_params(
        "a least gas price is not supported when EIP-1559 is active (hint: anvil_setNextBlockBaseFeePerGas)"
            .to_owned(),
    ))
}

fn drop_one(context: &Context, call: &Call) -> Answer {
    let hash: B256 = input::required(call, 0)?;
    let dropped = context.chain.handle.with_pool(move |pool| pool.drop_transaction(&hash));
    Ok(if dropped.wait().map_err(fault)? { json!(hash) } else { Value::Null })
}

fn drop_all(context: &Context, _: &Call) -> Answer {
    context.chain.handle.with_pool(chainwright_evm::pool::EvmPool::clear).wait().map_err(fault)?;
    Ok(Value::Null)
}

fn drop_account(context: &Context, call: &Call) -> Answer {
    let address: Address = input::required(call, 0)?;
    context.chain.handle.with_pool(move |pool| pool.drop_account(&address)).wait().map_err(fault)?;
    Ok(Value::Null)
}
