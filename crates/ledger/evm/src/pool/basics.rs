//! What a transaction proves by itself: geth's `ValidateTransaction`, in its order and words (`core/txpool/validation.go`).

use alloy_consensus::Transaction as _;
use alloy_eips::Typed2718 as _;
use alloy_primitives::Address;
use chainwright_chain::{Reason, Refusal};

use super::account::{BLOB_TYPE, tip_cap};
use super::policy::{BLOB_TX_BYTES_MAX, PoolPolicy, TX_BYTES_MAX};
use super::sidecar;
use super::terms::Terms;
use super::words::{
    INVALID_SENDER, TIP_TOO_LOW, TYPE_NOT_SUPPORTED, invalid, invalid_with, policy, policy_with,
};
use crate::config::Fork;
use crate::types::{BLOBS_MAX, EvmTx};

/// EIP-2930, EIP-1559, EIP-7702.
const ACCESS_LIST_TYPE: u8 = 1;
const DYNAMIC_FEE_TYPE: u8 = 2;
const SET_CODE_TYPE: u8 = 4;

/// Judges a transaction that came from outside; returns who signed it.
pub(super) fn check(tx: &EvmTx, bytes: usize, terms: &Terms, pool: &PoolPolicy) -> Result<Address, Refusal> {
    let sender = check_mined(tx, bytes, terms)?;
    if tip_cap(tx) < pool.tip_min {
        let detail = format!("gas tip cap {}, minimum needed {}", tip_cap(tx), pool.tip_min);
        return Err(policy_with(TIP_TOO_LOW, detail));
    }
    if tx.ty() == BLOB_TYPE {
        sidecar::check(tx, terms)?;
    }
    if tx.ty() == SET_CODE_TYPE && tx.authorization_list().is_none_or(<[_]>::is_empty) {
        return Err(invalid("set code tx must have at least one authorization tuple"));
    }
    Ok(sender)
}

/// The part that a transaction which was in a block already has to pass again.
pub(super) fn check_mined(tx: &EvmTx, bytes: usize, terms: &Terms) -> Result<Address, Refusal> {
    check_size(tx, bytes)?;
    check_type(tx.ty(), terms.fork)?;
    check_code_and_gas(tx, terms)?;
    if tx.max_fee_per_gas() < tip_cap(tx) {
        return Err(invalid("max priority fee per gas higher than max fee per gas"));
    }
    let sender = check_signature(tx, terms)?;
    if tx.nonce() == u64::MAX {
        return Err(invalid("nonce has max value"));
    }
    check_intrinsic_gas(tx, terms)?;
    Ok(sender)
}

fn check_size(tx: &EvmTx, bytes: usize) -> Result<(), Refusal> {
    let blobs = tx.blob_versioned_hashes().map_or(0, <[_]>::len);
    if blobs > BLOBS_MAX {
        let detail = format!("blob count {blobs}, limit {BLOBS_MAX}");
        return Err(policy_with("transaction blob limit exceeded", detail));
    }
    let limit = if tx.ty() == BLOB_TYPE { BLOB_TX_BYTES_MAX } else { TX_BYTES_MAX };
    if bytes > limit {
        return Err(policy_with("oversized data", format!("transaction size {bytes}, limit {limit}")));
    }
    Ok(())
}

fn check_type(ty: u8, fork: Fork) -> Result<(), Refusal> {
    let needs = |needed: Fork| (fork < needed).then_some(needed);
    // geth's order: everything that is typed needs Berlin first.
    let missing = match ty {
        0 => None,
        ACCESS_LIST_TYPE => needs(Fork::Berlin),
        DYNAMIC_FEE_TYPE => needs(Fork::Berlin).or_else(|| needs(Fork::London)),
        BLOB_TYPE => needs(Fork::Berlin).or_else(|| needs(Fork::Cancun)),
        _ => needs(Fork::Berlin).or_else(|| needs(Fork::Prague)),
    };
    match missing {
        None => Ok(()),
        Some(fork) => {
            let detail = format!("type {ty} rejected, pool not yet in {}", fork.name());
            Err(policy_with(TYPE_NOT_SUPPORTED, detail))
        }
    }
}

fn check_code_and_gas(tx: &EvmTx, terms: &Terms) -> Result<(), Refusal> {
    let size = tx.input().len();
    if let Some(limit) = terms.init_code_max
        && tx.is_create()
        && size > limit
    {
        return Err(invalid_with("max initcode size exceeded", format!("code size {size}, limit {limit}")));
    }
    if let Some(cap) = terms.transaction_gas_max
        && tx.gas_limit() > cap
    {
        // geth puts this into brackets.
        let words = format!("transaction gas limit too high (cap: {cap}, tx: {})", tx.gas_limit());
        return Err(Refusal::Invalid(Reason::with(words, "")));
    }
    if terms.gas_limit < tx.gas_limit() {
        return Err(policy("exceeds block gas limit"));
    }
    Ok(())
}

fn check_signature(tx: &EvmTx, terms: &Terms) -> Result<Address, Refusal> {
    if let Some(chain_id) = tx.chain_id()
        && chain_id != terms.chain_id
    {
        let detail = format!("invalid chain id for signer: have {chain_id} want {}", terms.chain_id);
        return Err(invalid_with(INVALID_SENDER, detail));
    }
    let wrong = || invalid_with(INVALID_SENDER, "invalid transaction v, r, s values");
    if !tx.has_low_s() {
        return Err(wrong());
    }
    tx.sender().map_err(|_| wrong())
}

/// EIP-2028, EIP-2930, EIP-3860, EIP-7702 and the floor of EIP-7623.
fn check_intrinsic_gas(tx: &EvmTx, terms: &Terms) -> Result<(), Refusal> {
    let (mut accounts, mut slots) = (0_u64, 0_u64);
    for item in tx.access_list().map(|list| list.0.iter()).into_iter().flatten() {
        accounts += 1;
        slots += item.storage_keys.len() as u64;
    }
    let authorizations = tx.authorization_list().map_or(0, <[_]>::len) as u64;
    let needed = terms.gas.initial_tx_gas(tx.input(), tx.is_create(), accounts, slots, authorizations, None);
    let too_low = |code, minimum: u64| {
        (tx.gas_limit() < minimum)
            .then(|| invalid_with(code, format!("gas {}, minimum needed {minimum}", tx.gas_limit())))
    };
    let refusal = too_low("intrinsic gas too low", needed.initial_regular_gas)
        .or_else(|| too_low("insufficient gas for floor data gas cost", needed.floor_gas));
    refusal.map_or(Ok(()), Err)
}
