//! What transactions did, step by step or call by call: geth's tracers over blocks executed once more.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::geth::{GethDebugTracingCallOptions, GethDebugTracingOptions};
use chainwright_chain::{Codec as _, DecodeError, Headers};
use chainwright_evm::Evm;
use chainwright_evm::execute::Outcome;
use chainwright_evm::state::Overlay;
use chainwright_evm::types::EvmBlock;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use revm::context::result::ResultAndState;
use serde_json::{Value, json};

use super::again::{Seen, Watch};
use super::tracer::{Traced, Tracer};
use super::{BLOCK, BLOCK_HASH, BLOCK_OR_LATEST, TX_HASH};
use crate::call::{self, Scene};
use crate::chain::server_error;
use crate::dialect::{Context, Entry};
use crate::input;
use crate::measured::Kept;

const OPTIONS: Parameter =
    Parameter::optional("options", Kind::Any, "steps", "The tracer and what it records");
const CALL: Parameter =
    Parameter::required("call", Kind::Object("{…}"), "A transaction that need not be signed");

const RAW: Parameter = Parameter::required("block", Kind::String, "The block's RLP");

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "debug_traceTransaction",
        parameters: &[TX_HASH, OPTIONS],
        description: "What a transaction did.",
        answer: transaction,
    },
    Entry {
        name: "debug_traceBlockByNumber",
        parameters: &[BLOCK, OPTIONS],
        description: "What all transactions of a block did.",
        answer: |context, call| block(context, call, BlockId::Number(input::number(call, 0)?)),
    },
    Entry {
        name: "debug_traceBlockByHash",
        parameters: &[BLOCK_HASH, OPTIONS],
        description: "What all transactions of a block did.",
        answer: |context, call| block(context, call, BlockId::from(input::required::<B256>(call, 0)?)),
    },
    Entry {
        name: "debug_traceBlock",
        parameters: &[RAW, OPTIONS],
        description: "What all transactions of a block did, given the block's RLP.",
        answer: given_block,
    },
    Entry {
        name: "debug_traceCall",
        parameters: &[CALL, BLOCK_OR_LATEST, OPTIONS],
        description: "What a call would do.",
        answer: trace_call,
    },
];

fn options(call: &Call, at: usize) -> Result<GethDebugTracingOptions, RpcError> {
    Ok(input::optional(call, at)?.unwrap_or_default())
}

fn watch<'a>(context: &'a Context, call: &'a Call, options: &'a GethDebugTracingOptions) -> Watch<'a> {
    Watch { context, call, timeout: options.timeout.as_deref(), kept: Kept::by(options) }
}

fn transaction(context: &Context, call: &Call) -> Answer {
    let hash: B256 = input::required(call, 0)?;
    let place = context.chain.place(&hash)?.ok_or_else(|| server_error("transaction not found"))?;
    let block = context.chain.body(&place.block)?;
    let traces =
        traces((context, call), (&place.block, &block), (place.index, place.index + 1), &options(call, 1)?)?;
    let trace = traces.into_iter().next().ok_or_else(|| server_error("transaction not found"))?;
    Ok(trace.1)
}

fn no_block(wanted: BlockId) -> RpcError {
    let name = match wanted {
        BlockId::Hash(hash) => hash.block_hash.to_string(),
        BlockId::Number(number) => number.as_number().map_or_else(String::new, |number| format!("#{number}")),
    };
    server_error(format!("block {name} not found"))
}

fn block(context: &Context, call: &Call, wanted: BlockId) -> Answer {
    let headers = context.chain.headers(wanted)?.ok_or_else(|| no_block(wanted))?;
    let block = context.chain.body(&headers)?;
    shown_block((context, call), &headers, &block)
}

fn shown_block((context, call): (&Context, &Call), headers: &Headers<Evm>, block: &EvmBlock) -> Answer {
    let count = block.transactions.len();
    let traces = traces((context, call), (headers, block), (0, count), &options(call, 1)?)?;
    Ok(traces.into_iter().map(|(hash, trace)| json!({ "txHash": hash, "result": trace })).collect())
}

/// Traces of the transactions of a block from one position up to another.
fn traces(
    (context, call): (&Context, &Call),
    at: (&Headers<Evm>, &EvmBlock),
    range: (usize, usize),
    options: &GethDebugTracingOptions,
) -> Result<Vec<(B256, Value)>, RpcError> {
    let look = |seen: Seen<'_, Tracer>| {
        let traced = Traced {
            about: Some(seen.about),
            environment: seen.environment,
            block: seen.block,
            outcome: seen.outcome,
            state: seen.state,
        };
        Ok((seen.tx.hash(), seen.tracer.result(traced)?))
    };
    watch(context, call, options).each(at, range, || Tracer::new(options), look)
}

/// A block that is not in the chain, on one that is known.
fn given_block(context: &Context, call: &Call) -> Answer {
    let raw: Bytes = input::required(call, 0)?;
    let refused = |error: DecodeError| server_error(format!("could not decode block: {error}"));
    let block = EvmBlock::decode(&raw.0).map_err(refused)?;
    let known = context.chain.headers(BlockId::from(block.header.hash()))?;
    let known = known.ok_or_else(|| server_error(format!("block {} not found", block.header.hash())))?;
    shown_block((context, call), &known, &block)
}

fn trace_call(context: &Context, call: &Call) -> Answer {
    let request: TransactionRequest = input::required(call, 0)?;
    let options: GethDebugTracingCallOptions = input::optional(call, 2)?.unwrap_or_default();
    let at = input::block_or_latest(call, 1)?;
    if at == BlockId::Number(BlockNumberOrTag::Pending) {
        return Err(server_error("tracing on top of pending is not supported"));
    }
    if context.chain.headers(at)?.is_none() {
        return Err(no_block(at));
    }
    let watch = watch(context, call, &options.tracing_options);
    let deadline = watch.deadline()?;
    let start = options.tx_index.map(|count| before(&watch, at, count)).transpose()?;
    let scene = Scene::on(context, at, start, options.state_overrides, options.block_overrides)?;
    let scene = scene.until(deadline.clone());
    let tx = call::environment(context, &request)?;
    let tracer = watch.bounded(Tracer::new(&options.tracing_options)?);
    let inspected = scene.inspect(tx.clone(), tracer);
    let (Outcome { result, changes }, measured) =
        inspected.map_err(|error| watch.failed(&deadline, error))?;
    let outcome = ResultAndState::new(result, changes);
    let (environment, block, state) = (&tx, &scene.block, &mut scene.overlay.clone());
    measured.tracer.result(Traced { about: None, environment, block, outcome: &outcome, state })
}

/// The state inside of a block, in front of one of its transactions.
fn before(watch: &Watch<'_>, at: BlockId, count: u64) -> Result<Overlay, RpcError> {
    let chain = &watch.context.chain;
    let headers = chain.headers(at)?.ok_or_else(|| server_error("header not found"))?;
    let block = chain.body(&headers)?;
    let known = usize::try_from(count).ok().filter(|count| *count < block.transactions.len() || *count == 0);
    let out_of_range = || {
        let words = format!("transaction index {count} out of range for block {:#x}", block.header.hash());
        server_error(words)
    };
    let count = known.ok_or_else(out_of_range)?;
    Ok(watch.until(&headers, &block, count)?.into_machine().into_overlay())
}
