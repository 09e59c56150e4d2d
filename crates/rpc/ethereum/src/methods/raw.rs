//! Blocks and transactions as bytes.

use alloy_primitives::{B256, Bytes};
use chainwright_chain::{Codec, Headers};
use chainwright_evm::Evm;
use chainwright_rpc::{Answer, Call, RpcError};
use serde_json::{Value, json};

use super::{BLOCK, BLOCK_HASH, INDEX, TX_HASH};
use crate::chain::server_error;
use crate::dialect::{Context, Entry};
use crate::input;

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "debug_getRawHeader",
        parameters: &[BLOCK],
        description: "A header in RLP.",
        answer: |context, call| Ok(hex(headers(context, call)?.header().to_bytes())),
    },
    Entry {
        name: "debug_getRawBlock",
        parameters: &[BLOCK],
        description: "A block in RLP.",
        answer: |context, call| {
            let block = context.chain.body(&headers(context, call)?)?;
            Ok(hex(block.to_bytes()))
        },
    },
    Entry {
        name: "debug_getRawReceipts",
        parameters: &[BLOCK],
        description: "The receipts of a block as the receipts root commits to them.",
        answer: receipts,
    },
    Entry {
        name: "debug_getRawTransaction",
        parameters: &[TX_HASH],
        description: "A transaction as EIP-2718 encodes it.",
        answer: transaction,
    },
    Entry {
        name: "eth_getRawTransactionByHash",
        parameters: &[TX_HASH],
        description: "A transaction as EIP-2718 encodes it.",
        answer: transaction,
    },
    Entry {
        name: "eth_getRawTransactionByBlockHashAndIndex",
        parameters: &[BLOCK_HASH, INDEX],
        description: "A transaction by its place, as EIP-2718 encodes it.",
        answer: transaction_in,
    },
    Entry {
        name: "eth_getRawTransactionByBlockNumberAndIndex",
        parameters: &[BLOCK, INDEX],
        description: "A transaction by its place, as EIP-2718 encodes it.",
        answer: transaction_in,
    },
    Entry {
        name: "debug_getBadBlocks",
        parameters: &[],
        description: "Blocks that were refused lately; none are kept.",
        answer: |_, _| Ok(json!([])),
    },
];

fn hex(bytes: Vec<u8>) -> Value {
    json!(Bytes::from(bytes))
}

fn headers(context: &Context, call: &Call) -> Result<Headers<Evm>, RpcError> {
    let block = input::block(call, 0)?;
    context.chain.headers(block)?.ok_or_else(|| server_error("block not found"))
}

fn receipts(context: &Context, call: &Call) -> Answer {
    let receipts = context.chain.receipts(&headers(context, call)?)?;
    let receipts = receipts.ok_or_else(|| server_error("block not found"))?.receipts;
    let encoded = receipts.iter().map(|receipt| {
        let mut out = Vec::new();
        receipt.encode_consensus(&mut out);
        hex(out)
    });
    Ok(Value::Array(encoded.collect()))
}

fn transaction(context: &Context, call: &Call) -> Answer {
    let hash: B256 = input::required(call, 0)?;
    if let Some(place) = context.chain.place(&hash)? {
        let block = context.chain.body(&place.block)?;
        return Ok(hex(block.transactions[place.index].raw().to_vec()));
    }
    let waiting = context.chain.published().pool().entry(&hash).map(|entry| entry.tx.clone());
    Ok(hex(waiting.map(|tx| tx.raw().to_vec()).unwrap_or_default()))
}

fn transaction_in(context: &Context, call: &Call) -> Answer {
    let index: alloy_primitives::U64 = input::required(call, 1)?;
    let block = context.chain.body(&headers(context, call)?)?;
    let tx = block.transactions.get(index.to::<u64>() as usize);
    Ok(hex(tx.map(|tx| tx.raw().to_vec()).unwrap_or_default()))
}
