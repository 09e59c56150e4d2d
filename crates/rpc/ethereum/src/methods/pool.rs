//! Transactions on their way into blocks: sending them, and looking at the pool.

use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, Bytes, U64};
use chainwright_chain::{Codec, Refusal};
use chainwright_evm::pool::{ByAccount, Content, geth_words};
use chainwright_evm::types::EvmTx;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::{Map, Value, json};

use super::ADDRESS;
use crate::chain::{fault, server_error};
use crate::dialect::{Context, Entry};
use crate::{input, shape};

const RAW: Parameter =
    Parameter::required("transaction", Kind::Any, "A signed transaction as EIP-2718 encodes it");

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_sendRawTransaction",
        parameters: &[RAW],
        description: "Gives a signed transaction to the pool; answers its hash.",
        answer: send,
    },
    Entry {
        name: "txpool_status",
        parameters: &[],
        description: "How many transactions wait.",
        answer: |context, _| {
            let status = context.chain.published().pool().status();
            Ok(json!({ "pending": U64::from(status.pending), "queued": U64::from(status.queued) }))
        },
    },
    Entry {
        name: "txpool_content",
        parameters: &[],
        description: "All transactions that wait, by sender and nonce.",
        answer: |context, _| {
            let content = context.chain.published().pool().content();
            parts(&content, |by_account| by_sender(by_account, whole))
        },
    },
    Entry {
        name: "txpool_contentFrom",
        parameters: &[ADDRESS],
        description: "One sender's transactions that wait, by nonce.",
        answer: content_from,
    },
    Entry {
        name: "txpool_inspect",
        parameters: &[],
        description: "All transactions that wait, by sender and nonce, in words.",
        answer: |context, _| {
            let content = context.chain.published().pool().content();
            parts(&content, |by_account| by_sender(by_account, |tx| Ok(json!(words(tx)))))
        },
    },
];

/// Hands a transaction to the pool, in geth's words where it is refused.
pub(crate) fn submit(context: &Context, tx: Arc<EvmTx>) -> Result<(), RpcError> {
    let refused = |refusal: Refusal| match refusal {
        Refusal::Fault(error) => fault(error),
        other => server_error(geth_words(&other)),
    };
    context.chain.handle.submit(tx).wait().map_err(fault)?.map(drop).map_err(refused)
}

fn send(context: &Context, call: &Call) -> Answer {
    let raw: Bytes = input::required(call, 0)?;
    let tx = EvmTx::decode(&raw.0).map_err(|error| server_error(error.to_string()))?;
    let hash = tx.hash();
    submit(context, Arc::new(tx))?;
    Ok(json!(hash))
}

fn parts(content: &Content, show: impl Fn(&ByAccount) -> Answer) -> Answer {
    Ok(json!({ "pending": show(&content.pending)?, "queued": show(&content.queued)? }))
}

fn by_sender(by_account: &ByAccount, show: impl Fn(&EvmTx) -> Answer + Copy) -> Answer {
    let shown = by_account.iter().map(|(address, txs)| {
        let txs = txs.iter().map(|(nonce, tx)| Ok((nonce.to_string(), show(tx)?)));
        Ok((address.to_checksum(None), Value::Object(txs.collect::<Result<Map<_, _>, RpcError>>()?)))
    });
    shown.collect::<Result<Map<_, _>, RpcError>>().map(Value::Object)
}

fn whole(tx: &EvmTx) -> Answer {
    shape::json_of(&shape::waiting(tx)?)
}

fn content_from(context: &Context, call: &Call) -> Answer {
    let address: Address = input::required(call, 0)?;
    let content = context.chain.published().pool().content_from(&address);
    parts(&content, |by_account| {
        let mut shown = by_sender(by_account, whole)?;
        let alone = shown.get_mut(address.to_checksum(None)).map(Value::take);
        Ok(alone.unwrap_or_else(|| json!({})))
    })
}

/// geth, `internal/ethapi` `TxPoolAPI.Inspect`.
fn words(tx: &EvmTx) -> String {
    let (value, gas, price) = (tx.value(), tx.gas_limit(), tx.max_fee_per_gas());
    let to = tx.to().map_or_else(|| "contract creation".into(), |to| to.to_checksum(None));
    format!("{to}: {value} wei + {gas} gas × {price} wei")
}
