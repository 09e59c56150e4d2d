//! What contracts logged, searched.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use chainwright_chain::{Headers, Height};
use chainwright_evm::Evm;
use chainwright_rpc::{Call, Kind, Parameter, RpcError};
use serde_json::Value;

use crate::chain::server_error;
use crate::dialect::{Context, Entry};
use crate::{input, shape};

pub(super) const FILTER: Parameter =
    Parameter::required("filter", Kind::Object("{…}"), "Blocks, addresses, topics");

/// Logs one query answers with, at most.
const LOGS_MAX: usize = 100_000;
/// Topics a log has, at most (geth, `eth/filters` `maxTopics`).
const TOPICS_MAX: usize = 4;
/// Addresses, or topics at one position, that one filter may name (geth, `eth/filters` `LogQueryLimit`).
const CHOICES_MAX: usize = 1_000;
/// The code other nodes have for limits (EIP-1474).
const LIMIT_EXCEEDED: i32 = -32005;

pub(crate) const METHODS: &[Entry] = &[Entry {
    name: "eth_getLogs",
    parameters: &[FILTER],
    description: "Logs of some blocks by address and topics.",
    answer: |context, call| shape::json_of(&search(context, &filter(call, 0)?)?),
}];

/// The filter a call gives, refused in geth's words.
pub(super) fn filter(call: &Call, at: usize) -> Result<Filter, RpcError> {
    let given = |name: &str| call.param(at).get(name).is_some_and(|value| !value.is_null());
    if given("blockHash") && (given("fromBlock") || given("toBlock")) {
        let words = "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other";
        return Err(input::invalid(at, words));
    }
    let count = |value: &Value| value.as_array().map_or(0, Vec::len);
    let topics = call.param(at).get("topics").unwrap_or(&Value::Null);
    if count(topics) > TOPICS_MAX {
        return Err(input::invalid(at, "exceed max topics"));
    }
    let addresses = call.param(at).get("address").unwrap_or(&Value::Null);
    if topics.as_array().into_iter().flatten().chain([addresses]).any(|value| count(value) > CHOICES_MAX) {
        return Err(server_error("exceed max addresses or topics per search position"));
    }
    input::required(call, at)
}

/// All logs that fit.
pub(super) fn search(context: &Context, filter: &Filter) -> Result<Vec<Log>, RpcError> {
    let mut found = Vec::new();
    match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let block = context.chain.headers(BlockId::from(hash))?;
            let block = block.ok_or_else(|| server_error("unknown block"))?;
            collect(context, &block, filter, &mut found)?;
        }
        FilterBlockOption::Range { from_block, to_block } => {
            let head = context.chain.published().head().headers;
            let (from, to) = (height(context, from_block)?, height(context, to_block)?);
            if from > to {
                return Err(RpcError::invalid_params("invalid block range params"));
            }
            for at in from..=to.min(u64::from(head.height().0)) {
                let Some(block) = u32::try_from(at).ok().and_then(|at| head.ancestor(Height(at))) else {
                    break;
                };
                collect(context, &block, filter, &mut found)?;
            }
        }
    }
    Ok(found)
}

fn height(context: &Context, block: Option<BlockNumberOrTag>) -> Result<u64, RpcError> {
    let block = block.unwrap_or(BlockNumberOrTag::Latest);
    if let BlockNumberOrTag::Number(number) = block {
        return Ok(number);
    }
    let found = context.chain.headers(BlockId::Number(block))?;
    Ok(found.map_or(0, |found| u64::from(found.height().0)))
}

/// Appends the logs of a block that fit. Most blocks are passed over by their bloom filter.
fn collect(
    context: &Context,
    headers: &Headers<Evm>,
    filter: &Filter,
    found: &mut Vec<Log>,
) -> Result<(), RpcError> {
    if !filter.matches_bloom(headers.header().logs_bloom) {
        return Ok(());
    }
    let Some(receipts) = context.chain.receipts(headers)? else { return Ok(()) };
    let block = context.chain.body(headers)?;
    found.extend(shape::logs(&block, &receipts, false).into_iter().filter(|log| filter.matches(&log.inner)));
    if found.len() > LOGS_MAX {
        let words = format!("query returned more than {LOGS_MAX} results");
        return Err(RpcError::new(LIMIT_EXCEEDED, words));
    }
    Ok(())
}
