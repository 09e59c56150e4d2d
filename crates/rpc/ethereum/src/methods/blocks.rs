//! Blocks, their transactions and receipts.

use alloy_eips::BlockId;
use alloy_primitives::{B256, U64};
use chainwright_chain::Headers;
use chainwright_evm::Evm;
use chainwright_evm::types::EvmBlock;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::{Value, json};

use super::{BLOCK, BLOCK_HASH, INDEX, TX_HASH};
use crate::dialect::{Context, Entry};
use crate::{input, shape};

const WHOLE: Parameter =
    Parameter::optional("whole", Kind::Bool, "false", "Whole transactions, not their hashes");

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_blockNumber",
        parameters: &[],
        description: "The height of the newest block.",
        answer: |context, _| Ok(json!(U64::from(context.chain.published().head().headers.height().0))),
    },
    Entry {
        name: "eth_getBlockByNumber",
        parameters: &[BLOCK, WHOLE],
        description: "A block by number or tag.",
        answer: |context, call| block(context, call, by_number(call)?),
    },
    Entry {
        name: "eth_getBlockByHash",
        parameters: &[BLOCK_HASH, WHOLE],
        description: "A block by hash.",
        answer: |context, call| block(context, call, by_hash(call)?),
    },
    Entry {
        name: "eth_getHeaderByNumber",
        parameters: &[BLOCK],
        description: "A header by number or tag.",
        answer: |context, call| header(context, by_number(call)?),
    },
    Entry {
        name: "eth_getHeaderByHash",
        parameters: &[BLOCK_HASH],
        description: "A header by hash.",
        answer: |context, call| header(context, by_hash(call)?),
    },
    Entry {
        name: "eth_getBlockTransactionCountByNumber",
        parameters: &[BLOCK],
        description: "How many transactions a block holds.",
        answer: |context, call| count(context, by_number(call)?, |block| block.transactions.len()),
    },
    Entry {
        name: "eth_getBlockTransactionCountByHash",
        parameters: &[BLOCK_HASH],
        description: "How many transactions a block holds.",
        answer: |context, call| count(context, by_hash(call)?, |block| block.transactions.len()),
    },
    Entry {
        name: "eth_getUncleCountByBlockNumber",
        parameters: &[BLOCK],
        description: "How many uncles a block names.",
        answer: |context, call| count(context, by_number(call)?, |block| block.ommers.len()),
    },
    Entry {
        name: "eth_getUncleCountByBlockHash",
        parameters: &[BLOCK_HASH],
        description: "How many uncles a block names.",
        answer: |context, call| count(context, by_hash(call)?, |block| block.ommers.len()),
    },
    Entry {
        name: "eth_getUncleByBlockNumberAndIndex",
        parameters: &[BLOCK, INDEX],
        description: "An uncle of a block.",
        answer: |context, call| uncle(context, call, by_number(call)?),
    },
    Entry {
        name: "eth_getUncleByBlockHashAndIndex",
        parameters: &[BLOCK_HASH, INDEX],
        description: "An uncle of a block.",
        answer: |context, call| uncle(context, call, by_hash(call)?),
    },
    Entry {
        name: "eth_getTransactionByBlockNumberAndIndex",
        parameters: &[BLOCK, INDEX],
        description: "A transaction by its place.",
        answer: |context, call| transaction_in(context, call, by_number(call)?),
    },
    Entry {
        name: "eth_getTransactionByBlockHashAndIndex",
        parameters: &[BLOCK_HASH, INDEX],
        description: "A transaction by its place.",
        answer: |context, call| transaction_in(context, call, by_hash(call)?),
    },
    Entry {
        name: "eth_getTransactionByHash",
        parameters: &[TX_HASH],
        description: "A transaction of the chain or of the pool.",
        answer: transaction,
    },
    Entry {
        name: "eth_getTransactionReceipt",
        parameters: &[TX_HASH],
        description: "What a transaction did.",
        answer: |context, call| receipt_of(context, &input::required(call, 0)?),
    },
    Entry {
        name: "eth_getBlockReceipts",
        parameters: &[BLOCK],
        description: "What all transactions of a block did.",
        answer: |context, call| match context.chain.headers(input::block(call, 0)?)? {
            Some(headers) => block_receipts(context, &headers),
            None => Ok(Value::Null),
        },
    },
];

fn by_number(call: &Call) -> Result<BlockId, RpcError> {
    input::number(call, 0).map(BlockId::Number)
}

fn by_hash(call: &Call) -> Result<BlockId, RpcError> {
    input::required::<B256>(call, 0).map(BlockId::from)
}

/// What is made of a block, or null where there is none.
fn with_block(context: &Context, block: BlockId, shown: impl FnOnce(&EvmBlock) -> Answer) -> Answer {
    let Some(headers) = context.chain.headers(block)? else { return Ok(Value::Null) };
    shown(&context.chain.body(&headers)?)
}

fn block(context: &Context, call: &Call, block: BlockId) -> Answer {
    let whole = call.flag(1)?.unwrap_or(false);
    with_block(context, block, |block| shape::block(block, whole))
}

fn header(context: &Context, block: BlockId) -> Answer {
    let Some(headers) = context.chain.headers(block)? else { return Ok(Value::Null) };
    shape::json_of(&shape::header(headers.header(), None))
}

fn count(context: &Context, block: BlockId, of: impl FnOnce(&EvmBlock) -> usize) -> Answer {
    with_block(context, block, |block| Ok(json!(U64::from(of(block)))))
}

fn index(call: &Call) -> Result<usize, RpcError> {
    input::required::<U64>(call, 1).map(|index| index.to::<u64>() as usize)
}

fn uncle(context: &Context, call: &Call, block: BlockId) -> Answer {
    let index = index(call)?;
    with_block(context, block, |block| block.ommers.get(index).map_or(Ok(Value::Null), shape::uncle))
}

fn transaction_in(context: &Context, call: &Call, block: BlockId) -> Answer {
    let index = index(call)?;
    with_block(context, block, |block| match block.transactions.get(index) {
        Some(_) => shape::json_of(&shape::transaction(block, index)?),
        None => Ok(Value::Null),
    })
}

fn transaction(context: &Context, call: &Call) -> Answer {
    let hash: B256 = input::required(call, 0)?;
    if let Some(place) = context.chain.place(&hash)? {
        let block = context.chain.body(&place.block)?;
        return shape::json_of(&shape::transaction(&block, place.index)?);
    }
    let waiting = context.chain.published().pool().entry(&hash).map(|entry| entry.tx.clone());
    waiting.map_or(Ok(Value::Null), |tx| shape::json_of(&shape::waiting(&tx)?))
}

/// The receipt of a transaction of the chain; null where there is none.
pub(crate) fn receipt_of(context: &Context, hash: &B256) -> Answer {
    let Some(place) = context.chain.place(hash)? else { return Ok(Value::Null) };
    let Some(receipts) = context.chain.receipts(&place.block)? else { return Ok(Value::Null) };
    let block = context.chain.body(&place.block)?;
    let config = context.chain.ledger().config();
    let blobs = config.blob_params(config.fork(&block.header));
    shape::receipt(&block, &receipts, place.index, blobs)
}

/// The receipts of a block; null where it was never executed.
pub(crate) fn block_receipts(context: &Context, headers: &Headers<Evm>) -> Answer {
    let Some(receipts) = context.chain.receipts(headers)? else { return Ok(Value::Null) };
    let block = context.chain.body(headers)?;
    let config = context.chain.ledger().config();
    let blobs = config.blob_params(config.fork(&block.header));
    shape::receipts(&block, &receipts, blobs).map(Value::Array)
}
