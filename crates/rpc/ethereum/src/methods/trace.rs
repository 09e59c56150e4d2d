//! What transactions did, step by step or call by call: geth's tracers over blocks executed once more.

use alloy_eips::BlockId;
use alloy_primitives::B256;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_trace::geth::{
    GethDebugTracingCallOptions, GethDebugTracingOptions, GethTrace, TraceResult,
};
use chainwright_chain::{Headers, Reject};
use chainwright_evm::Evm;
use chainwright_evm::execute::{Outcome, TransactionError, environment, replay};
use chainwright_evm::types::EvmBlock;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use revm::context::result::ResultAndState;
use revm_inspectors::tracing::{DebugInspector, TransactionContext};

use super::{BLOCK, BLOCK_HASH, BLOCK_OR_LATEST, TX_HASH};
use crate::call::{self, Scene};
use crate::chain::{fault, server_error};
use crate::dialect::{Context, Entry};
use crate::{input, shape};

const OPTIONS: Parameter =
    Parameter::optional("options", Kind::Any, "steps", "The tracer and what it records");
const CALL: Parameter =
    Parameter::required("call", Kind::Object("{…}"), "A transaction that need not be signed");

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
        name: "debug_traceCall",
        parameters: &[CALL, BLOCK_OR_LATEST, OPTIONS],
        description: "What a call would do.",
        answer: trace_call,
    },
];

fn options(call: &Call, at: usize) -> Result<GethDebugTracingOptions, RpcError> {
    Ok(input::optional(call, at)?.unwrap_or_default())
}

fn refused(reject: Reject) -> RpcError {
    match reject {
        Reject::Fault(error) => fault(error),
        other => server_error(format!("the block cannot be executed again: {other:?}")),
    }
}

fn failed(error: TransactionError) -> RpcError {
    match error {
        TransactionError::Fault(error) => fault(error),
        other => server_error(format!("tracing failed: {other}")),
    }
}

fn transaction(context: &Context, call: &Call) -> Answer {
    let hash: B256 = input::required(call, 0)?;
    let place = context.chain.place(&hash)?.ok_or_else(|| server_error("transaction not found"))?;
    let block = context.chain.body(&place.block)?;
    let traces = traces(context, &place.block, &block, (place.index, place.index + 1), &options(call, 1)?)?;
    let trace = traces.into_iter().next().ok_or_else(|| server_error("transaction not found"))?;
    shape::json_of(&trace.1)
}

fn block(context: &Context, call: &Call, wanted: BlockId) -> Answer {
    let headers = context.chain.headers(wanted)?.ok_or_else(|| {
        let name = match wanted {
            BlockId::Hash(hash) => hash.block_hash.to_string(),
            BlockId::Number(number) => {
                number.as_number().map_or_else(String::new, |number| format!("#{number}"))
            }
        };
        server_error(format!("block {name} not found"))
    })?;
    let block = context.chain.body(&headers)?;
    let count = block.transactions.len();
    let traces = traces(context, &headers, &block, (0, count), &options(call, 1)?)?;
    let shown = traces.into_iter().map(|(hash, trace)| TraceResult::new_success(trace, Some(hash)));
    shape::json_of(&shown.collect::<Vec<_>>())
}

/// Traces of the transactions of a block from one position up to another.
fn traces(
    context: &Context,
    headers: &Headers<Evm>,
    block: &EvmBlock,
    (from, to): (usize, usize),
    options: &GethDebugTracingOptions,
) -> Result<Vec<(B256, GethTrace)>, RpcError> {
    let parent = headers.parent().ok_or_else(|| server_error("genesis is not traceable"))?;
    let ledger = context.chain.ledger();
    let overlay = ledger.overlay(&context.chain.view_at(&parent)?);
    let executor = replay(ledger.config(), block, overlay, from).map_err(refused)?;
    let new = || DebugInspector::new(options.clone()).map_err(|error| server_error(error.to_string()));
    let mut executor = executor.with_inspector(new()?);
    let mut all = Vec::new();
    for (index, tx) in block.transactions.iter().enumerate().take(to).skip(from) {
        *executor.machine().inspector() = new()?;
        let from = shape::sender(tx)?;
        let outcome = executor.inspect(tx, from).map_err(failed)?;
        let about = TransactionContext {
            block_hash: Some(block.header.hash()),
            tx_index: Some(index),
            tx_hash: Some(tx.hash()),
        };
        let seen = ResultAndState::new(outcome.result.clone(), outcome.changes.clone());
        let machine = executor.machine();
        let (env, mut state) = (machine.block().clone(), machine.overlay().clone());
        let trace = machine
            .inspector()
            .get_result(Some(about), &environment(tx, from), &env, &seen, &mut state)
            .map_err(|error| server_error(error.to_string()))?;
        all.push((tx.hash(), trace));
        executor.keep(tx, outcome).map_err(failed)?;
    }
    Ok(all)
}

fn trace_call(context: &Context, call: &Call) -> Answer {
    let request: TransactionRequest = input::required(call, 0)?;
    let options: GethDebugTracingCallOptions = input::optional(call, 2)?.unwrap_or_default();
    let state: Option<StateOverride> = options.state_overrides;
    let scene = Scene::new(context, input::block_or_latest(call, 1)?, state, options.block_overrides)?;
    let tx = call::environment(context, &request)?;
    let inspector =
        DebugInspector::new(options.tracing_options).map_err(|error| server_error(error.to_string()))?;
    let (Outcome { result, changes }, mut inspector) =
        scene.inspect(tx.clone(), inspector).map_err(failed)?;
    let seen = ResultAndState::new(result, changes);
    let trace = inspector
        .get_result(None, &tx, &scene.block, &seen, &mut scene.overlay.clone())
        .map_err(|error| server_error(error.to_string()))?;
    shape::json_of(&trace)
}
