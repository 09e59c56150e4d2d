//! Filling in, signing and sending again: what a wallet does, for the accounts of development chains.
//!
//! Sources: go-ethereum 1.16, `internal/ethapi` `TransactionAPI`; EIP-191 for messages, EIP-712 for typed data.

use alloy_consensus::EthereumTypedTransaction;
use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_consensus::transaction::RlpEcdsaEncodableTx as _;
use alloy_dyn_abi::TypedData;
use alloy_primitives::{Address, B256, Bytes, Signature, U256, eip191_hash_message};
use alloy_rlp::Encodable as _;
use alloy_rpc_types_eth::TransactionRequest;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::{Value, json};

use super::ADDRESS;
use super::accounts::{self, TRANSACTION, fill, key_of, unlocked};
use crate::chain::server_error;
use crate::dialect::{Context, Entry};
use crate::{input, shape};

const DATA: Parameter = Parameter::required("data", Kind::Any, "Bytes in hexadecimal digits");
const TYPED: Parameter = Parameter::required("typed", Kind::Any, "Types, domain and message (EIP-712)");
const PRICE: Parameter = Parameter::optional("price", Kind::Any, "unchanged", "The new price of gas in wei");
const GAS: Parameter = Parameter::optional("gas", Kind::Any, "unchanged", "The new gas limit");
const PASSWORD: Parameter = Parameter::optional("password", Kind::Any, "none", "Not looked at");

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_fillTransaction",
        parameters: &[TRANSACTION],
        description: "A transaction with everything set that the caller left open, not signed.",
        answer: filled,
    },
    Entry {
        name: "eth_signTransaction",
        parameters: &[TRANSACTION],
        description: "Signs a transaction of an account of this node.",
        answer: signed,
    },
    Entry {
        name: "eth_sign",
        parameters: &[ADDRESS, DATA],
        description: "Signs a message as an account of this node (EIP-191).",
        answer: |context, call| message(context, &input::required(call, 0)?, &input::required(call, 1)?),
    },
    Entry {
        name: "personal_sign",
        parameters: &[DATA, ADDRESS, PASSWORD],
        description: "As eth_sign, the message first.",
        answer: |context, call| message(context, &input::required(call, 1)?, &input::required(call, 0)?),
    },
    Entry {
        name: "eth_signTypedData_v4",
        parameters: &[ADDRESS, TYPED],
        description: "Signs typed data as an account of this node (EIP-712).",
        answer: typed_data,
    },
    Entry {
        name: "eth_signTypedData",
        parameters: &[ADDRESS, TYPED],
        description: "As eth_signTypedData_v4.",
        answer: typed_data,
    },
    Entry {
        name: "eth_pendingTransactions",
        parameters: &[],
        description: "Transactions of accounts of this node that wait.",
        answer: |context, _| {
            let content = context.chain.published().pool().content();
            let ours = content.pending.iter().filter(|(sender, _)| is_ours(context, sender));
            let shown = ours.flat_map(|(_, txs)| txs.values()).map(|tx| shape::json_of(&shape::waiting(tx)?));
            shown.collect::<Result<Vec<_>, _>>().map(Value::Array)
        },
    },
    Entry {
        name: "eth_resend",
        parameters: &[TRANSACTION, PRICE, GAS],
        description: "Replaces a waiting transaction by the same one with another price or gas limit.",
        answer: resend,
    },
];

fn is_ours(context: &Context, address: &Address) -> bool {
    unlocked(context).iter().any(|(ours, _)| ours == address)
}

/// A signature as contracts take it: `r`, `s`, and 27 or 28.
fn sign(key: B256, hash: B256) -> Answer {
    let signature = sign_message(key, hash).map_err(|error| server_error(error.to_string()))?;
    Ok(json!(Bytes::from(signature.as_bytes().to_vec())))
}

fn message(context: &Context, address: &Address, data: &Bytes) -> Answer {
    sign(key_of(context, address)?, eip191_hash_message(data))
}

fn typed_data(context: &Context, call: &Call) -> Answer {
    let key = key_of(context, &input::required(call, 0)?)?;
    // Wallets take it as text, nodes as an object: both are in use.
    let typed: TypedData = match call.param(1) {
        Value::String(text) => serde_json::from_str(text).map_err(|error| input::invalid(1, error))?,
        _ => input::required(call, 1)?,
    };
    let hash = typed.eip712_signing_hash().map_err(|error| input::invalid(1, error))?;
    sign(key, hash)
}

