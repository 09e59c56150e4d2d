//! Blocks and transactions as bytes.

use alloy_eips::BlockId;
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
        answer: |context, call| {
            let headers = headers(context, call)?;
            Ok(hex(headers.map(|headers| headers.header().to_bytes()).unwrap_or_default()))
        },
    },
    Entry {
        name: "debug_getRawBlock",
        parameters: &[BLOCK],
        description: "A block in RLP.",
        answer: |context, call| {
            let Some(headers) = headers(context, call)? else { return Ok(hex(Vec::new())) };
            Ok(hex(context.chain.body(&headers)?.to_bytes()))
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

/// The block a call means. Of a number that no block has yet nothing is known, which is no error (geth); of a hash it is.
fn headers(context: &Context, call: &Call) -> Result<Option<Headers<Evm>>, RpcError> {
    let block = input::block(call, 0)?;
    match context.chain.headers(block)? {
        None if matches!(block, BlockId::Hash(_)) => Err(server_error("block not found")),
        found => Ok(found),
    }
}

fn receipts(context: &Context, call: &Call) -> Answer {
    let Some(headers) = headers(context, call)? else { return Ok(Value::Null) };
    let receipts = context.chain.receipts(&headers)?;
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
    let Some(headers) = headers(context, call)? else { return Ok(hex(Vec::new())) };
    let block = context.chain.body(&headers)?;
    let tx = block.transactions.get(index.to::<u64>() as usize);
    Ok(hex(tx.map(|tx| tx.raw().to_vec()).unwrap_or_default()))
}
