//! Parameters of a call as the types they stand for, refused in geth's words.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256};
use chainwright_rpc::{Call, RpcError};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What geth says of a parameter it cannot read.
pub(crate) fn invalid(at: usize, what: impl core::fmt::Display) -> RpcError {
    RpcError::invalid_params(format!("invalid argument {at}: {what}"))
}

pub(crate) fn missing(at: usize) -> RpcError {
    RpcError::invalid_params(format!("missing value for required argument {at}"))
}

/// A parameter the call must give.
pub(crate) fn required<T: DeserializeOwned>(call: &Call, at: usize) -> Result<T, RpcError> {
    optional(call, at)?.ok_or_else(|| missing(at))
}

/// A parameter that may be left out or null.
pub(crate) fn optional<T: DeserializeOwned>(call: &Call, at: usize) -> Result<Option<T>, RpcError> {
    match call.param(at) {
        Value::Null => Ok(None),
        value => T::deserialize(value).map(Some).map_err(|error| {
            let words = value.as_str().and_then(wrong_length::<T>);
            invalid(at, words.unwrap_or_else(|| error.to_string()))
        }),
    }
}

/// What geth says of hexadecimal digits that are too few or too many for an address or a hash (`common/hexutil`).
fn wrong_length<T>(text: &str) -> Option<String> {
    let wanted = core::any::type_name::<T>();
    let (name, digits) = match () {
        () if wanted == core::any::type_name::<Address>() => ("Address", 40),
        () if wanted == core::any::type_name::<B256>() => ("Hash", 64),
        () => return None,
    };
    let given = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    (given.len() != digits && given.len() % 2 == 0)
        .then(|| format!("hex string has length {}, want {digits} for common.{name}", given.len()))
}

/// A block by number, tag or hash, or by an object (EIP-1898).
pub(crate) fn block(call: &Call, at: usize) -> Result<BlockId, RpcError> {
    block_or(call, at, None)
}

/// As [`block`]; the newest one when it is left out.
pub(crate) fn block_or_latest(call: &Call, at: usize) -> Result<BlockId, RpcError> {
    block_or(call, at, Some(BlockNumberOrTag::Latest))
}

fn block_or(call: &Call, at: usize, default: Option<BlockNumberOrTag>) -> Result<BlockId, RpcError> {
    match call.param(at) {
        Value::Null => default.map(BlockId::Number).ok_or_else(|| missing(at)),
        // A hash has 64 digits, and no number has as many.
        Value::String(text) if text.len() == 66 => {
            text.parse::<B256>().map(BlockId::from).map_err(|error| invalid(at, error))
        }
        Value::String(text) => tag(text).map(BlockId::Number).map_err(|what| invalid(at, what)),
        object => BlockId::deserialize(object).map_err(|error| invalid(at, error)),
    }
}

/// A block by number or tag.
pub(crate) fn number(call: &Call, at: usize) -> Result<BlockNumberOrTag, RpcError> {
    let text = call.param(at).as_str().ok_or_else(|| invalid(at, "block number or tag expected"))?;
    tag(text).map_err(|what| invalid(at, what))
}

fn tag(text: &str) -> Result<BlockNumberOrTag, &'static str> {
    Ok(match text {
        "latest" => BlockNumberOrTag::Latest,
        "pending" => BlockNumberOrTag::Pending,
        "earliest" => BlockNumberOrTag::Earliest,
        "safe" => BlockNumberOrTag::Safe,
        "finalized" => BlockNumberOrTag::Finalized,
        number => BlockNumberOrTag::Number(quantity(number)?),
    })
}

/// A number as hexadecimal digits (geth, `common/hexutil` `DecodeUint64`).
fn quantity(text: &str) -> Result<u64, &'static str> {
    if text.is_empty() {
        return Err("empty hex string");
    }
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digits = digits.ok_or("hex string without 0x prefix")?;
    match digits.as_bytes() {
        [] => Err("hex string \"0x\""),
        [b'0', _, ..] => Err("hex number with leading zero digits"),
        _ if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => Err("invalid hex string"),
        _ => u64::from_str_radix(digits, 16).map_err(|_| "hex number > 64 bits"),
    }
}