fn filled(context: &Context, call: &Call) -> Answer {
    let mut request: TransactionRequest = input::required(call, 0)?;
    fill(context, &mut request)?;
    let typed: EthereumTypedTransaction<_> =
        request.build_typed_tx().map_err(|_| server_error("transaction is not complete"))?;
    let raw = unsigned(&typed);
    let mut shown = shape::json_of(&typed.into_envelope(unset()))?;
    // What a transaction of the old kind would have as `v` tells its chain, but this one is not signed.
    shown["v"] = json!("0x0");
    Ok(json!({ "raw": raw, "tx": shown }))
}

fn unset() -> Signature {
    Signature::new(U256::ZERO, U256::ZERO, false)
}

/// The encoding with a signature of zeros (geth, `core/types` `Transaction.MarshalBinary`).
fn unsigned<T: alloy_consensus::transaction::RlpEcdsaEncodableTx>(tx: &EthereumTypedTransaction<T>) -> Bytes {
    let mut out = Vec::new();
    match tx {
        EthereumTypedTransaction::Legacy(tx) => {
            let zeros = 3 * 0_u8.length();
            let payload_length = tx.rlp_encoded_fields_length() + zeros;
            alloy_rlp::Header { list: true, payload_length }.encode(&mut out);
            tx.rlp_encode_fields(&mut out);
            (0..3).for_each(|_| 0_u8.encode(&mut out));
        }
        EthereumTypedTransaction::Eip2930(tx) => tx.eip2718_encode(&unset(), &mut out),
        EthereumTypedTransaction::Eip1559(tx) => tx.eip2718_encode(&unset(), &mut out),
        EthereumTypedTransaction::Eip4844(tx) => tx.eip2718_encode(&unset(), &mut out),
        EthereumTypedTransaction::Eip7702(tx) => tx.eip2718_encode(&unset(), &mut out),
    }
    out.into()
}

fn signed(context: &Context, call: &Call) -> Answer {
    let mut request: TransactionRequest = input::required(call, 0)?;
    if request.gas.is_none() {
        return Err(server_error("gas not specified"));
    }
    let has_fees = request.max_fee_per_gas.is_some() && request.max_priority_fee_per_gas.is_some();
    if request.gas_price.is_none() && !has_fees {
        return Err(server_error("missing gasPrice or maxFeePerGas/maxPriorityFeePerGas"));
    }
    if request.nonce.is_none() {
        return Err(server_error("nonce not specified"));
    }
    let key = key_of(context, &request.from.unwrap_or_default())?;
    fill(context, &mut request)?;
    let envelope = accounts::sign(key, request)?;
    let raw = Bytes::from(alloy_eips::eip2718::Encodable2718::encoded_2718(&envelope));
    Ok(json!({ "raw": raw, "tx": shape::json_of(&envelope)? }))
}

fn resend(context: &Context, call: &Call) -> Answer {
    let mut request: TransactionRequest = input::required(call, 0)?;
    let nonce = request.nonce.ok_or_else(|| server_error("missing transaction nonce in transaction spec"))?;
    let from = request.from.unwrap_or_default();
    let key = key_of(context, &from)?;
    fill(context, &mut request)?;
    let content = context.chain.published().pool().content_from(&from);
    let waiting = content.pending.get(&from).and_then(|txs| txs.get(&nonce)).cloned();
    let same = |tx: &chainwright_evm::types::EvmTx| -> Result<bool, RpcError> {
        let envelope = accounts::sign(key, request.clone())?;
        Ok(envelope.signature_hash() == tx.envelope().signature_hash())
    };
    match waiting {
        Some(tx) if same(&tx)? => {}
        _ => return Err(server_error("transaction not found")),
    }
    if let Some(price) = input::optional::<U256>(call, 1)?.filter(|price| !price.is_zero()) {
        request.gas_price = Some(price.saturating_to());
        request.max_fee_per_gas = None;
        request.max_priority_fee_per_gas = None;
    }
    if let Some(gas) = input::optional::<alloy_primitives::U64>(call, 2)?.filter(|gas| !gas.is_zero()) {
        request.gas = Some(gas.to());
    }
    accounts::send_signed(context, from, accounts::sign(key, request)?)
}
