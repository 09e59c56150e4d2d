//! What contracts logged, searched.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use chainwright_chain::{Headers, Height};
use chainwright_evm::Evm;
use chainwright_evm::types::EvmReceipts;
use chainwright_rpc::{Call, Kind, Parameter, RpcError};
use serde_json::Value;

use crate::chain::server_error;
use crate::dialect::{Context, Entry};
use crate::{input, shape};

pub(super) const FILTER: Parameter =
    Parameter::required("filter", Kind::Object("{…}"), "Blocks, addresses, topics");

/// Logs one query over several blocks answers with, at most (reth, `DEFAULT_MAX_LOGS_PER_RESPONSE`).
const LOGS_MAX: usize = 20_000;
/// Bytes of what they carry, at most.
const LOGS_BYTES_MAX: usize = 32 << 20;
/// How long one query may take, in microseconds.
const TIME_MAX_US: u64 = 10_000_000;
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
    let mut hunt = Hunt::new(context, filter);
    match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let block = context.chain.headers(BlockId::from(hash))?;
            let block = block.ok_or_else(|| server_error("unknown block"))?;
            // What was never executed here has no logs that could be told, and it is not known that there are none.
            let receipts = context.chain.receipts(&block)?.ok_or_else(|| server_error("unknown block"))?;
            hunt.is_single = true;
            hunt.take(&block, &receipts)?;
        }
        FilterBlockOption::Range { from_block, to_block } => {
            let head = context.chain.published().head().headers;
            let (from, to) = (height(context, from_block)?, height(context, to_block)?);
            if from > to {
                return Err(RpcError::invalid_params("invalid block range params"));
            }
            let to = u32::try_from(to).unwrap_or(u32::MAX).min(head.height().0);
            if let Some(from) = u32::try_from(from).ok().filter(|from| *from <= to) {
                hunt.is_single = from == to;
                hunt.range(&head, (from, to))?;
            }
        }
    }
    Ok(hunt.found)
}

fn height(context: &Context, block: Option<BlockNumberOrTag>) -> Result<u64, RpcError> {
    let block = block.unwrap_or(BlockNumberOrTag::Latest);
    if let BlockNumberOrTag::Number(number) = block {
        return Ok(number);
    }
    let found = context.chain.headers(BlockId::Number(block))?;
    Ok(found.map_or(0, |found| u64::from(found.height().0)))
}

/// One search, within its bounds.
struct Hunt<'c> {
    context: &'c Context,
    filter: &'c Filter,
    found: Vec<Log>,
    bytes: usize,
    began_us: u64,
    /// Of one block everything is told: nobody could ask for less.
    is_single: bool,
}

impl<'c> Hunt<'c> {
    fn new(context: &'c Context, filter: &'c Filter) -> Self {
        let began_us = context.host.monotonic_us();
        Self { context, filter, found: Vec::new(), bytes: 0, began_us, is_single: false }
    }

    /// The index says in which blocks to look; where it does not speak, every header does.
    fn range(&mut self, head: &Headers<Evm>, (from, to): (u32, u32)) -> Result<(), RpcError> {
        let base = self.context.chain.published().base().height();
        if base > Height::GENESIS && from <= base.0 {
            // Of these blocks there are headers alone: they say whether logs that fit are missing here.
            (from..=to.min(base.0)).try_for_each(|height| self.collect_at(head, Height(height)))?;
        }
        let from = if base > Height::GENESIS { from.max(base.0 + 1) } else { from };
        if from > to {
            return Ok(());
        }
        let mut next = from;
        if let Some(mut search) = self.context.chain.library.search(self.filter, (from, to)) {
            let shared = search.upto().fork_point(head).height();
            loop {
                self.check_time(next)?;
                let part = search.next_part().map_err(|error| server_error(error.to_string()))?;
                let Some(part) = part else { break };
                for height in part.into_iter().filter(|height| *height <= shared) {
                    self.collect_at(head, height)?;
                }
            }
            next = next.max(shared.0 + 1);
        }
        (next..=to).try_for_each(|height| self.collect_at(head, Height(height)))
    }

    fn collect_at(&mut self, head: &Headers<Evm>, height: Height) -> Result<(), RpcError> {
        self.check_time(height.0)?;
        head.ancestor(height).map_or(Ok(()), |block| self.collect(&block))
    }

    fn check_time(&self, height: u32) -> Result<(), RpcError> {
        if self.context.host.monotonic_us().saturating_sub(self.began_us) <= TIME_MAX_US {
            return Ok(());
        }
        let words = format!(
            "query timed out after {} s at block {height}: ask for fewer blocks",
            TIME_MAX_US / 1_000_000
        );
        Err(RpcError::new(LIMIT_EXCEEDED, words))
    }

    /// Appends the logs of a block that fit. Most others are passed over by their bloom filter.
    fn collect(&mut self, headers: &Headers<Evm>) -> Result<(), RpcError> {
        if headers.header().logs_bloom.is_zero() || !self.filter.matches_bloom(headers.header().logs_bloom) {
            return Ok(());
        }
        let Some(receipts) = self.context.chain.receipts(headers)? else { return Ok(()) };
        self.take(headers, &receipts)
    }

    /// Appends the logs of a block that fit.
    fn take(&mut self, headers: &Headers<Evm>, receipts: &EvmReceipts) -> Result<(), RpcError> {
        let logs = receipts.receipts.iter().flat_map(|receipt| &receipt.logs);
        if !logs.into_iter().any(|log| self.filter.matches(log)) {
            return Ok(());
        }
        let block = self.context.chain.body(headers)?;
        let fitting = shape::logs(&block, receipts, false);
        for log in fitting.into_iter().filter(|log| self.filter.matches(&log.inner)) {
            self.bytes += log.inner.data.data.len();
            self.found.push(log);
        }
        if !self.is_single && (self.found.len() > LOGS_MAX || self.bytes > LOGS_BYTES_MAX) {
            let upto = headers.height();
            let words = if self.found.len() > LOGS_MAX {
                format!("query returned more than {LOGS_MAX} results up to block {upto}")
            } else {
                format!("query returned more than {LOGS_BYTES_MAX} bytes up to block {upto}")
            };
            return Err(RpcError::new(LIMIT_EXCEEDED, words));
        }
        Ok(())
    }
}
