//! Accounts, code and storage as they stand after a block.

use std::collections::BTreeMap;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, U64, U256};
use chainwright_evm::state::Overlay;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::{Value, json};

use super::{ADDRESS, BLOCK_OR_LATEST};
use crate::chain::fault;
use crate::dialect::{Context, Entry};
use crate::input;

const SLOT: Parameter = Parameter::required("slot", Kind::Any, "A storage slot");
const REQUESTS: Parameter =
    Parameter::required("requests", Kind::Object("{\"address\":[slot,…],…}"), "Slots by address");

/// Slots one `eth_getStorageValues` may ask for (execution APIs).
const STORAGE_VALUES_MAX: usize = 1024;

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_getBalance",
        parameters: &[ADDRESS, BLOCK_OR_LATEST],
        description: "An account's balance in wei.",
        answer: |context, call| {
            let address = input::required(call, 0)?;
            let row = overlay(context, call, 1)?.account(address).map_err(fault)?;
            Ok(json!(row.map(|row| row.balance).unwrap_or_default()))
        },
    },
    Entry {
        name: "eth_getTransactionCount",
        parameters: &[ADDRESS, BLOCK_OR_LATEST],
        description: "The nonce of an account's next transaction.",
        answer: nonce,
    },
    Entry {
        name: "eth_getCode",
        parameters: &[ADDRESS, BLOCK_OR_LATEST],
        description: "A contract's code.",
        answer: |context, call| {
            let address = input::required(call, 0)?;
            let code = overlay(context, call, 1)?.code(address).map_err(fault)?;
            Ok(json!(alloy_primitives::Bytes::from(code.to_vec())))
        },
    },
    Entry {
        name: "eth_getAccountInfo",
        parameters: &[ADDRESS, BLOCK_OR_LATEST],
        description: "An account's balance, nonce and code.",
        answer: |context, call| {
            let address = input::required(call, 0)?;
            let mut state = overlay(context, call, 1)?;
            let row = state.account(address).map_err(fault)?;
            Ok(json!({
                "balance": row.map(|row| row.balance).unwrap_or_default(),
                "nonce": U64::from(row.map(|row| row.nonce).unwrap_or_default()),
                "code": alloy_primitives::Bytes::from(state.code(address).map_err(fault)?.to_vec()),
            }))
        },
    },
    Entry {
        name: "eth_getStorageAt",
        parameters: &[ADDRESS, SLOT, BLOCK_OR_LATEST],
        description: "The value of a storage slot.",
        answer: |context, call| {
            let (address, slot) = (input::required(call, 0)?, slot(call)?);
            let value = overlay(context, call, 2)?.slot(address, slot).map_err(fault)?;
            Ok(json!(B256::from(value)))
        },
    },
    Entry {
        name: "eth_getStorageValues",
        parameters: &[REQUESTS, BLOCK_OR_LATEST],
        description: "The values of several slots of several accounts.",
        answer: storage_values,
    },
];

/// The state after the block that parameter `at` names.
fn overlay(context: &Context, call: &Call, at: usize) -> Result<Overlay, RpcError> {
    let block = input::block_or_latest(call, at)?;
    Ok(context.chain.ledger().overlay(&context.chain.view(block)?))
}

fn nonce(context: &Context, call: &Call) -> Answer {
    let address: Address = input::required(call, 0)?;
    if input::block_or_latest(call, 1)? == BlockId::Number(BlockNumberOrTag::Pending) {
        return Ok(json!(U64::from(context.chain.next_nonce(&address)?)));
    }
    let row = overlay(context, call, 1)?.account(address).map_err(fault)?;
    Ok(json!(U64::from(row.map(|row| row.nonce).unwrap_or_default())))
}

/// The slot a call names.
fn slot(call: &Call) -> Result<U256, RpcError> {
    slot_of(&input::required::<String>(call, 1)?)
}

/// A slot in hexadecimal digits, padded or not (geth, `internal/ethapi` `decodeStorageKey`).
pub(super) fn slot_of(text: &str) -> Result<U256, RpcError> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.len() > 64 {
        let words = format!("storage key too long (want at most 32 bytes): {text:?}");
        return Err(RpcError::invalid_params(words));
    }
    if digits.is_empty() {
        return Ok(U256::ZERO);
    }
    U256::from_str_radix(digits, 16)
        .map_err(|_| RpcError::invalid_params(format!("invalid hex in storage key: {text:?}")))
}

fn storage_values(context: &Context, call: &Call) -> Answer {
    let wanted: BTreeMap<Address, Vec<B256>> = input::required(call, 0)?;
    let count: usize = wanted.values().map(Vec::len).sum();
    if count == 0 {
        return Err(RpcError::invalid_params("empty request"));
    }
    if count > STORAGE_VALUES_MAX {
        return Err(RpcError::invalid_params(format!("too many slots (max {STORAGE_VALUES_MAX})")));
    }
    let mut state = overlay(context, call, 1)?;
    let mut shown = serde_json::Map::new();
    for (address, slots) in wanted {
        let values =
            slots.iter().map(|slot| state.slot(address, U256::from_be_bytes(slot.0)).map(B256::from));
        let values = values.collect::<Result<Vec<_>, _>>().map_err(fault)?;
        shown.insert(format!("{address:#x}"), json!(values));
    }
    Ok(Value::Object(shown))
}
