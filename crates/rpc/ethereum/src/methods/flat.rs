//! What transactions did, call by call in one flat list: OpenEthereum's `trace_` methods.
//!
//! Source: <https://openethereum.github.io/JSONRPC-trace-module>, in the shapes of reth and anvil.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::map::HashSet;
use alloy_primitives::{B256, U64, U256};
use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_eth::{BlockNumHash, BlockOverrides, TransactionInfo, TransactionRequest};
use alloy_rpc_types_trace::filter::TraceFilter;
use alloy_rpc_types_trace::parity::{
    LocalizedTransactionTrace, RewardAction, RewardType, TraceResults, TraceResultsWithTransactionHash,
    TraceType,
};
use chainwright_chain::Headers;
use chainwright_evm::Evm;
use chainwright_evm::execute::block_reward;
use chainwright_evm::types::EvmBlock;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use revm::context::result::ResultAndState;
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig};
use serde_json::Value;

use super::again::{Seen, Watch};
use super::{BLOCK, BLOCK_OR_LATEST, TX_HASH};
use crate::call::{self, Scene};
use crate::chain::{fault, server_error};
use crate::dialect::{Context, Entry};
use crate::measured::Kept;
use crate::{input, shape};

const CALL: Parameter =
    Parameter::required("call", Kind::Object("{…}"), "A transaction that need not be signed");
const TYPES: Parameter =
    Parameter::required("types", Kind::Array("[\"trace\",\"vmTrace\",\"stateDiff\"]"), "What to trace");
const STATE: Parameter = Parameter::optional("state", Kind::Any, "none", "What to suppose of accounts");
const SUPPOSED: Parameter = Parameter::optional("block", Kind::Any, "none", "What to suppose of the block");
const FILTER: Parameter = Parameter::required("filter", Kind::Object("{…}"), "Blocks and addresses");
const PLACE: Parameter = Parameter::required("place", Kind::Array("[index,…]"), "A trace's address");

/// Most blocks a filter may name (reth, `--rpc.max-trace-filter-blocks`).
const FILTER_BLOCKS_MAX: u64 = 100;

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "trace_transaction",
        parameters: &[TX_HASH],
        description: "The calls of a transaction.",
        answer: transaction,
    },
    Entry {
        name: "trace_get",
        parameters: &[TX_HASH, PLACE],
        description: "One call of a transaction.",
        answer: get,
    },
    Entry {
        name: "trace_block",
        parameters: &[BLOCK],
        description: "The calls of all transactions of a block, and its rewards.",
        answer: block,
    },
    Entry {
        name: "trace_filter",
        parameters: &[FILTER],
        description: "The calls in a range of blocks from or to addresses.",
        answer: filter,
    },
    Entry {
        name: "trace_call",
        parameters: &[CALL, TYPES, BLOCK_OR_LATEST, STATE, SUPPOSED],
        description: "What a call would do; nothing changes.",
        answer: trace_call,
    },
    Entry {
        name: "trace_replayTransaction",
        parameters: &[TX_HASH, TYPES],
        description: "What a transaction did.",
        answer: replay_transaction,
    },
    Entry {
        name: "trace_replayBlockTransactions",
        parameters: &[BLOCK, TYPES],
        description: "What all transactions of a block did.",
        answer: replay_block,
    },
];

fn watch<'a>(context: &'a Context, call: &'a Call, kept: Kept) -> Watch<'a> {
    Watch { context, call, timeout: None, kept }
}

/// Calls of the transactions of a block from one position up to another.
fn calls(
    (context, call): (&Context, &Call),
    at: (&Headers<Evm>, &EvmBlock),
    range: (usize, usize),
) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
    let tracer = || Ok(TracingInspector::new(TracingInspectorConfig::default_parity()));
    let number = at.1.header.number;
    let look = |seen: Seen<'_, TracingInspector>| {
        let about = TransactionInfo {
            hash: seen.about.tx_hash,
            index: seen.about.tx_index.map(|index| index as u64),
            block_hash: seen.about.block_hash,
            block_number: Some(number),
            ..TransactionInfo::default()
        };
        Ok(seen.tracer.into_parity_builder().into_localized_transaction_traces(about))
    };
    Ok(watch(context, call, Kept::default()).each(at, range, tracer, look)?.concat())
}

/// The calls of a transaction of the chain; `None` if there is no such transaction.
fn calls_of(context: &Context, call: &Call) -> Result<Option<Vec<LocalizedTransactionTrace>>, RpcError> {
    let hash: B256 = input::required(call, 0)?;
    let Some(place) = context.chain.place(&hash)? else { return Ok(None) };
    let block = context.chain.body(&place.block)?;
    calls((context, call), (&place.block, &block), (place.index, place.index + 1)).map(Some)
}

fn transaction(context: &Context, call: &Call) -> Answer {
    shape::json_of(&calls_of(context, call)?)
}

fn get(context: &Context, call: &Call) -> Answer {
    let place: Vec<U64> = input::required(call, 1)?;
    let place: Vec<usize> = place.iter().map(U64::saturating_to).collect();
    let found = calls_of(context, call)?.unwrap_or_default();
    shape::json_of(&found.into_iter().find(|found| found.trace.trace_address == place))
}

/// Everything in a block: its transactions' calls, then what was paid for making it.
fn whole(
    context: &Context,
    call: &Call,
    headers: &Headers<Evm>,
) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
    let block = context.chain.body(headers)?;
    let mut all = Vec::new();
    if headers.parent().is_some() {
        all = calls((context, call), (headers, &block), (0, block.transactions.len()))?;
        all.extend(rewards(context, &block));
    }
    Ok(all)
}

