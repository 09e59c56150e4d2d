//! Accounts this node signs for: on development chains those of the mnemonic that everybody uses, and nobody else's.

use std::sync::Arc;

use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_consensus::{SignableTransaction as _, TxEnvelope, TypedTransaction};
use alloy_primitives::{Address, B256, TxKind, address, b256};
use alloy_rpc_types_eth::TransactionRequest;
use chainwright_evm::rules;
use chainwright_evm::types::{EvmHeader, EvmTx};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::json;

use super::call::estimated;
use super::gas::suggested_tip;
use super::pool::submit;
use crate::call::environment;
use crate::chain::server_error;
use crate::development::Development;
use crate::dialect::{Context, Entry};
use crate::input;

pub(in crate::methods) const TRANSACTION: Parameter =
    Parameter::required("transaction", Kind::Object("{…}"), "From, to, value, input, …");

/// The chain id of development chains, by the custom of Hardhat and anvil.
const DEVELOPMENT_CHAIN: u64 = 31_337;

/// Accounts of the mnemonic "test test test test test test test test test test test junk" and their keys, which everybody
/// knows: whoever reads this may spend what they hold, on any chain.
const DEVELOPMENT_KEYS: [(Address, B256); 10] = [
    (
        address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    ),
    (
        address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    ),
    (
        address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
        b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    ),
    (
        address!("90F79bf6EB2c4f870365E785982E1f101E93b906"),
        b256!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    ),
    (
        address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
        b256!("47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    ),
    (
        address!("9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
        b256!("8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    ),
    (
        address!("976EA74026E726554dB657fA54763abd0C3a0aa9"),
        b256!("92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    ),
    (
        address!("14dC79964da2C08b23698B3D3cc7Ca32193d9955"),
        b256!("4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    ),
    (
        address!("23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"),
        b256!("dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    ),
    (
        address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"),
        b256!("2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
    ),
];

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_accounts",
        parameters: &[],
        description: "Accounts this node signs for.",
        answer: |context, _| {
            let mut accounts: Vec<_> = unlocked(context).iter().map(|(address, _)| *address).collect();
            let others = context.development.get().into_iter().flat_map(Development::impersonated);
            for other in others.collect::<Vec<_>>() {
                if !accounts.contains(&other) {
                    accounts.push(other);
                }
            }
            Ok(json!(accounts))
        },
    },
    Entry {
        name: "eth_sendTransaction",
        parameters: &[TRANSACTION],
        description: "Signs a transaction of an account of this node, and gives it to the pool.",
        answer: send,
    },
];

/// The accounts this node signs for, and their keys.
pub(super) fn unlocked(context: &Context) -> &'static [(Address, B256)] {
    if context.chain.ledger().config().chain_id == DEVELOPMENT_CHAIN { &DEVELOPMENT_KEYS } else { &[] }
}

/// The key of an account of this node.
pub(super) fn key_of(context: &Context, address: &Address) -> Result<B256, RpcError> {
    let found = unlocked(context).iter().find(|(ours, _)| ours == address);
    found.map(|(_, key)| *key).ok_or_else(|| server_error("unknown account"))
}

fn send(context: &Context, call: &Call) -> Answer {
    let mut request: TransactionRequest = input::required(call, 0)?;
    let from = request.from.unwrap_or_default();
    let key = match key_of(context, &from) {
        Ok(key) => Some(key),
        Err(_) if context.development.get().is_some_and(|it| it.impersonates(&from)) => None,
        Err(error) => return Err(error),
    };
    // Two calls at once must not choose the same nonce.
    let _signing = context.signing.lock();
    fill(context, &mut request)?;
    let envelope = match key {
        Some(key) => sign(key, request)?,
        None => typed(request)?.into_envelope(EvmTx::impersonating(from)),
    };
    send_signed(context, from, envelope)
}

/// As anybody, without a signature; for development chains.
pub(in crate::methods) fn send_unsigned(context: &Context, call: &Call) -> Answer {
    let mut request: TransactionRequest = input::required(call, 0)?;
    let from = request.from.unwrap_or_default();
    let _signing = context.signing.lock();
    fill(context, &mut request)?;
    send_signed(context, from, typed(request)?.into_envelope(EvmTx::impersonating(from)))
}

/// Signs a request that is complete.
pub(super) fn sign(key: B256, request: TransactionRequest) -> Result<TxEnvelope, RpcError> {
    let typed = typed(request)?;
    let signature =
        sign_message(key, typed.signature_hash()).map_err(|error| server_error(error.to_string()))?;
    Ok(typed.into_envelope(signature))
}

fn typed(request: TransactionRequest) -> Result<TypedTransaction, RpcError> {
    request.build_typed_tx().map_err(|_| server_error("transaction is not complete"))
}

/// Hands a transaction to the pool whose sender is known.
pub(super) fn send_signed(context: &Context, from: Address, envelope: TxEnvelope) -> Answer {
    let tx = EvmTx::from_pooled(pooled(envelope)?);
    tx.assume_sender(from);
    let hash = tx.hash();
    submit(context, Arc::new(tx))?;
    Ok(json!(hash))
}

/// A transaction with blobs has to bring them.
fn pooled(envelope: TxEnvelope) -> Result<chainwright_evm::types::PooledEnvelope, RpcError> {
    envelope.try_into().map_err(|_| server_error("missing blobs in blob transaction"))
}

/// Sets what the caller left open: chain, nonce, fees, gas (geth, `internal/ethapi` `setDefaults`).
pub(super) fn fill(context: &Context, request: &mut TransactionRequest) -> Result<(), RpcError> {
    let head = context.chain.published().head();
    let config = context.chain.ledger().config();
    request.chain_id = Some(request.chain_id.unwrap_or(config.chain_id));
    fill_fees(context, request, head.headers.header())?;
    // Refuses what contradicts itself.
    environment(context, request)?;
    request.input = request.input.input().cloned().unwrap_or_default().into();
    request.value = Some(request.value.unwrap_or_default());
    request.to = Some(request.to.unwrap_or_default());
    if request.to == Some(TxKind::Create) && request.input.input().is_none_or(|input| input.is_empty()) {
        return Err(server_error("contract creation without any data provided"));
    }
    let from = request.from.unwrap_or_default();
    if request.nonce.is_none() {
        request.nonce = Some(context.chain.next_nonce(&from)?);
    }
    if request.gas.is_none() {
        request.gas = Some(estimated(context, request)?);
    }
    Ok(())
}

/// As geth's `setFeeDefaults`.
fn fill_fees(context: &Context, request: &mut TransactionRequest, head: &EvmHeader) -> Result<(), RpcError> {
    let config = context.chain.ledger().config();
    if request.blob_versioned_hashes.is_some() && request.max_fee_per_blob_gas.is_none() {
        let fee = rules::header_blob_fee(config, head).unwrap_or_default();
        request.max_fee_per_blob_gas = Some(fee.saturating_mul(2));
    }
    if request.gas_price.is_some() {
        return Ok(());
    }
    let Some(base_fee) = context.chain.ledger().next_base_fee(head) else {
        request.gas_price = Some(suggested_tip(context)?);
        return Ok(());
    };
    let tip = match (request.max_priority_fee_per_gas, request.max_fee_per_gas) {
        (Some(tip), _) => tip,
        (None, cap) => suggested_tip(context)?.min(cap.unwrap_or(u128::MAX)),
    };
    let cap = u128::from(base_fee).saturating_mul(2).saturating_add(tip);
    request.max_priority_fee_per_gas = Some(tip);
    request.max_fee_per_gas = Some(request.max_fee_per_gas.unwrap_or(cap));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_belong_to_their_accounts() {
        for (account, key) in DEVELOPMENT_KEYS {
            let hash = B256::repeat_byte(1);
            let signature = sign_message(key, hash).unwrap();
            assert_eq!(signature.recover_address_from_prehash(&hash).unwrap(), account);
        }
    }
}