/// What was paid for a block before the merge (yellow paper, § 11.3).
fn rewards(context: &Context, block: &EvmBlock) -> Vec<LocalizedTransactionTrace> {
    let reward = U256::from(block_reward(context.chain.ledger().config().fork(&block.header)));
    if reward.is_zero() {
        return Vec::new();
    }
    let at = BlockNumHash { number: block.header.number, hash: block.header.hash() };
    let bonus = reward / U256::from(32) * U256::from(block.ommers.len());
    let paid =
        |author, reward_type, value| RewardAction { author, reward_type, value }.into_localized_trace(at);
    let mut all = vec![paid(block.header.beneficiary, RewardType::Block, reward + bonus)];
    for ommer in &block.ommers {
        let share = 8_u64.saturating_sub(block.header.number.saturating_sub(ommer.number));
        let value = reward * U256::from(share) / U256::from(8);
        all.push(paid(ommer.beneficiary, RewardType::Uncle, value));
    }
    all
}

fn block(context: &Context, call: &Call) -> Answer {
    let Some(headers) = context.chain.headers(input::block(call, 0)?)? else { return Ok(Value::Null) };
    shape::json_of(&whole(context, call, &headers)?)
}

fn filter(context: &Context, call: &Call) -> Answer {
    let filter: TraceFilter = input::required(call, 0)?;
    let head = u64::from(context.chain.published().head().headers.height().0);
    let (from, to) = (filter.from_block.unwrap_or(head), filter.to_block.unwrap_or(head).min(head));
    if from > to {
        return Err(RpcError::invalid_params("invalid parameters: fromBlock cannot be greater than toBlock"));
    }
    if to - from >= FILTER_BLOCKS_MAX {
        let words = format!("Block range too large; currently limited to {FILTER_BLOCKS_MAX} blocks");
        return Err(RpcError::invalid_params(words));
    }
    let (matcher, mut skipped) = (filter.matcher(), filter.after.unwrap_or_default());
    let count = filter.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let mut found = Vec::new();
    for number in from..=to {
        let at = BlockId::Number(BlockNumberOrTag::Number(number));
        let Some(headers) = context.chain.headers(at)? else { break };
        for trace in whole(context, call, &headers)?.into_iter().filter(|trace| matcher.matches(&trace.trace))
        {
            if skipped > 0 {
                skipped -= 1;
            } else if found.len() < count {
                found.push(trace);
            }
        }
        if found.len() >= count {
            break;
        }
    }
    shape::json_of(&found)
}

/// What a caller wants to know, and what a tracer keeps for it.
struct Wanted {
    types: HashSet<TraceType>,
    kept: Kept,
}

impl Wanted {
    fn of(call: &Call) -> Result<Self, RpcError> {
        let types: HashSet<TraceType> = input::required(call, 1)?;
        let kept = if types.contains(&TraceType::VmTrace) { Kept::machine() } else { Kept::default() };
        Ok(Self { types, kept })
    }

    fn tracer(&self) -> TracingInspector {
        TracingInspector::new(TracingInspectorConfig::from_parity_config(&self.types))
    }

    fn results(&self, seen: Seen<'_, TracingInspector>) -> Result<TraceResults, RpcError> {
        let builder = seen.tracer.into_parity_builder();
        builder
            .into_trace_results_with_state(seen.outcome, &self.types, &*seen.state)
            .map_err(|error| fault(error.0))
    }
}

fn trace_call(context: &Context, call: &Call) -> Answer {
    let request: TransactionRequest = input::required(call, 0)?;
    let wanted = Wanted::of(call)?;
    let state: Option<StateOverride> = input::optional(call, 3)?;
    let supposed: Option<BlockOverrides> = input::optional(call, 4)?;
    let watch = watch(context, call, wanted.kept);
    let deadline = watch.deadline()?;
    let scene =
        Scene::new(context, input::block_or_latest(call, 2)?, state, supposed)?.until(deadline.clone());
    let tx = call::environment(context, &request)?;
    let inspected = scene.inspect(tx, watch.bounded(wanted.tracer()));
    let (outcome, tracer) = inspected.map_err(|error| watch.failed(&deadline, error))?;
    let outcome = ResultAndState::new(outcome.result, outcome.changes);
    let builder = tracer.tracer.into_parity_builder();
    let results = builder.into_trace_results_with_state(&outcome, &wanted.types, &scene.overlay);
    shape::json_of(&results.map_err(|error| fault(error.0))?)
}

fn replay_transaction(context: &Context, call: &Call) -> Answer {
    let hash: B256 = input::required(call, 0)?;
    let wanted = Wanted::of(call)?;
    let place = context.chain.place(&hash)?.ok_or_else(|| server_error("transaction not found"))?;
    let block = context.chain.body(&place.block)?;
    let range = (place.index, place.index + 1);
    let watch = watch(context, call, wanted.kept);
    let look = |seen: Seen<'_, _>| wanted.results(seen);
    let mut found = watch.each((&place.block, &block), range, || Ok(wanted.tracer()), look)?;
    shape::json_of(&found.pop())
}

fn replay_block(context: &Context, call: &Call) -> Answer {
    let Some(headers) = context.chain.headers(input::block(call, 0)?)? else { return Ok(Value::Null) };
    let wanted = Wanted::of(call)?;
    let block = context.chain.body(&headers)?;
    if headers.parent().is_none() {
        return Ok(Value::Array(Vec::new()));
    }
    let look = |seen: Seen<'_, _>| {
        let transaction_hash = seen.tx.hash();
        wanted
            .results(seen)
            .map(|full_trace| TraceResultsWithTransactionHash { full_trace, transaction_hash })
    };
    let watch = watch(context, call, wanted.kept);
    let range = (0, block.transactions.len());
    shape::json_of(&watch.each((&headers, &block), range, || Ok(wanted.tracer()), look)?)
}
